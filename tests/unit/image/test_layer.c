/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "layer.h"
#include "maker.h"

/* An image in the making: layers are built with t->tar and applied with apply(). */
struct made {
	struct limits limits;
	struct tree tree;
	struct content content;
	struct layer layer;
	struct buf tar;
	struct fault fault;
	int fd;
};

static int set_up(void **state)
{
	struct made *m = test_calloc(1, sizeof(*m));

	m->limits = limits_default;
	m->fd = maker_file(NULL);
	tree_init(&m->tree, &m->limits);
	content_init(&m->content, m->fd, m->limits.image_bytes_max);
	m->tree.release = content_release;
	m->tree.release_context = &m->content;
	m->layer = (struct layer){.tree = &m->tree, .content = &m->content, .limits = &m->limits};
	maker_init(&m->tar);
	*state = m;
	return 0;
}

static int tear_down(void **state)
{
	struct made *m = *state;

	content_done(&m->content);
	tree_done(&m->tree);
	buf_done(&m->tar);
	fd_close(m->fd);
	test_free(m);
	return 0;
}

static enum fault_code try_apply(struct made *m)
{
	struct maker_stream stream;
	int r;

	maker_end(&m->tar);
	maker_stream_init(&stream, &m->tar, 777);
	m->layer.index++;
	m->fault = (struct fault){0};
	r = layer_apply(&m->layer, &stream.stream, &m->fault);
	assert_int_equal(r < 0, m->fault.code != FAULT_NONE);
	buf_clear(&m->tar);
	return m->fault.code;
}

static void apply(struct made *m)
{
	if (try_apply(m) != FAULT_NONE)
		fail_msg("%s", m->fault.text);
}

static struct link *find(struct made *m, const char *path)
{
	const struct tree_walk walk = {.create = false};
	struct fault fault = {0};
	struct tree_place place;

	assert_int_equal(tree_locate(&m->tree, path, &walk, &place, &fault), 0);
	return place.directory != NULL ? tree_find(&m->tree, place.directory, place.name) : NULL;
}

static struct inode *get(struct made *m, const char *path)
{
	struct link *link = find(m, path);

	if (link == NULL) {
		fail_msg("%s is not there", path);
		return NULL;
	}
	return link->inode;
}

static void assert_type(struct made *m, const char *path, enum inode_type type)
{
	assert_int_equal(get(m, path)->type, type);
}

static void assert_gone(struct made *m, const char *path)
{
	if (find(m, path) != NULL)
		fail_msg("%s is still there", path);
}

/* ---- what layers do ---- */

static void parents_are_found_through_symlinks_of_the_image(void **state)
{
	struct made *m = *state;

	MAKER_ADD(&m->tar, .path = "usr/bin", .type = '5');
	MAKER_ADD(&m->tar, .path = "bin", .type = '2', .target = "usr/bin");
	MAKER_ADD(&m->tar, .path = "abs", .type = '2', .target = "/usr/../bin/.");
	MAKER_ADD(&m->tar, .path = "out", .type = '2', .target = "../../../../usr");
	apply(m);
	MAKER_ADD(&m->tar, .path = "bin/sh", .data = "sh");
	MAKER_ADD(&m->tar, .path = "./abs//ls", .data = "ls");
	MAKER_ADD(&m->tar, .path = "out/share", .type = '5');
	MAKER_ADD(&m->tar, .path = "/lib/ld.so", .data = "ld");
	apply(m);
	assert_type(m, "bin", INODE_TYPE_SYMLINK);
	assert_type(m, "usr/bin/sh", INODE_TYPE_FILE);
	assert_type(m, "usr/bin/ls", INODE_TYPE_FILE);
	/* At the root ".." stays at the root. */
	assert_type(m, "usr/share", INODE_TYPE_DIRECTORY);
	assert_type(m, "lib/ld.so", INODE_TYPE_FILE);
	assert_int_equal(get(m, "lib")->meta.mode, 0755);
}

static void a_symlink_to_nowhere_is_a_parent_that_is_made(void **state)
{
	struct made *m = *state;

	MAKER_ADD(&m->tar, .path = "bin", .type = '2', .target = "usr/bin");
	MAKER_ADD(&m->tar, .path = "bin/sh", .data = "sh");
	apply(m);
	assert_type(m, "usr/bin/sh", INODE_TYPE_FILE);
}

static void a_directory_keeps_what_is_in_it_and_gets_new_metadata(void **state)
{
	struct made *m = *state;

	MAKER_ADD(&m->tar, .path = "d", .type = '5', .mode = 0700);
	MAKER_ADD(&m->tar, .path = "d/f", .data = "f");
	apply(m);
	MAKER_ADD(&m->tar, .path = "d", .type = '5', .mode = 01777, .uid = 5);
	MAKER_ADD(&m->tar, .path = "./", .type = '5', .mode = 0711);
	apply(m);
	assert_type(m, "d/f", INODE_TYPE_FILE);
	assert_int_equal(get(m, "d")->meta.mode, 01777);
	assert_int_equal(get(m, "d")->meta.uid, 5);
	assert_int_equal(m->tree.root->meta.mode, 0711);
}

static void files_replace_directories_and_the_reverse(void **state)
{
	struct made *m = *state;

	MAKER_ADD(&m->tar, .path = "d/e/f", .data = "f");
	MAKER_ADD(&m->tar, .path = "f", .data = "f");
	MAKER_ADD(&m->tar, .path = "s", .type = '2', .target = "d");
	apply(m);
	MAKER_ADD(&m->tar, .path = "d", .data = "now a file");
	MAKER_ADD(&m->tar, .path = "f", .type = '5');
	MAKER_ADD(&m->tar, .path = "f/g", .data = "g");
	/* A directory in place of a symlink, not behind it. */
	MAKER_ADD(&m->tar, .path = "s", .type = '5');
	apply(m);
	assert_type(m, "d", INODE_TYPE_FILE);
	assert_type(m, "f/g", INODE_TYPE_FILE);
	assert_type(m, "s", INODE_TYPE_DIRECTORY);
	assert_int_equal(m->tree.link_count, 4);
}

static void whiteouts_hide_what_lies_below(void **state)
{
	struct made *m = *state;

	MAKER_ADD(&m->tar, .path = "d/a", .data = "a");
	MAKER_ADD(&m->tar, .path = "d/b", .data = "b");
	MAKER_ADD(&m->tar, .path = "e/f/g", .data = "g");
	MAKER_ADD(&m->tar, .path = "l", .type = '2', .target = "d");
	apply(m);
	MAKER_ADD(&m->tar, .path = "d/.wh.a");
	MAKER_ADD(&m->tar, .path = ".wh.e");
	MAKER_ADD(&m->tar, .path = "l/.wh.b");
	MAKER_ADD(&m->tar, .path = "nowhere/.wh.x");
	MAKER_ADD(&m->tar, .path = ".wh.nothing");
	apply(m);
	assert_gone(m, "d/a");
	assert_gone(m, "d/b");
	assert_gone(m, "e");
	assert_gone(m, "nowhere");
	assert_type(m, "d", INODE_TYPE_DIRECTORY);
}

static void a_whiteout_spares_what_its_own_layer_brings(void **state)
{
	struct made *m = *state;

	MAKER_ADD(&m->tar, .path = "d/old", .data = "old");
	MAKER_ADD(&m->tar, .path = "f", .data = "old");
	apply(m);
	MAKER_ADD(&m->tar, .path = "d/new", .data = "new");
	MAKER_ADD(&m->tar, .path = "f", .data = "new", .mode = 0600);
	MAKER_ADD(&m->tar, .path = ".wh.d");
	MAKER_ADD(&m->tar, .path = ".wh.f");
	apply(m);
	assert_gone(m, "d/old");
	assert_type(m, "d/new", INODE_TYPE_FILE);
	assert_int_equal(get(m, "f")->meta.mode, 0600);
}

static void an_opaque_directory_hides_the_layers_below_in_any_order(void **state)
{
	struct made *m = *state;

	MAKER_ADD(&m->tar, .path = "d/old", .data = "old");
	MAKER_ADD(&m->tar, .path = "d/sub/old", .data = "old");
	MAKER_ADD(&m->tar, .path = "d/gone/old", .data = "old");
	MAKER_ADD(&m->tar, .path = "e", .data = "e");
	apply(m);
	MAKER_ADD(&m->tar, .path = "d/before", .data = "new");
	MAKER_ADD(&m->tar, .path = "d/sub/before", .data = "new");
	MAKER_ADD(&m->tar, .path = "d/.wh..wh..opq");
	MAKER_ADD(&m->tar, .path = "d/after", .data = "new");
	apply(m);
	assert_gone(m, "d/old");
	assert_gone(m, "d/sub/old");
	assert_gone(m, "d/gone");
	assert_type(m, "d/before", INODE_TYPE_FILE);
	assert_type(m, "d/sub/before", INODE_TYPE_FILE);
	assert_type(m, "d/after", INODE_TYPE_FILE);
	MAKER_ADD(&m->tar, .path = ".wh..wh..opq");
	apply(m);
	assert_int_equal(m->tree.link_count, 0);
}

static void what_aufs_noted_is_ignored(void **state)
{
	struct made *m = *state;

	MAKER_ADD(&m->tar, .path = ".wh..wh.aufs");
	MAKER_ADD(&m->tar, .path = ".wh..wh.plnk", .type = '5');
	MAKER_ADD(&m->tar, .path = ".wh..wh.plnk/12.34", .data = "x");
	apply(m);
	assert_int_equal(m->tree.link_count, 0);
}

static void hard_links_share_an_inode(void **state)
{
	struct made *m = *state;

	MAKER_ADD(&m->tar, .path = "a", .data = "a", .mode = 0640);
	MAKER_ADD(&m->tar, .path = "s", .type = '2', .target = "a");
	apply(m);
	MAKER_ADD(&m->tar, .path = "d/b", .type = '1', .target = "a");
	MAKER_ADD(&m->tar, .path = "t", .type = '1', .target = "./s");
	MAKER_ADD(&m->tar, .path = "a", .type = '1', .target = "/a");
	apply(m);
	assert_ptr_equal(get(m, "a"), get(m, "d/b"));
	assert_int_equal(get(m, "a")->links, 2);
	/* The symlink itself, not what it leads to. */
	assert_ptr_equal(get(m, "s"), get(m, "t"));
	MAKER_ADD(&m->tar, .path = ".wh.a");
	apply(m);
	assert_int_equal(get(m, "d/b")->links, 1);
	assert_int_equal(get(m, "d/b")->meta.mode, 0640);
}

/* The target goes away with the directory that the link takes the place of. */
static void a_hard_link_may_replace_its_targets_directory(void **state)
{
	struct made *m = *state;

	MAKER_ADD(&m->tar, .path = "a/b", .data = "b");
	apply(m);
	MAKER_ADD(&m->tar, .path = "a", .type = '1', .target = "a/b");
	apply(m);
	assert_type(m, "a", INODE_TYPE_FILE);
	assert_int_equal(get(m, "a")->links, 1);
	assert_int_equal(m->tree.inode_count, 2);
}

static void all_kinds_of_files_with_their_metadata(void **state)
{
	static const char value[] = "v";
	struct made *m = *state;
	_cleanup_buf_ struct buf pax = {0};

	maker_record(&pax, "SCHILY.xattr.user.note", value, 1);
	maker_record(&pax, "SCHILY.xattr.trusted.overlay.opaque", "y", 1);
	maker_record(&pax, "SCHILY.xattr.com.apple.quarantine", "q", 1);
	maker_record(&pax, "SCHILY.xattr.security.capability", "c", 1);
	MAKER_ADD(&m->tar, .path = "su", .data = "su", .mode = 06755, .pax = pax.data,
		  .pax_bytes = pax.length);
	MAKER_ADD(&m->tar, .path = "tty", .type = '3', .major = 5, .minor = 1);
	MAKER_ADD(&m->tar, .path = "sda", .type = '4', .major = 8, .minor = 0);
	MAKER_ADD(&m->tar, .path = "pipe", .type = '6', .mode = 0600);
	apply(m);
	assert_int_equal(get(m, "su")->meta.mode, 06755);
	assert_string_equal(get(m, "su")->meta.xattrs->name, "user.note");
	assert_string_equal(get(m, "su")->meta.xattrs->next->name, "security.capability");
	assert_null(get(m, "su")->meta.xattrs->next->next);
	assert_type(m, "tty", INODE_TYPE_CHAR);
	assert_int_equal(get(m, "tty")->device.major, 5);
	assert_type(m, "sda", INODE_TYPE_BLOCK);
	assert_type(m, "pipe", INODE_TYPE_FIFO);
}

static void contents_lie_in_extents_with_holes_for_zeros(void **state)
{
	enum { CHUNKS = 5 };
	struct made *m = *state;
	const struct inode *inode;
	char *data = test_calloc(CHUNKS, CONTENT_CHUNK_BYTES);
	char back[8];

	memset(data, 'a', CONTENT_CHUNK_BYTES);
	memset(data + 3 * CONTENT_CHUNK_BYTES, 'd', CONTENT_CHUNK_BYTES + 10);
	MAKER_ADD(&m->tar, .path = "f", .data = data, .bytes = 4 * CONTENT_CHUNK_BYTES + 10);
	MAKER_ADD(&m->tar, .path = "zeros", .data = data + CONTENT_CHUNK_BYTES,
		  .bytes = 2 * CONTENT_CHUNK_BYTES);
	apply(m);
	assert_int_equal(content_finish(&m->content, &m->fault), 0);
	inode = get(m, "f");
	assert_int_equal(inode->file.bytes, 4 * CONTENT_CHUNK_BYTES + 10);
	assert_int_equal(inode->file.extent_count, 2);
	assert_int_equal(inode->file.extents[0].blocks, 16);
	assert_int_equal(inode->file.extents[1].logical, 48);
	assert_int_equal(inode->file.extents[1].blocks, 17);
	assert_int_equal(pread(m->fd, back, sizeof(back),
			       (off_t)inode->file.extents[1].physical * IMAGE_BLOCK_BYTES),
			 sizeof(back));
	assert_memory_equal(back, "dddddddd", 8);
	assert_int_equal(get(m, "zeros")->file.extent_count, 0);
	assert_int_equal(get(m, "zeros")->file.bytes, 2 * CONTENT_CHUNK_BYTES);
	test_free(data);
}

static void what_is_replaced_gives_its_blocks_back(void **state)
{
	struct made *m = *state;

	MAKER_ADD(&m->tar, .path = "f", .data = "old");
	apply(m);
	MAKER_ADD(&m->tar, .path = "f", .data = "new");
	apply(m);
	assert_int_equal(m->content.released_count, 1);
	assert_int_equal(m->content.released[0].physical, CONTENT_FIRST_BLOCK);
}

/* ---- what is refused ---- */

struct refusal {
	const char *what;
	struct maker_entry entry;
	enum fault_code code;
};

static char long_name[300], long_path[200];

static const struct refusal refusals[] = {
	{"upwards", {.path = "../etc/passwd", .data = "x"}, FAULT_PATH_UNSAFE},
	{"upwards in the middle", {.path = "a/../../b", .data = "x"}, FAULT_PATH_UNSAFE},
	{"upwards at the end", {.path = "a/..", .type = '5'}, FAULT_PATH_UNSAFE},
	{"a hard link upwards",
	 {.path = "x", .type = '1', .target = "../../etc/shadow"},
	 FAULT_PATH_UNSAFE},
	{"a hard link to nothing", {.path = "x", .type = '1', .target = "none"}, FAULT_LINK_BROKEN},
	{"a hard link below nothing",
	 {.path = "x", .type = '1', .target = "none/none"},
	 FAULT_LINK_BROKEN},
	{"a hard link to a directory",
	 {.path = "x", .type = '1', .target = "dir"},
	 FAULT_LINK_BROKEN},
	{"a hard link to the root", {.path = "x", .type = '1', .target = "/"}, FAULT_LINK_BROKEN},
	{"a loop", {.path = "loop1/x", .data = "x"}, FAULT_PATH_LOOP},
	{"a loop of itself", {.path = "self/x", .data = "x"}, FAULT_PATH_LOOP},
	{"an entry below a file", {.path = "file/x", .data = "x"}, FAULT_PATH_BLOCKED},
	{"an entry below a file behind a link",
	 {.path = "tofile/x", .data = "x"},
	 FAULT_PATH_BLOCKED},
	{"the root as a file", {.path = "./", .data = "x"}, FAULT_PATH_UNSAFE},
	{"the root as a symlink", {.path = "/", .type = '2', .target = "x"}, FAULT_PATH_UNSAFE},
	{"no name at all", {.path = "", .data = "x"}, FAULT_PATH_UNSAFE},
	{"a whiteout of nothing", {.path = ".wh."}, FAULT_WHITEOUT_BROKEN},
	{"a whiteout of the directory itself", {.path = "dir/.wh.."}, FAULT_WHITEOUT_BROKEN},
	{"a whiteout of the directory above", {.path = "dir/.wh..."}, FAULT_WHITEOUT_BROKEN},
	{"an entry below a whiteout", {.path = ".wh.dir/x", .data = "x"}, FAULT_WHITEOUT_BROKEN},
	{"a whiteout upwards", {.path = "dir/../../.wh.x"}, FAULT_PATH_UNSAFE},
	{"a symlink to nothing", {.path = "x", .type = '2', .target = ""}, FAULT_LINK_BROKEN},
	{"a device out of range",
	 {.path = "x", .type = '3', .major = 5000},
	 FAULT_ENTRY_UNSUPPORTED},
};

static void every_hostile_entry_has_its_code(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		const struct refusal *refusal = &refusals[i];
		struct made *m;
		void *inner;

		set_up(&inner);
		m = inner;
		MAKER_ADD(&m->tar, .path = "dir", .type = '5');
		MAKER_ADD(&m->tar, .path = "file", .data = "x");
		MAKER_ADD(&m->tar, .path = "tofile", .type = '2', .target = "file");
		MAKER_ADD(&m->tar, .path = "loop1", .type = '2', .target = "loop2");
		MAKER_ADD(&m->tar, .path = "loop2", .type = '2', .target = "/loop1");
		MAKER_ADD(&m->tar, .path = "self", .type = '2', .target = "self/self");
		apply(m);
		maker_add(&m->tar, refusal->entry);
		if (try_apply(m) != refusal->code)
			fail_msg("%s: %s (%s)", refusal->what, fault_code_name(m->fault.code),
				 m->fault.text);
		tear_down(&inner);
	}
}

static void a_long_name_has_an_edge(void **state)
{
	struct made *m = *state;
	_cleanup_buf_ struct buf pax = {0};

	memset(long_name, 'n', sizeof(long_name));
	maker_record(&pax, "path", long_name, IMAGE_NAME_BYTES_MAX);
	MAKER_ADD(&m->tar, .path = "x", .pax = pax.data, .pax_bytes = pax.length);
	apply(m);
	buf_clear(&pax);
	maker_record(&pax, "path", long_name, IMAGE_NAME_BYTES_MAX + 1);
	MAKER_ADD(&m->tar, .path = "x", .pax = pax.data, .pax_bytes = pax.length);
	assert_int_equal(try_apply(m), FAULT_PATH_TOO_LONG);
}

/* A symlink into the depth makes each path short and the tree as deep as one likes. */
static void depth_has_an_end(void **state)
{
	struct made *m = *state;
	enum fault_code code = FAULT_NONE;

	memset(long_path, 0, sizeof(long_path));
	strcpy(long_path, "s");
	for (int i = 0; i < 40; i++)
		strcat(long_path, "/d");
	for (int i = 0; i < IMAGE_DEPTH_MAX / 40 + 1 && code == FAULT_NONE; i++) {
		struct inode *deep = m->tree.root;
		char target[2 * IMAGE_DEPTH_MAX + 8] = "";

		/* The link leads to the deepest directory so far. */
		for (; deep->directory.first != NULL; deep = deep->directory.first->inode) {
			if (strcmp(deep->directory.first->name, "d") != 0)
				break;
			strcat(target, "/d");
		}
		MAKER_ADD(&m->tar, .path = "d", .type = '5');
		apply(m);
		if (target[0] == '\0')
			strcpy(target, "/d");
		_cleanup_buf_ struct buf pax = {0};
		maker_record(&pax, "linkpath", target, strlen(target));
		MAKER_ADD(&m->tar, .path = "s", .type = '2', .pax = pax.data,
			  .pax_bytes = pax.length);
		MAKER_ADD(&m->tar, .path = long_path, .type = '5');
		code = try_apply(m);
	}
	assert_int_equal(code, FAULT_PATH_TOO_LONG);
}

static void entries_have_an_end(void **state)
{
	struct made *m = *state;

	m->limits.entries_max = 3;
	MAKER_ADD(&m->tar, .path = "a");
	MAKER_ADD(&m->tar, .path = "a");
	MAKER_ADD(&m->tar, .path = "a");
	apply(m);
	MAKER_ADD(&m->tar, .path = "a");
	assert_int_equal(try_apply(m), FAULT_TOO_MANY_ENTRIES);
}

/* Parents that are made on the way count too. */
static void files_have_an_end(void **state)
{
	struct made *m = *state;

	m->limits.entries_max = 3;
	MAKER_ADD(&m->tar, .path = "a/b/c");
	apply(m);
	MAKER_ADD(&m->tar, .path = "d");
	assert_int_equal(try_apply(m), FAULT_TOO_MANY_ENTRIES);
}

static void sizes_have_an_end(void **state)
{
	struct made *m = *state;

	m->limits.file_bytes_max = 10;
	MAKER_ADD(&m->tar, .path = "a", .data = "0123456789");
	apply(m);
	MAKER_ADD(&m->tar, .path = "a", .data = "0123456789a");
	assert_int_equal(try_apply(m), FAULT_FILE_TOO_LARGE);
}

static void contents_have_an_end(void **state)
{
	struct made *m = *state;

	m->content.bytes_max = 2 * IMAGE_BLOCK_BYTES;
	MAKER_ADD(&m->tar, .path = "a", .data = "a");
	MAKER_ADD(&m->tar, .path = "b", .data = "b");
	apply(m);
	MAKER_ADD(&m->tar, .path = "c", .data = "c");
	assert_int_equal(try_apply(m), FAULT_IMAGE_TOO_LARGE);
}

static void attributes_have_an_end(void **state)
{
	struct made *m = *state;
	_cleanup_buf_ struct buf pax = {0};
	char *value = test_calloc(1, IMAGE_XATTR_BYTES_MAX);

	maker_record(&pax, "SCHILY.xattr.user.x", value, IMAGE_XATTR_BYTES_MAX - 6);
	MAKER_ADD(&m->tar, .path = "a", .pax = pax.data, .pax_bytes = pax.length);
	apply(m);
	buf_clear(&pax);
	maker_record(&pax, "SCHILY.xattr.user.x", value, IMAGE_XATTR_BYTES_MAX - 5);
	MAKER_ADD(&m->tar, .path = "a", .pax = pax.data, .pax_bytes = pax.length);
	assert_int_equal(try_apply(m), FAULT_XATTR_TOO_LARGE);
	test_free(value);
}

/* 2^43 bytes announced in 1 KiB of archive. */
static void an_enormous_claim_is_refused_at_once(void **state)
{
	struct made *m = *state;
	_cleanup_buf_ struct buf pax = {0};

	maker_record(&pax, "size", "8796093022208", 13);
	MAKER_ADD(&m->tar, .path = "a", .pax = pax.data, .pax_bytes = pax.length);
	assert_int_equal(try_apply(m), FAULT_FILE_TOO_LARGE);
	assert_non_null(strstr(m->fault.text, "a: its size"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(parents_are_found_through_symlinks_of_the_image),
		TEST(a_symlink_to_nowhere_is_a_parent_that_is_made),
		TEST(a_directory_keeps_what_is_in_it_and_gets_new_metadata),
		TEST(files_replace_directories_and_the_reverse),
		TEST(whiteouts_hide_what_lies_below),
		TEST(a_whiteout_spares_what_its_own_layer_brings),
		TEST(an_opaque_directory_hides_the_layers_below_in_any_order),
		TEST(what_aufs_noted_is_ignored),
		TEST(hard_links_share_an_inode),
		TEST(a_hard_link_may_replace_its_targets_directory),
		TEST(all_kinds_of_files_with_their_metadata),
		TEST(contents_lie_in_extents_with_holes_for_zeros),
		TEST(what_is_replaced_gives_its_blocks_back),
		cmocka_unit_test(every_hostile_entry_has_its_code),
		TEST(a_long_name_has_an_edge),
		TEST(depth_has_an_end),
		TEST(entries_have_an_end),
		TEST(files_have_an_end),
		TEST(sizes_have_an_end),
		TEST(contents_have_an_end),
		TEST(attributes_have_an_end),
		TEST(an_enormous_claim_is_refused_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

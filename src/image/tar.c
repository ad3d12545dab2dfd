/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tar file is a row of blocks: a header, the entry's contents padded to whole blocks, the next
 * header; a block of zeros ends it. What does not fit into a header stands in entries of their own
 * in front of it: pax records (x), GNU's long names (L) and targets (K). POSIX.1-2017, pax.
 */
#include "tar.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

#define PAX_BYTES_MAX (1 * MIB)
#define XATTR_PREFIX  "SCHILY.xattr."
#define SPARSE_PREFIX "GNU.sparse."

struct header {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char target[100];
	char magic[8]; /* with the version */
	char uname[32];
	char gname[32];
	char major[8];
	char minor[8];
	char prefix[155];
	char unused[12];
};
static_assert(sizeof(struct header) == TAR_BLOCK_BYTES, "a header is one block");

static int broken(const char *what, struct fault *fault)
{
	return fault_set(fault, FAULT_ARCHIVE_BROKEN, "the layer's tar file is damaged: %s", what);
}

void tar_init(struct tar *tar, struct stream *from)
{
	*tar = (struct tar){.from = from};
	buf_init(&tar->pax, PAX_BYTES_MAX);
	buf_init(&tar->long_path, IMAGE_PATH_BYTES_MAX + 1);
	buf_init(&tar->long_target, IMAGE_PATH_BYTES_MAX + 1);
}

void tar_done(struct tar *tar)
{
	buf_done(&tar->pax);
	buf_done(&tar->long_path);
	buf_done(&tar->long_target);
	xattr_free_all(tar->entry.xattrs);
	tar->entry.xattrs = NULL;
}

/* ---- bytes ---- */

/* At least one unused byte in the piece: 1; at the stream's end 0. */
static int fill_piece(struct tar *tar, struct fault *fault)
{
	const void *data;
	ssize_t n;

	if (tar->piece_bytes > 0)
		return 1;
	n = tar->from->read(tar->from, &data, fault);
	if (n <= 0)
		return (int)n;
	tar->piece = data;
	tar->piece_bytes = (size_t)n;
	return 1;
}

/* Takes up to `bytes` of the stream without a copy; 0 at its end. */
static ssize_t take(struct tar *tar, uint64_t bytes, const void **ret_data, struct fault *fault)
{
	size_t step;
	int r = fill_piece(tar, fault);

	if (r <= 0)
		return r;
	step = (size_t)MIN(bytes, (uint64_t)tar->piece_bytes);
	*ret_data = tar->piece;
	tar->piece += step;
	tar->piece_bytes -= step;
	return (ssize_t)step;
}

/* 1 when all of it was read, 0 when the stream ended before the first byte. */
static int read_block(struct tar *tar, void *ret_block, struct fault *fault)
{
	size_t done = 0;

	while (done < TAR_BLOCK_BYTES) {
		const void *data;
		ssize_t n = take(tar, TAR_BLOCK_BYTES - done, &data, fault);

		if (n < 0)
			return -1;
		if (n == 0)
			return done == 0 ? 0 : broken("it ends within a header", fault);
		memcpy((char *)ret_block + done, data, (size_t)n);
		done += (size_t)n;
	}
	return 1;
}

ssize_t tar_read(struct tar *tar, const void **ret_data, struct fault *fault)
{
	ssize_t n;

	if (tar->data_bytes == 0)
		return 0;
	n = take(tar, tar->data_bytes, ret_data, fault);
	if (n == 0)
		return broken("it ends within a file", fault);
	if (n > 0)
		tar->data_bytes -= (uint64_t)n;
	return n;
}

/* To the next header. */
static int skip_rest(struct tar *tar, struct fault *fault)
{
	const void *data;

	tar->data_bytes += tar->padding_bytes;
	tar->padding_bytes = 0;
	while (tar->data_bytes > 0) {
		if (tar_read(tar, &data, fault) < 0)
			return -1;
	}
	return 0;
}

/* ---- numbers ---- */

/* GNU's form for what octal digits cannot say: big-endian, two's complement. */
static int read_binary(const char *field, size_t bytes, int64_t *ret_value)
{
	const uint8_t *p = (const uint8_t *)field;
	uint64_t value = p[0] == 0xff ? UINT64_MAX : p[0] & 0x7f;
	uint8_t filler = p[0] == 0xff ? 0xff : 0;

	for (size_t i = 1; i < bytes; i++) {
		if (value >> 55 != (filler != 0 ? 0x1ff : 0))
			return -1;
		value = value << 8 | p[i];
	}
	*ret_value = (int64_t)value;
	return 0;
}

static int read_number(const char *field, size_t bytes, int64_t *ret_value)
{
	const char *p = field, *end = field + bytes;
	uint64_t value = 0;

	if (*(const uint8_t *)p >= 0x80)
		return read_binary(field, bytes, ret_value);
	while (p < end && *p == ' ')
		p++;
	for (; p < end && *p >= '0' && *p <= '7'; p++)
		value = value << 3 | (uint64_t)(*p - '0');
	/* What follows the digits is a space or a NUL, or the next field. */
	if (p < end && *p != ' ' && *p != '\0')
		return -1;
	*ret_value = (int64_t)value;
	return 0;
}

#define READ_NUMBER(header, field, ret_value)                                                      \
	read_number((header)->field, sizeof((header)->field), ret_value)

static bool is_checksum_right(const struct header *header)
{
	const uint8_t *p = (const uint8_t *)header;
	int64_t wanted, sum = 0, signed_sum = 0;

	if (READ_NUMBER(header, checksum, &wanted) < 0)
		return false;
	for (size_t i = 0; i < sizeof(*header); i++) {
		size_t at = offsetof(struct header, checksum);
		uint8_t byte = i >= at && i < at + sizeof(header->checksum) ? ' ' : p[i];

		sum += byte;
		signed_sum += (int8_t)byte;
	}
	/* Some old tar programs added signed characters. */
	return wanted == sum || wanted == signed_sum;
}

static bool is_zero_block(const struct header *header)
{
	const char *p = (const char *)header;

	return p[0] == 0 && memcmp(p, p + 1, sizeof(*header) - 1) == 0;
}

/* ---- pax records ---- */

struct record {
	const char *key;
	size_t key_bytes;
	const char *value;
	size_t value_bytes;
};

/* "LENGTH KEY=VALUE\n", the length being that of all of it. */
static int next_record(const char **at, const char *end, struct record *ret, struct fault *fault)
{
	const char *p = *at, *stop, *equals;
	size_t length = 0;

	for (; p < end && *p >= '0' && *p <= '9' && length < PAX_BYTES_MAX; p++)
		length = length * 10 + (size_t)(*p - '0');
	if (p == end || *p != ' ' || length > (size_t)(end - *at))
		return broken("a pax record has no sound length", fault);
	stop = *at + length;
	p++;
	if (stop <= p || stop[-1] != '\n')
		return broken("a pax record has no sound length", fault);
	equals = memchr(p, '=', (size_t)(stop - 1 - p));
	if (equals == NULL || equals == p)
		return broken("a pax record has no key", fault);
	*ret = (struct record){
		.key = p,
		.key_bytes = (size_t)(equals - p),
		.value = equals + 1,
		.value_bytes = (size_t)(stop - 1 - (equals + 1)),
	};
	*at = stop;
	return 0;
}

static int copy_text(const void *data, size_t bytes, char ret_text[IMAGE_PATH_BYTES_MAX + 1],
		     struct fault *fault)
{
	if (bytes > IMAGE_PATH_BYTES_MAX)
		return fault_set(fault, FAULT_PATH_TOO_LONG, "a path is longer than %d bytes",
				 IMAGE_PATH_BYTES_MAX);
	if (memchr(data, '\0', bytes) != NULL)
		return fault_set(fault, FAULT_PATH_UNSAFE, "a path has a NUL in it");
	memcpy(ret_text, data, bytes);
	ret_text[bytes] = '\0';
	return 0;
}

/* "[-]SECONDS[.FRACTION]" */
static int read_decimal(const struct record *record, int64_t *ret_s, uint32_t *ret_ns)
{
	const char *p = record->value, *end = p + record->value_bytes;
	bool negative = p < end && *p == '-';
	int64_t s = 0, ns = 0, unit = 100000000;

	p += negative;
	if (p == end)
		return -1;
	for (; p < end && *p >= '0' && *p <= '9'; p++) {
		if (s > INT64_MAX / 10 - 1)
			return -1;
		s = s * 10 + (*p - '0');
	}
	if (p < end && *p == '.') {
		for (p++; p < end && *p >= '0' && *p <= '9'; p++, unit /= 10)
			ns += (*p - '0') * unit;
	}
	if (p != end)
		return -1;
	if (negative) {
		s = -s - (ns > 0);
		ns = ns > 0 ? 1000000000 - ns : 0;
	}
	*ret_s = s;
	*ret_ns = (uint32_t)ns;
	return 0;
}

/* What pax records say about the entry that follows them, beside its names and xattrs. */
struct said {
	int64_t bytes; /* -1: nothing */
	bool has_path, has_target;
};

static int use_path(struct tar *tar, const struct record *record, struct said *said,
		    struct fault *fault)
{
	said->has_path = record->value_bytes > 0;
	return copy_text(record->value, record->value_bytes, tar->entry.path, fault);
}

static int use_target(struct tar *tar, const struct record *record, struct said *said,
		      struct fault *fault)
{
	said->has_target = record->value_bytes > 0;
	return copy_text(record->value, record->value_bytes, tar->entry.target, fault);
}

static int use_whole(const struct record *record, int64_t *ret_value, struct fault *fault)
{
	int64_t value;
	uint32_t ns;

	if (record->value_bytes == 0)
		return 0;
	if (read_decimal(record, &value, &ns) < 0 || value < 0 || ns != 0)
		return broken("a pax record is not a number", fault);
	*ret_value = value;
	return 0;
}

static int use_size(struct tar *tar, const struct record *record, struct said *said,
		    struct fault *fault)
{
	return use_whole(record, &said->bytes, fault);
}

static int use_uid(struct tar *tar, const struct record *record, struct said *said,
		   struct fault *fault)
{
	return use_whole(record, &tar->entry.uid, fault);
}

static int use_gid(struct tar *tar, const struct record *record, struct said *said,
		   struct fault *fault)
{
	return use_whole(record, &tar->entry.gid, fault);
}

static int use_mtime(struct tar *tar, const struct record *record, struct said *said,
		     struct fault *fault)
{
	if (record->value_bytes > 0 &&
	    read_decimal(record, &tar->entry.mtime_s, &tar->entry.mtime_ns) < 0)
		return broken("a pax record is not a time", fault);
	return 0;
}

static const struct {
	const char *key;
	int (*use)(struct tar *tar, const struct record *record, struct said *said,
		   struct fault *fault);
} record_uses[] = {
	{"path", use_path}, {"linkpath", use_target}, {"size", use_size},
	{"uid", use_uid},   {"gid", use_gid},         {"mtime", use_mtime},
};

static bool has_prefix(const struct record *record, const char *prefix)
{
	return record->key_bytes > strlen(prefix) &&
	       memcmp(record->key, prefix, strlen(prefix)) == 0;
}

static int use_xattr(struct tar *tar, const struct record *record, struct fault *fault)
{
	size_t bytes = record->key_bytes - strlen(XATTR_PREFIX);
	char name[IMAGE_NAME_BYTES_MAX + 1];

	if (bytes > IMAGE_NAME_BYTES_MAX || memchr(record->key, '\0', record->key_bytes) != NULL)
		return fault_set(fault, FAULT_XATTR_TOO_LARGE,
				 "the name of an extended attribute is longer than %d bytes",
				 IMAGE_NAME_BYTES_MAX);
	memcpy(name, record->key + strlen(XATTR_PREFIX), bytes);
	name[bytes] = '\0';
	return xattr_add(&tar->entry.xattrs, name, record->value, record->value_bytes, fault);
}

static int use_record(struct tar *tar, const struct record *record, struct said *said,
		      struct fault *fault)
{
	if (has_prefix(record, XATTR_PREFIX))
		return use_xattr(tar, record, fault);
	if (has_prefix(record, SPARSE_PREFIX))
		return fault_set(fault, FAULT_ENTRY_UNSUPPORTED,
				 "the layer has a file in GNU tar's sparse form");
	for (size_t i = 0; i < ARRAY_SIZE(record_uses); i++) {
		if (strlen(record_uses[i].key) == record->key_bytes &&
		    memcmp(record_uses[i].key, record->key, record->key_bytes) == 0)
			return record_uses[i].use(tar, record, said, fault);
	}
	return 0;
}

static int use_pax(struct tar *tar, struct said *said, struct fault *fault)
{
	const char *at = tar->pax.length > 0 ? tar->pax.data : "";
	const char *end = at + tar->pax.length;

	while (at < end) {
		struct record record;

		if (next_record(&at, end, &record, fault) < 0 ||
		    use_record(tar, &record, said, fault) < 0)
			return -1;
	}
	return 0;
}

/* ---- headers ---- */

/* Reads an entry that only says something about the next one. */
static int read_extension(struct tar *tar, struct buf *buf, struct fault *fault)
{
	const void *data;
	ssize_t n;

	buf_clear(buf);
	if (tar->data_bytes > buf->bytes_max)
		return fault_set(fault, FAULT_PATH_TOO_LONG,
				 "an entry's names and attributes take more than %zu bytes",
				 buf->bytes_max);
	while ((n = tar_read(tar, &data, fault)) > 0) {
		if (buf_append(buf, data, (size_t)n) < 0)
			return broken("a header is too long", fault);
	}
	return n < 0 ? -1 : 0;
}

/* A field, which a NUL ends where it is not full. */
static size_t field_bytes(const char *field, size_t bytes_max)
{
	const char *nul = memchr(field, '\0', bytes_max);

	return nul != NULL ? (size_t)(nul - field) : bytes_max;
}

static int read_long(const struct buf *buf, char ret_text[IMAGE_PATH_BYTES_MAX + 1],
		     struct fault *fault)
{
	return copy_text(buf->data, field_bytes(buf->data, buf->length), ret_text, fault);
}

static void read_short_path(const struct header *header, char *ret_path)
{
	size_t prefix_bytes = 0, bytes = field_bytes(header->name, sizeof(header->name));

	/* GNU's magic ends with spaces; it uses the prefix for something else. */
	if (memcmp(header->magic, "ustar", 6) == 0)
		prefix_bytes = field_bytes(header->prefix, sizeof(header->prefix));
	if (prefix_bytes > 0) {
		memcpy(ret_path, header->prefix, prefix_bytes);
		ret_path[prefix_bytes++] = '/';
	}
	memcpy(ret_path + prefix_bytes, header->name, bytes);
	ret_path[prefix_bytes + bytes] = '\0';
}

static int read_names(struct tar *tar, const struct header *header, const struct said *said,
		      struct fault *fault)
{
	struct tar_entry *entry = &tar->entry;
	size_t bytes = field_bytes(header->target, sizeof(header->target));

	if (!said->has_path) {
		if (tar->long_path.length == 0)
			read_short_path(header, entry->path);
		else if (read_long(&tar->long_path, entry->path, fault) < 0)
			return -1;
	}
	if (said->has_target)
		return 0;
	if (tar->long_target.length > 0)
		return read_long(&tar->long_target, entry->target, fault);
	memcpy(entry->target, header->target, bytes);
	entry->target[bytes] = '\0';
	return 0;
}

static int read_numbers(struct tar *tar, const struct header *header, struct fault *fault)
{
	struct tar_entry *entry = &tar->entry;
	int64_t mode, major = 0, minor = 0;

	if (READ_NUMBER(header, mode, &mode) < 0 || READ_NUMBER(header, uid, &entry->uid) < 0 ||
	    READ_NUMBER(header, gid, &entry->gid) < 0 ||
	    READ_NUMBER(header, mtime, &entry->mtime_s) < 0)
		return broken("a header has something else where a number is due", fault);
	if ((entry->type == TAR_TYPE_CHAR || entry->type == TAR_TYPE_BLOCK) &&
	    (READ_NUMBER(header, major, &major) < 0 || READ_NUMBER(header, minor, &minor) < 0))
		return broken("a device has no numbers", fault);
	entry->mode = (uint32_t)mode & 07777;
	entry->major = major >= 0 && major <= UINT32_MAX ? (uint32_t)major : UINT32_MAX;
	entry->minor = minor >= 0 && minor <= UINT32_MAX ? (uint32_t)minor : UINT32_MAX;
	return 0;
}

static const struct {
	char flag;
	enum tar_type type;
} types[] = {
	{'0', TAR_TYPE_FILE},     {'\0', TAR_TYPE_FILE},     {'7', TAR_TYPE_FILE},
	{'1', TAR_TYPE_HARDLINK}, {'2', TAR_TYPE_SYMLINK},   {'3', TAR_TYPE_CHAR},
	{'4', TAR_TYPE_BLOCK},    {'5', TAR_TYPE_DIRECTORY}, {'6', TAR_TYPE_FIFO},
};

static int read_type(struct tar *tar, const struct header *header, struct fault *fault)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (types[i].flag == header->type) {
			tar->entry.type = types[i].type;
			return 0;
		}
	}
	if (header->type == 'S')
		return fault_set(fault, FAULT_ENTRY_UNSUPPORTED,
				 "the layer has a file in GNU tar's sparse form");
	return fault_set(fault, FAULT_ENTRY_UNSUPPORTED, "the layer has an entry of the type %d",
			 header->type);
}

/* Before POSIX a directory was a file whose name ends with a slash. */
static void mend_type(struct tar_entry *entry, char flag)
{
	size_t length = strlen(entry->path);

	if (flag == '\0' && length > 0 && entry->path[length - 1] == '/')
		entry->type = TAR_TYPE_DIRECTORY;
}

static void forget_extensions(struct tar *tar)
{
	buf_clear(&tar->pax);
	buf_clear(&tar->long_path);
	buf_clear(&tar->long_target);
}

/* Sets how much data follows; only files have any, whatever a header says. */
static void set_data(struct tar *tar, uint64_t bytes)
{
	tar->data_bytes = bytes;
	tar->padding_bytes = (TAR_BLOCK_BYTES - bytes % TAR_BLOCK_BYTES) % TAR_BLOCK_BYTES;
}

static int read_entry(struct tar *tar, const struct header *header, int64_t bytes,
		      struct fault *fault)
{
	struct said said = {.bytes = -1};

	tar->entry = (struct tar_entry){0};
	if (read_type(tar, header, fault) < 0 || read_numbers(tar, header, fault) < 0 ||
	    use_pax(tar, &said, fault) < 0 || read_names(tar, header, &said, fault) < 0)
		return -1;
	mend_type(&tar->entry, header->type);
	if (said.bytes >= 0)
		bytes = said.bytes;
	tar->entry.bytes = tar->entry.type == TAR_TYPE_FILE ? (uint64_t)bytes : 0;
	set_data(tar, tar->entry.bytes);
	forget_extensions(tar);
	return 1;
}

/* The buffer that an extension's text goes to, or NULL: `header` is an entry. */
static struct buf *extension_of(struct tar *tar, char type)
{
	switch (type) {
	case 'x':
		return &tar->pax;
	case 'L':
		return &tar->long_path;
	case 'K':
		return &tar->long_target;
	}
	return NULL;
}

/* 1: an entry; 2: it was an extension, go on; 0: the end. */
static int read_header(struct tar *tar, struct fault *fault)
{
	struct header header;
	struct buf *extension;
	int64_t bytes;
	int r;

	if (skip_rest(tar, fault) < 0)
		return -1;
	r = read_block(tar, &header, fault);
	if (r <= 0 || is_zero_block(&header))
		return MIN(r, 0);
	if (!is_checksum_right(&header))
		return broken("a header's checksum is wrong", fault);
	if (READ_NUMBER(&header, size, &bytes) < 0 || bytes < 0)
		return broken("a header has no sound size", fault);
	extension = extension_of(tar, header.type);
	if (extension == NULL && header.type != 'g')
		return read_entry(tar, &header, bytes, fault);
	set_data(tar, (uint64_t)bytes);
	if (extension != NULL && read_extension(tar, extension, fault) < 0)
		return -1;
	return 2;
}

int tar_next(struct tar *tar, struct tar_entry **ret_entry, struct fault *fault)
{
	int r;

	xattr_free_all(take_ptr(tar->entry.xattrs));
	do {
		r = read_header(tar, fault);
	} while (r == 2);
	*ret_entry = &tar->entry;
	return r;
}

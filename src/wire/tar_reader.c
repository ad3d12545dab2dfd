/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tar file is a row of blocks: a header, the entry's contents padded to whole blocks, the next
 * header; a block of zeros ends it. What does not fit into a header stands in entries of their own in
 * front of it: pax records (x), GNU's long names (L) and targets (K).
 *
 *	HEADER		a block is collected		EXTENSION, MAP, MORE, DATA, PADDING or OVER
 *	EXTENSION	what is said of the next entry	PADDING
 *	MORE		blocks of GNU's old sparse map	DATA
 *	MAP		the sparse map of pax's 1.0	DATA
 *	DATA		contents			PADDING
 *	PADDING		up to the next block		HEADER
 *	OVER
 *
 * A step function returns the event, or GO_ON when another step is due at once.
 */
#include <errno.h>
#include <string.h>

#include "wire/tar_header.h"

#define GO_ON 100

enum state {
	STATE_HEADER,
	STATE_EXTENSION,
	STATE_MORE,
	STATE_MAP,
	STATE_ENTRY, /* to be announced */
	STATE_DATA,
	STATE_PADDING,
	STATE_OVER,
};

struct input {
	const uint8_t *data;
	size_t length;
};

static int problem(struct wire_tar_reader *r, int error, const char *what)
{
	r->problem = what;
	return error;
}

static int broken(struct wire_tar_reader *r, const char *what)
{
	return problem(r, -EBADMSG, what);
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

static bool is_checksum_right(const struct tar_header *header)
{
	const uint8_t *p = (const uint8_t *)header;
	int64_t wanted, sum = 0, signed_sum = 0;

	if (READ_NUMBER(header, checksum, &wanted) < 0)
		return false;
	for (size_t i = 0; i < sizeof(*header); i++) {
		size_t at = offsetof(struct tar_header, checksum);
		uint8_t byte = i >= at && i < at + sizeof(header->checksum) ? ' ' : p[i];

		sum += byte;
		signed_sum += (int8_t)byte;
	}
	/* Some old tar programs added signed characters. */
	return wanted == sum || wanted == signed_sum;
}

static bool is_zero_block(const uint8_t *block)
{
	return block[0] == 0 && memcmp(block, block + 1, WIRE_TAR_BLOCK_BYTES - 1) == 0;
}

/* ---- sparse files ---- */

static int add_extent(struct wire_tar_reader *r, int64_t offset, int64_t bytes)
{
	if (offset < 0 || bytes < 0)
		return broken(r, "a sparse file's map has a number that cannot be");
	if (r->entry.extent_count == r->extents_max)
		return problem(r, -E2BIG, "a sparse file has too many parts");
	r->extents[r->entry.extent_count++] = (struct wire_tar_extent){
		.offset = (uint64_t)offset,
		.bytes = (uint64_t)bytes,
	};
	return 0;
}

/* In order, within the file, and as much as the archive has. */
static int check_extents(struct wire_tar_reader *r)
{
	uint64_t end = 0, sum = 0;

	if (r->said.half_extent)
		return broken(r, "a sparse file's map is half");
	for (size_t i = 0; i < r->entry.extent_count; i++) {
		const struct wire_tar_extent *extent = &r->extents[i];

		if (extent->offset < end || extent->offset > r->entry.bytes ||
		    extent->bytes > r->entry.bytes - extent->offset)
			return broken(r, "a sparse file's map is out of order");
		end = extent->offset + extent->bytes;
		sum += extent->bytes;
	}
	if (sum != r->left_bytes)
		return broken(r, "a sparse file's map does not fit its contents");
	return 0;
}

/* The map is known: the entry can be announced. */
static int end_map(struct wire_tar_reader *r)
{
	r->state = STATE_ENTRY;
	return check_extents(r) < 0 ? -EBADMSG : GO_ON;
}

static int take_old_extents(struct wire_tar_reader *r, const struct tar_header_extent *extents,
			    size_t count)
{
	int64_t offset, bytes;
	int error = 0;

	for (size_t i = 0; i < count && error == 0 && extents[i].bytes[0] != '\0'; i++) {
		if (READ_NUMBER(&extents[i], offset, &offset) < 0 ||
		    READ_NUMBER(&extents[i], bytes, &bytes) < 0)
			return broken(r, "a sparse file's map has something else for a number");
		error = add_extent(r, offset, bytes);
	}
	return error;
}

static int begin_old_map(struct wire_tar_reader *r, const struct tar_header *header)
{
	int64_t bytes;
	int error;

	if (READ_NUMBER(header, real_size, &bytes) < 0 || bytes < 0)
		return broken(r, "a sparse file has no sound size");
	r->entry.bytes = (uint64_t)bytes;
	error = take_old_extents(r, header->extents, TAR_HEADER_EXTENTS);
	if (error < 0)
		return error;
	if (header->is_extended == 0)
		return end_map(r);
	r->state = STATE_MORE;
	return GO_ON;
}

/* ---- pax records ---- */

struct record {
	const char *key;
	size_t key_bytes;
	const char *value;
	size_t value_bytes;
};

/* "LENGTH KEY=VALUE\n", the length being that of all of it. NULL or what is wrong. */
static const char *next_record(const char **at, const char *end, struct record *ret)
{
	const char *p = *at, *stop, *equals;
	size_t length = 0;

	for (; p < end && *p >= '0' && *p <= '9' && length <= (size_t)(end - *at); p++)
		length = length * 10 + (size_t)(*p - '0');
	if (p == end || *p != ' ' || length > (size_t)(end - *at))
		return "a pax record has no sound length";
	stop = *at + length;
	p++;
	if (stop <= p || stop[-1] != '\n')
		return "a pax record has no sound length";
	equals = memchr(p, '=', (size_t)(stop - 1 - p));
	if (equals == NULL || equals == p)
		return "a pax record has no key";
	*ret = (struct record){
		.key = p,
		.key_bytes = (size_t)(equals - p),
		.value = equals + 1,
		.value_bytes = (size_t)(stop - 1 - (equals + 1)),
	};
	*at = stop;
	return NULL;
}

static int copy_text(struct wire_tar_reader *r, const char *text, size_t bytes, char *ret_text)
{
	if (bytes > WIRE_TAR_PATH_BYTES_MAX)
		return problem(r, -ENAMETOOLONG, "a path is longer than 4095 bytes");
	if (memchr(text, '\0', bytes) != NULL)
		return problem(r, -EILSEQ, "a path has a NUL in it");
	memcpy(ret_text, text, bytes);
	ret_text[bytes] = '\0';
	return 0;
}

/* "[-]SECONDS[.FRACTION]" */
static int read_decimal(const struct record *record, int64_t *ret_s, uint32_t *ret_ns)
{
	const char *p = record->value, *end = p + record->value_bytes;
	bool negative = p < end && *p == '-';
	int64_t s = 0, ns = 0, unit = TAR_NS_PER_S / 10;

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
		ns = ns > 0 ? TAR_NS_PER_S - ns : 0;
	}
	*ret_s = s;
	*ret_ns = (uint32_t)ns;
	return 0;
}

static int read_whole(struct wire_tar_reader *r, const struct record *record, int64_t *ret_value)
{
	int64_t value;
	uint32_t ns;

	if (record->value_bytes == 0)
		return 0;
	if (read_decimal(record, &value, &ns) < 0 || value < 0 || ns != 0)
		return broken(r, "a pax record is not a number");
	*ret_value = value;
	return 0;
}

static int use_path(struct wire_tar_reader *r, const struct record *record)
{
	r->said.path = record->value_bytes > 0;
	return copy_text(r, record->value, record->value_bytes, r->path);
}

static int use_target(struct wire_tar_reader *r, const struct record *record)
{
	r->said.target = record->value_bytes > 0;
	return copy_text(r, record->value, record->value_bytes, r->target);
}

static int use_size(struct wire_tar_reader *r, const struct record *record)
{
	return read_whole(r, record, &r->said.bytes);
}

static int use_uid(struct wire_tar_reader *r, const struct record *record)
{
	return read_whole(r, record, &r->entry.uid);
}

static int use_gid(struct wire_tar_reader *r, const struct record *record)
{
	return read_whole(r, record, &r->entry.gid);
}

static int use_mtime(struct wire_tar_reader *r, const struct record *record)
{
	if (record->value_bytes > 0 &&
	    read_decimal(record, &r->entry.mtime_s, &r->entry.mtime_ns) < 0)
		return broken(r, "a pax record is not a time");
	return 0;
}

static int use_sparse_size(struct wire_tar_reader *r, const struct record *record)
{
	r->said.sparse = true;
	return read_whole(r, record, &r->said.real_bytes);
}

static int use_sparse_major(struct wire_tar_reader *r, const struct record *record)
{
	int64_t major = 0;

	r->said.sparse = true;
	if (read_whole(r, record, &major) < 0)
		return -EBADMSG;
	if (major > 1)
		return problem(r, -ENOTSUP, "a sparse file is in a form that is not known");
	r->said.map_in_contents = major == 1;
	return 0;
}

/* 0.0: a record for each number. */
static int use_sparse_offset(struct wire_tar_reader *r, const struct record *record)
{
	int64_t offset = -1;

	if (read_whole(r, record, &offset) < 0)
		return -EBADMSG;
	if (r->said.half_extent)
		return broken(r, "a sparse file's map is half");
	r->said.sparse = r->said.half_extent = true;
	return add_extent(r, offset, 0);
}

static int use_sparse_bytes(struct wire_tar_reader *r, const struct record *record)
{
	int64_t bytes = -1;

	if (read_whole(r, record, &bytes) < 0)
		return -EBADMSG;
	if (!r->said.half_extent || bytes < 0)
		return broken(r, "a sparse file's map is half");
	r->said.half_extent = false;
	r->extents[r->entry.extent_count - 1].bytes = (uint64_t)bytes;
	return 0;
}

/* 0.1: "OFFSET,BYTES,OFFSET,BYTES" */
static int use_sparse_map(struct wire_tar_reader *r, const struct record *record)
{
	const char *p = record->value, *end = p + record->value_bytes;
	int64_t numbers[2] = {0};
	size_t n = 0;
	int error = 0;

	r->said.sparse = true;
	r->entry.extent_count = 0;
	while (p < end && error == 0) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		struct record number = {.value = p};

		number.value_bytes = (size_t)((comma != NULL ? comma : end) - p);
		numbers[n] = -1;
		error = read_whole(r, &number, &numbers[n]);
		n = (n + 1) % 2;
		if (error == 0 && n == 0)
			error = add_extent(r, numbers[0], numbers[1]);
		p += number.value_bytes + 1;
	}
	if (error == 0 && n != 0)
		return broken(r, "a sparse file's map is half");
	return error;
}

static const struct {
	const char *key;
	int (*use)(struct wire_tar_reader *r, const struct record *record);
} record_uses[] = {
	{"path", use_path},
	{"linkpath", use_target},
	{"size", use_size},
	{"uid", use_uid},
	{"gid", use_gid},
	{"mtime", use_mtime},
	{TAR_SPARSE_PREFIX "name", use_path},
	{TAR_SPARSE_PREFIX "size", use_sparse_size},
	{TAR_SPARSE_PREFIX "realsize", use_sparse_size},
	{TAR_SPARSE_PREFIX "major", use_sparse_major},
	{TAR_SPARSE_PREFIX "offset", use_sparse_offset},
	{TAR_SPARSE_PREFIX "numbytes", use_sparse_bytes},
	{TAR_SPARSE_PREFIX "map", use_sparse_map},
};

static int use_record(struct wire_tar_reader *r, const struct record *record)
{
	for (size_t i = 0; i < sizeof(record_uses) / sizeof(record_uses[0]); i++) {
		if (strlen(record_uses[i].key) == record->key_bytes &&
		    memcmp(record_uses[i].key, record->key, record->key_bytes) == 0)
			return record_uses[i].use(r, record);
	}
	return 0;
}

/* The name of a sparse file wins over that of its entry, which is made up: it is used last. */
static int use_sparse_name(struct wire_tar_reader *r)
{
	const char *at = (const char *)r->room, *end = at + r->record_bytes;
	static const char key[] = TAR_SPARSE_PREFIX "name";
	struct record record;

	while (at < end && next_record(&at, end, &record) == NULL) {
		if (record.key_bytes == sizeof(key) - 1 &&
		    memcmp(record.key, key, record.key_bytes) == 0)
			return use_path(r, &record);
	}
	return 0;
}

static int use_records(struct wire_tar_reader *r)
{
	const char *at = (const char *)r->room, *end = at + r->record_bytes;
	size_t start = (r->record_bytes + 7) / 8 * 8;
	int error = 0;

	r->extents = (struct wire_tar_extent *)(void *)(r->room + start);
	r->extents_max =
		start < r->room_bytes ? (r->room_bytes - start) / sizeof(r->extents[0]) : 0;
	while (at < end && error == 0) {
		struct record record;
		const char *what = next_record(&at, end, &record);

		error = what != NULL ? broken(r, what) : use_record(r, &record);
	}
	return error == 0 && r->said.sparse ? use_sparse_name(r) : error;
}

bool wire_tar_xattr_next(const struct wire_tar_entry *entry, size_t *at,
			 struct wire_tar_xattr *ret_xattr)
{
	static const size_t prefix = sizeof(TAR_XATTR_PREFIX) - 1;
	const char *records = (const char *)entry->records;
	const char *p = records + *at, *end = records + entry->record_bytes;
	struct record record;

	while (p < end && next_record(&p, end, &record) == NULL) {
		if (record.key_bytes <= prefix || memcmp(record.key, TAR_XATTR_PREFIX, prefix) != 0)
			continue;
		*at = (size_t)(p - records);
		*ret_xattr = (struct wire_tar_xattr){
			.name = record.key + prefix,
			.name_bytes = record.key_bytes - prefix,
			.value = (const uint8_t *)record.value,
			.value_bytes = record.value_bytes,
		};
		return true;
	}
	return false;
}

/* ---- headers ---- */

/* A field, which a NUL ends where it is not full. */
static size_t field_bytes(const char *field, size_t bytes_max)
{
	const char *nul = memchr(field, '\0', bytes_max);

	return nul != NULL ? (size_t)(nul - field) : bytes_max;
}

static void read_short_path(const struct tar_header *header, char *ret_path)
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

static void read_names(struct wire_tar_reader *r, const struct tar_header *header)
{
	size_t bytes = field_bytes(header->target, sizeof(header->target));

	if (!r->said.path && !r->said.long_path)
		read_short_path(header, r->path);
	if (!r->said.target && !r->said.long_target) {
		memcpy(r->target, header->target, bytes);
		r->target[bytes] = '\0';
	}
	r->entry.path = r->path;
	r->entry.target = r->target;
}

static int read_numbers(struct wire_tar_reader *r, const struct tar_header *header)
{
	struct wire_tar_entry *entry = &r->entry;
	int64_t mode, major = 0, minor = 0;

	if (READ_NUMBER(header, mode, &mode) < 0 || READ_NUMBER(header, uid, &entry->uid) < 0 ||
	    READ_NUMBER(header, gid, &entry->gid) < 0 ||
	    READ_NUMBER(header, mtime, &entry->mtime_s) < 0)
		return broken(r, "a header has something else where a number is due");
	if ((entry->type == WIRE_TAR_CHAR || entry->type == WIRE_TAR_BLOCK) &&
	    (READ_NUMBER(header, major, &major) < 0 || READ_NUMBER(header, minor, &minor) < 0))
		return broken(r, "a device has no numbers");
	entry->mode = (uint32_t)mode & 07777;
	entry->major = major >= 0 && major <= UINT32_MAX ? (uint32_t)major : UINT32_MAX;
	entry->minor = minor >= 0 && minor <= UINT32_MAX ? (uint32_t)minor : UINT32_MAX;
	return 0;
}

static const struct {
	char flag;
	enum wire_tar_type type;
} types[] = {
	{'0', WIRE_TAR_FILE},     {'\0', WIRE_TAR_FILE},     {'7', WIRE_TAR_FILE},
	{'1', WIRE_TAR_HARDLINK}, {'2', WIRE_TAR_SYMLINK},   {'3', WIRE_TAR_CHAR},
	{'4', WIRE_TAR_BLOCK},    {'5', WIRE_TAR_DIRECTORY}, {'6', WIRE_TAR_FIFO},
	{'S', WIRE_TAR_FILE},
};

static int read_type(struct wire_tar_reader *r, const struct tar_header *header)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (types[i].flag == header->type) {
			r->entry.type = types[i].type;
			return 0;
		}
	}
	return problem(r, -ENOTSUP, "an entry is of a type that is not known");
}

/* Before POSIX a directory was a file whose name ends with a slash. */
static void mend_type(struct wire_tar_entry *entry, char flag)
{
	size_t length = strlen(entry->path);

	if (flag == '\0' && length > 0 && entry->path[length - 1] == '/')
		entry->type = WIRE_TAR_DIRECTORY;
}

static void forget_extensions(struct wire_tar_reader *r)
{
	r->record_bytes = 0;
	memset(&r->said, 0, sizeof(r->said));
	r->said.bytes = r->said.real_bytes = -1;
}

static void set_stored(struct wire_tar_reader *r, uint64_t bytes)
{
	r->stored_bytes = r->left_bytes = bytes;
	r->padding_bytes = wire_tar_padding(bytes);
}

/* How the contents of a file are to be read. */
static int begin_contents(struct wire_tar_reader *r, const struct tar_header *header)
{
	if (header->type == 'S') {
		r->entry.sparse = true;
		r->entry.extent_count = 0;
		return begin_old_map(r, header);
	}
	r->entry.sparse = r->entry.type == WIRE_TAR_FILE && r->said.sparse;
	if (!r->entry.sparse) {
		r->entry.extent_count = 0;
		r->state = STATE_ENTRY;
		return GO_ON;
	}
	if (r->said.real_bytes < 0)
		return broken(r, "a sparse file has no sound size");
	r->entry.bytes = (uint64_t)r->said.real_bytes;
	if (!r->said.map_in_contents)
		return end_map(r);
	r->entry.extent_count = 0;
	memset(&r->map, 0, sizeof(r->map));
	r->state = STATE_MAP;
	return GO_ON;
}

static int begin_entry(struct wire_tar_reader *r, const struct tar_header *header, int64_t bytes)
{
	int error;

	r->entry = (struct wire_tar_entry){0};
	error = read_type(r, header);
	if (error == 0)
		error = read_numbers(r, header);
	if (error == 0)
		error = use_records(r);
	if (error < 0)
		return error;
	read_names(r, header);
	mend_type(&r->entry, header->type);
	if (r->said.bytes >= 0)
		bytes = r->said.bytes;
	/* Only files have contents, whatever a header says. */
	r->entry.bytes = r->entry.type == WIRE_TAR_FILE ? (uint64_t)bytes : 0;
	r->entry.extents = r->extents;
	r->entry.records = r->room;
	r->entry.record_bytes = r->record_bytes;
	r->extent_at = 0;
	r->extent_done = 0;
	set_stored(r, r->entry.bytes);
	return begin_contents(r, header);
}

static int begin_extension(struct wire_tar_reader *r, char type, int64_t bytes)
{
	r->said.type = type;
	r->text_bytes = 0;
	if (type == 'x') {
		r->record_bytes = 0;
		if ((uint64_t)bytes > r->room_bytes)
			return problem(r, -E2BIG, "an entry's names and attributes are too long");
	} else if (type != 'g' && bytes > WIRE_TAR_PATH_BYTES_MAX + 1) {
		return problem(r, -ENAMETOOLONG, "a path is longer than 4095 bytes");
	}
	set_stored(r, (uint64_t)bytes);
	r->state = STATE_EXTENSION;
	return GO_ON;
}

/* ---- steps ---- */

static void advance(struct input *in, size_t bytes)
{
	in->data += bytes;
	in->length -= bytes;
}

/* False: give more. */
static bool collect_block(struct wire_tar_reader *r, struct input *in)
{
	size_t n = TAR_MIN(in->length, WIRE_TAR_BLOCK_BYTES - r->block_bytes);

	if (n > 0)
		memcpy(r->block + r->block_bytes, in->data, n);
	r->block_bytes += n;
	advance(in, n);
	if (r->block_bytes < WIRE_TAR_BLOCK_BYTES)
		return false;
	r->block_bytes = 0;
	return true;
}

static int step_header(struct wire_tar_reader *r, struct input *in, struct wire_tar_piece *piece)
{
	const struct tar_header *header = (const struct tar_header *)(const void *)r->block;
	int64_t bytes;

	(void)piece;
	if (!collect_block(r, in))
		return WIRE_TAR_MORE;
	if (is_zero_block(r->block)) {
		r->state = STATE_OVER;
		return GO_ON;
	}
	if (!is_checksum_right(header))
		return broken(r, "a header's checksum is wrong");
	if (READ_NUMBER(header, size, &bytes) < 0 || bytes < 0)
		return broken(r, "a header has no sound size");
	if (header->type != '\0' && strchr("xgLK", header->type) != NULL)
		return begin_extension(r, header->type, bytes);
	return begin_entry(r, header, bytes);
}

/* Where the text of the extension goes; NULL: nowhere. */
static uint8_t *extension_place(struct wire_tar_reader *r)
{
	switch (r->said.type) {
	case 'x':
		return r->room;
	case 'L':
		return (uint8_t *)r->path;
	case 'K':
		return (uint8_t *)r->target;
	}
	return NULL;
}

/* A long name may have NULs behind it. */
static int end_name(struct wire_tar_reader *r, char *name, bool *ret_said)
{
	size_t bytes = field_bytes(name, r->text_bytes);

	if (bytes > WIRE_TAR_PATH_BYTES_MAX)
		return problem(r, -ENAMETOOLONG, "a path is longer than 4095 bytes");
	name[bytes] = '\0';
	*ret_said = bytes > 0;
	return 0;
}

static int end_extension(struct wire_tar_reader *r)
{
	r->state = STATE_PADDING;
	switch (r->said.type) {
	case 'x':
		r->record_bytes = r->text_bytes;
		return 0;
	case 'L':
		return end_name(r, r->path, &r->said.long_path);
	case 'K':
		return end_name(r, r->target, &r->said.long_target);
	}
	return 0;
}

static int step_extension(struct wire_tar_reader *r, struct input *in, struct wire_tar_piece *piece)
{
	size_t n = (size_t)TAR_MIN((uint64_t)in->length, r->left_bytes);
	uint8_t *place = extension_place(r);
	int error;

	(void)piece;
	if (place != NULL && n > 0)
		memcpy(place + r->text_bytes, in->data, n);
	r->text_bytes += place != NULL ? n : 0;
	r->left_bytes -= n;
	advance(in, n);
	if (r->left_bytes > 0)
		return WIRE_TAR_MORE;
	error = end_extension(r);
	return error < 0 ? error : GO_ON;
}

static int step_more(struct wire_tar_reader *r, struct input *in, struct wire_tar_piece *piece)
{
	const struct tar_header_more *more = (const struct tar_header_more *)(const void *)r->block;
	int error;

	(void)piece;
	if (!collect_block(r, in))
		return WIRE_TAR_MORE;
	error = take_old_extents(r, more->extents, TAR_BLOCK_EXTENTS);
	if (error < 0)
		return error;
	return more->is_extended != 0 ? GO_ON : end_map(r);
}

/* A number of the map is whole: the first says how many pairs follow. */
static int take_map_number(struct wire_tar_reader *r)
{
	int64_t value = (int64_t)r->map.value;
	int error = 0;

	if (!r->map.has_digit)
		return broken(r, "a sparse file's map has something else for a number");
	if (!r->map.has_count) {
		r->map.has_count = true;
		r->map.count = r->map.value;
	} else if (!r->said.half_extent) {
		r->said.half_extent = true;
		error = add_extent(r, value, 0);
	} else {
		r->said.half_extent = false;
		r->extents[r->entry.extent_count - 1].bytes = r->map.value;
		r->map.count--;
	}
	r->map.value = 0;
	r->map.has_digit = false;
	return error;
}

static int take_map_byte(struct wire_tar_reader *r, char byte)
{
	/* Behind the last number: padding to a whole block. */
	if (r->map.has_count && r->map.count == 0)
		return 0;
	if (byte == '\n')
		return take_map_number(r);
	if (byte < '0' || byte > '9' || r->map.value > INT64_MAX / 10 - 1)
		return broken(r, "a sparse file's map has something else for a number");
	r->map.value = r->map.value * 10 + (uint64_t)(byte - '0');
	r->map.has_digit = true;
	return 0;
}

static int step_map(struct wire_tar_reader *r, struct input *in, struct wire_tar_piece *piece)
{
	(void)piece;
	while (!r->map.has_count || r->map.count > 0 ||
	       r->map.consumed % WIRE_TAR_BLOCK_BYTES != 0) {
		int error;

		if (r->left_bytes == 0)
			return broken(r, "a sparse file's map does not end");
		if (in->length == 0)
			return WIRE_TAR_MORE;
		error = take_map_byte(r, (char)*in->data);
		if (error < 0)
			return error;
		advance(in, 1);
		r->map.consumed++;
		r->left_bytes--;
	}
	return end_map(r);
}

static int step_entry(struct wire_tar_reader *r, struct input *in, struct wire_tar_piece *piece)
{
	(void)in;
	(void)piece;
	r->state = STATE_DATA;
	return WIRE_TAR_ENTRY;
}

/* How far the current part goes on, and from where; parts of no length are passed over. */
static uint64_t current_part(struct wire_tar_reader *r, uint64_t *ret_offset)
{
	if (!r->entry.sparse) {
		*ret_offset = r->entry.bytes - r->left_bytes;
		return r->left_bytes;
	}
	while (r->extent_at < r->entry.extent_count &&
	       r->extent_done == r->extents[r->extent_at].bytes) {
		r->extent_at++;
		r->extent_done = 0;
	}
	if (r->extent_at == r->entry.extent_count)
		return 0;
	*ret_offset = r->extents[r->extent_at].offset + r->extent_done;
	return r->extents[r->extent_at].bytes - r->extent_done;
}

static int step_data(struct wire_tar_reader *r, struct input *in, struct wire_tar_piece *piece)
{
	uint64_t offset = 0, bytes = current_part(r, &offset);
	size_t n = (size_t)TAR_MIN((uint64_t)in->length, bytes);

	if (bytes == 0) {
		r->state = STATE_PADDING;
		forget_extensions(r);
		return WIRE_TAR_DONE;
	}
	if (n == 0)
		return WIRE_TAR_MORE;
	*piece = (struct wire_tar_piece){.offset = offset, .data = in->data, .length = n};
	r->extent_done += n;
	r->left_bytes -= n;
	advance(in, n);
	return WIRE_TAR_DATA;
}

static int step_padding(struct wire_tar_reader *r, struct input *in, struct wire_tar_piece *piece)
{
	size_t n = (size_t)TAR_MIN((uint64_t)in->length, r->padding_bytes);

	(void)piece;
	r->padding_bytes -= n;
	advance(in, n);
	if (r->padding_bytes > 0)
		return WIRE_TAR_MORE;
	r->state = STATE_HEADER;
	return GO_ON;
}

static int step_over(struct wire_tar_reader *r, struct input *in, struct wire_tar_piece *piece)
{
	(void)r;
	(void)in;
	(void)piece;
	return WIRE_TAR_END;
}

static int (*const steps[])(struct wire_tar_reader *r, struct input *in,
			    struct wire_tar_piece *piece) = {
	[STATE_HEADER] = step_header,   [STATE_EXTENSION] = step_extension,
	[STATE_MORE] = step_more,       [STATE_MAP] = step_map,
	[STATE_ENTRY] = step_entry,     [STATE_DATA] = step_data,
	[STATE_PADDING] = step_padding, [STATE_OVER] = step_over,
};

void wire_tar_reader_init(struct wire_tar_reader *reader, void *room, size_t room_bytes)
{
	memset(reader, 0, sizeof(*reader));
	reader->room = room;
	reader->room_bytes = room_bytes;
	reader->state = STATE_HEADER;
	forget_extensions(reader);
}

int wire_tar_read(struct wire_tar_reader *reader, const uint8_t **data, size_t *length,
		  struct wire_tar_piece *ret_piece)
{
	struct input in = {.data = *data, .length = *length};
	int event = reader->failed;

	while (event == 0) {
		event = steps[reader->state](reader, &in, ret_piece);
		if (event == WIRE_TAR_MORE)
			break;
		if (event == GO_ON)
			event = 0;
	}
	*data = in.data;
	*length = in.length;
	if (event < 0)
		reader->failed = event;
	return event;
}

int wire_tar_reader_end(struct wire_tar_reader *reader)
{
	if (reader->failed < 0)
		return reader->failed;
	if (reader->state == STATE_OVER)
		return 0;
	if (reader->state == STATE_HEADER && reader->block_bytes == 0 &&
	    (reader->said.type == '\0' || reader->said.type == 'g'))
		return 0;
	reader->failed = broken(reader, "it ends within an entry");
	return reader->failed;
}

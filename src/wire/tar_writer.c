/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "wire/tar_header.h"

#define OCTAL_MAX(field) ((INT64_C(1) << 3 * (sizeof(field) - 1)) - 1)
#define DECIMAL_BYTES    48

static const char type_flags[] = {
	[WIRE_TAR_FILE] = '0', [WIRE_TAR_HARDLINK] = '1', [WIRE_TAR_SYMLINK] = '2',
	[WIRE_TAR_CHAR] = '3', [WIRE_TAR_BLOCK] = '4',    [WIRE_TAR_DIRECTORY] = '5',
	[WIRE_TAR_FIFO] = '6',
};

/* What is written, and how much would have been. Without bytes it only counts. */
struct out {
	uint8_t *bytes;
	size_t size;
	size_t length;
};

static void put(struct out *out, const void *data, size_t length)
{
	if (out->bytes != NULL && length > 0 && out->length <= out->size &&
	    length <= out->size - out->length)
		memcpy(out->bytes + out->length, data, length);
	out->length += length;
}

static void put_padding(struct out *out)
{
	static const uint8_t zeros[WIRE_TAR_BLOCK_BYTES];

	put(out, zeros, wire_tar_padding(out->length));
}

/* ---- pax records ---- */

static size_t digits_of(size_t value)
{
	size_t digits = 1;

	for (; value >= 10; value /= 10)
		digits++;
	return digits;
}

/* "LENGTH PREFIXKEY=VALUE\n"; the length is that of all of it, its own digits too. */
static void put_record(struct out *out, const char *prefix, const struct wire_tar_xattr *record)
{
	size_t rest = strlen(prefix) + record->name_bytes + record->value_bytes + 3;
	size_t total = rest + digits_of(rest);
	char number[DECIMAL_BYTES];

	if (digits_of(total) > digits_of(rest))
		total = rest + digits_of(total);
	put(out, number, (size_t)snprintf(number, sizeof(number), "%zu ", total));
	put(out, prefix, strlen(prefix));
	put(out, record->name, record->name_bytes);
	put(out, "=", 1);
	put(out, record->value, record->value_bytes);
	put(out, "\n", 1);
}

static void put_text(struct out *out, const char *key, const char *text)
{
	struct wire_tar_xattr record = {
		.name = key,
		.name_bytes = strlen(key),
		.value = (const uint8_t *)text,
		.value_bytes = strlen(text),
	};

	put_record(out, "", &record);
}

static void put_number(struct out *out, const char *key, uint64_t value)
{
	char text[DECIMAL_BYTES];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	put_text(out, key, text);
}

static void put_time(struct out *out, const char *key, int64_t s, uint32_t ns)
{
	bool negative = s < 0;
	char text[DECIMAL_BYTES];

	if (negative && ns > 0) {
		s++;
		ns = TAR_NS_PER_S - ns;
	}
	snprintf(text, sizeof(text), "%s%llu.%09u", negative ? "-" : "",
		 negative ? (unsigned long long)-s : (unsigned long long)s, ns);
	put_text(out, key, text);
}

/* How many bytes of `p` continue a character whose first is `lead`; -1: none begins so. */
static int continuations(uint8_t lead)
{
	if (lead < 0x80)
		return 0;
	if (lead >= 0xc2 && lead <= 0xdf)
		return 1;
	if (lead >= 0xe0 && lead <= 0xef)
		return 2;
	return lead >= 0xf0 && lead <= 0xf4 ? 3 : -1;
}

static bool is_utf8(const char *text)
{
	const uint8_t *p = (const uint8_t *)text;

	while (*p != '\0') {
		int more = continuations(*p++);

		if (more < 0)
			return false;
		for (; more > 0; more--) {
			if ((*p++ & 0xc0) != 0x80)
				return false;
		}
	}
	return true;
}

static bool has_long_path(const struct wire_tar_entry *entry)
{
	return strlen(entry->path) > sizeof(((struct tar_header *)0)->name);
}

static bool has_long_target(const struct wire_tar_entry *entry)
{
	return entry->target != NULL &&
	       strlen(entry->target) > sizeof(((struct tar_header *)0)->target);
}

static void put_name_records(struct out *out, const struct wire_tar_entry *entry)
{
	bool path = has_long_path(entry) && !entry->sparse, target = has_long_target(entry);

	/* Else names are UTF-8, says pax. */
	if (((path || entry->sparse) && !is_utf8(entry->path)) ||
	    (target && !is_utf8(entry->target)))
		put_text(out, "hdrcharset", "BINARY");
	if (path)
		put_text(out, "path", entry->path);
	if (target)
		put_text(out, "linkpath", entry->target);
}

static void put_records(struct out *out, const struct wire_tar_entry *entry, uint64_t stored_bytes)
{
	const struct tar_header *header = NULL;
	struct wire_tar_xattr xattr;
	size_t at = 0;

	put_name_records(out, entry);
	if (stored_bytes > (uint64_t)OCTAL_MAX(header->size))
		put_number(out, "size", stored_bytes);
	if (entry->uid > OCTAL_MAX(header->uid))
		put_number(out, "uid", (uint64_t)entry->uid);
	if (entry->gid > OCTAL_MAX(header->gid))
		put_number(out, "gid", (uint64_t)entry->gid);
	if (entry->mtime_s < 0 || entry->mtime_s > OCTAL_MAX(header->mtime) || entry->mtime_ns != 0)
		put_time(out, "mtime", entry->mtime_s, entry->mtime_ns);
	if (entry->sparse) {
		put_text(out, TAR_SPARSE_PREFIX "major", "1");
		put_text(out, TAR_SPARSE_PREFIX "minor", "0");
		put_text(out, TAR_SPARSE_PREFIX "name", entry->path);
		put_number(out, TAR_SPARSE_PREFIX "realsize", entry->bytes);
	}
	while (wire_tar_xattr_next(entry, &at, &xattr))
		put_record(out, TAR_XATTR_PREFIX, &xattr);
}

long wire_tar_xattr_put(const struct wire_tar_xattr *xattr, uint8_t *out, size_t size)
{
	struct out to = {.bytes = out, .size = size};

	put_record(&to, TAR_XATTR_PREFIX, xattr);
	return to.length <= size ? (long)to.length : -EMSGSIZE;
}

/* ---- headers ---- */

/* What does not fit stands in a record, and its field is 0. */
static void write_octal(char *field, size_t bytes, int64_t value)
{
	char text[DECIMAL_BYTES];

	if (value < 0 || value >= INT64_C(1) << 3 * (bytes - 1))
		value = 0;
	snprintf(text, sizeof(text), "%0*llo", (int)bytes - 1, (unsigned long long)value);
	memcpy(field, text, bytes);
}

#define WRITE_OCTAL(header, field, value)                                                          \
	write_octal((header)->field, sizeof((header)->field), value)

static void write_text(char *field, size_t bytes_max, const char *text)
{
	memcpy(field, text, TAR_MIN(strlen(text), bytes_max));
}

static void put_header(struct out *out, struct tar_header *header)
{
	unsigned sum = 0;

	memcpy(header->magic, "ustar\00000", sizeof(header->magic));
	memset(header->checksum, ' ', sizeof(header->checksum));
	for (size_t i = 0; i < sizeof(*header); i++)
		sum += ((const uint8_t *)header)[i];
	/* Six digits, a NUL and the space. */
	write_octal(header->checksum, sizeof(header->checksum) - 1, sum);
	put(out, header, sizeof(*header));
}

static void put_extension(struct out *out, size_t bytes)
{
	struct tar_header header = {.type = 'x'};

	write_text(header.name, sizeof(header.name), "././@PaxHeader");
	WRITE_OCTAL(&header, mode, 0644);
	WRITE_OCTAL(&header, uid, 0);
	WRITE_OCTAL(&header, gid, 0);
	WRITE_OCTAL(&header, mtime, 0);
	WRITE_OCTAL(&header, size, (int64_t)bytes);
	put_header(out, &header);
}

static void put_entry(struct out *out, const struct wire_tar_entry *entry, uint64_t stored_bytes)
{
	struct tar_header header = {.type = type_flags[entry->type]};

	if (entry->sparse)
		write_text(header.name, sizeof(header.name), "././@SparseFile");
	else
		write_text(header.name, sizeof(header.name), entry->path);
	if (entry->target != NULL)
		write_text(header.target, sizeof(header.target), entry->target);
	WRITE_OCTAL(&header, mode, entry->mode & 07777);
	WRITE_OCTAL(&header, uid, entry->uid);
	WRITE_OCTAL(&header, gid, entry->gid);
	WRITE_OCTAL(&header, size, (int64_t)stored_bytes);
	WRITE_OCTAL(&header, mtime, entry->mtime_s);
	WRITE_OCTAL(&header, major, entry->major);
	WRITE_OCTAL(&header, minor, entry->minor);
	put_header(out, &header);
}

/* ---- sparse files ---- */

static void put_map(struct out *out, const struct wire_tar_entry *entry)
{
	char text[DECIMAL_BYTES];
	int n = snprintf(text, sizeof(text), "%zu\n", entry->extent_count);

	put(out, text, (size_t)n);
	for (size_t i = 0; i < entry->extent_count; i++) {
		n = snprintf(text, sizeof(text), "%llu\n%llu\n",
			     (unsigned long long)entry->extents[i].offset,
			     (unsigned long long)entry->extents[i].bytes);
		put(out, text, (size_t)n);
	}
	put_padding(out);
}

uint64_t wire_tar_content_bytes(const struct wire_tar_entry *entry)
{
	uint64_t bytes = 0;

	if (entry->type != WIRE_TAR_FILE)
		return 0;
	if (!entry->sparse)
		return entry->bytes;
	for (size_t i = 0; i < entry->extent_count; i++)
		bytes += entry->extents[i].bytes;
	return bytes;
}

static bool are_extents_sound(const struct wire_tar_entry *entry)
{
	uint64_t end = 0;

	for (size_t i = 0; i < entry->extent_count; i++) {
		const struct wire_tar_extent *extent = &entry->extents[i];

		if (extent->offset < end || extent->offset > entry->bytes ||
		    extent->bytes > entry->bytes - extent->offset)
			return false;
		end = extent->offset + extent->bytes;
	}
	return true;
}

static bool is_sound(const struct wire_tar_entry *entry)
{
	if (entry->path == NULL || entry->path[0] == '\0' ||
	    strlen(entry->path) > WIRE_TAR_PATH_BYTES_MAX ||
	    (entry->target != NULL && strlen(entry->target) > WIRE_TAR_PATH_BYTES_MAX) ||
	    entry->uid < 0 || entry->gid < 0 || entry->mtime_ns >= TAR_NS_PER_S ||
	    entry->bytes > INT64_MAX || entry->mtime_s == INT64_MIN)
		return false;
	return !entry->sparse || (entry->type == WIRE_TAR_FILE && are_extents_sound(entry));
}

long wire_tar_write(const struct wire_tar_entry *entry, uint8_t *out, size_t size)
{
	struct out to = {.bytes = out, .size = size}, nowhere = {0};
	uint64_t stored_bytes;

	if (!is_sound(entry))
		return -EINVAL;
	stored_bytes = wire_tar_content_bytes(entry);
	if (entry->sparse) {
		put_map(&nowhere, entry);
		stored_bytes += nowhere.length;
		nowhere.length = 0;
	}
	put_records(&nowhere, entry, stored_bytes);
	if (nowhere.length > 0) {
		put_extension(&to, nowhere.length);
		put_records(&to, entry, stored_bytes);
		put_padding(&to);
	}
	put_entry(&to, entry, stored_bytes);
	if (entry->sparse)
		put_map(&to, entry);
	return to.length <= size ? (long)to.length : -EMSGSIZE;
}

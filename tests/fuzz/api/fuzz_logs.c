/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a machine's log. Two bytes choose what is asked for, a third where the files are cut.
 * Reading ends, and whatever a tail gives is the end of what the whole gives.
 */
#include "logs.c"

#include <assert.h>
#include <stdlib.h>

#include "base/file.h"

static char directory[] = "/tmp/fuzz-logs-XXXXXX";
static char slice[LOGS_SLICE_BYTES];

static void remove_directory(void)
{
	file_remove_tree(directory);
}

static void write_file(const char *name, const uint8_t *data, size_t size)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "wb");
	assert(file != NULL);
	assert(fwrite(data, 1, size, file) == size);
	fclose(file);
}

/* Lines: the last of a stream may be without its end. */
struct tally {
	size_t ended;
	bool is_open[LOG_STREAM_CONSOLE + 1];
};

static void count(void *user, const struct log_record *record)
{
	struct tally *tally = user;

	assert(record->length <= LOGS_SLICE_BYTES);
	tally->ended += !record->partial;
	tally->is_open[record->stream] = record->partial;
}

static size_t read_all(const struct logs_filter *filter, long long tail)
{
	struct logs_reader reader;
	struct tally tally = {0};
	size_t steps = 0;
	int r;

	logs_open(&reader, directory, filter, tail);
	do {
		r = logs_step(&reader, slice, count, &tally);
		assert(++steps < 10000);
	} while (r == LOGS_MORE);
	assert(r >= 0);
	logs_close(&reader);
	return tally.ended + tally.is_open[LOG_STREAM_STDOUT] + tally.is_open[LOG_STREAM_STDERR] +
	       tally.is_open[LOG_STREAM_CONSOLE];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool is_made;
	struct logs_filter filter;
	size_t cut, whole, tail;

	if (size < 3)
		return 0;
	if (!is_made) {
		is_made = mkdtemp(directory) != NULL;
		assert(is_made);
		atexit(remove_directory);
	}
	cut = (size - 3) * data[2] / 255;
	write_file("machine.log.1", data + 3, cut);
	write_file("machine.log", data + 3 + cut, size - 3 - cut);
	filter = (struct logs_filter){.streams = data[0] & LOGS_STREAM_ALL};
	whole = read_all(&filter, LOGS_TAIL_WHOLE);
	tail = read_all(&filter, data[1]);
	assert(tail == MIN(whole, (size_t)data[1]));
	filter.since_ns = (int64_t)data[1] << 53;
	filter.until_ns = filter.since_ns + ((int64_t)data[0] << 50);
	assert(read_all(&filter, LOGS_TAIL_WHOLE) <= whole || filter.until_ns == 0);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A line of a log, and the times and records that are read from disk. */
#include "machine/log_file.c"
#include "machine/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct machine_record record;
	struct log_record line;

	if (log_record_parse((const char *)data, size, &line) == 0 &&
	    line.text + line.length != (const char *)data + size)
		abort();
	machine_record_init(&record);
	(void)!machine_record_parse(&record, (const char *)data, size, NULL);
	machine_record_done(&record);
	return 0;
}

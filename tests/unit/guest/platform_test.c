/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts under test expect to be linked with, and never call in these tests. */
#include <stdlib.h>

#include "guest/platform.h"

void control_warn(const char *format, ...)
{
	(void)format;
	abort();
}

const char *platform_default_user(void)
{
	abort();
}

pid_t platform_spawn(enum process_kind kind, void (*run)(void *argument), void *argument,
		     void *stack, size_t stack_bytes)
{
	(void)kind;
	(void)run;
	(void)argument;
	(void)stack;
	(void)stack_bytes;
	abort();
}

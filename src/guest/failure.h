/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What went wrong, for a person: an exit code as shells know them and one sentence. It lives on the
 * caller's stack, or in the room of a child (exec.h).
 */
#ifndef GUEST_FAILURE_H
#define GUEST_FAILURE_H

#include <stdint.h>

#include "wire/limits.h"

#define CODE_SET_UP         125 /* the machine or the session could not be prepared */
#define CODE_NOT_EXECUTABLE 126
#define CODE_NOT_FOUND      127
#define CODE_SIGNAL_BASE    128 /* plus the number of the signal */

struct failure {
	uint32_t code;
	char text[LIMIT_SENTENCE_BYTES + 1];
};

/*
 * All return -1, to be returned. The second appends ": " and what errno means, the third the same of a
 * number given.
 */
int failure_set(struct failure *failure, uint32_t code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int failure_set_errno(struct failure *failure, uint32_t code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int failure_set_error(struct failure *failure, uint32_t code, int error, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

#endif

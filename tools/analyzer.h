/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read before every file by clang-tidy (tools/lint), never by a compiler. Tells the analyser what it
 * cannot see across files: a function that failed returns less than 0, because the errno of a failed
 * call is positive and err_set() returns its negative. Without that it follows paths on which
 * something failed and went on.
 */
#include <errno.h>
#include <stddef.h>

extern int analyzer_cannot_know;

/* Constants, because the analyser does not follow the sign of -x for an x it only knows the range of. */
static inline int *analyzer_errno(void)
{
	static int number;

	number = analyzer_cannot_know ? EAGAIN : EIO;
	return &number;
}

#undef errno
#define errno (*analyzer_errno())

#if __has_include("base/err.h") && !defined(ANALYZER_OWN)
#include "base/err.h"
#define err_set(...)       (err_set(__VA_ARGS__), -1)
#define err_set_errno(...) (err_set_errno(__VA_ARGS__), -1)
#define err_prefix(...)    (err_prefix(__VA_ARGS__), -1)
#endif

#if __has_include("fault.h") && !defined(ANALYZER_OWN)
#include "fault.h"
#define fault_set(...)       (fault_set(__VA_ARGS__), -1)
#define fault_set_errno(...) (fault_set_errno(__VA_ARGS__), -1)
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp lists what may be done: memory, the open files, the clock, the end. Landlock, where the
 * kernel has it, forbids every path a second time.
 */
#include <errno.h>
#include <seccomp.h>
#include <sys/prctl.h>

#include "base/macro.h"
#include "base/sandbox.h"
#include "sandbox.h"

static const int allowed[] = {
	/* the archive, the spool and the output, which are open */
	SCMP_SYS(read),
	SCMP_SYS(pread64),
	SCMP_SYS(write),
	SCMP_SYS(pwrite64),
	SCMP_SYS(writev),
	SCMP_SYS(lseek),
	SCMP_SYS(_llseek),
	SCMP_SYS(fstat),
	SCMP_SYS(fstat64),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(ftruncate),
	SCMP_SYS(ftruncate64),
	SCMP_SYS(fallocate),
	SCMP_SYS(fcntl),
	SCMP_SYS(fcntl64),
	SCMP_SYS(dup),
	SCMP_SYS(close),
	/* progress to a pipe that is full */
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	/* memory */
	SCMP_SYS(brk),
	SCMP_SYS(mmap),
	SCMP_SYS(mmap2),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(mprotect),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	/* the clock, in log lines; random numbers, for hash tables */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(getrandom),
	/* is the parent still there? abort(), the end */
	SCMP_SYS(getppid),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(tgkill),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(sched_yield),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

static int enter_landlock(struct fault *fault)
{
	int r = sandbox_close_files();

	/* Kernels without it: seccomp alone has to do. */
	if (r < 0 && r != -ENOSYS)
		return fault_set_errno(fault, -r, "cannot enter the sandbox (Landlock)");
	return 0;
}

static int add_rules(scmp_filter_ctx filter)
{
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
		int r;

		/* Numbers below zero stand for calls that this architecture does not have. */
		if (allowed[i] < 0)
			continue;
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
		if (r < 0)
			return r;
	}
	return seccomp_load(filter);
}

static int enter_seccomp(struct fault *fault)
{
	/* A library may try what it can do without; it is told no and goes on. */
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (filter == NULL)
		return fault_set(fault, FAULT_INTERNAL, "cannot make the sandbox (seccomp)");
	r = add_rules(filter);
	seccomp_release(filter);
	return r < 0 ? fault_set_errno(fault, -r, "cannot enter the sandbox (seccomp)") : 0;
}

int sandbox_enter(struct fault *fault)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fault_set_errno(fault, errno, "cannot enter the sandbox");
	if (enter_landlock(fault) < 0)
		return -1;
	return enter_seccomp(fault);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox.h"

#include <errno.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sandbox.h"

static bool closed;

/* The leak check of AddressSanitizer starts a thread that traces this one: not in here. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
	return closed;
}

/* Calls that are allowed whatever their arguments are. */
static const int plain_calls[] = {
	/* the loop and its sockets */
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(connect),
	SCMP_SYS(close),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockname),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown),
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(fcntl),
	/* time, random numbers */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(getrandom),
	/* memory of libslirp */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	/* the C library: locks, abort(), the end */
	SCMP_SYS(futex),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(tgkill),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* Nobody calls these by mistake. */
static const int deadly_calls[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(bpf),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(init_module),
	SCMP_SYS(keyctl),
	SCMP_SYS(unshare),
	SCMP_SYS(setns),
	SCMP_SYS(mount),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(io_uring_setup),
};

/* Stream and datagram sockets of the internet; for ICMP the kernel's ping sockets. */
static const struct {
	int type, protocol;
} sockets[] = {
	{SOCK_STREAM, 0},          {SOCK_STREAM, IPPROTO_TCP}, {SOCK_DGRAM, 0},
	{SOCK_DGRAM, IPPROTO_UDP}, {SOCK_DGRAM, IPPROTO_ICMP}, {SOCK_DGRAM, IPPROTO_ICMPV6},
};

static int allow_sockets(scmp_filter_ctx filter)
{
	static const unsigned families[] = {AF_INET, AF_INET6};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		for (size_t j = 0; r == 0 && j < ARRAY_SIZE(sockets); j++) {
			unsigned flags = SOCK_CLOEXEC | SOCK_NONBLOCK;
			struct scmp_arg_cmp same[] = {
				SCMP_A0_32(SCMP_CMP_EQ, families[i]),
				SCMP_A1_32(SCMP_CMP_MASKED_EQ, ~flags, (unsigned)sockets[j].type),
				SCMP_A2_32(SCMP_CMP_EQ, (unsigned)sockets[j].protocol),
			};

			r = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 3,
						   same);
		}
	}
	return r;
}

/* No memory becomes executable; of ioctl(2) what libslirp does to its sockets. */
static int allow_with_arguments(scmp_filter_ctx filter)
{
	static const int memory_calls[] = {SCMP_SYS(mmap), SCMP_SYS(mprotect)};
	static const unsigned ioctls[] = {FIONREAD, FIONBIO};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(memory_calls); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, memory_calls[i], 1,
				     SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(ioctls); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				     SCMP_A1_32(SCMP_CMP_EQ, ioctls[i]));
	return r;
}

static int add_rules(scmp_filter_ctx filter)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(plain_calls); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, plain_calls[i], 0);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(deadly_calls); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, deadly_calls[i], 0);
	if (r == 0)
		r = allow_sockets(filter);
	if (r == 0)
		r = allow_with_arguments(filter);
	return r;
}

/*
 * What is not listed fails with EPERM instead of killing: another version of the C library may try
 * a call of its own and do without.
 */
static int close_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r;

	if (filter == NULL)
		return -ENOMEM;
	r = add_rules(filter);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r == -EINVAL ? -ENOSYS : r;
}

int sandbox_enter(struct err *err)
{
	int files, calls;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_set_errno(err, errno, "krun-net cannot enter its sandbox: prctl");
	files = sandbox_close_files();
	if (files < 0 && files != -ENOSYS)
		return err_set_errno(err, -files, "krun-net cannot enter its sandbox: Landlock");
	closed = true;
	calls = close_calls();
	if (calls < 0 && calls != -ENOSYS)
		return err_set_errno(err, -calls, "krun-net cannot enter its sandbox: seccomp");
	if (files < 0 || calls < 0)
		return err_set(err, ENOSYS,
			       "krun-net runs without a part of its sandbox: "
			       "this kernel has no %s%s%s",
			       files < 0 ? "Landlock" : "",
			       files < 0 && calls < 0 ? " and no " : "",
			       calls < 0 ? "seccomp" : "");
	return 0;
}

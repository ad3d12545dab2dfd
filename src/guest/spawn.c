/* SPDX-License-Identifier: Apache-2.0 */
#include "spawn.h"

#include <sched.h>
#include <signal.h>
#include <stdint.h>

#include "raw.h"

/* musl has no <linux/sched.h>. */
#define INTO_CGROUP 0x200000000ULL

struct clone_arguments {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal;
	uint64_t stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

/* The child never returns from here: its stack has nothing to return to. */
#if defined(__x86_64__)

static long clone_and_run(const struct clone_arguments *arguments, void (*run)(void *argument),
			  void *argument)
{
	long result;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "mov %[argument], %%rdi\n\t"
			 "call *%[run]\n\t"
			 "ud2\n"
			 "1:"
			 : "=a"(result)
			 : "a"((long)SYS_clone3), "D"(arguments),
			   "S"(sizeof(*arguments)), [run] "r"(run), [argument] "r"(argument)
			 : "rcx", "r11", "memory", "cc");
	return result;
}

#elif defined(__aarch64__)

static long clone_and_run(const struct clone_arguments *arguments, void (*run)(void *argument),
			  void *argument)
{
	register long x8 __asm__("x8") = SYS_clone3;
	register long x0 __asm__("x0") = (long)arguments;
	register long x1 __asm__("x1") = sizeof(*arguments);

	__asm__ volatile("svc 0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x0, %[argument]\n\t"
			 "blr %[run]\n\t"
			 "brk 0\n"
			 "1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), [run] "r"(run), [argument] "r"(argument)
			 : "x30", "memory", "cc");
	return x0;
}

#endif

static struct clone_arguments make_arguments(int cgroup_fd)
{
	struct clone_arguments arguments = {.exit_signal = SIGCHLD};

	if (cgroup_fd >= 0) {
		arguments.flags = INTO_CGROUP;
		arguments.cgroup = (uint64_t)cgroup_fd;
	}
	return arguments;
}

pid_t spawn(void (*run)(void *argument), void *argument, void *stack, size_t stack_bytes,
	    int cgroup_fd)
{
	struct clone_arguments arguments = make_arguments(cgroup_fd);

	arguments.flags |= CLONE_VM;
	arguments.stack = (uint64_t)(uintptr_t)stack;
	arguments.stack_size = stack_bytes;
	return (pid_t)clone_and_run(&arguments, run, argument);
}

pid_t spawn_copy(int cgroup_fd)
{
	struct clone_arguments arguments = make_arguments(cgroup_fd);

	return (pid_t)raw_call(SYS_clone3, (long)&arguments, sizeof(arguments), 0, 0);
}

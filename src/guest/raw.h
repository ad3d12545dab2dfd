/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls without the C library, for a child that shares the memory of PID 1 until it executes
 * (spawn.h): the library's own would write PID 1's errno, and setresuid() would look for threads.
 * Each returns -errno.
 */
#ifndef GUEST_RAW_H
#define GUEST_RAW_H

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#if defined(__x86_64__)

static inline long raw_call(long number, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}

#elif defined(__aarch64__)

static inline long raw_call(long number, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}

#endif

static inline int raw_open(const char *path, int flags)
{
	return (int)raw_call(SYS_openat, AT_FDCWD, (long)path, flags, 0);
}

static inline long raw_read(int fd, void *data, unsigned long size)
{
	return raw_call(SYS_read, fd, (long)data, (long)size, 0);
}

static inline void raw_close(int fd)
{
	(void)raw_call(SYS_close, fd, 0, 0, 0);
}

/* The kernel's struct stat is that of the libraries on both architectures. */
static inline int raw_fstat(int fd, struct stat *ret_stat)
{
	return (int)raw_call(SYS_fstat, fd, (long)ret_stat, 0, 0);
}

static inline int raw_stat(const char *path, struct stat *ret_stat)
{
	return (int)raw_call(SYS_newfstatat, AT_FDCWD, (long)path, (long)ret_stat, 0);
}

static inline int raw_dup_to(int fd, int to)
{
	return (int)raw_call(SYS_dup3, fd, to, 0, 0);
}

static inline int raw_execute(const char *path, const char *const *argv, const char *const *env)
{
	return (int)raw_call(SYS_execve, (long)path, (long)argv, (long)env, 0);
}

#endif

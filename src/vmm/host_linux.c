/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KVM is usable when /dev/kvm opens read-write, speaks version 12 of its interface and, on x86_64,
 * the processor shows vmx or svm. Without that last look a cloud machine may offer a paravirtual
 * /dev/kvm, which only emulates an ordinary guest's kernel, and fails after seconds.
 */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/fd.h"

#define KVM_VERSION        12
#define CPUINFO_BYTES_MAX  16384
#define CPUINFO_FLAGS_NAME "\nflags"

const char *const host_libkrun_name = "libkrun.so.1";
const char *const host_libkrunfw_name = "libkrunfw.so.5";
const char *const host_library_path_variable = "LD_LIBRARY_PATH";

static int explain_open(int error, struct err *err)
{
	switch (error) {
	case ENOENT:
		return err_set(err, ENOTSUP,
			       "there is no /dev/kvm: switch virtualization on in the firmware, "
			       "load the module kvm_intel or kvm_amd, or allow nested "
			       "virtualization if this is a virtual machine itself");
	case EACCES:
	case EPERM:
		return err_set(err, ENOTSUP,
			       "no permission to open /dev/kvm: add this user to the group that "
			       "owns it (usually 'sudo usermod -aG kvm $USER', then log in again)");
	default:
		return err_set(err, ENOTSUP, "cannot open /dev/kvm: %s", strerror(error));
	}
}

/* Is `word` one of the words of the first processor's line of flags? */
static bool has_flag(const char *flags, const char *word)
{
	size_t length = strlen(word);
	const char *end = strchr(flags, '\n');

	for (const char *p = strstr(flags, word); p != NULL && (end == NULL || p < end);
	     p = strstr(p + 1, word)) {
		char after = p[length];

		if (p[-1] == ' ' && (after == ' ' || after == '\n' || after == '\0'))
			return true;
	}
	return false;
}

/* 0 when the processor can run guests, -ENOTSUP when it shows that it cannot. */
static int check_processor(struct err *err)
{
	_cleanup_fd_ int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
	char text[CPUINFO_BYTES_MAX + 1];
	const char *flags;
	size_t length = 0;
	ssize_t n = 0;

	if (fd < 0)
		return 0;
	do {
		n = read(fd, text + length, CPUINFO_BYTES_MAX - length);
		if (n > 0)
			length += (size_t)n;
	} while (n > 0 && length < CPUINFO_BYTES_MAX);
	text[length] = '\0';
	flags = strstr(text, CPUINFO_FLAGS_NAME);
	if (flags == NULL || has_flag(flags + 1, "vmx") || has_flag(flags + 1, "svm"))
		return 0;
	return err_set(
		err, ENOTSUP,
		"/dev/kvm is there but the processor shows neither vmx nor svm (a "
		"paravirtual KVM, as on some cloud machines): it cannot run ordinary guests");
}

int host_probe_hypervisor(enum host_arch arch, enum host_hypervisor *ret_hypervisor,
			  struct err *err)
{
	_cleanup_fd_ int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int version, r;

	if (fd < 0)
		return explain_open(errno, err);
	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_VERSION)
		return err_set(err, ENOTSUP,
			       "/dev/kvm is not KVM as known here (version %d, not %d)", version,
			       KVM_VERSION);
	if (arch == HOST_ARCH_X86_64) {
		r = check_processor(err);
		if (r < 0)
			return r;
	}
	*ret_hypervisor = HOST_HYPERVISOR_KVM;
	return 0;
}

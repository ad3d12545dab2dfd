/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hypervisor.framework says by kern.hv_support whether this Mac can run guests; whether this very
 * program may (its entitlement) shows only when a VM is made.
 */
#include "host.h"

#include <errno.h>
#include <stddef.h>
#include <sys/sysctl.h>

const char *const host_libkrun_name = "libkrun.1.dylib";
const char *const host_libkrunfw_name = "libkrunfw.5.dylib";
const char *const host_library_path_variable = "DYLD_LIBRARY_PATH";

int host_probe_hypervisor(enum host_arch arch, enum host_hypervisor *ret_hypervisor,
			  struct err *err)
{
	int supported = 0;
	size_t size = sizeof(supported);

	if (arch != HOST_ARCH_AARCH64)
		return err_set(err, ENOTSUP, "machines need a Mac with Apple silicon");
	if (sysctlbyname("kern.hv_support", &supported, &size, NULL, 0) < 0 || supported == 0)
		return err_set(
			err, ENOTSUP,
			"this Mac does not offer Hypervisor.framework (kern.hv_support is 0): "
			"inside a virtual machine it needs nested virtualization");
	*ret_hypervisor = HOST_HYPERVISOR_HVF;
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>

static const char *const arch_names[] = {
	[HOST_ARCH_X86_64] = "x86_64",
	[HOST_ARCH_AARCH64] = "aarch64",
};

static const char *const hypervisor_names[] = {
	[HOST_HYPERVISOR_NONE] = "none",
	[HOST_HYPERVISOR_KVM] = "kvm",
	[HOST_HYPERVISOR_HVF] = "hvf",
};

const char *host_arch_name(enum host_arch arch)
{
	return arch_names[arch];
}

int host_arch_parse(const char *name, enum host_arch *ret_arch)
{
	if (strcmp(name, "arm64") == 0) {
		*ret_arch = HOST_ARCH_AARCH64;
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(arch_names); i++) {
		if (strcmp(name, arch_names[i]) == 0) {
			*ret_arch = (enum host_arch)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *host_hypervisor_name(enum host_hypervisor hypervisor)
{
	return hypervisor_names[hypervisor];
}

int host_hypervisor_parse(const char *name, enum host_hypervisor *ret_hypervisor)
{
	for (size_t i = 0; i < ARRAY_SIZE(hypervisor_names); i++) {
		if (strcmp(name, hypervisor_names[i]) == 0) {
			*ret_hypervisor = (enum host_hypervisor)i;
			return 0;
		}
	}
	return -EINVAL;
}

int host_detect(struct host *ret_host, struct err *err)
{
	struct utsname name;

	*ret_host = (struct host){.hypervisor = HOST_HYPERVISOR_NONE};
	if (uname(&name) < 0)
		return err_set_errno(err, errno, "cannot ask for the processor's name");
	if (host_arch_parse(name.machine, &ret_host->arch) < 0)
		return err_set(err, ENOTSUP, "machines run on x86_64 and arm64, not on %s",
			       name.machine);
	if (host_probe_hypervisor(ret_host->arch, &ret_host->hypervisor, &ret_host->why_none) < 0)
		ret_host->hypervisor = HOST_HYPERVISOR_NONE;
	return 0;
}

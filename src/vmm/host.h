/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The computer a machine runs on, as far as a plan depends on it: its processor, its system and the
 * hypervisor that may be used. Given by hand, a plan for another computer can be printed and tested.
 */
#ifndef VMM_HOST_H
#define VMM_HOST_H

#include <stdbool.h>

#include "base/err.h"

enum host_arch {
	HOST_ARCH_X86_64,
	HOST_ARCH_AARCH64,
};

enum host_hypervisor {
	HOST_HYPERVISOR_NONE, /* software emulation only */
	HOST_HYPERVISOR_KVM,
	HOST_HYPERVISOR_HVF,
};

struct host {
	enum host_arch arch;
	enum host_hypervisor hypervisor;
	struct err why_none; /* HOST_HYPERVISOR_NONE: the sentence that says why */
};

/* Looks at this computer. -ENOTSUP on a processor that is neither of the two. */
int host_detect(struct host *ret_host, struct err *err) _must_check_;

const char *host_arch_name(enum host_arch arch); /* "x86_64", "aarch64" */
int host_arch_parse(const char *name, enum host_arch *ret_arch) _must_check_; /* also "arm64" */

const char *host_hypervisor_name(enum host_hypervisor hypervisor); /* "none", "kvm", "hvf" */
int host_hypervisor_parse(const char *name, enum host_hypervisor *ret_hypervisor) _must_check_;

/*
 * Whether ordinary guests can run in hardware here (host_linux.c, host_darwin.c). 0 and which
 * hypervisor, or -ENOTSUP and a sentence that says what is missing and what to do.
 */
int host_probe_hypervisor(enum host_arch arch, enum host_hypervisor *ret_hypervisor,
			  struct err *err) _must_check_;

/* Suffixed names of shared libraries, and the variable that says where the loader looks. */
extern const char *const host_libkrun_name;          /* "libkrun.so.1" */
extern const char *const host_libkrunfw_name;        /* "libkrunfw.so.5" */
extern const char *const host_library_path_variable; /* "LD_LIBRARY_PATH" */

#endif

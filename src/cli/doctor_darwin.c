/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor.h"

#include <string.h>
#include <sys/sysctl.h>

#include "base/buf.h"
#include "base/macro.h"
#include "child.h"

#define ENTITLEMENT         "com.apple.security.hypervisor"
#define CODESIGN_TIMEOUT_MS 20000
#define CODESIGN_BYTES_MAX  65536

static void check_entitlement(struct doctor *doctor)
{
	_cleanup_free_ char *path = doctor_own_program("krun-vmm");
	_cleanup_buf_ struct buf output = {0};
	struct err err = {0};
	int status;

	if (path == NULL)
		return;
	buf_init(&output, CODESIGN_BYTES_MAX);
	if (child_ask((char *const[]){(char *)"codesign", (char *)"-d", (char *)"--entitlements",
				      (char *)"-", (char *)"--xml", path, NULL},
		      CODESIGN_TIMEOUT_MS, &output, &status, &err) < 0) {
		doctor_add(doctor, DOCTOR_WARN, "entitlement", "%s", err.text);
		return;
	}
	if (output.data != NULL && strstr(output.data, ENTITLEMENT) != NULL)
		doctor_add(doctor, DOCTOR_OK, "entitlement", "%s has " ENTITLEMENT, path);
	else
		doctor_add(doctor, DOCTOR_BAD, "entitlement",
			   "%s lacks " ENTITLEMENT
			   ": 'make install' signs it; by hand: codesign -s - "
			   "--entitlements packaging/krun-vmm.entitlements -f %s",
			   path, path);
}

void doctor_check_hypervisor(struct doctor *doctor)
{
	int support = 0;
	size_t size = sizeof(support);

	if (sysctlbyname("kern.hv_support", &support, &size, NULL, 0) == 0 && support != 0)
		doctor_add(doctor, DOCTOR_OK, "hypervisor", "Hypervisor.framework is there");
	else
		doctor_add(
			doctor, DOCTOR_BAD, "hypervisor",
			"this Mac has no Hypervisor.framework for us: machines need Apple silicon "
			"and macOS 14, and not a virtual machine without nesting");
	check_entitlement(doctor);
}

/* macOS lets everybody bind low ports on all addresses, and on loopback only root. */
void doctor_check_ports(struct doctor *doctor)
{
	doctor_add(doctor, DOCTOR_OK, "ports",
		   "host ports below 1024 can be published on loopback by root only");
}

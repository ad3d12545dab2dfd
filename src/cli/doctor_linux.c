/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"

#define KVM "/dev/kvm"

/* Whether it can run guests is what the backends' probe says; this is about who may open it. */
void doctor_check_hypervisor(struct doctor *doctor)
{
	if (access(KVM, R_OK | W_OK) == 0)
		doctor_add(doctor, DOCTOR_OK, "hypervisor", KVM " may be used by this user");
	else if (errno == ENOENT)
		doctor_add(doctor, DOCTOR_WARN, "hypervisor",
			   "there is no " KVM
			   ": switch on virtualisation in the firmware (or nested "
			   "virtualisation of this VM) and load kvm_intel or kvm_amd; until then "
			   "machines "
			   "run in software, slowly");
	else
		doctor_add(doctor, DOCTOR_WARN, "hypervisor",
			   KVM
			   ": %s: add this user to its group ('usermod -aG kvm USER') and log in "
			   "again; until then machines run in software, slowly",
			   strerror(errno));
}

void doctor_check_ports(struct doctor *doctor)
{
	_cleanup_buf_ struct buf text = {0};
	long first;

	buf_init(&text, 64);
	if (geteuid() == 0 ||
	    file_read("/proc/sys/net/ipv4/ip_unprivileged_port_start", &text) < 0 ||
	    text.length == 0)
		return;
	first = strtol(text.data, NULL, 10);
	if (first > 1)
		doctor_add(doctor, DOCTOR_OK, "ports",
			   "host ports below %ld cannot be published by this user; "
			   "net.ipv4.ip_unprivileged_port_start decides",
			   first);
}

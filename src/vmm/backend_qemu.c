/* SPDX-License-Identifier: Apache-2.0 */
/*
 * QEMU: the same kernel, vminit and disks as with libkrun, virtio-mmio devices only. Used where
 * libkrun is not; with KVM or HVF where these can be used, else by software emulation.
 *
 * x86_64 has `-M microvm`, which has room for 8 virtio devices and must be told acpi=off, or the
 * kernel finds none of them. `thread=single`: with one thread for each processor the kernel's
 * patching of itself races with translated code and some boots die. All channels are connected
 * sockets that QEMU inherits; nothing is ever its standard input.
 *
 * A port of the guest's is not free: the queues of a virtio-mmio device have 1,024 places whatever the
 * device asks for, and the kernel fills a port's input queue with a page for each. So only the first
 * session port is there from the start; the monitor plugs the others when they are needed (session.h).
 *
 * Disks: /dev/vda is the boot disk with vminit, then the plan's.
 */
#include "backend.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/strv.h"
#include "enter.h"
#include "kernel.h"
#include "qmp.h"
#include "virtiofsd.h"

#define PRINTED_KERNEL  "KERNEL" /* in a printed plan: what kernel_cache() gives */
#define MICROVM_DEVICES 8
#define BOOT_DISK_NAME  "vminit-boot.ext4"
#define BOOT_DISK_ID    "boot"
/* QEMU's connections to virtiofsd: far above what is open here. */
#define FD_SHARE            100
#define CONSOLE_AND_CONTROL 2

#define KERNEL_ARGUMENTS "quiet console=hvc0 panic=-1 root=/dev/vda rootfstype=ext4 ro init=/vminit"

static void add(char ***argv, const char *option, char *value)
{
	strv_push(argv, option);
	strv_push_take(argv, value);
}

/* In an option a comma ends a value unless it is doubled. */
static char *escape(const char *path)
{
	char *escaped = mem_zalloc(2 * strlen(path) + 1), *to = escaped;

	for (; *path != '\0'; path++) {
		*to++ = *path;
		if (*path == ',')
			*to++ = ',';
	}
	return escaped;
}

static const char *accelerator(const struct host *host)
{
	return host->hypervisor == HOST_HYPERVISOR_NONE ? "tcg,thread=single"
							: host_hypervisor_name(host->hypervisor);
}

static void add_machine(const struct plan *plan, char ***argv)
{
	const char *memory = plan->share_count > 0 ? ",memory-backend=ram" : "";

	if (plan->host->arch == HOST_ARCH_X86_64)
		add(argv, "-M", mem_printf("microvm,acpi=off,isa-serial=off%s", memory));
	else
		/* The interrupt controller that KVM has: by default QEMU asks for an old one. */
		add(argv, "-M",
		    mem_printf("virt%s%s",
			       plan->host->hypervisor == HOST_HYPERVISOR_KVM ? ",gic-version=host"
									     : "",
			       memory));
	add(argv, "-accel", mem_strdup(accelerator(plan->host)));
	add(argv, "-cpu",
	    mem_strdup(plan->host->hypervisor == HOST_HYPERVISOR_NONE ? "max" : "host"));
	add(argv, "-smp", mem_printf("%lld", plan->config->vcpus));
	add(argv, "-m", mem_printf("%lldM", plan->config->memory_mib));
	/* virtiofsd reads and writes the guest's memory itself. */
	if (plan->share_count > 0)
		add(argv, "-object",
		    mem_printf("memory-backend-memfd,id=ram,size=%lldM,share=on",
			       plan->config->memory_mib));
	/* virtio 1: vhost-user-fs wants it everywhere, arm64's kernel too. */
	if (plan->share_count > 0 || plan->host->arch == HOST_ARCH_AARCH64)
		add(argv, "-global", mem_strdup("virtio-mmio.force-legacy=false"));
}

static void add_kernel(const struct plan *plan, const char *kernel, char ***argv)
{
	const char *reboot = plan->host->arch == HOST_ARCH_X86_64 ? " reboot=t" : "";

	add(argv, "-kernel", mem_strdup(kernel));
	add(argv, "-append", mem_printf("%s%s", KERNEL_ARGUMENTS, reboot));
}

static void add_socket(char ***argv, const char *id, int fd)
{
	add(argv, "-chardev", mem_printf("socket,id=%s,fd=%d", id, fd));
}

static void add_port(char ***argv, const char *device, const char *id, const char *name)
{
	add(argv, "-device",
	    mem_printf("%s,chardev=%s%s%s", device, id, name[0] != '\0' ? ",name=" : "", name));
}

/* All have their sockets from the start; those that are not plugged yet wait for the monitor's word. */
static void add_session_ports(char ***argv)
{
	char id[16], name[32];

	for (int i = 0; i < PLAN_SESSION_PORTS; i++) {
		snprintf(id, sizeof(id), QMP_PORT_CHARDEV, i);
		snprintf(name, sizeof(name), QMP_PORT_NAME, i);
		add_socket(argv, id, ENTER_FD_PORT + i);
		if (i < PLAN_PORTS_AT_BOOT)
			add_port(argv, QMP_PORT_DRIVER, id, name);
	}
}

static void add_ports(char ***argv)
{
	add(argv, "-device",
	    mem_printf("virtio-serial-device,max_ports=%d",
		       PLAN_SESSION_PORTS + CONSOLE_AND_CONTROL));
	add_socket(argv, "console", ENTER_FD_CONSOLE);
	add_port(argv, "virtconsole", "console", "");
	add_socket(argv, "control", ENTER_FD_CONTROL);
	add_port(argv, QMP_PORT_DRIVER, "control", "krun.control");
	add_session_ports(argv);
	add_socket(argv, "monitor", ENTER_FD_MONITOR);
	add(argv, "-mon", mem_strdup("chardev=monitor,mode=control"));
}

/* When the host's disk is full the guest gets an error; QEMU's own way is to halt the machine. */
static void add_disk(char ***argv, const char *id, const char *path, bool read_only)
{
	_cleanup_free_ char *escaped = escape(path);

	add(argv, "-drive",
	    mem_printf("if=none,id=%s,format=raw,readonly=%s,file=%s%s", id,
		       read_only ? "on" : "off", escaped,
		       read_only ? "" : ",discard=unmap,werror=report"));
	add(argv, "-device", mem_printf("virtio-blk-device,drive=%s", id));
}

/* The kernel names the disks as it finds them: on microvm the first one first, on virt the last. */
static void add_disks(const struct plan *plan, char ***argv)
{
	size_t count = plan->disk_count;

	if (plan->host->arch != HOST_ARCH_AARCH64)
		add_disk(argv, BOOT_DISK_ID, plan->config->boot_disk_path, true);
	for (size_t i = 0; i < count; i++) {
		size_t at = plan->host->arch == HOST_ARCH_AARCH64 ? count - 1 - i : i;
		const struct plan_disk *disk = &plan->disks[at];

		add_disk(argv, disk->id, disk->path, disk->read_only);
	}
	if (plan->host->arch == HOST_ARCH_AARCH64)
		add_disk(argv, BOOT_DISK_ID, plan->config->boot_disk_path, true);
}

static void add_shares(const struct plan *plan, char ***argv)
{
	for (size_t i = 0; i < plan->share_count; i++) {
		const char *tag = plan->shares[i].tag;

		add(argv, "-chardev", mem_printf("socket,id=%s,fd=%d", tag, FD_SHARE + (int)i));
		add(argv, "-device",
		    mem_printf("vhost-user-fs-device,chardev=%s,tag=%s", tag, tag));
	}
}

static void add_net(const struct plan *plan, char ***argv)
{
	if (!plan->has_net)
		return;
	add(argv, "-netdev",
	    mem_printf("stream,id=net,server=off,addr.type=fd,addr.str=%d", ENTER_FD_NET));
	add(argv, "-device", mem_printf("virtio-net-device,netdev=net,mac=%s", plan->config->mac));
}

static char **make_argv(const struct plan *plan, const char *program, const char *kernel)
{
	static const char *const plain[] = {"-nodefaults", "-no-user-config", "-display", "none",
					    "-no-reboot"};
	char **argv = NULL;

	strv_push(&argv, program);
	add_machine(plan, &argv);
	for (size_t i = 0; i < ARRAY_SIZE(plain); i++)
		strv_push(&argv, plain[i]);
	add_kernel(plan, kernel, &argv);
	add_ports(&argv);
	add_disks(plan, &argv);
	add_net(plan, &argv);
	add_shares(plan, &argv);
	return argv;
}

static char *program_name(const struct vmm_config *config, const struct host *host)
{
	if (config->qemu_path != NULL)
		return mem_strdup(config->qemu_path);
	return mem_printf("qemu-system-%s", host_arch_name(host->arch));
}

static int find_program(const struct vmm_config *config, const struct host *host, char **ret_path,
			struct err *err)
{
	_cleanup_free_ char *name = program_name(config, host);

	if (path_find_program(name, ret_path) >= 0)
		return 0;
	return err_set(err, ENOTSUP,
		       "%s was not found: install QEMU (the package qemu-system-x86, "
		       "qemu-system-arm or qemu)",
		       name);
}

static int probe(const struct vmm_config *config, const struct host *host, struct err *note,
		 struct err *err)
{
	_cleanup_free_ char *path = NULL, *library = NULL;
	struct kernel_blob blob;
	int r;

	r = find_program(config, host, &path, err);
	if (r >= 0)
		r = kernel_open(config->libkrunfw_path, &blob, &library, err);
	if (r >= 0 && host->hypervisor == HOST_HYPERVISOR_NONE)
		err_set(note, ENOTSUP, "by software emulation, which is slow: %s",
			host->why_none.text);
	return r;
}

static int check_boot_disk(const struct plan *plan, struct err *err)
{
	struct stat st;

	if (plan->config->boot_disk_path == NULL)
		return err_set(err, EINVAL, "boot_disk_path is missing: QEMU boots from %s",
			       BOOT_DISK_NAME);
	if (stat(plan->config->boot_disk_path, &st) < 0)
		return err_set_errno(err, errno, "boot disk '%s'", plan->config->boot_disk_path);
	return 0;
}

static int check(const struct plan *plan, struct err *err)
{
	size_t disks = 1 + plan->disk_count;
	size_t devices = 1 + disks + plan->has_net + plan->share_count;
	int r;

	if (plan->host->arch == HOST_ARCH_X86_64 && devices > MICROVM_DEVICES)
		return err_set(err, EINVAL,
			       "the machine needs %zu virtio devices and QEMU's microvm has %d: it "
			       "can have at most %zu volumes",
			       devices, MICROVM_DEVICES,
			       plan->config->volumes.count - (devices - MICROVM_DEVICES));
	r = check_boot_disk(plan, err);
	return r < 0 ? r : virtiofsd_check(plan, err);
}

static int print(const struct plan *plan, struct buf *out, struct err *err)
{
	_cleanup_free_ char *name = program_name(plan->config, plan->host);
	_cleanup_strv_ char **argv = make_argv(plan, name, PRINTED_KERNEL);

	for (char **arg = argv; *arg != NULL; arg++) {
		if (buf_printf(out, "%s\n", *arg) < 0)
			return err_set(err, ENOBUFS, "the plan is too long");
	}
	return 0;
}

static void fill_guest(const struct plan *plan, struct wire_config *config)
{
	plan_fill_disks(plan, 1, config);
	config->session_ports = PLAN_SESSION_PORTS;
}

static int enter(const struct plan *plan, struct err *err)
{
	_cleanup_free_ char *program = NULL, *kernel = NULL;
	_cleanup_strv_ char **argv = NULL;
	int r;

	r = find_program(plan->config, plan->host, &program, err);
	if (r >= 0)
		r = kernel_cache(plan->config->libkrunfw_path, plan->config->cache_dir,
				 plan->host->arch, &kernel, err);
	if (r >= 0)
		r = virtiofsd_start(plan, FD_SHARE, err);
	if (r >= 0)
		r = enter_guard_exec(ENTER_FD_LINK, err);
	if (r < 0)
		return r;
	argv = make_argv(plan, program, kernel);
	enter_wait();
	execv(program, argv);
	return err_set_errno(err, errno, "cannot execute '%s'", program);
}

static void explain(int status, const struct tail *messages, struct buf *out)
{
	backend_explain_status("QEMU", status, messages, out);
}

const struct backend backend_qemu = {
	.name = "qemu",
	.automatic = true,
	.console_socket = true,
	.takes_frames = true,
	.has_monitor = true,
	.probe = probe,
	.check = check,
	.print = print,
	.fill_guest = fill_guest,
	.enter = enter,
	.clean = virtiofsd_clean,
	.explain = explain,
};

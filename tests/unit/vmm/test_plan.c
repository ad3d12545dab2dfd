/* SPDX-License-Identifier: Apache-2.0 */
/* What each backend would do for a machine, compared with text; and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/strv.h"
#include "machine/net_config.h"
#include "wire/signal.h"

/* Everything lies below it, so that what is printed has names that are known. */
#define DIRECTORY "/tmp/krun-test-plan"

static const struct host kvm_x86_64 = {HOST_ARCH_X86_64, HOST_HYPERVISOR_KVM, {0}};
static const struct host tcg_x86_64 = {HOST_ARCH_X86_64, HOST_HYPERVISOR_NONE, {0}};
static const struct host tcg_aarch64 = {HOST_ARCH_AARCH64, HOST_HYPERVISOR_NONE, {0}};
static const struct host hvf_aarch64 = {HOST_ARCH_AARCH64, HOST_HYPERVISOR_HVF, {0}};

static struct vmm_config config;

static int set_up(void **state)
{
	static const char *const files[] = {"image", "disk", "boot", "comma,", "one", "two"};
	static const char *const directories[] = {"root", "data"};

	file_remove_tree(DIRECTORY);
	assert_int_equal(file_mkdir_all(DIRECTORY, 0700), 0);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_free_ char *path = path_join(DIRECTORY, files[i]);

		assert_int_equal(file_write_atomic(path, "", 0, 0600), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		_cleanup_free_ char *path = path_join(DIRECTORY, directories[i]);

		assert_int_equal(mkdir(path, 0700), 0);
	}
	assert_int_equal(symlink("one", DIRECTORY "/link"), 0);
	vmm_config_init(&config);
	config.run_dir = mem_strdup("/run/m");
	config.machine_dir = mem_strdup("/var/m");
	config.image_path = mem_strdup(DIRECTORY "/image");
	config.disk_path = mem_strdup(DIRECTORY "/disk");
	config.boot_disk_path = mem_strdup(DIRECTORY "/boot");
	config.vminit_path = mem_strdup("/usr/lib/vminit");
	config.mac = mem_strdup("02:00:00:00:00:01");
	strv_push(&config.exec, "/bin/server");
	return 0;
}

static int tear_down(void **state)
{
	vmm_config_done(&config);
	return file_remove_tree(DIRECTORY);
}

static void add_volume(const char *host_path, const char *guest_path, bool read_only)
{
	struct machine_volumes *volumes = &config.volumes;

	volumes->items =
		mem_realloc_array(volumes->items, volumes->count + 1, sizeof(*volumes->items));
	volumes->items[volumes->count++] = (struct machine_volume){
		.host_path = mem_strdup(host_path),
		.guest_path = mem_strdup(guest_path),
		.read_only = read_only,
	};
}

static void add_named_volume(const char *name, const char *host_path, const char *guest_path,
			     bool read_only)
{
	add_volume(host_path, guest_path, read_only);
	config.volumes.items[config.volumes.count - 1].volume = mem_strdup(name);
}

static void use_root_directory(void)
{
	mem_replace(&config.image_path, NULL);
	mem_replace(&config.disk_path, NULL);
	mem_replace(&config.rootfs_path, DIRECTORY "/root");
}

static char *print(const struct backend *backend, const struct host *host)
{
	_cleanup_buf_ struct buf out;
	struct plan plan;
	struct err err;
	int r;

	buf_init(&out, 65536);
	r = plan_make(&plan, &config, host, &err);
	if (r >= 0)
		r = backend->print(&plan, &out, &err);
	if (r < 0)
		fail_msg("%s", err.text);
	plan_done(&plan);
	return buf_take_string(&out);
}

/* The plan must fail, by this sentence. */
static void assert_refused(const struct backend *backend, const struct host *host,
			   const char *sentence)
{
	struct plan plan;
	struct err err = {0};
	int r;

	r = plan_make(&plan, &config, host, &err);
	if (r >= 0)
		r = backend->check(&plan, &err);
	plan_done(&plan);
	assert_true(r < 0);
	if (strstr(err.text, sentence) == NULL)
		fail_msg("'%s' does not say '%s'", err.text, sentence);
}

static void libkrun_on_kvm(void **state)
{
	_cleanup_free_ char *text = print(&backend_libkrun, &kvm_x86_64);

	assert_string_equal(text,
			    "krun_init_log(2, 1, 2, 1)\n"
			    "krun_create_ctx()\n"
			    "krun_set_vm_config(ctx, 1, 256)\n"
			    "krun_disable_implicit_vsock(ctx)\n"
			    "krun_add_vsock(ctx, 0)\n"
			    "krun_add_vsock_port2(ctx, 10000, \"/run/m/g\", false)\n"
			    "krun_add_vsock_port2(ctx, 10001, \"/run/m/s\", false)\n"
			    "krun_disable_implicit_init(ctx)\n"
			    "krun_add_virtiofs3(ctx, \"/dev/root\", NULL, 0, true)\n"
			    "krun_fs_add_overlay_dir(ctx, \"/dev/root\", \"dev\", 040755)\n"
			    "krun_fs_add_overlay_dir(ctx, \"/dev/root\", \"proc\", 040755)\n"
			    "krun_fs_add_overlay_dir(ctx, \"/dev/root\", \"sys\", 040755)\n"
			    "krun_fs_add_overlay_dir(ctx, \"/dev/root\", \"newroot\", 040755)\n"
			    "krun_fs_add_overlay_file(ctx, \"/dev/root\", \"init.krun\", VMINIT, "
			    "SIZE, 0100755, "
			    "false)\n"
			    "krun_add_disk3(ctx, \"image\", \"" DIRECTORY
			    "/image\", 0, true, false, 2)\n"
			    "krun_add_disk3(ctx, \"disk\", \"" DIRECTORY
			    "/disk\", 0, false, false, 2)\n"
			    "krun_add_net_unixstream(ctx, NULL, 5, 02:00:00:00:00:01, 0x82, 0)\n"
			    "krun_set_console_output(ctx, \"/dev/fd/4\")\n"
			    "krun_set_env(ctx, {})\n"
			    "krun_start_enter(ctx)\n");
}

static void libkrun_with_directories_and_without_network(void **state)
{
	_cleanup_free_ char *text = NULL;

	use_root_directory();
	add_volume(DIRECTORY "/data/../data", "/data", true);
	add_volume(DIRECTORY "/data", "/more", false);
	config.network.mode = MACHINE_NETWORK_NONE;
	config.vcpus = 4;
	config.memory_mib = 4096;
	text = print(&backend_libkrun, &hvf_aarch64);
	assert_non_null(strstr(text, "krun_set_vm_config(ctx, 4, 4096)\n"));
	assert_non_null(
		strstr(text, "init.krun\", VMINIT, SIZE, 0100755, false)\n"
			     "krun_add_virtiofs3(ctx, \"root\", \"" DIRECTORY "/root\", 0, false)\n"
			     "krun_add_virtiofs3(ctx, \"vol0\", \"" DIRECTORY "/data\", 0, true)\n"
			     "krun_add_virtiofs3(ctx, \"vol1\", \"" DIRECTORY "/data\", 0, false)\n"
			     "krun_set_console_output("));
	assert_null(strstr(text, "krun_add_disk"));
	assert_null(strstr(text, "krun_add_net"));
}

static void add_lines(char ***lines, char *text)
{
	char *rest;

	for (char *line = strtok_r(text, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest))
		strv_push(lines, line);
}

/* The arguments in this order, others between them or not. */
static void assert_arguments(char *const *lines, const char *const *expected)
{
	size_t at = 0;

	for (; *expected != NULL; expected++) {
		while (lines[at] != NULL && strcmp(lines[at], *expected) != 0)
			at++;
		if (lines[at] == NULL)
			fail_msg("no '%s' behind what comes before it", *expected);
		at++;
	}
}

static void assert_plan(const struct host *host, const char *const *expected)
{
	_cleanup_free_ char *text = print(&backend_qemu, host);
	_cleanup_strv_ char **lines = NULL;

	add_lines(&lines, text);
	assert_arguments(lines, expected);
}

static void qemu_by_emulation_whole(void **state)
{
	_cleanup_free_ char *text = print(&backend_qemu, &tcg_x86_64);
	_cleanup_buf_ struct buf expected;

	buf_init(&expected, 65536);
	assert_int_equal(
		buf_append_string(
			&expected,
			"qemu-system-x86_64\n-M\nmicrovm,acpi=off,isa-serial=off\n"
			"-accel\ntcg,thread=single\n-cpu\nmax\n-smp\n1\n-m\n256M\n"
			"-nodefaults\n-no-user-config\n-display\nnone\n-no-reboot\n"
			"-kernel\nKERNEL\n-append\nquiet console=hvc0 panic=-1 root=/dev/vda "
			"rootfstype=ext4 ro init=/vminit reboot=t\n"
			"-device\nvirtio-serial-device,max_ports=18\n"
			"-chardev\nsocket,id=console,fd=4\n-device\nvirtconsole,chardev=console\n"
			"-chardev\nsocket,id=control,fd=6\n"
			"-device\nvirtserialport,chardev=control,name=krun.control\n"),
		0);
	/* One port is there from the start: each costs the guest 4 MiB. */
	for (int i = 0; i < 16; i++)
		assert_int_equal(buf_printf(&expected, "-chardev\nsocket,id=session%d,fd=%d\n%s", i,
					    7 + i,
					    i == 0 ? "-device\nvirtserialport,chardev=session0,"
						     "name=krun.session.0\n"
						   : ""),
				 0);
	assert_int_equal(
		buf_append_string(&expected,
				  "-chardev\nsocket,id=monitor,fd=23\n"
				  "-mon\nchardev=monitor,mode=control\n"
				  "-drive\nif=none,id=boot,format=raw,readonly=on,file=" DIRECTORY
				  "/boot\n"
				  "-device\nvirtio-blk-device,drive=boot\n"
				  "-drive\nif=none,id=image,format=raw,readonly=on,file=" DIRECTORY
				  "/image\n"
				  "-device\nvirtio-blk-device,drive=image\n"
				  "-drive\nif=none,id=disk,format=raw,readonly=off,file=" DIRECTORY
				  "/disk,discard=unmap,werror=report\n"
				  "-device\nvirtio-blk-device,drive=disk\n"
				  "-netdev\nstream,id=net,server=off,addr.type=fd,addr.str=5\n"
				  "-device\nvirtio-net-device,netdev=net,mac=02:00:00:00:00:01\n"),
		0);
	assert_string_equal(text, expected.data);
}

static void qemu_on_kvm_and_hvf(void **state)
{
	assert_plan(&kvm_x86_64, (const char *const[]){"microvm,acpi=off,isa-serial=off", "-accel",
						       "kvm", "-cpu", "host", NULL});
	assert_plan(&hvf_aarch64, (const char *const[]){"qemu-system-aarch64", "-M", "virt",
							"-accel", "hvf", "-cpu", "host", NULL});
}

/* There the kernel finds the last device first. */
static void qemu_on_arm64_has_its_disks_the_other_way_round(void **state)
{
	assert_plan(&tcg_aarch64,
		    (const char *const[]){
			    "qemu-system-aarch64", "-M", "virt", "tcg,thread=single",
			    "virtio-mmio.force-legacy=false",
			    "quiet console=hvc0 panic=-1 root=/dev/vda rootfstype=ext4 ro "
			    "init=/vminit",
			    "virtio-blk-device,drive=disk", "virtio-blk-device,drive=image",
			    "virtio-blk-device,drive=boot", NULL});
}

static void qemu_with_directories(void **state)
{
	use_root_directory();
	add_volume(DIRECTORY "/data", "/data", false);
	assert_plan(&tcg_x86_64,
		    (const char *const[]){"microvm,acpi=off,isa-serial=off,memory-backend=ram",
					  "-object",
					  "memory-backend-memfd,id=ram,size=256M,share=on",
					  "-global", "virtio-mmio.force-legacy=false",
					  "virtio-blk-device,drive=boot", "socket,id=root,fd=100",
					  "vhost-user-fs-device,chardev=root,tag=root",
					  "socket,id=vol0,fd=101",
					  "vhost-user-fs-device,chardev=vol0,tag=vol0", NULL});
}

static void named_volumes_are_disks_behind_the_machines_own(void **state)
{
	_cleanup_free_ char *text = NULL;

	add_named_volume("one", DIRECTORY "/one", "/one", false);
	add_named_volume("two", DIRECTORY "/two", "/two", true);
	text = print(&backend_libkrun, &kvm_x86_64);
	assert_non_null(strstr(text, "krun_add_disk3(ctx, \"disk\", \"" DIRECTORY
				     "/disk\", 0, false, false, 2)\n"
				     "krun_add_disk3(ctx, \"vol0\", \"" DIRECTORY
				     "/one\", 0, false, false, 2)\n"
				     "krun_add_disk3(ctx, \"vol1\", \"" DIRECTORY
				     "/two\", 0, true, false, 2)\n"));
	assert_plan(&tcg_x86_64,
		    (const char *const[]){"virtio-blk-device,drive=boot",
					  "virtio-blk-device,drive=image",
					  "virtio-blk-device,drive=disk",
					  "if=none,id=vol0,format=raw,readonly=off,file=" DIRECTORY
					  "/one,discard=unmap,werror=report",
					  "virtio-blk-device,drive=vol0",
					  "if=none,id=vol1,format=raw,readonly=on,file=" DIRECTORY
					  "/two",
					  "virtio-blk-device,drive=vol1", NULL});
	assert_plan(&tcg_aarch64, (const char *const[]){"virtio-blk-device,drive=vol1",
							"virtio-blk-device,drive=vol0",
							"virtio-blk-device,drive=disk",
							"virtio-blk-device,drive=image",
							"virtio-blk-device,drive=boot", NULL});
}

/* The directory in which the file lies is nowhere in the plan. */
static void a_single_file_is_shared_in_a_directory_of_its_own(void **state)
{
	_cleanup_free_ char *text = NULL;

	use_root_directory();
	add_volume(DIRECTORY "/data", "/data", false);
	add_volume(DIRECTORY "/link", "/etc/one", true);
	text = print(&backend_libkrun, &kvm_x86_64);
	assert_non_null(
		strstr(text,
		       "krun_add_virtiofs3(ctx, \"vol1\", \"/var/m/shares/vol1\", 0, true)\n"));
	assert_null(strstr(text, "\"" DIRECTORY "\""));
}

static void the_guest_is_told_of_its_volumes_in_their_order(void **state)
{
	struct wire_config guest;
	struct plan plan;

	add_volume(DIRECTORY "/one", "/a", true);
	add_named_volume("two", DIRECTORY "/two", "/a/b", true);
	add_volume(DIRECTORY "/data", "/a/b/c", false);
	assert_int_equal(plan_make(&plan, &config, &kvm_x86_64, NULL), 0);
	assert_string_equal(plan.shares[0].file, DIRECTORY "/one");
	plan_fill_guest(&plan, &guest);
	backend_libkrun.fill_guest(&plan, &guest);
	assert_int_equal(guest.volume_count, 3);
	assert_string_equal(guest.volumes[0].virtiofs_tag, "vol0");
	assert_string_equal(guest.volumes[0].source, "file");
	assert_null(guest.volumes[0].device);
	assert_string_equal(guest.volumes[1].device, "/dev/vdc");
	assert_string_equal(guest.volumes[1].guest_path, "/a/b");
	assert_true(guest.volumes[1].read_only);
	assert_null(guest.volumes[1].virtiofs_tag);
	assert_string_equal(guest.volumes[2].virtiofs_tag, "vol2");
	assert_null(guest.volumes[2].source);
	backend_qemu.fill_guest(&plan, &guest);
	assert_string_equal(guest.volumes[1].device, "/dev/vdd");
	plan_done(&plan);
}

static void a_comma_in_a_path_does_not_end_it(void **state)
{
	mem_replace(&config.disk_path, DIRECTORY "/comma,");
	assert_plan(&tcg_x86_64,
		    (const char *const[]){"if=none,id=disk,format=raw,readonly=off,file=" DIRECTORY
					  "/comma,,,discard=unmap,werror=report",
					  NULL});
}

static void paths_that_are_not_what_they_should_be_are_named(void **state)
{
	mem_replace(&config.image_path, DIRECTORY "/none");
	assert_refused(&backend_libkrun, &kvm_x86_64, "image '" DIRECTORY "/none': No such file");
	mem_replace(&config.image_path, DIRECTORY "/data");
	assert_refused(&backend_libkrun, &kvm_x86_64, "is not a regular file");
	use_root_directory();
	mem_replace(&config.rootfs_path, DIRECTORY "/disk");
	assert_refused(&backend_libkrun, &kvm_x86_64,
		       "rootfs_path '" DIRECTORY "/disk' is not a directory");
	mem_replace(&config.rootfs_path, DIRECTORY "/root");
	add_volume(DIRECTORY "/none", "/data", false);
	assert_refused(&backend_libkrun, &kvm_x86_64, "volume '" DIRECTORY "/none'");
}

static void volumes_that_cannot_be_shared_are_refused(void **state)
{
	static const struct {
		const char *path, *sentence;
	} cases[] = {
		{"/", "volume '/' is the host's whole file system"},
		{"/proc/../tmp/..", "is the host's whole file system"},
		{DIRECTORY "/to-root", "is the host's whole file system"},
		{"/dev/null", "volume '/dev/null' is neither a directory nor a regular file"},
		{DIRECTORY "/fifo", "is neither a directory nor a regular file"},
		{DIRECTORY "/nowhere", "volume '" DIRECTORY "/nowhere': No such file"},
		{DIRECTORY "/one/x", "Not a directory"},
	};

	assert_int_equal(mkfifo(DIRECTORY "/fifo", 0600), 0);
	assert_int_equal(symlink("/", DIRECTORY "/to-root"), 0);
	assert_int_equal(symlink("none", DIRECTORY "/nowhere"), 0);
	add_volume("", "/data", false);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		mem_replace(&config.volumes.items[0].host_path, cases[i].path);
		assert_refused(&backend_libkrun, &kvm_x86_64, cases[i].sentence);
	}
}

static void named_volumes_that_cannot_be_attached_are_refused(void **state)
{
	add_named_volume("one", DIRECTORY "/none", "/one", false);
	assert_refused(&backend_libkrun, &kvm_x86_64, "volume one: '" DIRECTORY "/none': No such");
	mem_replace(&config.volumes.items[0].host_path, DIRECTORY "/data");
	assert_refused(&backend_libkrun, &kvm_x86_64, "is not a regular file");
	mem_replace(&config.volumes.items[0].host_path, DIRECTORY "/one");
	add_named_volume("one", DIRECTORY "/one", "/two", false);
	assert_refused(&backend_libkrun, &kvm_x86_64, "volume one is given twice");
}

static void too_many_devices_are_refused_by_their_number(void **state)
{
	for (int i = 0; i < 4; i++)
		add_volume(DIRECTORY "/data", "/data", false);
	assert_refused(&backend_libkrun, &kvm_x86_64, "needs 12 devices and libkrun has 11");
	assert_refused(&backend_libkrun, &kvm_x86_64, "at most 3 volumes");
	assert_refused(&backend_qemu, &tcg_x86_64, "needs 9 virtio devices");
	assert_refused(&backend_qemu, &tcg_x86_64, "at most 3 volumes");
	/* Disks count as shares do. */
	config.volumes.items[0].volume = mem_strdup("one");
	mem_replace(&config.volumes.items[0].host_path, DIRECTORY "/one");
	assert_refused(&backend_libkrun, &kvm_x86_64, "needs 12 devices and libkrun has 11");
	assert_refused(&backend_qemu, &tcg_x86_64, "at most 3 volumes");
}

static void memory_in_the_hole_of_x86_64_is_refused(void **state)
{
	struct plan plan;

	config.memory_mib = 3264;
	assert_refused(&backend_libkrun, &kvm_x86_64, "choose less than 3264 or at least 3328");
	config.memory_mib = 3327;
	assert_refused(&backend_libkrun, &kvm_x86_64, "choose less than 3264 or at least 3328");
	config.memory_mib = 3328;
	assert_int_equal(plan_make(&plan, &config, &kvm_x86_64, NULL), 0);
	assert_int_equal(backend_libkrun.check(&plan, NULL), 0);
	plan_done(&plan);
}

static void the_guest_is_told_what_it_needs(void **state)
{
	struct wire_config guest;
	struct plan plan;

	add_volume(DIRECTORY "/data", "/data", true);
	strv_push(&config.env, "A=b");
	mem_replace(&config.workdir, "/srv");
	assert_int_equal(plan_make(&plan, &config, &kvm_x86_64, NULL), 0);
	plan_fill_guest(&plan, &guest);
	backend_libkrun.fill_guest(&plan, &guest);
	assert_int_equal(guest.root_kind, WIRE_ROOT_OVERLAY);
	assert_string_equal(guest.lower_device, "/dev/vda");
	assert_string_equal(guest.upper_device, "/dev/vdb");
	assert_int_equal(guest.session_ports, 0);
	assert_string_equal(guest.address, NET_GUEST_CIDR);
	assert_string_equal(guest.dns[0], NET_GATEWAY);
	assert_int_equal(guest.volume_count, 1);
	assert_string_equal(guest.volumes[0].virtiofs_tag, "vol0");
	assert_true(guest.volumes[0].read_only);
	assert_string_equal(guest.process.argv[0], "/bin/server");
	assert_null(guest.process.argv[1]);
	assert_string_equal(guest.process.env[0], "A=b");
	assert_string_equal(guest.process.workdir, "/srv");
	backend_qemu.fill_guest(&plan, &guest);
	assert_string_equal(guest.lower_device, "/dev/vdb");
	assert_string_equal(guest.upper_device, "/dev/vdc");
	assert_int_equal(guest.session_ports, 16);
	assert_int_equal(plan.stop_signal, WIRE_SIGTERM);
	plan_done(&plan);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(libkrun_on_kvm),
		CASE(libkrun_with_directories_and_without_network),
		CASE(qemu_by_emulation_whole),
		CASE(qemu_on_kvm_and_hvf),
		CASE(qemu_on_arm64_has_its_disks_the_other_way_round),
		CASE(qemu_with_directories),
		CASE(named_volumes_are_disks_behind_the_machines_own),
		CASE(a_single_file_is_shared_in_a_directory_of_its_own),
		CASE(the_guest_is_told_of_its_volumes_in_their_order),
		CASE(a_comma_in_a_path_does_not_end_it),
		CASE(volumes_that_cannot_be_shared_are_refused),
		CASE(named_volumes_that_cannot_be_attached_are_refused),
		CASE(paths_that_are_not_what_they_should_be_are_named),
		CASE(too_many_devices_are_refused_by_their_number),
		CASE(memory_in_the_hole_of_x86_64_is_refused),
		CASE(the_guest_is_told_what_it_needs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

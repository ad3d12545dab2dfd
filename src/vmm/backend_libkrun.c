/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libkrun, from version 1.19 on, loaded when it is needed: only the VM process ever has it in memory.
 *
 * A plan is a list of calls, built once and then either made or printed, so that what is printed is
 * what is done. The guest boots from a root without any host directory (NullFs) in which vminit is
 * served from memory as /init.krun; its real root comes from the disks or from a virtiofs tag. vsock
 * has no socket hijacking; the guest dials our unix sockets by port. Nothing but libkrun's own words
 * stands on the kernel's command line.
 *
 * libkrun ends the process with _exit: krun_start_enter() returns only on failure, and what it knows
 * of that stands in its log, standard error.
 */
#include "backend.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/strv.h"
#include "enter.h"
#include "machine/net_config.h"

/* Why not fewer: all of these are of 1.19; krun_fs_add_overlay_file tells it from 1.18. */
#define VERSION_WANTED "1.19"
#define FEATURE_NET    0
#define FEATURE_BLK    1

/* Its warnings tell of every session; why a VM could not be built or run is an error. */
#define LOG_LEVEL_ERRORS   1
#define LOG_STYLE_PLAIN    2
#define LOG_NO_ENVIRONMENT 1

#define BOOT_TAG      "/dev/root"
#define VSOCK_CONTROL 10000
#define VSOCK_SESSION 10001
#define DISK_RAW      0
/* The host's page cache is written out when the guest flushes, less than a device's own cache. */
#define DISK_SYNC_RELAXED 1
#define DISK_SYNC_FULL    2
/*
 * GUEST_CSUM and GUEST_TSO4: the guest then posts buffers for long frames and sends as before. With
 * 0 the first frame above 1,518 bytes ends reception for good; with more, frames come with checksums
 * that are not there.
 */
#define NET_FEATURES 0x82

#define VMINIT_BYTES_MAX (8UL << 20)
#define DEVICES_MAX      11   /* x86_64: interrupts 5 to 15 */
#define DEVICES_ALWAYS   5    /* balloon, rng, console, boot root, vsock */
#define HOLE_BEGIN_MIB   3264 /* x86_64: below the devices' addresses at 0xd0000000 */
#define HOLE_END_MIB     3328

#define CALLS_MAX (24 + PLAN_SHARES_MAX + PLAN_DISKS_MAX)

struct call;

/* One of libkrun's functions: how it is called, and how a call of it is printed. */
struct function {
	const char *name;
	/* A letter for each argument behind the context: s text, n number, x hexadecimal, b truth,
	 * z no text (NULL), m MAC address, i the bytes of vminit, e an empty environment. */
	const char *arguments;
	int32_t (*make)(void *symbol, uint32_t ctx, const struct call *call);
};

struct call {
	const struct function *function;
	const char *text[2];
	uint32_t number[4];
	const uint8_t *data;
	size_t data_bytes;
};

struct calls {
	struct call items[CALLS_MAX];
	size_t count;
	char *texts[8]; /* made for the calls */
	size_t text_count;
};

/* How each function is called. The arguments stand in `call` in the order of the function's own. */

static int32_t make_numbers2(void *symbol, uint32_t ctx, const struct call *c)
{
	int32_t (*f)(uint32_t, uint8_t, uint32_t);

	*(void **)&f = symbol;
	return f(ctx, (uint8_t)c->number[0], c->number[1]);
}

static int32_t make_plain(void *symbol, uint32_t ctx, const struct call *c)
{
	int32_t (*f)(uint32_t);

	(void)c;
	*(void **)&f = symbol;
	return f(ctx);
}

static int32_t make_number(void *symbol, uint32_t ctx, const struct call *c)
{
	int32_t (*f)(uint32_t, uint32_t);

	*(void **)&f = symbol;
	return f(ctx, c->number[0]);
}

static int32_t make_vsock_port(void *symbol, uint32_t ctx, const struct call *c)
{
	int32_t (*f)(uint32_t, uint32_t, const char *, bool);

	*(void **)&f = symbol;
	return f(ctx, c->number[0], c->text[0], c->number[1] != 0);
}

static int32_t make_virtiofs(void *symbol, uint32_t ctx, const struct call *c)
{
	int32_t (*f)(uint32_t, const char *, const char *, uint64_t, bool);

	*(void **)&f = symbol;
	return f(ctx, c->text[0], c->text[1], c->number[0], c->number[1] != 0);
}

static int32_t make_overlay_dir(void *symbol, uint32_t ctx, const struct call *c)
{
	int32_t (*f)(uint32_t, const char *, const char *, uint32_t);

	*(void **)&f = symbol;
	return f(ctx, c->text[0], c->text[1], c->number[0]);
}

static int32_t make_overlay_file(void *symbol, uint32_t ctx, const struct call *c)
{
	int32_t (*f)(uint32_t, const char *, const char *, const uint8_t *, size_t, uint32_t, bool);

	*(void **)&f = symbol;
	return f(ctx, c->text[0], c->text[1], c->data, c->data_bytes, c->number[0],
		 c->number[1] != 0);
}

static int32_t make_disk(void *symbol, uint32_t ctx, const struct call *c)
{
	int32_t (*f)(uint32_t, const char *, const char *, uint32_t, bool, bool, uint32_t);

	*(void **)&f = symbol;
	return f(ctx, c->text[0], c->text[1], c->number[0], c->number[1] != 0, c->number[2] != 0,
		 c->number[3]);
}

static int32_t make_net(void *symbol, uint32_t ctx, const struct call *c)
{
	int32_t (*f)(uint32_t, const char *, int, const uint8_t *, uint32_t, uint32_t);

	*(void **)&f = symbol;
	return f(ctx, NULL, (int)c->number[0], c->data, c->number[1], c->number[2]);
}

static int32_t make_text(void *symbol, uint32_t ctx, const struct call *c)
{
	int32_t (*f)(uint32_t, const char *);

	*(void **)&f = symbol;
	return f(ctx, c->text[0]);
}

/* NULL in place of the empty vector would put this process's environment on the command line. */
static int32_t make_env(void *symbol, uint32_t ctx, const struct call *c)
{
	static const char *const empty[] = {NULL};
	int32_t (*f)(uint32_t, const char *const *);

	(void)c;
	*(void **)&f = symbol;
	return f(ctx, empty);
}

static const struct function set_vm_config = {"krun_set_vm_config", "nn", make_numbers2};
static const struct function disable_vsock = {"krun_disable_implicit_vsock", "", make_plain};
static const struct function add_vsock = {"krun_add_vsock", "n", make_number};
static const struct function add_vsock_port = {"krun_add_vsock_port2", "nsb", make_vsock_port};
static const struct function disable_init = {"krun_disable_implicit_init", "", make_plain};
static const struct function add_virtiofs = {"krun_add_virtiofs3", "ssnb", make_virtiofs};
static const struct function add_overlay_dir = {"krun_fs_add_overlay_dir", "sso", make_overlay_dir};
static const struct function add_overlay_file = {"krun_fs_add_overlay_file", "ssiob",
						 make_overlay_file};
static const struct function add_disk = {"krun_add_disk3", "ssnbbn", make_disk};
static const struct function add_net = {"krun_add_net_unixstream", "znmxn", make_net};
static const struct function set_console = {"krun_set_console_output", "s", make_text};
static const struct function set_env = {"krun_set_env", "e", make_env};
static const struct function start_enter = {"krun_start_enter", "", make_plain};

static const struct function *const functions[] = {
	&set_vm_config, &disable_vsock,   &add_vsock,        &add_vsock_port, &disable_init,
	&add_virtiofs,  &add_overlay_dir, &add_overlay_file, &add_disk,       &add_net,
	&set_console,   &set_env,         &start_enter,
};

/* The list of calls. */

static struct call *add_call(struct calls *calls, const struct function *function)
{
	struct call *call = &calls->items[calls->count++];

	call->function = function;
	return call;
}

static char *keep_text(struct calls *calls, char *text)
{
	return calls->texts[calls->text_count++] = text;
}

static void add_port(struct calls *calls, const struct plan *plan, uint32_t port, const char *name)
{
	struct call *call = add_call(calls, &add_vsock_port);

	call->number[0] = port;
	call->text[0] = keep_text(calls, path_join(plan->config->run_dir, name));
	call->number[1] = false; /* the guest dials */
}

static void add_boot_root(struct calls *calls, const uint8_t *vminit, size_t vminit_bytes)
{
	static const char *const directories[] = {"dev", "proc", "sys", "newroot"};
	struct call *call;

	add_call(calls, &disable_init);
	call = add_call(calls, &add_virtiofs);
	call->text[0] = BOOT_TAG;
	call->number[1] = true;
	for (size_t i = 0; i < ARRAY_SIZE(directories); i++) {
		call = add_call(calls, &add_overlay_dir);
		call->text[0] = BOOT_TAG;
		call->text[1] = directories[i];
		call->number[0] = 040755;
	}
	call = add_call(calls, &add_overlay_file);
	call->text[0] = BOOT_TAG;
	call->text[1] = "init.krun";
	call->data = vminit;
	call->data_bytes = vminit_bytes;
	call->number[0] = 0100755;
}

static void add_storage(struct calls *calls, const struct plan *plan)
{
	uint32_t sync =
		plan->host->hypervisor == HOST_HYPERVISOR_HVF ? DISK_SYNC_RELAXED : DISK_SYNC_FULL;

	for (size_t i = 0; i < plan->share_count; i++) {
		struct call *call = add_call(calls, &add_virtiofs);

		call->text[0] = plan->shares[i].tag;
		call->text[1] = plan->shares[i].path;
		call->number[1] = plan->shares[i].read_only;
	}
	for (size_t i = 0; i < plan->disk_count; i++) {
		struct call *call = add_call(calls, &add_disk);

		call->text[0] = plan->disks[i].id;
		call->text[1] = plan->disks[i].path;
		call->number[0] = DISK_RAW;
		call->number[1] = plan->disks[i].read_only;
		call->number[3] = sync;
	}
}

static void add_network(struct calls *calls, const struct plan *plan)
{
	struct call *call;

	if (!plan->has_net)
		return;
	call = add_call(calls, &add_net);
	call->number[0] = ENTER_FD_NET;
	call->data = plan->mac;
	call->number[1] = NET_FEATURES;
}

/* In this order: libkrun refuses some of these calls after others. */
static void make_calls(const struct plan *plan, const uint8_t *vminit, size_t vminit_bytes,
		       struct calls *calls)
{
	struct call *call;

	*calls = (struct calls){0};
	call = add_call(calls, &set_vm_config);
	call->number[0] = (uint32_t)plan->config->vcpus;
	call->number[1] = (uint32_t)plan->config->memory_mib;
	add_call(calls, &disable_vsock);
	add_call(calls, &add_vsock); /* 0: without hijacking of sockets */
	add_port(calls, plan, VSOCK_CONTROL, "g");
	add_port(calls, plan, VSOCK_SESSION, "s");
	add_boot_root(calls, vminit, vminit_bytes);
	add_storage(calls, plan);
	add_network(calls, plan);
	call = add_call(calls, &set_console);
	call->text[0] = keep_text(calls, mem_printf("/dev/fd/%d", ENTER_FD_CONSOLE));
	add_call(calls, &set_env);
}

static void free_calls(struct calls *calls)
{
	for (size_t i = 0; i < calls->text_count; i++)
		free(calls->texts[i]);
}

/* Printing. */

static int print_argument(const struct call *call, char kind, unsigned *texts, unsigned *numbers,
			  struct buf *out)
{
	const char *text;
	char mac[18];

	switch (kind) {
	case 's':
		text = call->text[(*texts)++];
		return text != NULL ? buf_printf(out, ", \"%s\"", text)
				    : buf_append_string(out, ", NULL");
	case 'n':
		return buf_printf(out, ", %u", call->number[(*numbers)++]);
	case 'o':
		return buf_printf(out, ", 0%o", call->number[(*numbers)++]);
	case 'x':
		return buf_printf(out, ", 0x%x", call->number[(*numbers)++]);
	case 'b':
		return buf_append_string(out,
					 call->number[(*numbers)++] != 0 ? ", true" : ", false");
	case 'z':
		return buf_append_string(out, ", NULL");
	case 'm':
		mac_format(call->data, mac);
		return buf_printf(out, ", %s", mac);
	case 'i':
		return buf_append_string(out, ", VMINIT, SIZE");
	default:
		return buf_append_string(out, ", {}");
	}
}

static int print_call(const struct call *call, struct buf *out)
{
	unsigned texts = 0, numbers = 0;
	int r;

	r = buf_printf(out, "%s(ctx", call->function->name);
	for (const char *kind = call->function->arguments; r >= 0 && *kind != '\0'; kind++)
		r = print_argument(call, *kind, &texts, &numbers, out);
	return r < 0 ? r : buf_append_string(out, ")\n");
}

static int print(const struct plan *plan, struct buf *out, struct err *err)
{
	struct calls calls;
	int r;

	make_calls(plan, NULL, 0, &calls);
	r = buf_printf(out, "krun_init_log(2, %d, %d, %d)\nkrun_create_ctx()\n", LOG_LEVEL_ERRORS,
		       LOG_STYLE_PLAIN, LOG_NO_ENVIRONMENT);
	for (size_t i = 0; r >= 0 && i < calls.count; i++)
		r = print_call(&calls.items[i], out);
	if (r >= 0)
		r = buf_append_string(out, "krun_start_enter(ctx)\n");
	free_calls(&calls);
	return r < 0 ? err_set(err, ENOBUFS, "the plan is too long") : 0;
}

/* Loading. */

/* The library of that name beside libkrun, where somebody has put both in a place of their own. */
static char *beside(const char *path, const char *name)
{
	const char *slash = path != NULL ? strrchr(path, '/') : NULL;

	return slash != NULL ? mem_printf("%.*s/%s", (int)(slash - path), path, name) : NULL;
}

/*
 * libkrun looks for libkrunfw by its bare name and fails in silence. A library of that name that is
 * loaded already is found (Linux), else the variable of environment() leads there (macOS).
 */
static int load_libkrunfw(const struct vmm_config *config, struct err *err)
{
	_cleanup_free_ char *neighbour = beside(config->libkrun_path, host_libkrunfw_name);

	if (config->libkrunfw_path != NULL) {
		if (dlopen(config->libkrunfw_path, RTLD_NOW | RTLD_GLOBAL) != NULL)
			return 0;
	} else if ((neighbour != NULL && dlopen(neighbour, RTLD_NOW | RTLD_GLOBAL) != NULL) ||
		   dlopen(host_libkrunfw_name, RTLD_NOW | RTLD_GLOBAL) != NULL) {
		return 0;
	}
	return err_set(err, ENOTSUP,
		       "libkrunfw, which holds the guest's kernel, cannot be loaded (%s): install "
		       "libkrunfw 5",
		       dlerror());
}

static int load_libkrun(const struct vmm_config *config, void **ret_library, struct err *err)
{
	const char *name = config->libkrun_path != NULL ? config->libkrun_path : host_libkrun_name;
	void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);

	if (library == NULL)
		return err_set(err, ENOTSUP,
			       "libkrun cannot be loaded (%s): install libkrun " VERSION_WANTED
			       " or newer, or give --libkrun-path",
			       dlerror());
	if (dlsym(library, "krun_create_ctx") == NULL)
		return err_set(err, ENOTSUP, "'%s' is not libkrun: it has no krun_create_ctx",
			       name);
	*ret_library = library;
	return 0;
}

static bool lacks_feature(void *library, uint64_t feature)
{
	int32_t (*has_feature)(uint64_t);

	*(void **)&has_feature = dlsym(library, "krun_has_feature");
	return has_feature != NULL && has_feature(feature) == 0;
}

/* A library built without a feature has not even its functions. */
static int check_library(void *library, struct err *err)
{
	if (dlsym(library, add_overlay_file.name) == NULL)
		return err_set(err, ENOTSUP,
			       "this libkrun is older than " VERSION_WANTED
			       " (it has no %s): install a newer one",
			       add_overlay_file.name);
	if (lacks_feature(library, FEATURE_NET) || dlsym(library, add_net.name) == NULL)
		return err_set(
			err, ENOTSUP,
			"this libkrun was built without network devices: build it with NET=1");
	if (lacks_feature(library, FEATURE_BLK) || dlsym(library, add_disk.name) == NULL)
		return err_set(err, ENOTSUP,
			       "this libkrun was built without disks: build it with BLK=1");
	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		if (dlsym(library, functions[i]->name) == NULL)
			return err_set(err, ENOTSUP, "this libkrun has no %s: install %s or newer",
				       functions[i]->name, VERSION_WANTED);
	}
	return 0;
}

static int open_library(const struct vmm_config *config, const struct host *host,
			void **ret_library, struct err *err)
{
	int r;

	if (host->hypervisor == HOST_HYPERVISOR_NONE)
		return err_set(err, ENOTSUP, "%s", host->why_none.text);
	r = load_libkrunfw(config, err);
	if (r >= 0)
		r = load_libkrun(config, ret_library, err);
	return r < 0 ? r : check_library(*ret_library, err);
}

static int probe(const struct vmm_config *config, const struct host *host, struct err *note,
		 struct err *err)
{
	void *library = NULL;

	(void)note;
	return open_library(config, host, &library, err);
}

static int check(const struct plan *plan, struct err *err)
{
	long long memory_mib = plan->config->memory_mib;
	size_t devices = DEVICES_ALWAYS + plan->share_count + plan->disk_count + plan->has_net;

	if (plan->config->vminit_path == NULL)
		return err_set(err, EINVAL, "vminit_path is missing");
	if (plan->host->arch != HOST_ARCH_X86_64)
		return 0;
	if (memory_mib >= HOLE_BEGIN_MIB && memory_mib < HOLE_END_MIB)
		return err_set(
			err, EINVAL,
			"memory_mib %lld is not possible with libkrun on x86_64: choose less "
			"than %d or at least %d",
			memory_mib, HOLE_BEGIN_MIB, HOLE_END_MIB);
	if (devices > DEVICES_MAX)
		return err_set(err, EINVAL,
			       "the machine needs %zu devices and libkrun has %d on x86_64: it can "
			       "have at most %zu volumes",
			       devices, DEVICES_MAX,
			       plan->config->volumes.count - (devices - DEVICES_MAX));
	return 0;
}

static void fill_guest(const struct plan *plan, struct wire_config *config)
{
	plan_fill_disks(plan, 0, config);
}

/* dyld reads this only when a program starts. */
static char **environment(const struct vmm_config *config)
{
	extern char **environ;
	const char *path =
		config->libkrunfw_path != NULL ? config->libkrunfw_path : config->libkrun_path;
	_cleanup_free_ char *directory = beside(path, "");
	char **env;

	if (directory == NULL)
		return NULL;
	env = strv_copy(environ);
	strv_env_set(&env, host_library_path_variable, directory);
	return env;
}

/* Entering. */

static int explain_call(const char *name, int32_t result, struct err *err)
{
	return err_set_errno(err, -result, "%s", name);
}

static int start_log(void *library, struct err *err)
{
	int32_t (*init_log)(int, uint32_t, uint32_t, uint32_t);
	int32_t r;

	*(void **)&init_log = dlsym(library, "krun_init_log");
	if (init_log == NULL)
		return err_set(err, ENOTSUP, "this libkrun has no krun_init_log");
	r = init_log(STDERR_FILENO, LOG_LEVEL_ERRORS, LOG_STYLE_PLAIN, LOG_NO_ENVIRONMENT);
	return r < 0 ? explain_call("krun_init_log", r, err) : 0;
}

static int create_context(void *library, uint32_t *ret_ctx, struct err *err)
{
	int32_t (*create_ctx)(void);
	int32_t r;

	*(void **)&create_ctx = dlsym(library, "krun_create_ctx");
	r = create_ctx();
	if (r < 0)
		return explain_call("krun_create_ctx", r, err);
	*ret_ctx = (uint32_t)r;
	return 0;
}

static int make_all(void *library, uint32_t ctx, const struct calls *calls, struct err *err)
{
	for (size_t i = 0; i < calls->count; i++) {
		const struct call *call = &calls->items[i];
		void *symbol = dlsym(library, call->function->name);
		int32_t r = call->function->make(symbol, ctx, call);

		if (r < 0)
			return explain_call(call->function->name, r, err);
	}
	return 0;
}

/* libkrun does not copy it. */
static int read_vminit(const struct plan *plan, struct buf *vminit, struct err *err)
{
	int r;

	buf_init(vminit, VMINIT_BYTES_MAX);
	r = file_read(plan->config->vminit_path, vminit);
	if (r < 0)
		return err_set_errno(err, -r, "vminit '%s'", plan->config->vminit_path);
	return 0;
}

static int configure(const struct plan *plan, void *library, uint32_t *ret_ctx, struct err *err)
{
	/* For as long as this process. */
	static struct buf vminit;
	struct calls calls;
	int r;

	r = read_vminit(plan, &vminit, err);
	if (r < 0)
		return r;
	make_calls(plan, (const uint8_t *)vminit.data, vminit.length, &calls);
	r = start_log(library, err);
	if (r >= 0)
		r = create_context(library, ret_ctx, err);
	if (r >= 0)
		r = make_all(library, *ret_ctx, &calls, err);
	free_calls(&calls);
	return r;
}

static int enter(const struct plan *plan, struct err *err)
{
	uint32_t ctx = 0;
	void *library = NULL;
	int r;

	r = open_library(plan->config, plan->host, &library, err);
	if (r >= 0)
		r = configure(plan, library, &ctx, err);
	if (r < 0)
		return r;
	r = enter_harden(err);
	if (r < 0)
		return r;
	enter_wait();
	r = enter_watch_supervisor(err);
	if (r < 0)
		return r;
	r = start_enter.make(dlsym(library, start_enter.name), ctx, NULL);
	return err_set(err, EIO, "libkrun could not start the VM: %s", strerror(-r));
}

static void explain(int status, const struct tail *messages, struct buf *out)
{
	if (WIFEXITED(status) && tail_contains(messages, "KVM_EXIT_INTERNAL_ERROR"))
		(void)!buf_append_string(out, "KVM could not run the guest's code "
					      "(KVM_EXIT_INTERNAL_ERROR): this computer's /dev/kvm "
					      "does not run ordinary guests; use the qemu backend");
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT)
		backend_explain_status("libkrun gave up (a panic) and", status, messages, out);
	else
		backend_explain_status("libkrun's VM process", status, messages, out);
}

const struct backend backend_libkrun = {
	.name = "libkrun",
	.automatic = true,
	.needs_hypervisor = true,
	.listens = true,
	.control_by_path = true,
	.takes_frames = true,
	.probe = probe,
	.check = check,
	.print = print,
	.fill_guest = fill_guest,
	.environment = environment,
	.enter = enter,
	.explain = explain,
};

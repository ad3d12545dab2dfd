/*
 * A VMM that does nothing but the libkrun calls that krun-vmm makes for a machine with an image, a disk and a network,
 * with bare_init as its guest. What the product costs is measured against it, in the same run.
 *
 * usage: bare_vmm [-m MIB] [-d DISK]... [-r] [-n EXECS] [-p PINGS] [-e ECHOS] [-t STREAMS] [-s SECONDS] LIBKRUN
 *	LIBKRUNFW INIT DIRECTORY
 *
 * The parent listens on a unix socket in DIRECTORY and holds the far end of the network; the child becomes the VM. On
 * standard output, a line each: `launch_ms` (from just before fork to the guest's connection), `exec_ms`, `ping_ms`,
 * `echo_ms` (to the first byte of a program's output on a connection of its own) and `stream_ms` (to the end of such
 * output, BARE_STREAM_BYTES), each the best and the middle of N rounds after one that does not count,
 * with -r on the root file system that the two disks make as those of the product do;
 * `idle PARENT CHILD` before -s SECONDS of holding still, `exit` (the status that the VM process left; 7 is right).
 */
#include "bare.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DISKS_MAX         4
#define ROUNDS_MAX        1000
#define ANSWER_TIMEOUT_MS 60000
#define NET_FEATURES      0x82 /* GUEST_CSUM and GUEST_TSO4: buffers for long frames, nothing else */

struct options {
	unsigned memory_mib;
	const char *disks[DISKS_MAX];
	size_t disk_count;
	bool root;
	unsigned execs;
	unsigned pings;
	unsigned echos;
	unsigned streams;
	unsigned idle_s;
	const char *libkrun;
	const char *libkrunfw;
	const char *init;
	const char *directory;
};

/* The functions of libkrun that are used, found by name. */
struct krun {
	int32_t (*init_log)(int fd, uint32_t level, uint32_t style, uint32_t options);
	int32_t (*create_ctx)(void);
	int32_t (*set_vm_config)(uint32_t ctx, uint8_t vcpus, uint32_t memory_mib);
	int32_t (*disable_implicit_vsock)(uint32_t ctx);
	int32_t (*add_vsock)(uint32_t ctx, uint32_t features);
	int32_t (*add_vsock_port2)(uint32_t ctx, uint32_t port, const char *path, bool listen);
	int32_t (*disable_implicit_init)(uint32_t ctx);
	int32_t (*add_virtiofs3)(uint32_t ctx, const char *tag, const char *path, uint64_t shm,
				 bool read_only);
	int32_t (*add_overlay_file)(uint32_t ctx, const char *tag, const char *path,
				    const uint8_t *data, size_t size, uint32_t mode, bool one_shot);
	int32_t (*add_overlay_dir)(uint32_t ctx, const char *tag, const char *path, uint32_t mode);
	int32_t (*add_disk3)(uint32_t ctx, const char *id, const char *path, uint32_t format,
			     bool read_only, bool direct, uint32_t sync);
	int32_t (*add_net)(uint32_t ctx, const char *path, int fd, uint8_t *mac, uint32_t features,
			   uint32_t flags);
	int32_t (*set_console_output)(uint32_t ctx, const char *path);
	int32_t (*set_env)(uint32_t ctx, const char *const envp[]);
	int32_t (*start_enter)(uint32_t ctx);
};

static const struct {
	const char *name;
	size_t offset;
} krun_symbols[] = {
	{"krun_init_log", offsetof(struct krun, init_log)},
	{"krun_create_ctx", offsetof(struct krun, create_ctx)},
	{"krun_set_vm_config", offsetof(struct krun, set_vm_config)},
	{"krun_disable_implicit_vsock", offsetof(struct krun, disable_implicit_vsock)},
	{"krun_add_vsock", offsetof(struct krun, add_vsock)},
	{"krun_add_vsock_port2", offsetof(struct krun, add_vsock_port2)},
	{"krun_disable_implicit_init", offsetof(struct krun, disable_implicit_init)},
	{"krun_add_virtiofs3", offsetof(struct krun, add_virtiofs3)},
	{"krun_fs_add_overlay_file", offsetof(struct krun, add_overlay_file)},
	{"krun_fs_add_overlay_dir", offsetof(struct krun, add_overlay_dir)},
	{"krun_add_disk3", offsetof(struct krun, add_disk3)},
	{"krun_add_net_unixstream", offsetof(struct krun, add_net)},
	{"krun_set_console_output", offsetof(struct krun, set_console_output)},
	{"krun_set_env", offsetof(struct krun, set_env)},
	{"krun_start_enter", offsetof(struct krun, start_enter)},
};

__attribute__((noreturn)) static void fail(const char *what, int error)
{
	fprintf(stderr, "bare_vmm: %s: %s\n", what, strerror(error));
	_exit(70);
}

static int must(const char *what, int32_t result)
{
	if (result < 0)
		fail(what, -result);
	return result;
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void libkrun_open(const struct options *options, struct krun *ret_krun)
{
	void *library;

	if (!dlopen(options->libkrunfw, RTLD_NOW | RTLD_GLOBAL))
		fail(dlerror(), ENOENT);
	library = dlopen(options->libkrun, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		fail(dlerror(), ENOENT);
	for (size_t i = 0; i < sizeof(krun_symbols) / sizeof(krun_symbols[0]); i++) {
		void *symbol = dlsym(library, krun_symbols[i].name);

		if (!symbol)
			fail(krun_symbols[i].name, ENOSYS);
		memcpy((char *)ret_krun + krun_symbols[i].offset, &symbol, sizeof(symbol));
	}
}

static void root_configure(const struct krun *krun, uint32_t ctx, const char *init)
{
	static const char *const directories[] = {"dev", "proc", "sys", "newroot"};
	static const char *const programs[] = {"true", "echo", "stream"};
	int fd = open(init, O_RDONLY | O_CLOEXEC);
	struct stat status;
	uint8_t *data;

	if (fd < 0 || fstat(fd, &status) < 0)
		fail(init, errno);
	data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		fail(init, errno);
	close(fd);
	must("disable_implicit_init", krun->disable_implicit_init(ctx));
	must("add_virtiofs3", krun->add_virtiofs3(ctx, "/dev/root", NULL, 0, true));
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
		must("add_overlay_dir",
		     krun->add_overlay_dir(ctx, "/dev/root", directories[i], 040755));
	must("add_overlay_file", krun->add_overlay_file(ctx, "/dev/root", "init.krun", data,
							(size_t)status.st_size, 0100755, false));
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		must("add_overlay_file",
		     krun->add_overlay_file(ctx, "/dev/root", programs[i], data,
					    (size_t)status.st_size, 0100755, false));
}

__attribute__((noreturn)) static void vm_enter(const struct options *options,
					       const char *socket_path, int net_fd)
{
	static const char *const environment[] = {NULL};
	uint8_t mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};
	char console[128];
	struct krun krun;
	uint32_t ctx;

	libkrun_open(options, &krun);
	must("init_log", krun.init_log(2, 2, 2, 1));
	ctx = (uint32_t)must("create_ctx", krun.create_ctx());
	must("set_vm_config", krun.set_vm_config(ctx, 1, options->memory_mib));
	must("disable_implicit_vsock", krun.disable_implicit_vsock(ctx));
	must("add_vsock", krun.add_vsock(ctx, 0));
	must("add_vsock_port2", krun.add_vsock_port2(ctx, BARE_VSOCK_PORT, socket_path, false));
	root_configure(&krun, ctx, options->init);
	for (size_t i = 0; i < options->disk_count; i++) {
		char id[8];

		snprintf(id, sizeof(id), "disk%zu", i);
		must("add_disk3", krun.add_disk3(ctx, id, options->disks[i], 0, false, false, 1));
	}
	must("add_net", krun.add_net(ctx, NULL, net_fd, mac, NET_FEATURES, 0));
	snprintf(console, sizeof(console), "%s/console.log", options->directory);
	must("set_console_output", krun.set_console_output(ctx, console));
	must("set_env", krun.set_env(ctx, environment));
	must("start_enter", krun.start_enter(ctx));
	_exit(70);
}

static int socket_listen(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(address.sun_path))
		fail(path, fd < 0 ? errno : ENAMETOOLONG);
	strcpy(address.sun_path, path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
		fail(path, errno);
	return fd;
}

static void wait_readable(int fd, const char *what)
{
	struct pollfd poller = {.fd = fd, .events = POLLIN};

	if (poll(&poller, 1, ANSWER_TIMEOUT_MS) != 1)
		fail(what, ETIMEDOUT);
}

static void answer_expect(int fd, char expected)
{
	char answer;

	wait_readable(fd, "the guest's answer");
	if (read(fd, &answer, 1) != 1 || answer != expected)
		fail("the guest's answer", EPROTO);
}

/* Takes the connection that a program in the guest writes to, up to its first byte or its end. */
static int output_take(int listener, bool whole)
{
	static char data[65536];
	ssize_t got;
	int fd;

	wait_readable(listener, "the program's connection");
	fd = accept(listener, NULL, NULL);
	do {
		wait_readable(fd, "the program's output");
		got = read(fd, data, sizeof(data));
	} while (whole && got > 0);
	if (got < 0 || (got == 0) != whole)
		fail("the program's output", EPROTO);
	return fd;
}

static int double_compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static void rounds_print(double *taken_ms, unsigned count, const char *name)
{
	if (count == 0)
		return;
	qsort(taken_ms, count, sizeof(taken_ms[0]), double_compare);
	printf("%s_ms %.3f %.3f\n", name, taken_ms[0], taken_ms[count / 2]);
}

static void outputs_measure(int fd, int listener, char request, unsigned count, const char *name)
{
	double taken_ms[ROUNDS_MAX];

	for (unsigned i = 0; count > 0 && i <= count; i++) {
		double started_ms = now_ms();
		int output;

		if (write(fd, &request, 1) != 1)
			fail("asking the guest", errno);
		output = output_take(listener, request == BARE_STREAM);
		if (i > 0)
			taken_ms[i - 1] = now_ms() - started_ms;
		answer_expect(fd, request);
		close(output);
	}
	rounds_print(taken_ms, count, name);
}

static void rounds_measure(int fd, char request, unsigned count, const char *name)
{
	double taken_ms[ROUNDS_MAX];

	for (unsigned i = 0; i <= count; i++) {
		double started_ms = now_ms();

		if (write(fd, &request, 1) != 1)
			fail("asking the guest", errno);
		answer_expect(fd, request);
		if (i > 0)
			taken_ms[i - 1] = now_ms() - started_ms;
	}
	rounds_print(taken_ms, count, name);
}

static void root_ask(int fd)
{
	if (write(fd, &(char){BARE_ROOT}, 1) != 1)
		fail("asking the guest", errno);
	answer_expect(fd, BARE_ROOT);
}

/* Returns the exit status of the VM process, or 128 and its signal. */
static int machine_run(const struct options *options)
{
	char path[100];
	int listener, pair[2], fd, status;
	double started_ms;
	pid_t pid;

	snprintf(path, sizeof(path), "%s/s", options->directory);
	listener = socket_listen(path);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		fail("socketpair", errno);
	started_ms = now_ms();
	pid = fork();
	if (pid < 0)
		fail("fork", errno);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		close(listener);
		vm_enter(options, path, pair[1]);
	}
	close(pair[1]);
	wait_readable(listener, "the guest's connection");
	fd = accept(listener, NULL, NULL);
	printf("launch_ms %.3f\n", now_ms() - started_ms);
	answer_expect(fd, BARE_READY);
	if (options->root)
		root_ask(fd);
	rounds_measure(fd, BARE_EXEC, options->execs, "exec");
	rounds_measure(fd, BARE_PING, options->pings, "ping");
	outputs_measure(fd, listener, BARE_ECHO, options->echos, "echo");
	outputs_measure(fd, listener, BARE_STREAM, options->streams, "stream");
	if (options->idle_s > 0) {
		printf("idle %d %d\n", getpid(), pid);
		fflush(stdout);
		sleep(options->idle_s);
	}
	if (write(fd, &(char){BARE_QUIT}, 1) != 1)
		fail("asking the guest to quit", errno);
	unlink(path);
	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid", errno);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static unsigned number_parse(const char *text, unsigned maximum)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || end == text || value > maximum)
		fail(text, EINVAL);
	return (unsigned)value;
}

static void options_parse(int argc, char **argv, struct options *ret_options)
{
	int letter;

	while ((letter = getopt(argc, argv, "m:d:rn:p:e:t:s:")) != -1) {
		if (letter == 'm')
			ret_options->memory_mib = number_parse(optarg, 65536);
		else if (letter == 'd' && ret_options->disk_count < DISKS_MAX)
			ret_options->disks[ret_options->disk_count++] = optarg;
		else if (letter == 'r')
			ret_options->root = true;
		else if (letter == 'n')
			ret_options->execs = number_parse(optarg, ROUNDS_MAX);
		else if (letter == 'p')
			ret_options->pings = number_parse(optarg, ROUNDS_MAX);
		else if (letter == 'e')
			ret_options->echos = number_parse(optarg, ROUNDS_MAX);
		else if (letter == 't')
			ret_options->streams = number_parse(optarg, ROUNDS_MAX);
		else if (letter == 's')
			ret_options->idle_s = number_parse(optarg, 3600);
		else
			fail("options", EINVAL);
	}
	if (argc - optind != 4)
		fail("four arguments are needed: LIBKRUN LIBKRUNFW INIT DIRECTORY", EINVAL);
	ret_options->libkrun = argv[optind];
	ret_options->libkrunfw = argv[optind + 1];
	ret_options->init = argv[optind + 2];
	ret_options->directory = argv[optind + 3];
}

int main(int argc, char **argv)
{
	struct options options = {.memory_mib = 256};
	int code;

	options_parse(argc, argv, &options);
	signal(SIGPIPE, SIG_IGN);
	code = machine_run(&options);
	printf("exit %d\n", code);
	return code == BARE_EXIT_CODE ? 0 : 1;
}

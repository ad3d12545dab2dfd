/* SPDX-License-Identifier: Apache-2.0 */
/* krun-image: makes the ext4 files that machines run from. Its commands are a table. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/rand.h"
#include "boot.h"
#include "digest.h"
#include "ext4.h"
#include "import.h"
#include "limits.h"
#include "oci.h"
#include "progress.h"
#include "sandbox.h"
#include "tarball.h"
#include "worker.h"

static struct {
	const char *output;
	const char *vminit;
	long long size_mib;
	bool plain;
} options;

struct command {
	const char *name;
	const char *usage, *about;
	const struct opt *opts;
	int (*work)(void *context, int output_fd, struct fault *fault);
	bool events;
};

/* ---- import ---- */

/* A nameless file beside the output, for a compressed archive's plain form; gone with the process. */
static int open_spool(int *ret_fd, struct fault *fault)
{
	_cleanup_free_ char *path = mem_printf("%s.spool", options.output);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return fault_set_errno(fault, errno, "cannot create %s", path);
	unlink(path);
	*ret_fd = fd;
	return 0;
}

/* Lets the library open what it opens on first use, then closes the door. */
static int lock_in(struct fault *fault)
{
	digest_prepare();
	return sandbox_enter(fault);
}

static int work_import(void *context, int output_fd, struct fault *fault)
{
	_cleanup_fd_ int spool_fd = -1;
	struct import import = {
		.archive_fd = STDIN_FILENO,
		.output_fd = output_fd,
		.architecture = oci_host_architecture(),
		.limits = &limits_default,
		.parent = getppid(),
	};
	int r;

	if (import.architecture == NULL)
		return fault_set(fault, FAULT_PLATFORM_UNSUPPORTED,
				 "this host's architecture cannot run images");
	r = tarball_needs_spool(import.archive_fd, fault);
	if (r < 0 || (r > 0 && open_spool(&spool_fd, fault) < 0))
		return -1;
	import.spool_fd = spool_fd;
	if (lock_in(fault) < 0)
		return -1;
	return import_run(&import, fault);
}

/* ---- disk ---- */

static int work_disk(void *context, int output_fd, struct fault *fault)
{
	struct ext4_identity identity = {.time_s = clock_realtime_ns() / CLOCK_NS_PER_S};
	struct ext4_size size;

	if (options.size_mib == 0)
		return fault_set(fault, FAULT_USAGE, "--size-mib is missing");
	rand_bytes(identity.uuid, sizeof(identity.uuid));
	/* Version 4, variant 1. */
	identity.uuid[6] = (identity.uuid[6] & 0x0f) | 0x40;
	identity.uuid[8] = (identity.uuid[8] & 0x3f) | 0x80;
	if (ext4_write_disk(output_fd, options.plain ? EXT4_DISK_PLAIN : EXT4_DISK_MACHINE,
			    (uint64_t)options.size_mib, &identity, &size, fault) < 0)
		return -1;
	return progress_done(size.bytes, size.used_bytes, fault);
}

/* ---- boot ---- */

static int work_boot(void *context, int output_fd, struct fault *fault)
{
	_cleanup_fd_ int vminit_fd = -1;

	if (options.vminit == NULL)
		return fault_set(fault, FAULT_USAGE, "--vminit is missing");
	vminit_fd = open(options.vminit, O_RDONLY | O_CLOEXEC);
	if (vminit_fd < 0)
		return fault_set_errno(fault, errno, "cannot open %s", options.vminit);
	return boot_write(vminit_fd, output_fd, fault);
}

/* ---- commands ---- */

#define OPTION_OUTPUT                                                                              \
	{                                                                                          \
		.long_name = "output", .type = OPT_TYPE_STRING, .target = &options.output,         \
		.value_name = "FILE", .help = "the file to make; it must not exist"                \
	}

static const struct opt import_opts[] = {
	OPTION_OUTPUT,
	OPT_END,
};

static const struct opt disk_opts[] = {
	OPTION_OUTPUT,
	{
		.long_name = "size-mib",
		.type = OPT_TYPE_INT,
		.target = &options.size_mib,
		.value_name = "N",
		.help = "size of the disk in MiB",
		.min = LIMIT_DISK_MIB_MIN,
		.max = LIMIT_DISK_MIB_MAX,
	},
	{
		.long_name = "plain",
		.type = OPT_TYPE_FLAG,
		.target = &options.plain,
		.help = "a volume: without the directories of a machine's own disk",
	},
	OPT_END,
};

static const struct opt boot_opts[] = {
	OPTION_OUTPUT,
	{
		.long_name = "vminit",
		.type = OPT_TYPE_STRING,
		.target = &options.vminit,
		.value_name = "FILE",
		.help = "the guest's first program",
	},
	OPT_END,
};

static const struct opt no_opts[] = {OPT_END};

static const struct command commands[] = {
	{
		.name = "import",
		.usage = "krun-image import --output FILE <ARCHIVE",
		.about = "Makes an ext4 image of an OCI or docker archive.",
		.opts = import_opts,
		.work = work_import,
		.events = true,
	},
	{
		.name = "disk",
		.usage = "krun-image disk --size-mib N [--plain] --output FILE",
		.about = "Makes an empty, sparse ext4 disk for a machine.",
		.opts = disk_opts,
		.work = work_disk,
		.events = true,
	},
	{
		.name = "boot",
		.usage = "krun-image boot --vminit FILE --output FILE",
		.about = "Makes the read-only disk that QEMU boots from.",
		.opts = boot_opts,
		.work = work_boot,
	},
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; name != NULL && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	}
	return NULL;
}

static int fail_usage(const struct err *err, bool events)
{
	struct fault fault = {0};

	fault_set(&fault, FAULT_USAGE, "%s", err->text);
	worker_report(&fault, events);
	return 1;
}

static int run_command(const struct command *command, char **argv)
{
	const struct opt_parser parser = {.usage = command->usage,
					  .about = command->about,
					  .opts = command->opts};
	struct worker worker = {.work = command->work, .events = command->events};
	enum opt_outcome outcome;
	struct err err = {0};
	char **operands;

	if (opt_parse(&parser, argv, &operands, NULL, &outcome, &err) < 0)
		return fail_usage(&err, command->events);
	if (outcome == OPT_OUTCOME_DONE)
		return 0;
	if (operands[0] != NULL)
		err_set(&err, EINVAL, "'%s' is not an option of %s", operands[0], command->usage);
	else if (options.output == NULL)
		err_set(&err, EINVAL, "--output is missing");
	if (err.errnum != 0)
		return fail_usage(&err, command->events);
	worker.output_path = options.output;
	return worker_run(&worker);
}

static void print_commands(FILE *out)
{
	fprintf(out, "Usage: krun-image COMMAND [OPTION]...\n\nCommands:\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].about);
}

int main(int argc, char **argv)
{
	static const struct opt_parser parser = {
		.usage = "krun-image COMMAND [OPTION]...",
		.about = "Makes the ext4 files that machines run from; krun-image COMMAND --help "
			 "says more.",
		.opts = no_opts,
		.stop_at_operand = true,
	};
	const struct command *command = find_command(argc > 1 ? argv[1] : NULL);
	enum opt_outcome outcome;
	struct err err = {0};
	char **operands;

	log_init("krun-image", LOG_LEVEL_INFO);
	if (command != NULL)
		return run_command(command, argv + 1);
	if (opt_parse(&parser, argv, &operands, NULL, &outcome, &err) < 0)
		return fail_usage(&err, false);
	if (outcome == OPT_OUTCOME_DONE)
		return 0;
	print_commands(stderr);
	return 1;
}

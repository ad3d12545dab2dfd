/* SPDX-License-Identifier: Apache-2.0 */
#include "build.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/strv.h"
#include "child.h"
#include "cli.h"
#include "screen.h"

#define CHECK_TIMEOUT_MS 20000
#define SAVE_END_MS      30000
#define TAIL_BYTES       16384
/* What is kept for a build that fails: more than anybody reads. */
#define OUTPUT_BYTES_MAX (8 * 1024 * 1024)
#define ANSWER_BYTES     4096
#define TAG_PREFIX       "krun-run/"

struct builder {
	const char *name;
	const char *check[6]; /* fails where the builder is installed but cannot build */
	const char *save[6];  /* to standard output; the tag follows */
	const char *save_to;  /* last argument of it */
	bool has_isolation;   /* --isolation=chroot does without cgroups */
};

static const struct builder builders[] = {
	{"docker", {"docker", "version", "--format", "{{.Server.Version}}"}, {"docker", "save"}},
	{"podman",
	 {"podman", "info", "--format", "{{.Host.Arch}}"},
	 {"podman", "save", "--quiet", "--format", "docker-archive"},
	 .has_isolation = true},
	{"buildah",
	 {"buildah", "info", "--format", "{{.host.arch}}"},
	 {"buildah", "push", "--quiet"},
	 .save_to = "docker-archive:/dev/stdout",
	 .has_isolation = true},
};

/* ---- which builder ---- */

/* Last line of what a program printed: where it says what is wrong. */
static const char *last_line(struct buf *text)
{
	char *end;

	if (text->length == 0)
		return "it does not say why";
	end = text->data + text->length;
	while (end > text->data && (end[-1] == '\n' || end[-1] == '\r'))
		*--end = '\0';
	end = strrchr(text->data, '\n');
	return end != NULL ? end + 1 : text->data;
}

static int check_builder(const struct builder *builder, struct err *err)
{
	_cleanup_buf_ struct buf output = {0};
	_cleanup_free_ char *path = NULL;
	int status, r;

	if (path_find_program(builder->name, &path) < 0)
		return err_set(err, ENOENT, "%s is not installed", builder->name);
	buf_init(&output, ANSWER_BYTES);
	r = child_ask((char *const *)builder->check, CHECK_TIMEOUT_MS, &output, &status, err);
	if (r < 0)
		return r;
	if (status != 0)
		return err_set(err, ENOTCONN, "%s does not work: %.200s", builder->name,
			       last_line(&output));
	return 0;
}

static int find_builder(const char *wanted, const struct builder **ret_builder, struct err *err)
{
	_cleanup_buf_ struct buf reasons = {0};
	bool known = false;

	buf_init(&reasons, ERR_TEXT_BYTES_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(builders); i++) {
		struct err reason = {0};

		if (wanted != NULL && strcmp(wanted, builders[i].name) != 0)
			continue;
		known = true;
		if (check_builder(&builders[i], &reason) == 0) {
			*ret_builder = &builders[i];
			return 0;
		}
		(void)!buf_printf(&reasons, "%s%s", reasons.length > 0 ? "; " : "", reason.text);
	}
	if (!known)
		return err_set(err, EINVAL, "the builder is docker, podman or buildah, not '%s'",
			       wanted);
	return err_set(
		err, ENOENT,
		"nothing here can build a Dockerfile: %s. Install one of them (podman needs no "
		"daemon), or run an image's archive or a name the server knows",
		reasons.data != NULL ? reasons.data : "");
}

int build_find(const char *wanted, const char **ret_builder, struct err *err)
{
	const struct builder *builder;
	int r;

	r = find_builder(wanted, &builder, err);
	if (r >= 0)
		*ret_builder = builder->name;
	return r;
}

/* ---- what is built ---- */

static bool is_directory(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The directory that is sent to the builder, and the Dockerfile. */
static int find_context(const struct build *build, char **ret_directory, char **ret_dockerfile,
			struct err *err)
{
	static const char *const usual[] = {"Dockerfile", "Containerfile"};
	struct stat st;

	if (!is_directory(build->path)) {
		const char *slash = strrchr(build->path, '/');

		if (build->dockerfile != NULL)
			return err_set(err, EINVAL, "with -f, '%s' must be a directory",
				       build->path);
		*ret_directory = slash == build->path ? mem_strdup("/")
				 : slash != NULL ? mem_printf("%.*s", (int)(slash - build->path),
							      build->path)
						 : mem_strdup(".");
		*ret_dockerfile = mem_strdup(build->path);
		return 0;
	}
	if (build->dockerfile != NULL) {
		if (stat(build->dockerfile, &st) < 0)
			return err_set_errno(err, errno, "-f '%s'", build->dockerfile);
		*ret_dockerfile = mem_strdup(build->dockerfile);
	}
	for (size_t i = 0; i < ARRAY_SIZE(usual) && *ret_dockerfile == NULL; i++) {
		_cleanup_free_ char *path = path_join(build->path, usual[i]);

		if (stat(path, &st) == 0)
			*ret_dockerfile = take_ptr(path);
	}
	if (*ret_dockerfile == NULL)
		return err_set(
			err, ENOENT,
			"there is no Dockerfile and no Containerfile in '%s': name one with -f",
			build->path);
	*ret_directory = mem_strdup(build->path);
	return 0;
}

/* ---- the build ---- */

struct build_files {
	char *tag, *dockerfile, *directory;
};

static void files_done(struct build_files *files)
{
	free(files->tag);
	free(files->dockerfile);
	free(files->directory);
}

static char **build_argv(const struct builder *builder, const struct build_files *files,
			 bool chroot)
{
	char **argv = NULL;

	strv_push(&argv, builder->name);
	strv_push(&argv, "build");
	if (chroot)
		strv_push(&argv, "--isolation=chroot");
	strv_push(&argv, "-t");
	strv_push(&argv, files->tag);
	strv_push(&argv, "-f");
	strv_push(&argv, files->dockerfile);
	strv_push(&argv, "--");
	strv_push(&argv, files->directory);
	return argv;
}

/* The last line that says something is what the build is at. */
static void show_line(struct progress *progress, const struct buf *output)
{
	const char *end = output->data + output->length, *begin;

	while (end > output->data) {
		_cleanup_free_ char *words = NULL;

		begin = end - 1;
		while (begin > output->data && begin[-1] != '\n')
			begin--;
		words = screen_words(begin, (size_t)(end - begin));
		if (*words != '\0') {
			progress_detail(progress, "%s", words);
			return;
		}
		end = begin;
	}
}

struct watched {
	struct progress *progress;
	struct buf *output;
};

static void watch_build(void *user, const char *data, size_t length)
{
	struct watched *watched = user;

	if (length > 0)
		show_line(watched->progress, watched->output);
	progress_tick(watched->progress);
}

/* Everything the builder said; what is too much of it is missing at the front. */
static void print_output(const struct buf *output)
{
	if (output->length > OUTPUT_BYTES_MAX / 2)
		cli_say("the last %zu KiB of the build's output:", output->length / 1024);
	(void)!fd_write_all(STDERR_FILENO, output->data, output->length);
	if (output->length > 0 && output->data[output->length - 1] != '\n')
		(void)!fd_write_all(STDERR_FILENO, "\n", 1);
}

static bool shows_line(const struct build *build)
{
	return build->progress->is_live && !build->verbose;
}

/* The same, whoever is to see it: on a live screen by and by, elsewhere as it comes. */
static int run_builder(const struct build *build, const struct builder *builder, char *const *argv,
		       struct buf *output, int *ret_status, struct err *err)
{
	bool is_live = shows_line(build);
	struct watched watched = {build->progress, output};
	struct child_watch watch = {
		.kept = output,
		.show = !is_live,
		.take = is_live ? watch_build : NULL,
		.user = &watched,
	};

	buf_init(output, is_live ? OUTPUT_BYTES_MAX : TAIL_BYTES);
	if (!is_live)
		progress_hold(build->progress);
	/* Nobody has to look at what docker says: it may see the terminal itself. */
	return child_show(argv, is_live || builder->has_isolation ? &watch : NULL, ret_status, err);
}

static bool mentions(const struct buf *text, const char *word)
{
	return text->data != NULL && strcasestr(text->data, word) != NULL;
}

static void begin_step(const struct build *build, const struct builder *builder)
{
	progress_begin(build->progress, "building %s with %s", build->image_name, builder->name);
}

static int run_build(const struct build *build, const struct builder *builder,
		     const struct build_files *files, struct err *err)
{
	_cleanup_strv_ char **argv = build_argv(builder, files, false);
	_cleanup_buf_ struct buf output = {0};
	_cleanup_free_ char *text = NULL;
	int status, r;

	begin_step(build, builder);
	r = run_builder(build, builder, argv, &output, &status, err);
	/*
	 * A container without cgroups, or with those of two versions mixed, cannot run what RUN
	 * says the usual way, which a build in a microVM's place hardly needs.
	 */
	if (r >= 0 && status != 0 && builder->has_isolation && mentions(&output, "cgroup")) {
		_cleanup_strv_ char **again = build_argv(builder, files, true);

		progress_drop(build->progress);
		cli_say("%s cannot use cgroups here: building once more with --isolation=chroot",
			builder->name);
		buf_done(&output);
		begin_step(build, builder);
		r = run_builder(build, builder, again, &output, &status, err);
	}
	if (r < 0)
		return r;
	if (status != 0) {
		progress_fail(build->progress);
		if (shows_line(build))
			print_output(&output);
		text = child_status_text(argv, status);
		return err_set(err, EIO, "the build of '%s' failed: %s, its output says why",
			       files->directory, text);
	}
	progress_done(build->progress, "built %s with %s", build->image_name, builder->name);
	return 0;
}

static int begin_save(const struct build *build, const struct builder *builder, const char *tag,
		      struct build_output *output, struct err *err)
{
	_cleanup_strv_ char **argv = strv_copy((char *const *)builder->save);

	strv_push(&argv, tag);
	if (builder->save_to != NULL)
		strv_push(&argv, builder->save_to);
	/* A warning in the middle of the line would break it: it is kept for a failure. */
	if (build->progress->is_live)
		output->said = tmpfile();
	return child_pipe(argv, output->said != NULL ? fileno(output->said) : STDERR_FILENO,
			  &output->pid, &output->fd, err);
}

static void print_said(FILE *said)
{
	char part[4096];
	size_t n;

	rewind(said);
	while ((n = fread(part, 1, sizeof(part), said)) > 0)
		(void)!fd_write_all(STDERR_FILENO, part, n);
}

int build_begin(const struct build *build, struct build_output *ret_output, struct err *err)
{
	_cleanup_(files_done) struct build_files files = {
		.tag = mem_printf(TAG_PREFIX "%s", build->image_name),
	};
	struct build_output output = {.fd = -1};
	const struct builder *builder;
	int r;

	r = find_context(build, &files.directory, &files.dockerfile, err);
	if (r < 0)
		return r;
	progress_begin_live(build->progress, "looking for a builder");
	r = find_builder(build->builder, &builder, err);
	progress_drop(build->progress);
	if (r < 0)
		return r;
	output.builder = builder->name;
	r = run_build(build, builder, &files, err);
	if (r < 0)
		progress_fail(build->progress);
	else
		r = begin_save(build, builder, files.tag, &output, err);
	if (r >= 0)
		*ret_output = output;
	else
		build_done(&output);
	return r;
}

int build_finish(void *user, struct err *err)
{
	struct build_output *output = user;
	int status, r;

	if (output->pid == 0)
		return 0;
	r = child_wait(output->pid, SAVE_END_MS, &status);
	output->pid = 0;
	if ((r < 0 || status != 0) && output->said != NULL) {
		progress_make_room();
		print_said(output->said);
	}
	if (r < 0 || status != 0)
		return err_set(err, EIO, "%s could not save the image it built", output->builder);
	return 0;
}

void build_done(struct build_output *output)
{
	output->fd = fd_close(output->fd);
	child_kill(output->pid);
	output->pid = 0;
	if (output->said != NULL)
		fclose(output->said);
	output->said = NULL;
}

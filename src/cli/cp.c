/* SPDX-License-Identifier: Apache-2.0 */
/* krunctl cp: docker's rules for where a copy goes; cp_tree.c and cp_extract.c do the work. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli.h"
#include "cp_extract.h"
#include "cp_path.h"
#include "cp_tree.h"
#include "signals.h"
#include "wire/tar.h"

#define IDLE_S         600
#define STEP_MS        1000
#define ENTRY_BYTES    (1024 * 1024) /* of a look at one entry, as an archive */
#define LINKS_MAX      40
#define TAR_MEDIA_TYPE "application/x-tar"

struct cp {
	bool archive, follow;
	struct client *client;
	struct cp_place from, to;
	int signal_fd;
};

/* ---- calls ---- */

/*
 * One call from begin to end. A signal breaks it off: `ret_signal` is for whoever has cleaned up to
 * die by.
 */
static int transfer(struct cp *cp, const struct client_request *request, int *ret_signal,
		    struct err *err)
{
	struct client_call *call;
	int r;

	r = client_begin(cp->client, request, &call, err);
	if (r < 0)
		return r;
	while (r >= 0 && *ret_signal == 0 && !client_call_is_done(call)) {
		r = client_step(cp->client, cp->signal_fd, STEP_MS, err);
		*ret_signal = signals_next(cp->signal_fd);
	}
	if (r < 0 || (*ret_signal != 0 && !client_call_is_done(call))) {
		client_end(call, NULL, NULL);
		return r < 0 ? r : err_set(err, ECANCELED, "broken off");
	}
	return client_end(call, NULL, err);
}

struct looked {
	struct wire_tar_entry entry;
	char *target; /* of a symbolic link; NULL: it is none */
};

static int read_entry(const struct buf *archive, struct looked *ret_looked, struct err *err)
{
	_cleanup_free_ struct wire_tar_reader *reader = mem_zalloc(sizeof(*reader));
	_cleanup_free_ uint64_t *room = mem_zalloc(ENTRY_BYTES);
	const uint8_t *data = (const uint8_t *)archive->data;
	size_t length = archive->length;
	struct wire_tar_piece piece;

	wire_tar_reader_init(reader, room, ENTRY_BYTES);
	if (wire_tar_read(reader, &data, &length, &piece) != WIRE_TAR_ENTRY)
		return err_set(err, EBADMSG, "the machine's archive is damaged");
	ret_looked->entry = reader->entry;
	if (reader->entry.type == WIRE_TAR_SYMLINK)
		ret_looked->target = mem_strdup(reader->entry.target);
	return 0;
}

/* Looks at one path in the machine without its contents. */
static int look(struct cp *cp, const char *machine, const char *path, struct looked *ret_looked,
		struct err *err)
{
	_cleanup_free_ char *url =
		client_path("/v1/machines/%s/files?path=%s&content=false", machine, path);
	_cleanup_buf_ struct buf archive = {0};
	int r;

	*ret_looked = (struct looked){0};
	r = client_do(cp->client,
		      &(struct client_request){.method = "GET",
					       .path = url,
					       .accept = TAR_MEDIA_TYPE},
		      &archive, err);
	return r < 0 ? r : read_entry(&archive, ret_looked, err);
}

enum there {
	THERE_NOTHING,
	THERE_FILE,
	THERE_DIRECTORY,
};

/* What is at a path in the machine, through symbolic links. */
static int look_for(struct cp *cp, const char *machine, const char *path, enum there *ret_there,
		    struct err *err)
{
	_cleanup_free_ char *inside = mem_printf("%s/.", path);
	struct looked looked;
	int r;

	r = look(cp, machine, inside, &looked, err);
	free(looked.target);
	if (r >= 0) {
		*ret_there = THERE_DIRECTORY;
		return 0;
	}
	if (r == -ENOENT || r == -EBUSY) {
		struct err other = {0};

		r = look(cp, machine, path, &looked, &other);
		free(looked.target);
		*ret_there = r >= 0 ? THERE_FILE : THERE_NOTHING;
		if (r >= 0)
			return 0;
	}
	if (r != -ENOENT)
		return r;
	/* Is it the path that is not there, or the machine? */
	r = look(cp, machine, "/.", &looked, err);
	free(looked.target);
	return r < 0 ? r : 0;
}

/* ---- into the machine ---- */

static int finish_put(struct cp_tree *tree, int r, int signal, struct err *err)
{
	if (signal != 0) {
		cp_tree_free(tree);
		signals_die(signal);
	}
	/* What broke it off here says more than that it was broken off. */
	if (r < 0 && cp_tree_error(tree)->errnum != 0)
		err_set(err, cp_tree_error(tree)->errnum, "%s", cp_tree_error(tree)->text);
	cp_tree_free(tree);
	return r;
}

static int put_tree(struct cp *cp, const char *directory, const struct cp_tree_options *options,
		    struct err *err)
{
	_cleanup_free_ char *url =
		client_path("/v1/machines/%s/files?path=%s", cp->to.machine, directory);
	struct cp_tree *tree;
	int signal = 0, r;

	r = cp_tree_new(options, &tree, err);
	if (r < 0)
		return r;
	r = transfer(cp,
		     &(struct client_request){
			     .method = "PUT",
			     .path = url,
			     .source = cp_tree_read,
			     .source_bytes = -1,
			     .user = tree,
			     .timeout_ms = -1,
			     .idle_s = IDLE_S,
		     },
		     &signal, err);
	return finish_put(tree, r, signal, err);
}

static ssize_t read_stdin(void *user, char *data, size_t length)
{
	const int *fd = user;
	ssize_t n;

	do {
		n = read(*fd, data, length);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* An archive as it comes. */
static int put_stdin(struct cp *cp, struct err *err)
{
	_cleanup_free_ char *url =
		client_path("/v1/machines/%s/files?path=%s", cp->to.machine, cp->to.path);
	_cleanup_fd_ int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	int signal = 0, r;

	if (fd < 0)
		return err_set_errno(err, errno, "standard input");
	r = transfer(cp,
		     &(struct client_request){
			     .method = "PUT",
			     .path = url,
			     .source = read_stdin,
			     .source_bytes = -1,
			     .source_fd = fd,
			     .user = &fd,
			     .timeout_ms = -1,
		     },
		     &signal, err);
	if (signal != 0)
		signals_die(signal);
	return r;
}

static int stat_source(const struct cp *cp, bool *ret_is_directory, struct err *err)
{
	const char *path = cp->from.path;
	struct stat st;
	int r;

	r = cp->follow || cp_path_is_contents(path) ? stat(path, &st) : lstat(path, &st);
	if (r < 0)
		return err_set_errno(err, errno, "'%s'", path);
	*ret_is_directory = S_ISDIR(st.st_mode);
	if (!S_ISDIR(st.st_mode) && (cp_path_has_slash(path) || cp_path_is_contents(path)))
		return err_set_errno(err, ENOTDIR, "'%s'", path);
	return 0;
}

/* The last part of the source's name, which for ".." only its real path has. */
static int source_name(const char *path, char **ret_name, struct err *err)
{
	_cleanup_free_ char *trimmed = cp_path_trim(path);
	_cleanup_free_ char *name = cp_path_name(trimmed);
	_cleanup_free_ char *resolved = NULL;
	int r;

	if (strcmp(name, "..") == 0) {
		r = path_resolve(trimmed, &resolved);
		if (r < 0)
			return err_set_errno(err, -r, "'%s'", path);
		free(name);
		name = cp_path_name(resolved);
	}
	*ret_name = take_ptr(name);
	return 0;
}

static int copy_in(struct cp *cp, struct err *err)
{
	_cleanup_free_ char *trimmed = cp_path_trim(cp->to.path);
	_cleanup_free_ char *directory = cp_path_directory(trimmed);
	_cleanup_free_ char *name = NULL;
	struct cp_tree_options options = {
		.path = cp->from.path,
		.follow = cp->follow || cp_path_is_contents(cp->from.path),
		.keep_owners = cp->archive,
	};
	bool is_directory = false;
	enum there there = THERE_NOTHING;
	int r;

	r = stat_source(cp, &is_directory, err);
	if (r >= 0)
		r = look_for(cp, cp->to.machine, trimmed, &there, err);
	if (r < 0)
		return r;
	if (there == THERE_FILE && (is_directory || cp_path_has_slash(cp->to.path)))
		return err_set(err, ENOTDIR, "'%s' in the machine is no directory", trimmed);
	if (there == THERE_NOTHING && !is_directory && cp_path_has_slash(cp->to.path))
		return err_set(err, ENOENT,
			       "there is no directory '%s' in the machine: make it first ('krunctl "
			       "exec %s mkdir -p %s')",
			       trimmed, cp->to.machine, trimmed);
	if (there != THERE_DIRECTORY)
		name = cp_path_name(trimmed);
	else if (cp_path_is_contents(cp->from.path))
		name = mem_strdup(".");
	else
		r = source_name(cp->from.path, &name, err);
	options.name = name;
	return r < 0 ? r
		     : put_tree(cp, there == THERE_DIRECTORY ? trimmed : directory, &options, err);
}

/* ---- out of the machine ---- */

static int write_out(void *user, const char *data, size_t length)
{
	return fd_write_all(STDOUT_FILENO, data, length);
}

static int get_into(struct cp *cp, const char *path, int (*sink)(void *, const char *, size_t),
		    void *user, int *ret_signal, struct err *err)
{
	_cleanup_free_ char *url =
		client_path("/v1/machines/%s/files?path=%s", cp->from.machine, path);

	return transfer(cp,
			&(struct client_request){
				.method = "GET",
				.path = url,
				.accept = TAR_MEDIA_TYPE,
				.sink = sink,
				.user = user,
				.timeout_ms = -1,
				.idle_s = IDLE_S,
			},
			ret_signal, err);
}

static int get_stdout(struct cp *cp, const char *path, struct err *err)
{
	int signal = 0, r;

	if (isatty(STDOUT_FILENO))
		return err_set(
			err, EINVAL,
			"an archive is nothing for a terminal: write it to a file or a pipe");
	r = get_into(cp, path, write_out, NULL, &signal, err);
	if (signal != 0)
		signals_die(signal);
	return r;
}

/* Where a path leads in the end, by its symbolic links in the machine. */
static int follow_links(struct cp *cp, char **path, struct err *err)
{
	struct looked looked;
	int r;

	for (int i = 0; i < LINKS_MAX; i++) {
		r = look(cp, cp->from.machine, *path, &looked, err);
		if (r < 0 || looked.target == NULL)
			return r;

		char *next = cp_path_follow(*path, looked.target);

		free(looked.target);
		free(*path);
		*path = next;
	}
	return err_set_errno(err, ELOOP, "'%s' in the machine", cp->from.path);
}

/* The host's side: an existing directory takes it in, anything else is its new name. */
static int find_target(const struct cp *cp, const char *source_name, char **ret_directory,
		       char **ret_name, struct err *err)
{
	const char *path = cp->to.path;
	_cleanup_free_ char *trimmed = NULL;
	struct stat st;
	int r;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		*ret_directory = mem_strdup(path);
		*ret_name = mem_strdup_or_null(source_name);
		return 0;
	}
	if (stat(path, &st) == 0) {
		/* A symbolic link to a file stays one: what it leads to is replaced. */
		r = path_resolve(path, &trimmed);
		if (r < 0)
			return err_set_errno(err, -r, "'%s'", path);
		if (source_name == NULL)
			return err_set_errno(err, ENOTDIR, "'%s'", path);
	} else if (errno != ENOENT) {
		return err_set_errno(err, errno, "'%s'", path);
	} else {
		trimmed = cp_path_trim(path);
	}
	*ret_directory = cp_path_directory(trimmed);
	*ret_name = cp_path_name(trimmed);
	if (stat(*ret_directory, &st) < 0)
		return err_set_errno(err, errno, "'%s'", *ret_directory);
	return 0;
}

static int finish_get(struct cp_extract *extract, int r, int signal, struct err *err)
{
	if (signal != 0) {
		cp_extract_free(extract);
		signals_die(signal);
	}
	if (r >= 0)
		r = cp_extract_end(extract, err);
	else if (cp_extract_error(extract)->errnum != 0)
		err_set(err, cp_extract_error(extract)->errnum, "%s",
			cp_extract_error(extract)->text);
	cp_extract_free(extract);
	return r;
}

static int get_tree(struct cp *cp, const char *path, const struct cp_extract_options *options,
		    struct err *err)
{
	struct cp_extract *extract;
	int signal = 0, r;

	r = cp_extract_new(options, &extract, err);
	if (r < 0)
		return r;
	r = get_into(cp, path, cp_extract_feed, extract, &signal, err);
	return finish_get(extract, r, signal, err);
}

static int copy_out(struct cp *cp, struct err *err)
{
	bool contents = cp_path_is_contents(cp->from.path);
	_cleanup_free_ char *trimmed = cp_path_trim(cp->from.path);
	_cleanup_free_ char *name = contents ? NULL : cp_path_name(trimmed);
	_cleanup_free_ char *directory = NULL, *target = NULL, *root = NULL;
	_cleanup_free_ char *path = contents ? mem_printf("%s/.", trimmed) : mem_strdup(trimmed);
	struct cp_extract_options options = {
		.only_directory = cp_path_has_slash(cp->from.path),
		/* Only root can give files away. */
		.keep_owners = cp->archive && geteuid() == 0,
	};
	bool needs_directory;
	int r = 0;

	if (name != NULL && strcmp(name, "..") == 0)
		return err_set(err, EINVAL, "'%s': name the directory itself", cp->from.path);
	if (!contents && (cp->follow || options.only_directory))
		r = follow_links(cp, &path, err);
	if (r >= 0 && cp->to.is_stream)
		return get_stdout(cp, path, err);
	if (r >= 0)
		r = find_target(cp, name, &directory, &target, err);
	if (r < 0)
		return r;
	if (contents) {
		root = mem_strdup(".");
	} else {
		_cleanup_free_ char *last = cp_path_trim(path);

		root = cp_path_name(last);
	}
	/* A file does not become a directory's name: "there/" has to be there. */
	needs_directory = cp_path_has_slash(cp->to.path) && access(cp->to.path, F_OK) < 0;
	options.directory = directory;
	options.root = root;
	options.name = target;
	options.only_directory |= needs_directory;
	r = get_tree(cp, path, &options, err);
	if (r == -ENOTDIR && needs_directory)
		return err_set(err, ENOTDIR, "there is no directory '%s': make it first",
			       cp->to.path);
	return r;
}

/* ---- the command ---- */

static int run(struct cp *cp, struct err *err)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, 0};
	int r;

	if (cp->from.machine != NULL && cp->to.machine != NULL)
		return err_set(err, EINVAL,
			       "from machine to machine goes in two steps: 'krunctl cp %s:%s - | "
			       "krunctl cp - %s:%s'",
			       cp->from.machine, cp->from.path, cp->to.machine, cp->to.path);
	if (cp->from.machine == NULL && cp->to.machine == NULL)
		return err_set(err, EINVAL, "one of the two has to be in a machine: NAME:PATH");
	r = cli_connect(&cp->client, err);
	if (r < 0)
		return r;
	r = signals_begin(signals, &cp->signal_fd);
	if (r < 0)
		return err_set_errno(err, -r, "making a pipe");
	if (cp->from.machine != NULL)
		return copy_out(cp, err);
	return cp->from.is_stream ? put_stdin(cp, err) : copy_in(cp, err);
}

int command_cp(char **argv, struct err *err)
{
	struct cp cp = {.signal_fd = -1};
	const struct opt opts[] = {
		{'a', "archive", OPT_TYPE_FLAG, &cp.archive, NULL,
		 "keep owners; out of a machine only root can"},
		{'L', "follow-link", OPT_TYPE_FLAG, &cp.follow, NULL,
		 "copy what SOURCE leads to, where it is a symbolic link"},
		CLI_SERVER_OPTS,
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krunctl cp [OPTION]... MACHINE:PATH TARGET|-\n"
			 "       krunctl cp [OPTION]... SOURCE|- MACHINE:PATH",
		.about = "Copies files and trees between here and a running machine; '-' is an "
			 "archive\n(tar) on standard input or output.",
		.opts = opts,
	};
	struct cli_arguments arguments;
	int r;

	r = cli_parse(&parser, argv, 2, &arguments, err);
	if (r <= 0)
		return r;
	if (arguments.count > 2)
		return err_set(err, EINVAL, "cp takes one source and one target");
	r = cp_place_parse(arguments.operands[0], &cp.from, err);
	if (r >= 0)
		r = cp_place_parse(arguments.operands[1], &cp.to, err);
	if (r >= 0)
		r = run(&cp, err);
	signals_end(cp.signal_fd);
	client_free(cp.client);
	cp_place_done(&cp.from);
	cp_place_done(&cp.to);
	return r < 0 ? r : CLI_EXIT_OK;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "bounds.h"
#include "server.h"
#include "worker.h"

#define TEMPLATE_PREFIX "disk-"

static const char *const kind_names[] = {[DISK_MACHINE] = "", [DISK_VOLUME] = "plain-"};

/* One disk that somebody waits for. */
struct disk {
	uv_work_t work;
	struct disk *next;
	struct template *template;
	char *path;
	void (*done)(void *user, int outcome, const char *sentence);
	void *user;
	int outcome;
};

/* A size whose template is being made, and who waits for it. */
struct template
{
	struct template *next;
	struct server *server;
	enum disk_kind kind;
	long long size_mib;
	char *path, *temporary;
	struct disk *waiting;
};

struct disks {
	struct template *making;
};

void disks_init(struct server *server)
{
	server->disks = mem_new(struct disks);
}

void disks_done(struct server *server)
{
	free(server->disks);
	server->disks = NULL;
}

static void finish(struct disk *disk, int outcome, const char *sentence)
{
	disk->done(disk->user, outcome, sentence);
	free(disk->path);
	free(disk);
}

/* On the disk before the machine's row is: a row whose disk is empty would be a broken machine. */
static int sync_disk(const char *path)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : file_sync_parent(path);
}

static void clone_template(uv_work_t *work)
{
	struct disk *disk = (struct disk *)work;

	disk->outcome = file_clone(disk->work.data, disk->path, 0600);
	if (disk->outcome >= 0)
		disk->outcome = sync_disk(disk->path);
	free(disk->work.data);
	disk->work.data = NULL;
}

static void on_cloned(uv_work_t *work, int status)
{
	struct disk *disk = (struct disk *)work;
	char sentence[256];

	if (disk->outcome >= 0) {
		finish(disk, 0, NULL);
		return;
	}
	snprintf(sentence, sizeof(sentence), "cannot make the disk: %s", strerror(-disk->outcome));
	finish(disk, disk->outcome, sentence);
}

static void start_clone(struct server *server, struct disk *disk, const char *template)
{
	disk->work.data = mem_strdup(template);
	uv_queue_work(server->loop, &disk->work, clone_template, on_cloned);
}

/* Sizes are chosen by clients: forget the lot when there are too many, they are made again. */
static void limit_templates(struct server *server)
{
	DIR *directory = opendir(server->cache_dir);
	struct dirent *entry;
	unsigned count = 0;

	while (directory != NULL && (entry = readdir(directory)) != NULL)
		count += strncmp(entry->d_name, TEMPLATE_PREFIX, strlen(TEMPLATE_PREFIX)) == 0;
	if (directory != NULL && count >= DISK_TEMPLATES_MAX) {
		rewinddir(directory);
		while ((entry = readdir(directory)) != NULL) {
			if (strncmp(entry->d_name, TEMPLATE_PREFIX, strlen(TEMPLATE_PREFIX)) == 0)
				unlinkat(dirfd(directory), entry->d_name, 0);
		}
	}
	if (directory != NULL)
		closedir(directory);
}

static void forget_template(struct template *template)
{
	struct template **link = &template->server->disks->making;

	while (*link != template)
		link = &(*link)->next;
	*link = template->next;
	free(template->path);
	free(template->temporary);
	free(template);
}

/* `sentence` is NULL when the template is there. */
static void end_template(struct template *template, const char *sentence)
{
	struct server *server = template->server;
	struct disk *disk = template->waiting, *next;

	for (; disk != NULL; disk = next) {
		next = disk->next;
		if (sentence == NULL)
			start_clone(server, disk, template->path);
		else
			finish(disk, -EIO, sentence);
	}
	forget_template(template);
}

static void on_made(void *user, const struct worker_end *end)
{
	struct template *template = user;

	if (!end->ok) {
		unlink(template->temporary);
		log_error("cannot make a disk of %lld MiB: %s", template->size_mib, end->sentence);
		end_template(template, end->sentence);
		return;
	}
	limit_templates(template->server);
	if (rename(template->temporary, template->path) < 0) {
		unlink(template->temporary);
		end_template(template, "cannot move the disk's template to its place");
		return;
	}
	end_template(template, NULL);
}

static int start_template(struct template *template, struct err *err)
{
	struct server *server = template->server;
	char size[24];
	char *argv[] = {(char *)"krun-image",
			(char *)"disk",
			(char *)"--size-mib",
			size,
			(char *)"--output",
			template->temporary,
			template->kind == DISK_VOLUME ? (char *)"--plain" : NULL,
			NULL};
	const struct worker_job job = {.path = server->settings->image_path,
				       .argv = argv,
				       .stdin_fd = -1,
				       .timeout_ms = DISK_TIMEOUT_MS,
				       .line_bytes_max = 64 * KIB,
				       .on_end = on_made};
	struct worker *worker;

	snprintf(size, sizeof(size), "%lld", template->size_mib);
	unlink(template->temporary);
	return worker_start(server, &job, template, &worker, err);
}

static struct template *find_template(struct disks *disks, enum disk_kind kind, long long size_mib)
{
	for (struct template *t = disks->making; t != NULL; t = t->next) {
		if (t->kind == kind && t->size_mib == size_mib)
			return t;
	}
	return NULL;
}

static struct template *add_template(struct server *server, enum disk_kind kind, long long size_mib,
				     const char *path)
{
	struct template *template = mem_new(struct template);

	template->server = server;
	template->kind = kind;
	template->size_mib = size_mib;
	template->path = mem_strdup(path);
	template->temporary = mem_printf("%s/" TEMPLATE_PREFIX "%s%lld", server->tmp_dir,
					 kind_names[kind], size_mib);
	template->next = server->disks->making;
	server->disks->making = template;
	return template;
}

/* An outcome that is known at once is told in a later turn, like all others. */
static void do_nothing(uv_work_t *work)
{
}

static void on_known(uv_work_t *work, int status)
{
	struct disk *disk = (struct disk *)work;
	_cleanup_free_ char *sentence = disk->work.data;

	finish(disk, disk->outcome, sentence);
}

void disk_make(struct server *server, enum disk_kind kind, long long size_mib, const char *path,
	       void (*done)(void *user, int outcome, const char *sentence), void *user)
{
	_cleanup_free_ char *template_path =
		mem_printf("%s/" TEMPLATE_PREFIX "%s%lld.ext4", server->cache_dir, kind_names[kind],
			   size_mib);
	struct disk *disk = mem_new(struct disk);
	struct template *template = find_template(server->disks, kind, size_mib);
	struct err err = {0};
	struct stat st;

	disk->path = mem_strdup(path);
	disk->done = done;
	disk->user = user;
	if (template == NULL && stat(template_path, &st) == 0) {
		start_clone(server, disk, template_path);
		return;
	}
	if (template == NULL) {
		template = add_template(server, kind, size_mib, template_path);
		disk->outcome = start_template(template, &err);
		if (disk->outcome < 0) {
			forget_template(template);
			disk->work.data = mem_strdup(err.text);
			uv_queue_work(server->loop, &disk->work, do_nothing, on_known);
			return;
		}
	}
	disk->next = template->waiting;
	template->waiting = disk;
}

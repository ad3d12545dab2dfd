/* SPDX-License-Identifier: Apache-2.0 */
#include "machines.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "base/fd.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sorted.h"
#include "bounds.h"
#include "machine.h"
#include "restart.h"
#include "server.h"
#include "store.h"
#include "supervisor.h"

static const char *id_at(const void *list, size_t index)
{
	return ((struct machine *const *)list)[index]->id;
}

static const char *name_at(const void *list, size_t index)
{
	return ((struct machine *const *)list)[index]->name;
}

size_t machines_lower_bound(const struct machines *machines, const char *id)
{
	return sorted_lower_bound(machines->by_id, machines->count, id_at, id);
}

static size_t lower_bound_name(const struct machines *machines, const char *name)
{
	return sorted_lower_bound(machines->by_name, machines->count, name_at, name);
}

static void insert_at(struct machine **array, size_t count, size_t index, struct machine *machine)
{
	memmove(&array[index + 1], &array[index], (count - index) * sizeof(*array));
	array[index] = machine;
}

static void remove_at(struct machine **array, size_t count, size_t index)
{
	memmove(&array[index], &array[index + 1], (count - index - 1) * sizeof(*array));
}

int machines_add(struct machines *machines, struct machine *machine, struct err *err)
{
	size_t by_name = lower_bound_name(machines, machine->name);

	if (by_name < machines->count &&
	    strcmp(machines->by_name[by_name]->name, machine->name) == 0)
		return err_set(err, EEXIST, "a machine has the name '%s' already", machine->name);
	if (machines->count == MACHINES_MAX)
		return err_set(err, ENOSPC, "there are %d machines already: delete some",
			       MACHINES_MAX);
	if (machines->count == machines->allocated) {
		machines->allocated = MAX(machines->allocated * 2, (size_t)16);
		machines->by_id = mem_realloc_array(machines->by_id, machines->allocated,
						    sizeof(*machines->by_id));
		machines->by_name = mem_realloc_array(machines->by_name, machines->allocated,
						      sizeof(*machines->by_name));
	}
	insert_at(machines->by_name, machines->count, by_name, machine);
	insert_at(machines->by_id, machines->count, machines_lower_bound(machines, machine->id),
		  machine);
	machines->count++;
	return 0;
}

void machines_remove(struct machines *machines, struct machine *machine)
{
	remove_at(machines->by_id, machines->count, machines_lower_bound(machines, machine->id));
	remove_at(machines->by_name, machines->count, lower_bound_name(machines, machine->name));
	machines->count--;
}

void machines_done(struct machines *machines)
{
	while (machines->count > 0) {
		struct machine *machine = machines->by_id[machines->count - 1];

		machines_remove(machines, machine);
		machine_free(machine);
	}
	free(machines->by_id);
	free(machines->by_name);
	*machines = (struct machines){0};
}

static int find_prefix(const struct machines *machines, const char *prefix,
		       struct machine **ret_machine)
{
	size_t length = strlen(prefix);
	struct machine *found = NULL;

	for (size_t i = machines_lower_bound(machines, prefix);
	     i < machines->count && strncmp(machines->by_id[i]->id, prefix, length) == 0; i++) {
		if (machines->by_id[i]->is_creating)
			continue;
		if (found != NULL)
			return -EMLINK;
		found = machines->by_id[i];
	}
	if (found == NULL)
		return -ENOENT;
	*ret_machine = found;
	return 0;
}

int machines_find(const struct machines *machines, const char *text, struct machine **ret_machine)
{
	size_t i = lower_bound_name(machines, text);

	/* A name wins over another machine's id that happens to begin so. */
	if (i < machines->count && strcmp(machines->by_name[i]->name, text) == 0 &&
	    !machines->by_name[i]->is_creating) {
		*ret_machine = machines->by_name[i];
		return 0;
	}
	return machine_id_is_prefix(text) ? find_prefix(machines, text, ret_machine) : -ENOENT;
}

long long machines_live_memory_mib(const struct machines *machines)
{
	long long total = 0;

	for (size_t i = 0; i < machines->count; i++) {
		if (machine_state_is_live(machines->by_id[i]->state))
			total += machines->by_id[i]->config.memory_mib;
	}
	return total;
}

/* ---- at start ---- */

static int load_one(const struct store_machine *row, void *user, struct err *err)
{
	struct server *server = user;
	struct machine *machine;
	int r = machine_load(server, row, &machine, err);

	if (r < 0)
		return err_prefix(err, "machine %s", row->id);
	r = machines_add(&server->machines, machine, err);
	if (r < 0)
		machine_free(machine);
	return r;
}

/* Directories of machines whose creation was never acknowledged, or whose deletion was. */
static void remove_orphan_directories(struct server *server)
{
	DIR *directory = opendir(server->machines_dir);
	struct dirent *entry;

	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		_cleanup_free_ char *path = NULL;
		struct machine *ignored;

		if (entry->d_name[0] == '.')
			continue;
		if (machine_id_is_valid(entry->d_name) &&
		    machines_find(&server->machines, entry->d_name, &ignored) == 0)
			continue;
		path = path_join(server->machines_dir, entry->d_name);
		log_info("removing '%s', which belongs to no machine", path);
		if (file_remove_tree(path) < 0)
			log_warn("cannot remove '%s' whole", path);
	}
	if (directory != NULL)
		closedir(directory);
}

static bool is_run_name(const char *name)
{
	return strlen(name) == MACHINE_RUN_NAME_BYTES - 1 &&
	       strspn(name, "0123456789abcdef") == MACHINE_RUN_NAME_BYTES - 1;
}

static bool has_run_name(const struct machines *machines, const char *name)
{
	for (size_t i = 0; i < machines->count; i++) {
		char own[MACHINE_RUN_NAME_BYTES];

		machine_id_run_name(machines->by_id[i]->id, own);
		if (strcmp(own, name) == 0)
			return true;
	}
	return false;
}

/* Sockets of dead machines that are not ours. What answers belongs to another server. */
static void remove_orphan_sockets(struct server *server)
{
	DIR *directory = opendir(server->settings->socket_dir);
	struct dirent *entry;

	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		_cleanup_free_ char *path = NULL, *control = NULL;
		int fd;

		if (!is_run_name(entry->d_name) || has_run_name(&server->machines, entry->d_name))
			continue;
		path = path_join(server->settings->socket_dir, entry->d_name);
		control = path_join(path, "ctl");
		if (fd_unix_connect(control, &fd) == 0) {
			fd_close(fd);
			log_warn("'%s' belongs to a live machine that is not in the database",
				 path);
			continue;
		}
		if (file_remove_tree(path) < 0)
			log_warn("cannot remove '%s'", path);
	}
	if (directory != NULL)
		closedir(directory);
}

int machines_load(struct server *server, struct err *err)
{
	struct machines *machines = &server->machines;
	int r = store_machines_each(server->store, load_one, server, err);

	if (r < 0)
		return r;
	remove_orphan_directories(server);
	remove_orphan_sockets(server);
	for (size_t i = 0; i < machines->count; i++) {
		struct machine *machine = machines->by_id[i];
		struct err ignored = {0};

		if (machine_state_is_live(machine->state)) {
			server->adopting++;
			supervisor_adopt(machine);
		} else if (machine->is_deleting && machine_delete(machine, &ignored) < 0) {
			log_warn("cannot finish deleting %s: %s", machine->id, ignored.text);
		} else if (machine->restart_due) {
			restart_go_on(machine);
		}
	}
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "volumes.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sorted.h"
#include "bounds.h"
#include "disk.h"
#include "events.h"
#include "machine.h"
#include "server.h"
#include "store.h"

struct volume_wait {
	struct volume_wait *next;
	volume_done done;
	void *user;
};

/* ---- the list ---- */

static const char *name_at(const void *list, size_t index)
{
	return ((struct volume *const *)list)[index]->name;
}

static size_t lower_bound(const struct volumes *volumes, const char *name)
{
	return sorted_lower_bound(volumes->items, volumes->count, name_at, name);
}

static struct volume *find_any(const struct volumes *volumes, const char *name)
{
	size_t i = lower_bound(volumes, name);

	return i < volumes->count && strcmp(volumes->items[i]->name, name) == 0 ? volumes->items[i]
										: NULL;
}

struct volume *volumes_find(const struct volumes *volumes, const char *name)
{
	struct volume *volume = find_any(volumes, name);

	return volume == NULL || volume->is_making || volume->is_deleting ? NULL : volume;
}

static struct volume *add(struct volumes *volumes, const char *name, long long size_mib)
{
	struct volume *volume = mem_new(struct volume);
	size_t i = lower_bound(volumes, name);

	if (volumes->count == volumes->allocated) {
		volumes->allocated = MAX(volumes->allocated * 2, (size_t)16);
		volumes->items = mem_realloc_array(volumes->items, volumes->allocated,
						   sizeof(*volumes->items));
	}
	memmove(&volumes->items[i + 1], &volumes->items[i],
		(volumes->count - i) * sizeof(*volumes->items));
	volumes->items[i] = volume;
	volumes->count++;
	volume->name = mem_strdup(name);
	volume->size_mib = size_mib;
	return volume;
}

static void volume_free(struct volume *volume)
{
	struct volume_wait *next;

	for (struct volume_wait *wait = volume->waiting; wait != NULL; wait = next) {
		next = wait->next;
		free(wait);
	}
	free(volume->name);
	free(volume);
}

static void drop(struct volumes *volumes, struct volume *volume)
{
	size_t i = lower_bound(volumes, volume->name);

	memmove(&volumes->items[i], &volumes->items[i + 1],
		(volumes->count - i - 1) * sizeof(*volumes->items));
	volumes->count--;
	volume_free(volume);
}

void volumes_done(struct volumes *volumes)
{
	for (size_t i = 0; i < volumes->count; i++)
		volume_free(volumes->items[i]);
	free(volumes->items);
	*volumes = (struct volumes){0};
}

char *volume_path(const struct server *server, const char *name)
{
	return mem_printf("%s/%s.ext4", server->volumes_dir, name);
}

static char *temporary_path(const struct server *server, const char *name)
{
	return mem_printf("%s/volume-%s", server->tmp_dir, name);
}

static void wait_for(struct volume *volume, volume_done done, void *user)
{
	struct volume_wait *wait = mem_new(struct volume_wait);

	wait->done = done;
	wait->user = user;
	wait->next = volume->waiting;
	volume->waiting = wait;
}

static void tell(struct volume *volume, int outcome, const char *sentence)
{
	struct volume_wait *wait = take_ptr(volume->waiting), *next;

	for (; wait != NULL; wait = next) {
		next = wait->next;
		wait->done(wait->user, outcome, sentence);
		free(wait);
	}
}

/* An event of it with its row, in `set_ready` or `delete`. */
static struct store_event event_of(const struct volume *volume, const char *type,
				   char **ret_attributes)
{
	char size[24];

	snprintf(size, sizeof(size), "%lld", volume->size_mib);
	return event_of_thing(type, volume->name, "size_mib", size, ret_attributes);
}

/* ---- making ---- */

/* The file takes its place, then the row says so. */
static int settle(struct server *server, struct volume *volume, struct err *err)
{
	_cleanup_free_ char *temporary = temporary_path(server, volume->name);
	_cleanup_free_ char *path = volume_path(server, volume->name);
	_cleanup_free_ char *attributes = NULL;
	struct store_event event = event_of(volume, "volume.created", &attributes);
	int r;

	if (rename(temporary, path) < 0) {
		r = err_set_errno(err, errno, "cannot move the volume to '%s'", path);
		unlink(temporary);
		return r;
	}
	r = file_sync_parent(path);
	if (r < 0)
		r = err_set_errno(err, -r, "cannot keep '%s'", path);
	else
		r = store_volume_set_ready(server->store, volume->name, true, &event, err);
	if (r < 0)
		unlink(path);
	else
		events_wake(server);
	return r;
}

struct making {
	struct server *server;
	struct volume *volume;
};

static void on_disk(void *user, int outcome, const char *sentence)
{
	struct making *making = user;
	struct server *server = making->server;
	struct volume *volume = making->volume;
	struct err err = {0};

	free(making);
	if (outcome < 0)
		err_set(&err, -outcome, "%s", sentence);
	else
		outcome = settle(server, volume, &err);
	volume->is_making = false;
	if (outcome >= 0) {
		tell(volume, 0, NULL);
		return;
	}
	/* What stays of the row is removed by the next krun-api. */
	if (store_volume_delete(server->store, volume->name, NULL, NULL) < 0)
		log_warn("volume '%s': its row stays until the next start", volume->name);
	volume->is_deleting = true; /* nobody finds it while they are told */
	tell(volume, outcome, err.text);
	drop(&server->volumes, volume);
}

int volume_make(struct server *server, const char *name, long long size_mib, volume_done done,
		void *user, struct err *err)
{
	_cleanup_free_ char *temporary = temporary_path(server, name);
	struct store_volume row = {.name = name,
				   .size_mib = size_mib,
				   .created_at = clock_realtime_ns()};
	struct volume *volume = find_any(&server->volumes, name);
	struct making *making;
	int r;

	if (volume != NULL)
		return err_set(err, EEXIST, "a volume has the name '%s' already%s", name,
			       volume->is_deleting ? ", which is being deleted" : "");
	if (server->volumes.count == VOLUMES_MAX)
		return err_set(err, ENOSPC, "there are %d volumes already: delete some",
			       VOLUMES_MAX);
	r = store_volume_insert(server->store, &row, err);
	if (r < 0)
		return r;
	volume = add(&server->volumes, name, size_mib);
	volume->created_at = row.created_at;
	volume->is_making = true;
	wait_for(volume, done, user);
	making = mem_new(struct making);
	making->server = server;
	making->volume = volume;
	disk_make(server, DISK_VOLUME, size_mib, temporary, on_disk, making);
	return 0;
}

int volume_ensure(struct server *server, const char *name, volume_done done, void *user,
		  struct err *err)
{
	struct volume *volume = find_any(&server->volumes, name);

	if (volume == NULL)
		return volume_make(server, name, VOLUME_SIZE_MIB_USUAL, done, user, err);
	if (volume->is_deleting)
		return err_set(err, EBUSY, "the volume '%s' is being deleted", name);
	if (!volume->is_making)
		return 1;
	wait_for(volume, done, user);
	return 0;
}

/* ---- deleting ---- */

struct removal {
	uv_work_t work;
	struct server *server;
	struct volume *volume;
	char *path;
	int outcome;
};

static void remove_file(uv_work_t *work)
{
	struct removal *removal = (struct removal *)work;

	removal->outcome = unlink(removal->path) < 0 && errno != ENOENT ? -errno : 0;
}

static void on_removed(uv_work_t *work, int status)
{
	struct removal *removal = (struct removal *)work;
	struct server *server = removal->server;
	struct volume *volume = removal->volume;
	_cleanup_free_ char *attributes = NULL;
	struct store_event event = event_of(volume, "volume.deleted", &attributes);
	struct err err = {0};
	int r = removal->outcome;

	if (r < 0)
		err_set_errno(&err, -r, "cannot remove '%s'", removal->path);
	else
		r = store_volume_delete(server->store, volume->name, &event, &err);
	free(removal->path);
	free(removal);
	if (r < 0) {
		/* Still to be deleted: by another try or the next krun-api. */
		log_error("volume '%s': %s", volume->name, err.text);
		volume->is_deleting = false;
		tell(volume, r, err.text);
		return;
	}
	events_wake(server);
	tell(volume, 0, NULL);
	drop(&server->volumes, volume);
}

bool volume_is_of(const char *name, const struct machine *machine)
{
	const struct machine_volumes *volumes = &machine->config.volumes;

	for (size_t i = 0; i < volumes->count; i++) {
		if (volumes->items[i].volume != NULL && strcmp(volumes->items[i].volume, name) == 0)
			return true;
	}
	return false;
}

static int check_unused(const struct server *server, const char *name, struct err *err)
{
	for (size_t i = 0; i < server->machines.count; i++) {
		const struct machine *machine = server->machines.by_id[i];

		if (volume_is_of(name, machine))
			return err_set(err, EBUSY,
				       "the machine '%s' has the volume '%s': delete it first",
				       machine->name, name);
	}
	return 0;
}

static void start_removal(struct server *server, struct volume *volume)
{
	struct removal *removal = mem_new(struct removal);

	volume->is_deleting = true;
	removal->server = server;
	removal->volume = volume;
	removal->path = volume_path(server, volume->name);
	uv_queue_work(server->loop, &removal->work, remove_file, on_removed);
}

int volume_delete(struct server *server, struct volume *volume, volume_done done, void *user,
		  struct err *err)
{
	int r = check_unused(server, volume->name, err);

	if (r >= 0)
		r = store_volume_set_ready(server->store, volume->name, false, NULL, err);
	/* On a full disk deleting is the way out. */
	if (r < 0 && r != -ENOSPC)
		return r;
	wait_for(volume, done, user);
	start_removal(server, volume);
	return 0;
}

/* ---- machines ---- */

/* May both be live at once? */
static bool conflicts(const struct machine_volume *wanted, const struct machine *holder)
{
	const struct machine_volumes *volumes = &holder->config.volumes;

	for (size_t i = 0; i < volumes->count; i++) {
		const struct machine_volume *held = &volumes->items[i];

		if (held->volume != NULL && strcmp(held->volume, wanted->volume) == 0)
			return !held->read_only || !wanted->read_only;
	}
	return false;
}

static int check_free(const struct machine *machine, const struct machine_volume *wanted,
		      struct err *err)
{
	const struct machines *machines = &machine->server->machines;

	for (size_t i = 0; i < machines->count; i++) {
		const struct machine *holder = machines->by_id[i];

		if (holder != machine && machine_state_is_live(holder->state) &&
		    conflicts(wanted, holder))
			return err_set(err, ETXTBSY,
				       "the volume '%s' is attached to the machine '%s', which is "
				       "%s: stop that first, or let both only read it",
				       wanted->volume, holder->name,
				       machine_state_name(holder->state));
	}
	return 0;
}

int volumes_check_free(const struct machine *machine, struct err *err)
{
	const struct machine_volumes *volumes = &machine->config.volumes;
	int r = 0;

	for (size_t i = 0; i < volumes->count && r >= 0; i++) {
		if (volumes->items[i].volume != NULL)
			r = check_free(machine, &volumes->items[i], err);
	}
	return r;
}

/* ---- at start ---- */

static void load_one(const struct store_volume *row, void *user)
{
	struct server *server = user;
	struct volume *volume = add(&server->volumes, row->name, row->size_mib);

	volume->created_at = row->created_at;
	volume->is_deleting = !row->is_ready;
}

int volumes_load(struct server *server, struct err *err)
{
	int r = store_volumes_each(server->store, load_one, server, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < server->volumes.count; i++) {
		struct volume *volume = server->volumes.items[i];

		if (volume->is_deleting) {
			log_info("removing the volume '%s', which was not finished", volume->name);
			start_removal(server, volume);
		}
	}
	return 0;
}

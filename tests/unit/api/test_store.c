/* SPDX-License-Identifier: Apache-2.0 */
/* What must outlive the process: the database and its versions; and finding machines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/strv.h"
#include "bounds.h"
#include "machine.h"
#include "machines.h"
#include "store.h"

#define DIGEST_A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST_B "sha256:aaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static char directory[] = "/tmp/test-api-XXXXXX";
static char path[64];

static int set_up(void **state)
{
	strcpy(directory, "/tmp/test-api-XXXXXX");
	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/krun.db", directory);
	return 0;
}

static int tear_down(void **state)
{
	return file_remove_tree(directory);
}

static struct store *open_store(void)
{
	struct store *store = NULL;
	struct err err = {0};

	if (store_open(path, &store, &err) < 0)
		fail_msg("%s", err.text);
	return store;
}

static const struct store_machine machine_a = {
	.id = "01900000-0000-7000-8000-000000000001",
	.name = "a",
	.spec = "{}",
	.state = MACHINE_STATE_CREATED,
	.created_at = 1,
	.updated_at = 2,
};

static int count(const struct store_machine *machine, void *user, struct err *err)
{
	unsigned *seen = user;

	(*seen)++;
	assert_string_equal(machine->name, "a");
	assert_int_equal(machine->state, MACHINE_STATE_FAILED);
	assert_string_equal(machine->reason, "why");
	assert_null(machine->record);
	assert_int_equal(machine->generation, 3);
	assert_true(machine->deleting);
	assert_int_equal(machine->announced, MACHINE_STATE_RUNNING);
	assert_int_equal(machine->restart_count, 7);
	assert_true(machine->restart_due);
	return 0;
}

static void machines_survive(void **state)
{
	struct store *store = open_store();
	struct store_machine changed = machine_a;
	unsigned seen = 0;

	assert_int_equal(store_machine_insert(store, &machine_a, NULL), 0);
	changed.state = MACHINE_STATE_FAILED;
	changed.reason = "why";
	changed.generation = 3;
	changed.deleting = true;
	changed.announced = MACHINE_STATE_RUNNING;
	changed.restart_count = 7;
	changed.restart_due = true;
	assert_int_equal(store_machine_update(store, &changed, NULL), 0);
	store_close(store);
	store = open_store();
	assert_int_equal(store_machines_each(store, count, &seen, NULL), 0);
	assert_int_equal(seen, 1);
	assert_int_equal(store_machine_delete(store, machine_a.id, NULL, NULL), 0);
	seen = 0;
	assert_int_equal(store_machines_each(store, count, &seen, NULL), 0);
	assert_int_equal(seen, 0);
	store_close(store);
}

static void names_are_unique(void **state)
{
	struct store *store = open_store();
	struct store_machine other = machine_a;

	assert_int_equal(store_machine_insert(store, &machine_a, NULL), 0);
	other.id = "01900000-0000-7000-8000-000000000002";
	assert_int_equal(store_machine_insert(store, &other, NULL), -EEXIST);
	store_close(store);
}

static struct store_image make_image(const char *digest, const char *name)
{
	struct store_image image = {.digest = mem_strdup(digest),
				    .architecture = mem_strdup("amd64"),
				    .os = mem_strdup("linux"),
				    .config = mem_strdup("{}"),
				    .created_at = 1};

	if (name != NULL)
		strv_push(&image.names, name);
	return image;
}

static void insert_image(struct store *store, const char *digest, const char *name)
{
	struct store_image image = make_image(digest, name);

	assert_int_equal(store_image_insert(store, &image, NULL, NULL), 0);
	store_image_done(&image);
}

static void images_are_found_by_name_digest_and_prefix(void **state)
{
	struct store *store = open_store();
	struct store_image image;
	char *digest = NULL;

	insert_image(store, DIGEST_A, "web:latest");
	insert_image(store, DIGEST_A, "web:1");
	insert_image(store, DIGEST_B, "web:latest"); /* the name moves */
	assert_int_equal(store_image_find_name(store, "web:latest", &digest, NULL), 0);
	assert_string_equal(digest, DIGEST_B);
	free(digest);
	assert_int_equal(store_image_find(store, DIGEST_A, &image, NULL), 0);
	assert_int_equal(strv_length(image.names), 1);
	assert_string_equal(image.names[0], "web:1");
	store_image_done(&image);
	assert_int_equal(store_image_find_prefix(store, "sha256:aaaaaaaa", &digest, NULL), -EMLINK);
	assert_int_equal(store_image_find_prefix(store, "sha256:aaaaaaaab", &digest, NULL), 0);
	assert_string_equal(digest, DIGEST_B);
	free(digest);
	assert_int_equal(store_image_find_prefix(store, "sha256:b", &digest, NULL), -ENOENT);
	assert_int_equal(store_image_find_name(store, "none:latest", &digest, NULL), -ENOENT);
	store_close(store);
}

static void an_image_in_use_stays(void **state)
{
	struct store *store = open_store();
	struct store_machine machine = machine_a;
	int64_t users = 0;
	char *digest = NULL;

	insert_image(store, DIGEST_A, "web:latest");
	machine.image_digest = DIGEST_A;
	assert_int_equal(store_machine_insert(store, &machine, NULL), 0);
	assert_int_equal(store_image_count_users(store, DIGEST_A, &users, NULL), 0);
	assert_int_equal(users, 1);
	assert_int_equal(store_image_delete(store, DIGEST_A, NULL, NULL), -EEXIST);
	assert_int_equal(store_machine_delete(store, machine.id, NULL, NULL), 0);
	assert_int_equal(store_image_delete(store, DIGEST_A, NULL, NULL), 0);
	/* Its names go with it. */
	assert_int_equal(store_image_find_name(store, "web:latest", &digest, NULL), -ENOENT);
	store_close(store);
}

static void a_machine_of_an_unknown_image_is_refused(void **state)
{
	struct store *store = open_store();
	struct store_machine machine = machine_a;

	machine.image_digest = DIGEST_A;
	assert_true(store_machine_insert(store, &machine, NULL) < 0);
	store_close(store);
}

/* ---- events ---- */

static void add_events(struct store *store, int count)
{
	const struct store_event event = {.at = 5, .type = "image.deleted", .name = "web"};

	for (int i = 0; i < count; i++)
		assert_int_equal(store_event_insert(store, &event, NULL), 0);
}

struct seen_events {
	int64_t first, last;
	int count;
};

static void see_event(const struct store_event *event, void *user)
{
	struct seen_events *seen = user;

	assert_true(event->id > seen->last);
	assert_non_null(event->attributes);
	if (seen->count++ == 0)
		seen->first = event->id;
	seen->last = event->id;
}

static struct seen_events read_events(struct store *store, int64_t after, size_t limit)
{
	struct seen_events seen = {.last = after};

	assert_int_equal(store_events_after(store, after, limit, see_event, &seen, NULL), 0);
	return seen;
}

static void events_are_read_in_slices(void **state)
{
	struct store *store = open_store();
	struct seen_events seen;

	assert_int_equal(store_events_range(store).count, 0);
	assert_int_equal(read_events(store, 0, 10).count, 0);
	add_events(store, 5);
	assert_int_equal(store_events_range(store).newest, 5);
	seen = read_events(store, 1, 3);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.first, 2);
	assert_int_equal(seen.last, 4);
	assert_int_equal(read_events(store, 5, 3).count, 0);
	store_close(store);
}

static void the_oldest_events_go_and_ids_never_come_again(void **state)
{
	struct store *store = open_store();
	struct store_event_range range;

	add_events(store, EVENTS_MAX + 3);
	range = store_events_range(store);
	assert_int_equal(range.count, EVENTS_MAX);
	assert_int_equal(range.oldest, 4);
	assert_int_equal(range.newest, EVENTS_MAX + 3);
	assert_int_equal(read_events(store, 0, 1).first, 4);
	store_close(store);
	store = open_store();
	assert_int_equal(store_events_range(store).count, EVENTS_MAX);
	assert_int_equal(store_events_range(store).newest, range.newest);
	add_events(store, 1);
	assert_true(store_events_range(store).newest > range.newest);
	assert_int_equal(store_events_range(store).count, EVENTS_MAX);
	store_close(store);
}

static void an_event_is_written_with_its_row_or_not_at_all(void **state)
{
	const struct store_event event = {.at = 5,
					  .type = "machine.created",
					  .machine_id = machine_a.id,
					  .name = "a"};
	struct store *store = open_store();
	struct store_machine machine = machine_a;

	machine.events = &event;
	machine.event_count = 1;
	assert_int_equal(store_machine_insert(store, &machine, NULL), 0);
	assert_int_equal(store_events_range(store).count, 1);
	assert_int_equal(store_machine_insert(store, &machine, NULL), -EEXIST);
	assert_int_equal(store_events_range(store).count, 1);
	assert_int_equal(read_events(store, 0, 10).count, 1);
	assert_int_equal(store_machine_delete(store, machine.id, &event, NULL), 0);
	assert_int_equal(read_events(store, 0, 10).count, 2);
	store_close(store);
}

static int see_announced(const struct store_machine *machine, void *user, struct err *err)
{
	assert_int_equal(machine->state, MACHINE_STATE_CREATED);
	assert_int_equal(machine->announced, MACHINE_STATE_RUNNING);
	return 0;
}

static void what_was_announced_is_known_later(void **state)
{
	const struct store_event event = {.at = 5,
					  .type = "machine.running",
					  .machine_id = machine_a.id,
					  .name = "a",
					  .state = "running"};
	struct store *store = open_store();

	assert_int_equal(store_machine_insert(store, &machine_a, NULL), 0);
	assert_int_equal(store_machine_announce(store, &event, NULL), 0);
	assert_int_equal(store_machines_each(store, see_announced, NULL, NULL), 0);
	store_close(store);
}

static void run_sql(const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void a_later_version_is_refused(void **state)
{
	struct store *store = open_store();
	struct err err = {0};

	store_close(store);
	run_sql("PRAGMA user_version = 1000");
	assert_int_equal(store_open(path, &store, &err), -EPROTO);
	assert_non_null(strstr(err.text, "later krun-api"));
}

static void a_migration_that_fails_changes_nothing(void **state)
{
	struct store *store;
	struct err err = {0};

	/* Its last table is in the way, so the first ones must not stay either. */
	run_sql("CREATE TABLE machines (x)");
	assert_true(store_open(path, &store, &err) < 0);
	run_sql("DROP TABLE machines");
	store = open_store();
	store_close(store);
}

static void a_file_that_is_no_database(void **state)
{
	FILE *file = fopen(path, "w");
	struct store *store;
	struct err err = {0};

	for (int i = 0; i < 1000; i++)
		fputs("this is no database. ", file);
	fclose(file);
	assert_int_equal(store_open(path, &store, &err), -EBADMSG);
}

/* ---- the registry ---- */

static struct machine *make_machine(const char *id, const char *name)
{
	struct machine *machine = mem_new(struct machine);

	snprintf(machine->id, sizeof(machine->id), "%s", id);
	machine->name = mem_strdup(name);
	machine_config_init(&machine->config);
	machine_record_init(&machine->record);
	return machine;
}

static void machines_are_found(void **state)
{
	struct machines machines = {0};
	struct machine *first = make_machine("01900000-0000-7000-8000-000000000001", "b"),
		       *second = make_machine("01900000-0000-7000-8000-000000000002", "a"),
		       *third = make_machine("01911111-0000-7000-8000-000000000003", "01900000"),
		       *twin = make_machine("01922222-0000-7000-8000-000000000004", "a"), *found;

	assert_int_equal(machines_add(&machines, second, NULL), 0);
	assert_int_equal(machines_add(&machines, first, NULL), 0);
	assert_int_equal(machines_find(&machines, "01900000", &found), -EMLINK);
	assert_int_equal(machines_add(&machines, third, NULL), 0);
	assert_int_equal(machines_add(&machines, twin, NULL), -EEXIST);
	assert_int_equal(machines_find(&machines, "a", &found), 0);
	assert_ptr_equal(found, second);
	assert_int_equal(machines_find(&machines, first->id, &found), 0);
	assert_ptr_equal(found, first);
	assert_int_equal(machines_find(&machines, "01911111", &found), 0);
	assert_ptr_equal(found, third);
	/* A name wins over the beginning of an id. */
	assert_int_equal(machines_find(&machines, "01900000", &found), 0);
	assert_ptr_equal(found, third);
	assert_int_equal(machines_find(&machines, "0190000", &found), -ENOENT);
	assert_int_equal(machines_find(&machines, "", &found), -ENOENT);
	/* What is being made cannot be found, but its name is taken. */
	second->is_creating = true;
	assert_int_equal(machines_find(&machines, "a", &found), -ENOENT);
	assert_int_equal(machines_find(&machines, second->id, &found), -ENOENT);
	assert_int_equal(machines_add(&machines, twin, NULL), -EEXIST);
	machine_free(twin);
	machines_done(&machines);
}

struct counter {
	struct observer observer;
	struct observer *ends; /* stops observing that one */
	unsigned calls;
};

static void on_event(struct observer *observer, enum machine_event event)
{
	struct counter *counter = (struct counter *)observer;

	counter->calls++;
	if (counter->ends != NULL)
		machine_unobserve(counter->ends);
}

static void observers_may_end_each_other(void **state)
{
	struct machine *machine = make_machine("01900000-0000-7000-8000-000000000001", "a");
	struct counter counters[3] = {{{.notify = on_event}},
				      {{.notify = on_event}},
				      {{.notify = on_event}}};

	for (size_t i = 0; i < 3; i++)
		machine_observe(machine, &counters[i].observer);
	/* The newest is told first: it ends the next, which must not be told. */
	counters[2].ends = &counters[1].observer;
	counters[0].ends = &counters[0].observer;
	machine_logged(machine);
	assert_int_equal(counters[2].calls, 1);
	assert_int_equal(counters[1].calls, 0);
	assert_int_equal(counters[0].calls, 1);
	machine_logged(machine);
	assert_int_equal(counters[2].calls, 2);
	assert_int_equal(counters[0].calls, 1);
	machine_unobserve(&counters[2].observer);
	machine_free(machine);
}

static int see_migrated(const struct store_machine *machine, void *user, struct err *err)
{
	assert_int_equal(machine->announced, MACHINE_STATE_FAILED);
	assert_int_equal(machine->restart_count, 0);
	assert_false(machine->restart_due);
	return 0;
}

static void a_database_of_the_first_version_is_brought_up(void **state)
{
	struct store *store = open_store();
	struct store_machine machine = machine_a;

	machine.state = MACHINE_STATE_FAILED;
	assert_int_equal(store_machine_insert(store, &machine, NULL), 0);
	store_close(store);
	run_sql("DROP TABLE events; DROP TABLE volumes; DROP TABLE answers;"
		"ALTER TABLE machines DROP COLUMN announced;"
		"ALTER TABLE machines DROP COLUMN restart_count;"
		"ALTER TABLE machines DROP COLUMN restart_due;"
		"PRAGMA user_version = 1;");
	store = open_store();
	assert_int_equal(store_machines_each(store, see_migrated, NULL, NULL), 0);
	add_events(store, 1);
	store_close(store);
}

int main(void)
{
#define STORE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		STORE_TEST(machines_survive),
		STORE_TEST(names_are_unique),
		STORE_TEST(images_are_found_by_name_digest_and_prefix),
		STORE_TEST(an_image_in_use_stays),
		STORE_TEST(a_machine_of_an_unknown_image_is_refused),
		STORE_TEST(events_are_read_in_slices),
		STORE_TEST(the_oldest_events_go_and_ids_never_come_again),
		STORE_TEST(an_event_is_written_with_its_row_or_not_at_all),
		STORE_TEST(what_was_announced_is_known_later),
		STORE_TEST(a_database_of_the_first_version_is_brought_up),
		STORE_TEST(a_later_version_is_refused),
		STORE_TEST(a_migration_that_fails_changes_nothing),
		STORE_TEST(a_file_that_is_no_database),
		cmocka_unit_test(machines_are_found),
		cmocka_unit_test(observers_may_end_each_other),
	};

	return cmocka_run_group_tests_name("api-store", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Copies and statistics of vminit-fake, over the guest channel. What a copy does: test_copy.py. */
#include "host.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/tar.h"

#define FILE_BYTES    (1500 * KIB)
#define ARCHIVE_BYTES (FILE_BYTES + 16 * KIB)

struct fixture {
	struct host host;
	char directory[64];
	uint32_t session;
};

static uint8_t archive[ARCHIVE_BYTES], received[ARCHIVE_BYTES];
static size_t archive_bytes;

/* A file of a changing pattern, named "big". */
static void make_archive(void)
{
	struct wire_tar_entry entry = {
		.type = WIRE_TAR_FILE,
		.path = "big",
		.bytes = FILE_BYTES,
		.mode = 0640,
		.uid = geteuid(),
		.gid = getegid(),
		.mtime_s = 1000000000,
		.mtime_ns = 5,
	};
	long head = wire_tar_write(&entry, archive, sizeof(archive));

	assert_true(head > 0);
	for (size_t i = 0; i < FILE_BYTES; i++)
		archive[(size_t)head + i] = (uint8_t)(i * 31 + i / 4099);
	archive_bytes = (size_t)head + FILE_BYTES + wire_tar_padding(FILE_BYTES);
	memset(archive + (size_t)head + FILE_BYTES, 0, wire_tar_padding(FILE_BYTES));
	memset(archive + archive_bytes, 0, WIRE_TAR_END_BYTES);
	archive_bytes += WIRE_TAR_END_BYTES;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->directory, "/tmp/krun-copy-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	host_run(&f->host, "exec sleep 1000");
	make_archive();
	*state = f;
	return 0;
}

static void remove_all(const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	assert_int_equal(rmdir(directory), 0);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	host_shutdown(&f->host, SIGKILL, 1000);
	host_finish(&f->host);
	remove_all(f->directory);
	free(f);
	return 0;
}

static size_t count_entries(const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
	closedir(dir);
	return count;
}

static void open_copy(struct fixture *f, enum wire_kind kind, const char *path,
		      struct peer *ret_session)
{
	struct wire_open open = {.session = ++f->session, .kind = kind, .path = path};

	host_open(&f->host, &open, ret_session);
}

struct ended {
	struct wire_exited exited;
	size_t received;
	char said[1024];
};

static void end_session(struct peer *session, const struct wire_frame *frame, struct ended *ended)
{
	assert_int_equal(wire_unpack(&wire_exited_message, frame->payload, frame->length,
				     &ended->exited),
			 0);
	peer_send_data(session, WIRE_END, WIRE_STREAM_ALL, "", 0);
	peer_close(session);
}

static uint32_t read_credit(const struct wire_frame *frame)
{
	struct wire_credit credit;

	assert_int_equal(wire_unpack(&wire_credit_message, frame->payload, frame->length, &credit),
			 0);
	return frame->stream == WIRE_STREAM_STDIN ? credit.bytes : 0;
}

/* Sends the archive as fast as is allowed. */
static size_t send_some(struct peer *session, size_t sent, size_t *may_send)
{
	while (sent<archive_bytes && * may_send> 0) {
		size_t n = archive_bytes - sent;

		n = n < *may_send ? n : *may_send;
		n = n < 32 * KIB ? n : 32 * KIB;
		peer_send_data(session, WIRE_STDIN, 0, archive + sent, n);
		sent += n;
		*may_send -= n;
		if (sent == archive_bytes)
			peer_send_data(session, WIRE_END, WIRE_STREAM_STDIN, "", 0);
	}
	return sent;
}

/* To the end, both ways; `sent` is archive_bytes where there is nothing to send. */
static struct ended run(struct peer *session, size_t sent)
{
	struct ended ended = {0};
	size_t may_send = 0, said = 0;
	struct wire_frame frame;

	peer_credit(session, WIRE_STREAM_STDOUT, LIMIT_WINDOW_BYTES);
	peer_credit(session, WIRE_STREAM_STDERR, LIMIT_WINDOW_BYTES);
	for (;;) {
		sent = send_some(session, sent, &may_send);
		assert_true(peer_next(session, &frame));
		if (frame.type == WIRE_EXIT)
			break;
		if (frame.type == WIRE_CREDIT)
			may_send += read_credit(&frame);
		if (frame.type == WIRE_STDOUT) {
			assert_true(frame.length <= sizeof(received) - ended.received);
			memcpy(received + ended.received, frame.payload, frame.length);
			ended.received += frame.length;
			peer_credit(session, WIRE_STREAM_STDOUT, (uint32_t)frame.length);
		}
		if (frame.type == WIRE_STDERR && said + frame.length < sizeof(ended.said)) {
			memcpy(ended.said + said, frame.payload, frame.length);
			said += frame.length;
		}
	}
	end_session(session, &frame, &ended);
	return ended;
}

static void what_is_put_can_be_got_again(void **state)
{
	struct fixture *f = *state;
	struct peer session;
	struct ended ended;
	char path[128];

	open_copy(f, WIRE_KIND_PUT, f->directory, &session);
	ended = run(&session, 0);
	assert_string_equal(ended.said, "");
	assert_int_equal(ended.exited.code, WIRE_COPY_DONE);
	snprintf(path, sizeof(path), "%s/big", f->directory);
	open_copy(f, WIRE_KIND_GET, path, &session);
	ended = run(&session, archive_bytes);
	assert_int_equal(ended.exited.code, WIRE_COPY_DONE);
	assert_int_equal(ended.received, archive_bytes);
	assert_memory_equal(received, archive, archive_bytes);
}

static void what_cannot_be_copied_has_a_code_and_a_sentence(void **state)
{
	struct fixture *f = *state;
	struct peer session;
	struct ended ended;

	open_copy(f, WIRE_KIND_PUT, "/nowhere-at-all", &session);
	ended = run(&session, 0);
	assert_int_equal(ended.exited.code, WIRE_COPY_NOT_FOUND);
	assert_string_equal(ended.said,
			    "cannot copy to /nowhere-at-all: No such file or directory\n");
	open_copy(f, WIRE_KIND_GET, "/etc/hostname/.", &session);
	ended = run(&session, archive_bytes);
	assert_int_equal(ended.exited.code, WIRE_COPY_NOT_DIRECTORY);
	assert_int_equal(ended.received, 0);
	memset(archive, 'x', 512);
	open_copy(f, WIRE_KIND_PUT, f->directory, &session);
	ended = run(&session, 0);
	assert_int_equal(ended.exited.code, WIRE_COPY_BROKEN);
	assert_string_equal(ended.said, "the archive is damaged: a header's checksum is wrong\n");
}

static void a_client_that_goes_away_leaves_nothing_half_written(void **state)
{
	struct fixture *f = *state;
	struct wire_frame frame;
	struct peer session;
	struct ended ended;

	open_copy(f, WIRE_KIND_PUT, f->directory, &session);
	peer_expect(&session, WIRE_CREDIT, &frame);
	peer_send_data(&session, WIRE_STDIN, 0, archive, 60 * KIB);
	peer_send_data(&session, WIRE_STDIN, 0, archive + 60 * KIB, 60 * KIB);
	/* More credit says that some of it was taken. */
	peer_expect(&session, WIRE_CREDIT, &frame);
	peer_send_data(&session, WIRE_HANGUP, 0, "", 0);
	peer_expect(&session, WIRE_EXIT, &frame);
	end_session(&session, &frame, &ended);
	assert_int_not_equal(ended.exited.code, WIRE_COPY_DONE);
	assert_int_equal(count_entries(f->directory), 0);
}

static void a_reader_that_goes_away_ends_the_copy(void **state)
{
	struct fixture *f = *state;
	struct wire_frame frame;
	struct peer session;
	struct ended ended;

	open_copy(f, WIRE_KIND_GET, "/usr", &session);
	peer_credit(&session, WIRE_STREAM_STDOUT, 100 * KIB);
	peer_expect(&session, WIRE_STDOUT, &frame);
	peer_send_data(&session, WIRE_HANGUP, 0, "", 0);
	peer_expect(&session, WIRE_EXIT, &frame);
	end_session(&session, &frame, &ended);
	assert_int_equal(ended.exited.signal, SIGHUP);
}

/* It is a copy of PID 1, which has the ends of all sessions' pipes. */
static void a_copy_holds_nothing_of_other_sessions(void **state)
{
	struct peer exec, copy;
	struct fixture *f = *state;
	struct wire_frame frame;
	char output[64];

	host_open_shell(&f->host, 1000, "cat; echo end", &exec);
	peer_expect(&exec, WIRE_CREDIT, &frame);
	open_copy(f, WIRE_KIND_GET, "/usr", &copy);
	peer_credit(&copy, WIRE_STREAM_STDOUT, 10 * KIB);
	peer_expect(&copy, WIRE_STDOUT, &frame);
	peer_send_data(&exec, WIRE_END, WIRE_STREAM_STDIN, "", 0);
	assert_int_equal(session_read(&exec, output, sizeof(output), NULL).code, 0);
	assert_string_equal(output, "end\n");
	peer_close(&copy);
}

static void a_session_of_an_unknown_kind_fails_with_a_sentence(void **state)
{
	struct fixture *f = *state;
	struct peer session;
	char text[256];

	open_copy(f, (enum wire_kind)77, "/", &session);
	assert_int_equal(session_read_fail(&session, text, sizeof(text)), 125);
	assert_string_equal(text, "this guest does not know sessions of kind 77");
}

static void statistics_are_told_when_asked(void **state)
{
	struct fixture *f = *state;
	struct wire_frame frame;
	struct wire_stats stats;

	peer_send_data(&f->host.control, WIRE_STATS_ASK, 0, "", 0);
	peer_expect(&f->host.control, WIRE_STATS, &frame);
	assert_int_equal(wire_unpack(&wire_stats_message, frame.payload, frame.length, &stats), 0);
	assert_true(stats.memory_available_bytes <= stats.memory_total_bytes);
	assert_true(stats.memory_total_bytes > 0 && stats.root_total_bytes > 0);
	assert_true(stats.root_available_bytes <= stats.root_total_bytes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_is_put_can_be_got_again),
		TEST(what_cannot_be_copied_has_a_code_and_a_sentence),
		TEST(a_client_that_goes_away_leaves_nothing_half_written),
		TEST(a_reader_that_goes_away_ends_the_copy),
		TEST(a_copy_holds_nothing_of_other_sessions),
		TEST(a_session_of_an_unknown_kind_fails_with_a_sentence),
		TEST(statistics_are_told_when_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

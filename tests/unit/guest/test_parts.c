/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of vminit that need no guest: users, paths, credit, the ring, texts, addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/channel.h"
#include "guest/clock.h"
#include "guest/credit.h"
#include "guest/etc.h"
#include "guest/exec.h"
#include "guest/fd.h"
#include "guest/file.h"
#include "guest/network.h"
#include "guest/ring.h"
#include "guest/user.h"

static char directory[64];
static char passwd_path[96], group_path[96];

/* ---- users ---- */

static void write_file(const char *path, const char *text, size_t length)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, length), length);
	close(fd);
}

static int make_files(void **state)
{
	static const char passwd[] = "# comment\n"
				     "root:x:0:0:root:/root:/bin/sh\n"
				     "broken\n"
				     "bad:x:12z:1::/:/bin/sh\n"
				     "huge:x:99999999999:1::/:/bin/sh\n"
				     "www:x:33:34:Web,,:/var/www:/usr/sbin/nologin\n"
				     "nohome:x:77:78::\n"
				     "last:x:1000:1000::/home/last:/bin/sh"; /* no newline */
	static const char group[] = "root:x:0:\n"
				    "www:x:34:\n"
				    "tape:x:26:other,www\n"
				    "wwww:x:27:www2,xwww\n"
				    "audio:x:29:www";

	(void)state;
	strcpy(directory, "/tmp/guest-parts-XXXXXX");
	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(passwd_path, sizeof(passwd_path), "%s/passwd", directory);
	snprintf(group_path, sizeof(group_path), "%s/group", directory);
	write_file(passwd_path, passwd, sizeof(passwd) - 1);
	write_file(group_path, group, sizeof(group) - 1);
	return 0;
}

static int remove_files(void **state)
{
	(void)state;
	unlink(passwd_path);
	unlink(group_path);
	return rmdir(directory);
}

static void expect_user(const char *spec, uid_t uid, gid_t gid, const char *home)
{
	struct failure failure;
	struct user user;

	if (user_resolve(spec, passwd_path, group_path, &user, &failure) < 0)
		fail_msg("%s: %s", spec, failure.text);
	assert_int_equal(user.uid, uid);
	assert_int_equal(user.gid, gid);
	assert_string_equal(user.home, home);
}

static void user_by_name_or_number_with_or_without_group(void **state)
{
	(void)state;
	expect_user("root", 0, 0, "/root");
	expect_user("0", 0, 0, "/root");
	expect_user("", 0, 0, "/root");
	expect_user("www", 33, 34, "/var/www");
	expect_user("33", 33, 34, "/var/www");
	expect_user("www:root", 33, 0, "/var/www");
	expect_user("www:77", 33, 77, "/var/www");
	expect_user("33:tape", 33, 26, "/var/www");
	expect_user("4711", 4711, 0, "/");
	expect_user("4711:4712", 4711, 4712, "/");
	expect_user("last", 1000, 1000, "/home/last");
	expect_user("nohome", 77, 78, "/");
	expect_user("www:", 33, 34, "/var/www");
}

static void user_has_the_groups_that_list_it_unless_one_is_given(void **state)
{
	struct failure failure;
	struct user user;

	(void)state;
	assert_int_equal(user_resolve("www", passwd_path, group_path, &user, &failure), 0);
	assert_int_equal(user.group_count, 2);
	assert_int_equal(user.groups[0], 26);
	assert_int_equal(user.groups[1], 29);
	assert_int_equal(user_resolve("www:www", passwd_path, group_path, &user, &failure), 0);
	assert_int_equal(user.group_count, 0);
}

static void unknown_user_or_group_is_refused_by_name(void **state)
{
	static const char *const specs[] = {
		"nobody",      "bad", "huge", "broken", "-1", "4294967295", "99999999999999999999",
		"www:nogroup",
	};
	struct failure failure;
	struct user user;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		assert_int_equal(user_resolve(specs[i], passwd_path, group_path, &user, &failure),
				 -1);
		assert_int_equal(failure.code, CODE_SET_UP);
		assert_non_null(strstr(failure.text, " is not in "));
	}
}

static void lines_longer_than_the_buffer_are_skipped(void **state)
{
	static char text[3 * USER_LINE_BYTES];
	struct failure failure;
	struct user user;
	size_t n;

	(void)state;
	memset(text, 'x', sizeof(text));
	/* Its end looks like a line of its own. */
	n = 2 * USER_LINE_BYTES + 7;
	memcpy(text + n, ":evil:x:0:0::/:\n", 16);
	memcpy(text + n + 16, "good:x:5:6::/good:\n", 19);
	write_file(passwd_path, text, n + 35);
	assert_int_equal(user_resolve("evil", passwd_path, group_path, &user, &failure), -1);
	assert_int_equal(user_resolve("good", passwd_path, group_path, &user, &failure), 0);
	assert_int_equal(user.uid, 5);
}

static void passwd_that_is_no_file_counts_as_absent(void **state)
{
	struct failure failure;
	struct user user;
	char fifo[96];

	(void)state;
	snprintf(fifo, sizeof(fifo), "%s/fifo", directory);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(user_resolve("7", fifo, directory, &user, &failure), 0);
	assert_int_equal(user.uid, 7);
	assert_int_equal(user_resolve("name", "/no/such", "/no/such", &user, &failure), -1);
	unlink(fifo);
}

static uid_t resolve_cached(struct user_cache *cache, const char *spec, const char *passwd,
			    const char *group)
{
	struct failure failure;
	struct user user;

	if (user_resolve_cached(cache, spec, passwd, group, &user, &failure) < 0)
		fail_msg("%s: %s", spec, failure.text);
	return user.uid;
}

/* The answer is the last one while the files are those of then; and what was just written is not kept. */
static void a_user_is_looked_up_again_when_the_files_change(void **state)
{
	static struct user_cache cache;
	struct failure failure;
	struct user user;
	char path[256];

	(void)state;
	memset(&cache, 0, sizeof(cache));
	snprintf(path, sizeof(path), "%s/young", directory);
	write_file(path, "kept:x:1001:1001::/:/bin/sh\n", 28);
	assert_int_equal(resolve_cached(&cache, "kept", path, "/no/such"), 1001);
	write_file(path, "kept:x:1002:1002::/:/bin/sh\n", 28);
	assert_int_equal(resolve_cached(&cache, "kept", path, "/no/such"), 1002);

	/* One that has been there for long. */
	assert_int_equal(resolve_cached(&cache, "0", "/etc/passwd", "/no/such"), 0);
	cache.user.uid = 4711;
	assert_int_equal(resolve_cached(&cache, "0", "/etc/passwd", "/no/such"), 4711);
	assert_int_equal(resolve_cached(&cache, "00", "/etc/passwd", "/no/such"), 0);
	cache.user.uid = 4711;
	assert_int_equal(resolve_cached(&cache, "00", "/etc/passwd", path), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(user_resolve_cached(&cache, "kept", path, "/no/such", &user, &failure),
			 -1);
}

/* ---- PATH ---- */

static void path_gives_one_candidate_after_the_other(void **state)
{
	const char *path = "/a:/b/c::/d";
	char candidate[16];

	(void)state;
	assert_true(exec_path_next(&path, "x", candidate, sizeof(candidate)));
	assert_string_equal(candidate, "/a/x");
	assert_true(exec_path_next(&path, "x", candidate, sizeof(candidate)));
	assert_string_equal(candidate, "/b/c/x");
	assert_true(exec_path_next(&path, "x", candidate, sizeof(candidate)));
	assert_string_equal(candidate, "./x");
	assert_true(exec_path_next(&path, "x", candidate, sizeof(candidate)));
	assert_string_equal(candidate, "/d/x");
	assert_false(exec_path_next(&path, "x", candidate, sizeof(candidate)));
}

static void path_candidate_that_is_too_long_is_left_out(void **state)
{
	const char *path = "/aaaaaaaaaaaaaaaaaaaaaaaa:/b";
	char candidate[8];

	(void)state;
	assert_true(exec_path_next(&path, "x", candidate, sizeof(candidate)));
	assert_string_equal(candidate, "/b/x");
	assert_false(exec_path_next(&path, "x", candidate, sizeof(candidate)));
}

static void environment_is_searched_by_whole_names(void **state)
{
	const char *const env[] = {"PATHS=1", "XPATH=2", "PATH", "PATH=3", NULL};

	(void)state;
	assert_string_equal(exec_env_get(env, "PATH"), "3");
	assert_null(exec_env_get(env, "HOME"));
}

/* ---- credit ---- */

static void receiver_never_allows_more_than_the_window(void **state)
{
	struct credit credit = credit_receiver();
	size_t waiting = 0;

	(void)state;
	assert_false(credit_take(&credit, 1)); /* nothing was granted yet */
	assert_int_equal(credit_grant(&credit), LIMIT_WINDOW_BYTES);
	assert_int_equal(credit_grant(&credit), 0);
	for (int i = 0; i < 10000; i++) {
		size_t take = (size_t)(i * 7919) % (credit.open + 1);
		size_t consume;

		assert_true(credit_take(&credit, take));
		waiting += take;
		consume = (size_t)(i * 104729) % (waiting + 1);
		credit_consume(&credit, consume);
		waiting -= consume;
		(void)credit_grant(&credit);
		assert_true(credit.open + credit.owed + waiting == LIMIT_WINDOW_BYTES);
		/* A sender with nothing left is always waiting for something that will come. */
		assert_true(credit.open > 0 || waiting > 0);
	}
	assert_false(credit_take(&credit, credit.open + 1));
}

static void sender_survives_a_peer_that_grants_without_end(void **state)
{
	struct credit credit = {0};

	(void)state;
	credit_add(&credit, UINT32_MAX);
	credit_add(&credit, 5);
	assert_int_equal(credit.open, UINT32_MAX);
}

/* ---- the ring ---- */

static void ring_keeps_order_round_its_end_and_refuses_too_much(void **state)
{
	static struct ring ring;
	static uint8_t data[LIMIT_WINDOW_BYTES], got[LIMIT_WINDOW_BYTES];
	uint8_t next_in = 0, next_out = 0;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	ring_clear(&ring);
	for (int i = 0; i < 200; i++) {
		size_t length = (size_t)(i * 7919) % (sizeof(data) + 1);
		ssize_t n;

		for (size_t k = 0; k < length; k++)
			data[k] = (uint8_t)(next_in + k);
		if (ring_put(&ring, data, length))
			next_in = (uint8_t)(next_in + length);
		else
			assert_true(length > sizeof(ring.bytes) - ring.length);
		if (ring.length == 0)
			continue;
		assert_true(ring_write(&ring, fds[1]) > 0);
		while ((n = read(fds[0], got, sizeof(got))) > 0) {
			for (ssize_t k = 0; k < n; k++)
				assert_int_equal(got[k], next_out++);
		}
	}
	close(fds[0]);
	close(fds[1]);
}

/* ---- the channel ---- */

static void channel_keeps_room_for_messages_when_data_fills_it(void **state)
{
	static struct channel channel;
	struct wire_exited exited = {.code = 7};
	struct wire_frame frame;
	static uint8_t in[4 * WIRE_FRAME_BYTES_MAX];
	size_t size, length = 0, used, start = 0;
	int fds[2], frames = 0, last = 0;
	ssize_t n;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	/* Nobody reads, so that nothing leaves the queue. */
	channel_open(&channel, fds[0], true);
	for (;;) {
		uint8_t *data = channel_data_begin(&channel, &size);

		if (size == 0)
			break;
		memset(data, 'x', size / 3 + 1);
		channel_data_end(&channel, WIRE_STDOUT, 1, size / 3 + 1);
		channel.connecting = true;
	}
	channel_send(&channel, WIRE_EXIT, 0, &wire_exited_message, &exited);
	channel.connecting = false;
	while (!channel_is_flushed(&channel)) {
		channel_flush(&channel);
		while ((n = read(fds[1], in + length, sizeof(in) - length)) > 0)
			length += (size_t)n;
	}
	while (wire_frame_parse(in + start, length - start, &frame, &used) == 0) {
		start += used;
		last = frame.type;
		frames++;
	}
	assert_int_equal(start, length);
	assert_true(frames > 1);
	assert_int_equal(last, WIRE_EXIT);
	channel_close(&channel);
	close(fds[1]);
}

static size_t fill_socket(int fd)
{
	static const uint8_t nothing[1000];
	size_t length = 0;
	ssize_t n;

	while ((n = write(fd, nothing, sizeof(nothing))) > 0)
		length += (size_t)n;
	return length;
}

/* A frame whose payload goes past the queue; one into a full socket; a pipe that holds too little. */
static void channel_splices_whole_frames(void **state)
{
	static struct channel channel;
	static uint8_t data[60000], in[MIB];
	struct wire_frame frame;
	int fds[2], ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 256);
	channel_open(&channel, fds[0], false);
	for (int full = 0; full < 2; full++) {
		size_t start = full ? fill_socket(fds[0]) : 0, length = 0, used;

		assert_int_equal(write(ends[1], data, sizeof(data)), sizeof(data));
		assert_int_equal(channel_splice(&channel, WIRE_STDERR, 2, ends[0], sizeof(data)),
				 0);
		assert_int_equal(channel_is_flushed(&channel), !full);
		while (length < start + WIRE_HEAD_BYTES + sizeof(data)) {
			ssize_t n = read(fds[1], in + length, sizeof(in) - length);

			assert_true(n > 0);
			length += (size_t)n;
			channel_flush(&channel);
		}
		assert_int_equal(wire_frame_parse(in + start, length - start, &frame, &used), 0);
		assert_int_equal(used, length - start);
		assert_int_equal(frame.type, WIRE_STDERR);
		assert_memory_equal(frame.payload, data, sizeof(data));
	}
	assert_int_equal(write(ends[1], data, 100), 100);
	assert_int_equal(channel_splice(&channel, WIRE_STDERR, 2, ends[0], 101), -EPIPE);
	assert_true(channel.ended);
	channel_close(&channel);
	close(fds[1]);
	close(ends[0]);
	close(ends[1]);
}

static void channel_ends_at_a_frame_of_impossible_length(void **state)
{
	static const uint8_t bad[] = {0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0};
	static struct channel channel;
	struct wire_frame frame;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	channel_open(&channel, fds[0], false);
	assert_int_equal(write(fds[1], bad, sizeof(bad)), sizeof(bad));
	channel_receive(&channel);
	assert_false(channel_next(&channel, &frame));
	assert_true(channel.ended);
	/* What is sent into it is dropped. */
	channel_send(&channel, WIRE_CREDIT, 0, &wire_credit_message,
		     &(struct wire_credit){.bytes = 1});
	assert_true(channel_is_flushed(&channel));
	channel_close(&channel);
	close(fds[1]);
}

/* ---- texts and addresses ---- */

static void texts_of_etc_say_what_the_configuration_says(void **state)
{
	struct wire_config config = {
		.hostname = "box",
		.address = "192.168.127.2/24",
		.dns = {"192.168.127.1", "fd00::1"},
	};
	char text[1024];

	(void)state;
	etc_format_hosts(&config, text, sizeof(text));
	assert_string_equal(text,
			    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
			    "192.168.127.2\tbox\n");
	etc_format_hostname(&config, text, sizeof(text));
	assert_string_equal(text, "box\n");
	etc_format_resolv_conf(&config, text, sizeof(text));
	assert_string_equal(text, "nameserver 192.168.127.1\nnameserver fd00::1\n");
	config = (struct wire_config){0};
	etc_format_resolv_conf(&config, text, sizeof(text));
	assert_string_equal(text, "");
	etc_format_hostname(&config, text, sizeof(text));
	assert_string_equal(text, "");
}

static void addresses_are_parsed_strictly(void **state)
{
	static const char *const bad[] = {
		"",
		"1.2.3",
		"1.2.3.4/33",
		"1.2.3.4/",
		"1.2.3.4/x",
		"fd00::1/129",
		"::1/-1",
		"1.2.3.4/24/8",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		"1.2.3.4/4294967320",
	};
	struct network_address address;

	(void)state;
	assert_int_equal(network_parse_address("192.168.127.2/24", &address), 0);
	assert_int_equal(address.family, AF_INET);
	assert_int_equal(address.prefix_bits, 24);
	assert_memory_equal(address.bytes, "\xc0\xa8\x7f\x02", 4);
	assert_int_equal(network_parse_address("fd00::1", &address), 0);
	assert_int_equal(address.family, AF_INET6);
	assert_int_equal(address.prefix_bits, 128);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(network_parse_address(bad[i], &address), -EINVAL);
}

static void directories_are_made_with_those_above_them(void **state)
{
	static const char *const parts[] = {"/a/b/c", "/a/b", "/a"};
	char path[128];
	struct stat st;

	(void)state;
	snprintf(path, sizeof(path), "%s/a/b/c/", directory);
	assert_int_equal(file_make_directories(path, 0755), 0);
	assert_int_equal(file_make_directories(path, 0755), 0);
	assert_int_equal(stat(path, &st), 0);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		snprintf(path, sizeof(path), "%s%s", directory, parts[i]);
		assert_int_equal(rmdir(path), 0);
	}
	snprintf(path, sizeof(path), "%s/x", passwd_path);
	assert_int_equal(file_make_directories(path, 0755), -ENOTDIR);
}

static void time_left_is_rounded_up_and_never_negative(void **state)
{
	(void)state;
	assert_int_equal(clock_left_ms(CLOCK_NEVER), -1);
	assert_int_equal(clock_left_ms(0), 0);
	/* Rounded down it would be a busy loop before each deadline. */
	assert_true(clock_left_ms(clock_now_ns() + NS_PER_S) > 0);
	assert_in_range(clock_left_ms(clock_now_ns() + UINT64_C(1000000) * NS_PER_S), 1, INT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(user_by_name_or_number_with_or_without_group),
		cmocka_unit_test(user_has_the_groups_that_list_it_unless_one_is_given),
		cmocka_unit_test(unknown_user_or_group_is_refused_by_name),
		cmocka_unit_test(a_user_is_looked_up_again_when_the_files_change),
		cmocka_unit_test(lines_longer_than_the_buffer_are_skipped),
		cmocka_unit_test(passwd_that_is_no_file_counts_as_absent),
		cmocka_unit_test(path_gives_one_candidate_after_the_other),
		cmocka_unit_test(path_candidate_that_is_too_long_is_left_out),
		cmocka_unit_test(environment_is_searched_by_whole_names),
		cmocka_unit_test(receiver_never_allows_more_than_the_window),
		cmocka_unit_test(sender_survives_a_peer_that_grants_without_end),
		cmocka_unit_test(ring_keeps_order_round_its_end_and_refuses_too_much),
		cmocka_unit_test(channel_keeps_room_for_messages_when_data_fills_it),
		cmocka_unit_test(channel_splices_whole_frames),
		cmocka_unit_test(channel_ends_at_a_frame_of_impossible_length),
		cmocka_unit_test(texts_of_etc_say_what_the_configuration_says),
		cmocka_unit_test(addresses_are_parsed_strictly),
		cmocka_unit_test(directories_are_made_with_those_above_them),
		cmocka_unit_test(time_left_is_rounded_up_and_never_negative),
	};

	return cmocka_run_group_tests(tests, make_files, remove_files);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* QEMU's monitor and the session ports that it plugs, with a peer that plays QEMU's part, well or badly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* Its inside, for deadlines that have passed. */
#include "session.c"

#define GREETING                                                                                   \
	"{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7}}, \"capabilities\": [\"oob\"]}}\r\n"
#define NEGOTIATED "{\"return\": {}, \"id\": 32}\r\n"
#define EVENT                                                                                      \
	"{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"VSERPORT_CHANGE\", "  \
	"\"data\": {\"open\": true, \"id\": \"x\"}}\r\n"

static struct loop loop;
static int qemu; /* the peer's end */

static void say(const char *text)
{
	assert_int_equal(write(qemu, text, strlen(text)), strlen(text));
}

static void turn(void)
{
	assert_int_equal(loop_turn(&loop, clock_monotonic_ms()), 0);
}

/* What was said to QEMU since the last time. */
static const char *heard(void)
{
	static char text[65536];
	ssize_t n = read(qemu, text, sizeof(text) - 1);

	text[MAX(n, 0)] = '\0';
	return text;
}

static int make_peer(void)
{
	int pair[2];

	assert_int_equal(fd_socketpair(pair), 0);
	assert_int_equal(fd_set_nonblock(pair[1], true), 0);
	qemu = pair[1];
	return pair[0];
}

/* The monitor alone. */

static struct qmp qmp;
static int added, lost;
static char told[512];

static void take_added(void *owner, int port, const char *sentence)
{
	added = port;
	snprintf(told, sizeof(told), "%s", sentence != NULL ? sentence : "");
}

static void take_lost(void *owner, const char *sentence)
{
	lost++;
	snprintf(told, sizeof(told), "%s", sentence);
}

static const struct qmp_calls calls = {.port_added = take_added, .lost = take_lost};

static int set_up(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	loop_init(&loop);
	qmp_init(&qmp, &loop, &calls, NULL);
	added = -1;
	lost = 0;
	told[0] = '\0';
	return qmp_open(&qmp, make_peer());
}

static int tear_down(void **state)
{
	qmp_done(&qmp);
	qemu = fd_close(qemu);
	loop_done(&loop);
	return 0;
}

static void negotiate(void)
{
	assert_int_equal(qmp_add_port(&qmp, 3), 0);
	say(GREETING);
	turn();
	assert_string_equal(heard(), "{\"execute\":\"qmp_capabilities\",\"id\":32}\n");
	say(NEGOTIATED);
	turn();
}

static void a_port_is_asked_for_after_the_greeting(void **state)
{
	say(GREETING);
	turn();
	/* Nobody has needed it yet. */
	assert_string_equal(heard(), "");
	assert_int_equal(qmp_add_port(&qmp, 3), 0);
	turn();
	assert_string_equal(heard(), "{\"execute\":\"qmp_capabilities\",\"id\":32}\n");
	say(EVENT NEGOTIATED EVENT);
	turn();
	assert_string_equal(heard(),
			    "{\"execute\":\"device_add\",\"id\":3,\"arguments\":{\"driver\":"
			    "\"virtserialport\",\"chardev\":\"session3\","
			    "\"name\":\"krun.session.3\"}}\n");
	say(EVENT "{\"return\": {}, \"id\": 3}\r\n" EVENT);
	turn();
	assert_int_equal(added, 3);
	assert_string_equal(told, "");
	assert_int_equal(lost, 0);
}

static void lines_come_in_pieces(void **state)
{
	static const char answer[] = "{\"return\": {}, \"id\": 3}\r\n";

	negotiate();
	for (size_t i = 0; i < sizeof(answer) - 1; i++) {
		assert_int_equal(added, -1);
		say((char[]){answer[i], '\0'});
		turn();
	}
	assert_int_equal(added, 3);
}

static void a_port_is_asked_for_once_until_it_is_answered(void **state)
{
	negotiate();
	(void)heard();
	assert_int_equal(qmp_add_port(&qmp, 3), 0);
	assert_string_equal(heard(), "");
	say("{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}, \"id\": 3}\r\n");
	turn();
	assert_int_equal(qmp_add_port(&qmp, 3), 0);
	assert_non_null(strstr(heard(), "\"id\":3"));
}

static void what_qemu_says_of_an_error_is_one_short_line(void **state)
{
	char line[1024] = "{\"id\": 3, \"error\": {\"desc\": \"a\\nb\\u001b[31m";

	negotiate();
	memset(line + strlen(line), 'x', 500);
	strcat(line, "\"}}\r\n");
	say(line);
	turn();
	assert_int_equal(added, 3);
	assert_ptr_equal(strstr(told, "QEMU cannot add a session port: a b [31mxxx"), told);
	assert_true(strlen(told) < 256);
	assert_int_equal(lost, 0);
}

static void an_error_may_say_nothing(void **state)
{
	negotiate();
	say("{\"id\": 3, \"error\": null}\r\n");
	turn();
	assert_string_equal(told, "QEMU cannot add a session port: it does not say why");
}

static void assert_broken(const char *text)
{
	say(text);
	turn();
	assert_int_equal(lost, 1);
	assert_string_equal(told, "QEMU's monitor said something that is no answer");
	assert_int_equal(added, -1);
	assert_int_equal(qmp_add_port(&qmp, 4), -ENOTCONN);
	assert_int_equal(read(qemu, told, 1), 0);
}

/* Each of them in a monitor of its own. */
static void what_is_no_answer_ends_the_monitor(void **state)
{
	static const char *const lines[] = {
		"hello\n",
		"\n",
		"[]\n",
		"{\"return\": {}}\n",
		"{\"return\": {}, \"id\": \"3\"}\n",
		"{\"return\": {}, \"id\": 4}\n",
		"{\"return\": {}, \"id\": -1}\n",
		"{\"return\": {}, \"id\": 32}\n",
		"{\"return\": {}, \"id\": 4294967299}\n",
		"{\"return\": {}, \"id\": 3, \"id\": 3}\n",
		"{\"id\": 3}\n",
		"{\"QMP\": {}}\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		negotiate();
		(void)heard();
		assert_broken(lines[i]);
		tear_down(state);
		set_up(state);
	}
}

static void nothing_is_an_answer_before_the_greeting(void **state)
{
	assert_int_equal(qmp_add_port(&qmp, 3), 0);
	assert_broken("{\"return\": {}, \"id\": 3}\n");
}

static void a_line_without_end_ends_the_monitor(void **state)
{
	char piece[1024];

	negotiate();
	memset(piece, ' ', sizeof(piece) - 1);
	piece[sizeof(piece) - 1] = '\0';
	for (int i = 0; i < 64 && lost == 0; i++) {
		say(piece);
		turn();
	}
	assert_int_equal(lost, 1);
}

static void a_qemu_that_closes_is_told(void **state)
{
	negotiate();
	assert_int_equal(shutdown(qemu, SHUT_RDWR), 0);
	turn();
	turn();
	assert_int_equal(lost, 1);
	assert_string_equal(told, "QEMU's monitor has closed");
}

/* It answers what it does not read: what waits for it does not grow. */
static void commands_that_are_not_read_do_not_pile_up(void **state)
{
	negotiate();
	for (int i = 0; i < 20000 && lost == 0; i++) {
		assert_int_equal(qmp_add_port(&qmp, 3), 0);
		if ((qmp.asked >> 3 & 1) == 0)
			break;
		say("{\"error\": {}, \"id\": 3}\n");
		turn();
	}
	assert_int_equal(lost, 0);
	assert_true(qmp.out.length > 0 && qmp.out.length < 1024);
	for (int i = 0; i < 1000 && (qmp.asked >> 3 & 1) == 0; i++) {
		(void)heard();
		turn();
	}
	assert_int_equal(qmp.asked, 1U << 3);
}

/* Sessions. */

struct rig {
	struct guest guest;
	struct sessions sessions;
	struct link client;
	int vminit, peer; /* the other ends of control and of the client */
	int ports[2];
	int detached;
};

static struct rig rig;

static void take_detached(struct link *client)
{
	rig.detached++;
}

static void guest_lost(void *owner, const char *sentence)
{
	(void)owner;
	(void)sentence;
}

static void client_closed(struct link *link, int error)
{
	(void)link;
	(void)error;
}

static int client_frame(struct link *link, const struct wire_frame *frame)
{
	(void)link;
	(void)frame;
	return 0;
}

static const struct guest_calls guest_calls = {.lost = guest_lost};
static const struct link_calls client_calls = {.frame = client_frame, .closed = client_closed};

static int make_end(int *ret_peer)
{
	int pair[2];

	assert_int_equal(fd_socketpair(pair), 0);
	assert_int_equal(fd_set_nonblock(pair[1], true), 0);
	*ret_peer = pair[1];
	return pair[0];
}

static int set_up_sessions(void **state)
{
	struct err err;

	signal(SIGPIPE, SIG_IGN);
	loop_init(&loop);
	rig.detached = 0;
	guest_init(&rig.guest, &loop, &guest_calls, NULL);
	assert_int_equal(guest_open(&rig.guest, make_end(&rig.vminit), &err), 0);
	sessions_init(&rig.sessions, &loop, &rig.guest, take_detached);
	for (size_t i = 0; i < ARRAY_SIZE(rig.ports); i++)
		assert_int_equal(sessions_add_port(&rig.sessions, make_end(&rig.ports[i]), &err),
				 0);
	assert_int_equal(sessions_add_monitor(&rig.sessions, make_peer(), 1, &err), 0);
	link_init(&rig.client, &loop, &client_calls, NULL);
	return link_open(&rig.client, make_end(&rig.peer), 65536);
}

static int tear_down_sessions(void **state)
{
	sessions_done(&rig.sessions);
	guest_done(&rig.guest);
	link_done(&rig.client);
	fd_close(rig.vminit);
	fd_close(rig.peer);
	for (size_t i = 0; i < ARRAY_SIZE(rig.ports); i++)
		fd_close(rig.ports[i]);
	qemu = fd_close(qemu);
	loop_done(&loop);
	return 0;
}

/* The first frame that has arrived at `fd`; false: none. */
static bool next_frame(int fd, struct wire_frame *ret_frame)
{
	static uint8_t data[WIRE_FRAME_BYTES_MAX];
	ssize_t n = read(fd, data, sizeof(data));

	size_t taken;

	return n > 0 && wire_frame_parse(data, (size_t)n, ret_frame, &taken) == 0;
}

static struct session *open_session(struct link *client)
{
	struct wire_open open = {.kind = WIRE_KIND_EXEC, .output_credit = 1};

	open.process.argv[0] = "/bin/true";
	return sessions_open(&rig.sessions, client, &open);
}

static void assert_opened(uint32_t port)
{
	struct wire_frame frame;
	struct wire_open open;

	assert_true(next_frame(rig.vminit, &frame));
	assert_int_equal(frame.type, WIRE_OPEN);
	assert_int_equal(wire_unpack(&wire_open_message, frame.payload, frame.length, &open), 0);
	assert_int_equal(open.port, port);
	assert_string_equal(open.process.argv[0], "/bin/true");
}

static void assert_refused(const char *sentence)
{
	struct wire_frame frame;
	struct wire_fail fail;

	assert_true(next_frame(rig.peer, &frame));
	assert_int_equal(frame.type, WIRE_FAIL);
	assert_int_equal(wire_unpack(&wire_fail_message, frame.payload, frame.length, &fail), 0);
	assert_string_equal(fail.text, sentence);
}

/* The one port is taken; the next session needs another one. */
static struct session *open_second(void)
{
	static struct link first;
	struct session *session;
	struct wire_frame frame;
	int peer;

	link_init(&first, &loop, &client_calls, NULL);
	assert_int_equal(link_open(&first, make_end(&peer), 65536), 0);
	assert_non_null(open_session(&first));
	assert_opened(0);
	fd_close(peer);
	session_hang_up(rig.sessions.first);
	link_done(&first);
	assert_string_equal(heard(), "");
	session = open_session(&rig.client);
	assert_non_null(session);
	assert_false(next_frame(rig.vminit, &frame));
	return session;
}

static void answer(const char *text)
{
	say(GREETING NEGOTIATED);
	turn();
	assert_non_null(strstr(heard(), "krun.session.1"));
	say(text);
	turn();
}

static void a_session_waits_for_its_port(void **state)
{
	open_second();
	answer("{\"return\": {}, \"id\": 1}\n");
	assert_opened(1);
	assert_int_equal(rig.detached, 0);
}

static void a_session_without_a_port_is_refused_in_qemus_words(void **state)
{
	open_second();
	answer("{\"error\": {\"desc\": \"no such thing\"}, \"id\": 1}\n");
	assert_refused("QEMU cannot add a session port: no such thing");
	assert_int_equal(rig.detached, 1);
	assert_int_equal(rig.sessions.session_count, 1);
}

static void a_silent_qemu_refuses_and_may_still_come(void **state)
{
	struct session *session = open_second();

	assert_true(session->deadline_ms <= clock_monotonic_ms() + 5000);
	session->deadline_ms = clock_monotonic_ms();
	sessions_expire(&rig.sessions);
	assert_refused("QEMU did not add a session port in time");
	assert_int_equal(rig.detached, 1);
	/* Late, for the next one. */
	link_done(&rig.client);
	fd_close(rig.peer);
	answer("{\"return\": {}, \"id\": 1}\n");
	link_init(&rig.client, &loop, &client_calls, NULL);
	assert_int_equal(link_open(&rig.client, make_end(&rig.peer), 65536), 0);
	assert_non_null(open_session(&rig.client));
	assert_opened(1);
}

static void a_client_that_leaves_meanwhile_leaves_nothing(void **state)
{
	struct wire_frame frame;

	session_hang_up(open_second());
	assert_int_equal(rig.sessions.session_count, 1);
	answer("{\"return\": {}, \"id\": 1}\n");
	assert_false(next_frame(rig.vminit, &frame));
	/* The port is there now. */
	assert_non_null(open_session(&rig.client));
	assert_opened(1);
}

static void a_monitor_that_is_lost_refuses_all_that_wait(void **state)
{
	struct link another;
	int peer;

	open_second();
	say("nonsense\n");
	turn();
	assert_refused("QEMU's monitor said something that is no answer");
	link_init(&another, &loop, &client_calls, NULL);
	fd_close(rig.peer);
	assert_int_equal(link_open(&another, make_end(&peer), 65536), 0);
	rig.peer = peer;
	assert_null(open_session(&another));
	assert_refused("all session ports of the machine are in use, and QEMU does not add any "
		       "more: close a session");
	link_done(&another);
}

/* Before OPEN nothing that comes from the port is the session's. */
static void a_port_says_nothing_before_it_is_plugged(void **state)
{
	struct session *session = open_second();
	struct wire_hello hello = {
		.version = WIRE_VERSION,
		.role = WIRE_ROLE_SESSION,
		.session = session->number,
	};
	uint8_t frame[128];
	long length;

	length = wire_pack(WIRE_HELLO, 0, &wire_hello_message, &hello, frame, sizeof(frame));
	assert_int_equal(write(rig.ports[1], frame, (size_t)length), length);
	turn();
	assert_int_equal(session->state, SESSION_PLUGGING);
}

#define CASE(name)    cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define SESSION(name) cmocka_unit_test_setup_teardown(name, set_up_sessions, tear_down_sessions)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_port_is_asked_for_after_the_greeting),
		CASE(lines_come_in_pieces),
		CASE(a_port_is_asked_for_once_until_it_is_answered),
		CASE(what_qemu_says_of_an_error_is_one_short_line),
		CASE(an_error_may_say_nothing),
		CASE(what_is_no_answer_ends_the_monitor),
		CASE(nothing_is_an_answer_before_the_greeting),
		CASE(a_line_without_end_ends_the_monitor),
		CASE(a_qemu_that_closes_is_told),
		CASE(commands_that_are_not_read_do_not_pile_up),
		SESSION(a_session_waits_for_its_port),
		SESSION(a_session_without_a_port_is_refused_in_qemus_words),
		SESSION(a_silent_qemu_refuses_and_may_still_come),
		SESSION(a_client_that_leaves_meanwhile_leaves_nothing),
		SESSION(a_monitor_that_is_lost_refuses_all_that_wait),
		SESSION(a_port_says_nothing_before_it_is_plugged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

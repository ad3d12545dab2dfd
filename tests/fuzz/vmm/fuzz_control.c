/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two clients of a control socket, the guest's ends of two session ports and QEMU's of its monitor, all
 * hostile, in turns. The input is a sequence of `u8 who, u16 length, bytes`: 0 and 1 are the clients, 2
 * and 3 the ports; 4 and 5 say the HELLO of the session on a port, whose number the fuzzer cannot know;
 * 6 and 7 are read by a client; 8 is the monitor, which is to plug the second port, 9 reads it, and 10
 * lets the time of what waits for it be over.
 */
#include "control.c"
#undef HELLO_TIMEOUT_MS
#undef SOCKET_NAME
#define on_frame      session_on_frame
#define on_closed     session_on_closed
#define on_drained    session_on_drained
#define take_hello    session_take_hello
#define on_connection session_on_connection
#define sweep         session_sweep
#include "session.c"

#include <assert.h>
#include <signal.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PEERS   5
#define MONITOR 4

static struct guest guest;
static struct sessions sessions;
static struct control control;
static struct loop loop;
static int peers[PEERS];

static void stop(void *owner, const struct wire_shutdown *shutdown)
{
	assert(shutdown->signal <= WIRE_SIGNAL_MAX);
}

static void end(void *owner)
{
}

/* The answer comes in a later turn, as it does from the supervisor. */
static bool stats_asked;

static void ask_stats(void *owner)
{
	stats_asked = true;
}

static void send_signal(void *owner, const struct wire_signal *number)
{
	assert(number->signal >= 1 && number->signal <= WIRE_SIGNAL_MAX);
}

static const char *refuse(void *owner)
{
	return NULL;
}

static const struct control_calls calls = {
	.stop = stop,
	.kill = end,
	.ask_stats = ask_stats,
	.signal = send_signal,
	.refuse_session = refuse,
};

static void lost(void *owner, const char *sentence)
{
}

static const struct guest_calls guest_calls = {.lost = lost};

static int make_pair(int *ret_peer)
{
	int pair[2];

	assert(fd_socketpair(pair) == 0);
	assert(fd_set_nonblock(pair[1], true) == 0);
	*ret_peer = pair[1];
	return pair[0];
}

static void take_out(int fd)
{
	static uint8_t sink[65536];

	for (int i = 0; i < 16 && read(fd, sink, sizeof(sink)) > 0; i++)
		;
}

static struct channel *port(unsigned index)
{
	struct channel *channel = sessions.channels;

	while (channel != NULL && channel->port != (int)index)
		channel = channel->next;
	return channel;
}

static void say_hello(unsigned index)
{
	struct channel *channel = port(index);
	struct wire_hello hello = {.version = WIRE_VERSION, .role = WIRE_ROLE_SESSION};
	uint8_t frame[128];
	long length;

	if (channel == NULL || channel->session == NULL)
		return;
	hello.session = channel->session->number;
	length = wire_pack(WIRE_HELLO, 0, &wire_hello_message, &hello, frame, sizeof(frame));
	(void)!write(peers[2 + index], frame, (size_t)length);
}

static void check(void)
{
	for (struct session *s = sessions.first; s != NULL; s = s->next) {
		for (size_t i = 0; i < ARRAY_SIZE(s->relay.credit); i++)
			assert(s->relay.credit[i] <= LIMIT_WINDOW_BYTES);
		assert(s->client == NULL || link_is_open(s->client));
	}
	for (struct channel *c = sessions.channels; c != NULL; c = c->next)
		assert(c->plug == PLUG_IN || c->session == NULL ||
		       c->session->state == SESSION_PLUGGING);
	for (struct client *c = control.first; c != NULL; c = c->next)
		assert(c->link.out.length <= OUT_BYTES_MAX);
}

static void end_plugging(void)
{
	for (struct session *s = sessions.first; s != NULL; s = s->next) {
		if (s->state == SESSION_PLUGGING)
			s->deadline_ms = clock_monotonic_ms();
	}
	sessions_expire(&sessions);
}

static void play(unsigned who, const uint8_t *data, size_t length)
{
	switch (who) {
	case 4:
	case 5:
		say_hello(who - 4);
		break;
	case 6:
	case 7:
		take_out(peers[who - 6]);
		break;
	case 8:
		(void)!write(peers[MONITOR], data, length);
		break;
	case 9:
		take_out(peers[MONITOR]);
		break;
	case 10:
		end_plugging();
		break;
	default:
		if (who < 4)
			(void)!write(peers[who], data, length);
		break;
	}
}

static void step(unsigned who, const uint8_t *data, size_t length)
{
	play(who, data, length);
	assert(loop_turn(&loop, clock_monotonic_ms()) == 0);
	if (stats_asked)
		control_set_stats(&control, &(struct wire_machine_stats){.realtime_ns = 1});
	stats_asked = false;
	check();
}

static void set_up(int *ret_guest_peer)
{
	loop_init(&loop);
	guest_init(&guest, &loop, &guest_calls, NULL);
	sessions_init(&sessions, &loop, &guest, control_detach_session);
	control_init(&control, &loop, &sessions, &calls, NULL);
	control.machine_id = "id";
	assert(guest_open(&guest, make_pair(ret_guest_peer), NULL) == 0);
	for (int i = 0; i < PEERS; i++) {
		int fd = make_pair(&peers[i]);

		if (i < 2)
			add_client(&control, fd);
		else if (i < MONITOR)
			assert(sessions_add_port(&sessions, fd, NULL) == 0);
		else
			assert(sessions_add_monitor(&sessions, fd, 1, NULL) == 0);
	}
	control_set_state(&control, "{}", 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int guest_peer;

	signal(SIGPIPE, SIG_IGN);
	set_up(&guest_peer);
	while (size >= 3) {
		unsigned who = data[0] & 15;
		size_t length = MIN((size_t)wire_get_u16(data + 1), size - 3);

		step(who, data + 3, length);
		data += 3 + length;
		size -= 3 + length;
		take_out(guest_peer);
	}
	sessions_end(&sessions, "the machine has ended");
	control_end(&control, 0);
	for (int i = 0; i < PEERS; i++)
		fd_close(peers[i]);
	fd_close(guest_peer);
	sessions_done(&sessions);
	guest_done(&guest);
	loop_done(&loop);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rand.h"

#define SOCKET_NAME "s"
/* Connections without a session beyond the sessions there are: somebody else dials. */
#define SPARE_CONNECTIONS 8
/* Of those that have had one, for the next sessions. */
#define KEPT_CONNECTIONS 2
#define CODE_SET_UP      125 /* as of a shell whose command could not be set up */

/* Until QEMU has plugged a port; from OPEN to the guest's HELLO; from HANGUP to its EXIT. */
#define PLUG_TIMEOUT_MS   5000
#define HELLO_TIMEOUT_MS  30000
#define HANGUP_TIMEOUT_MS 30000

/* Above this towards the guest, its client is not read. */
#define UP_BYTES_HIGH (64 * KIB)
#define UP_BYTES_MAX  (UP_BYTES_HIGH + 2 * WIRE_FRAME_BYTES_MAX)

/* What QEMU has of a port. In the guest it appears a moment after it is plugged. */
enum plug {
	PLUG_IN,
	PLUG_OUT,
	PLUG_ASKED,
};

/* A connection or port to the guest. */
struct channel {
	struct channel *next;
	struct sessions *sessions;
	struct link link;
	struct session *session; /* NULL: an idle port, or a connection that has not said HELLO */
	int port;                /* -1: a connection */
	enum plug plug;
	uint64_t last_use;
	int64_t deadline_ms; /* of a connection's HELLO */
	bool kept;           /* a connection for the next session */
	bool spoilt;         /* a port whose last session never ended, or whose protocol broke */
	bool over;           /* closed: freed by the next sweep */
};

enum session_state {
	SESSION_PLUGGING,
	SESSION_WAITING,
	SESSION_OPEN,
	SESSION_HANGUP,
};

struct session {
	struct session *next;
	struct sessions *sessions;
	enum session_state state;
	uint32_t number;
	struct link *client; /* NULL: gone */
	struct channel *channel;
	struct relay relay;
	bool is_direct;      /* on a connection that was kept: nothing waits for HELLO */
	int64_t deadline_ms; /* INT64_MAX: none */
	struct buf opening;  /* OPEN, a frame, while the port is plugged */
};

void session_refuse(struct link *client, uint32_t code, const char *sentence)
{
	struct wire_fail fail = {.code = code, .text = sentence};

	/* A client that does not even take this is closed without it. */
	(void)!link_send(client, WIRE_FAIL, 0, &wire_fail_message, &fail);
	link_finish(client);
}

static void free_session(struct session *session)
{
	struct sessions *sessions = session->sessions;
	struct session **at = &sessions->first;

	while (*at != session)
		at = &(*at)->next;
	*at = session->next;
	sessions->session_count--;
	if (session->channel != NULL)
		session->channel->session = NULL;
	buf_done(&session->opening);
	free(session);
}

/* Lets the client go, which gets what is queued and, unless NULL, the sentence. */
static void detach_client(struct session *session, const char *sentence)
{
	struct link *client = session->client;

	if (client == NULL)
		return;
	session->client = NULL;
	session->sessions->detached(client);
	if (sentence != NULL)
		session_refuse(client, CODE_SET_UP, sentence);
	else
		link_finish(client);
}

static void set_kept(struct channel *channel, bool kept)
{
	if (channel->kept == kept)
		return;
	channel->kept = kept;
	if (kept)
		channel->sessions->kept_count++;
	else
		channel->sessions->kept_count--;
}

static void close_channel(struct channel *channel)
{
	link_close(&channel->link);
	set_kept(channel, false);
	channel->over = true;
	channel->spoilt = true;
}

/* The guest is done with a session on it. It is kept, or closes; a port becomes free. */
static void release_channel(struct channel *channel)
{
	channel->session = NULL;
	if (channel->port < 0 && channel->sessions->kept_count < KEPT_CONNECTIONS &&
	    link_is_open(&channel->link)) {
		set_kept(channel, true);
		return;
	}
	if (link_send_raw(&channel->link, WIRE_END, WIRE_STREAM_ALL, NULL, 0) < 0)
		channel->spoilt = true;
	if (channel->port < 0)
		link_await_end(&channel->link);
}

/* EXIT leaves the client its connection, for another session. */
static void end_session(struct session *session, bool by_exit)
{
	struct channel *channel = session->channel;
	struct link *client = by_exit ? session->client : NULL;

	if (client != NULL) {
		session->client = NULL;
		session->sessions->detached(client);
	} else {
		detach_client(session, NULL);
	}
	free_session(session);
	release_channel(channel);
	/* May deliver its next OPEN at once. */
	if (client != NULL)
		link_pause(client, false);
}

/* The guest broke the rules or its channel is gone: the session cannot go on. */
static void abort_session(struct session *session, const char *sentence)
{
	struct channel *channel = session->channel;

	detach_client(session, sentence);
	free_session(session);
	if (channel != NULL)
		close_channel(channel);
}

static void abort_all(struct sessions *sessions, const char *sentence)
{
	struct session *next;

	for (struct session *s = sessions->first; s != NULL; s = next) {
		next = s->next;
		abort_session(s, sentence);
	}
}

static void update_client(struct session *session)
{
	struct channel *channel = session->channel;

	/* May deliver the client's frames at once: nothing may follow that uses the session. */
	if (session->client != NULL)
		link_pause(session->client, channel->link.out.length > UP_BYTES_HIGH);
}

static struct session *find_waiting(struct sessions *sessions, uint32_t number)
{
	for (struct session *s = sessions->first; s != NULL; s = s->next) {
		if (s->number == number && s->channel == NULL)
			return s;
	}
	return NULL;
}

static void send_hang_up(struct session *session)
{
	session->state = SESSION_HANGUP;
	session->deadline_ms = clock_monotonic_ms() + HANGUP_TIMEOUT_MS;
	(void)!link_send_raw(&session->channel->link, WIRE_HANGUP, 0, NULL, 0);
}

static int take_hello(struct channel *channel, const struct wire_frame *frame)
{
	struct wire_hello hello, answer = {.version = WIRE_VERSION, .role = WIRE_ROLE_VMM};
	struct session *session = channel->session;
	int r = 0;

	if (wire_unpack(&wire_hello_message, frame->payload, frame->length, &hello) < 0 ||
	    hello.version != WIRE_VERSION || hello.role != WIRE_ROLE_SESSION)
		return -EBADMSG;
	if (session == NULL)
		session = find_waiting(channel->sessions, hello.session);
	if (session == NULL || session->number != hello.session)
		return -EBADMSG;
	channel->session = session;
	channel->deadline_ms = INT64_MAX;
	session->channel = channel;
	if (!session->is_direct)
		r = link_send(&channel->link, WIRE_HELLO, 0, &wire_hello_message, &answer);
	if (r < 0)
		return r;
	session->deadline_ms = INT64_MAX;
	/* The client may have gone while the guest was still coming. */
	if (session->client == NULL) {
		send_hang_up(session);
		return 0;
	}
	session->state = SESSION_OPEN;
	update_client(session);
	return 0;
}

static int take_from_guest(struct session *session, const struct wire_frame *frame)
{
	enum relay_verdict verdict;
	int r;

	r = relay_down(&session->relay, frame, &verdict);
	if (r < 0)
		return r;
	if (verdict == RELAY_PASS && session->client != NULL &&
	    link_send_raw(session->client, frame->type, frame->stream, frame->payload,
			  frame->length) < 0) {
		/* It gave credit and does not read. */
		struct link *client = session->client;

		session->client = NULL;
		session->sessions->detached(client);
		link_finish(client);
		if (!session->relay.ended)
			send_hang_up(session);
	}
	if (session->relay.ended)
		end_session(session, frame->type == WIRE_EXIT);
	return 0;
}

static int on_frame(struct link *link, const struct wire_frame *frame)
{
	struct channel *channel = link->owner;
	struct session *session = channel->session;

	if (channel->kept)
		return -EBADMSG;
	/* On a free port: what was under way when the last session ended. */
	if (channel->port >= 0 && (session == NULL || session->state == SESSION_PLUGGING))
		return 0;
	if (session == NULL || session->channel == NULL || session->state == SESSION_WAITING) {
		if (frame->type == WIRE_HELLO)
			return take_hello(channel, frame);
		/* The rest of an older session on this port. */
		return channel->port >= 0 ? 0 : -EBADMSG;
	}
	return take_from_guest(session, frame);
}

static struct link *on_bulk(struct link *link, const struct wire_frame *head)
{
	struct channel *channel = link->owner;
	struct session *session = channel->session;
	enum relay_verdict verdict;

	if (session == NULL || session->state != SESSION_OPEN || session->client == NULL ||
	    !link_is_clear(session->client) ||
	    (head->type != WIRE_STDOUT && head->type != WIRE_STDERR))
		return NULL;
	/* What it refuses it does not count: it may look at that again when it is read. */
	if (relay_down(&session->relay, head, &verdict) < 0 || verdict != RELAY_PASS)
		return NULL;
	return session->client;
}

static void on_closed(struct link *link, int error)
{
	struct channel *channel = link->owner;

	close_channel(channel);
	if (channel->session != NULL)
		abort_session(channel->session,
			      error == -EBADMSG ? "the guest broke the protocol of the session"
						: "the guest closed the session");
}

static void on_drained(struct link *link)
{
	struct channel *channel = link->owner;

	if (channel->session != NULL &&
	    (channel->session->state == SESSION_OPEN || channel->session->is_direct))
		update_client(channel->session);
}

static const struct link_calls channel_calls = {
	.frame = on_frame,
	.closed = on_closed,
	.drained = on_drained,
	.bulk = on_bulk,
};

static struct channel *add_channel(struct sessions *sessions, int fd, int port)
{
	struct channel *channel = mem_new(struct channel);

	*channel = (struct channel){.sessions = sessions, .port = port, .deadline_ms = INT64_MAX};
	link_init(&channel->link, sessions->loop, &channel_calls, channel);
	if (link_open(&channel->link, fd, UP_BYTES_MAX) < 0) {
		free(channel);
		return NULL;
	}
	channel->next = sessions->channels;
	sessions->channels = channel;
	sessions->channel_count++;
	return channel;
}

/* Connections that are over and closed. Ports stay. */
static void sweep(struct sessions *sessions)
{
	struct channel **at = &sessions->channels;

	while (*at != NULL) {
		struct channel *channel = *at;

		if (!channel->over || channel->port >= 0) {
			at = &channel->next;
			continue;
		}
		*at = channel->next;
		link_done(&channel->link);
		free(channel);
		sessions->channel_count--;
	}
}

/* Connections that have not said whose they are; those that only await their end do not count. */
static size_t count_strangers(const struct sessions *sessions)
{
	size_t count = 0;

	for (const struct channel *c = sessions->channels; c != NULL; c = c->next)
		count += c->session == NULL && !c->kept && !c->link.closing && !c->over;
	return count;
}

static void on_connection(struct loop_watch *watch, short events)
{
	struct sessions *sessions = watch->owner;
	struct channel *channel;
	int fd;

	(void)events;
	if (fd_accept(watch->fd, &fd) < 0)
		return;
	sweep(sessions);
	if (count_strangers(sessions) >= sessions->session_count + SPARE_CONNECTIONS) {
		fd_close(fd);
		return;
	}
	channel = add_channel(sessions, fd, -1);
	if (channel != NULL)
		channel->deadline_ms = clock_monotonic_ms() + HELLO_TIMEOUT_MS;
}

static struct channel *find_port(struct sessions *sessions, int port)
{
	struct channel *c = sessions->channels;

	while (c->port != port)
		c = c->next;
	return c;
}

/* The OPEN that has waited for its port. */
static int send_opening(struct session *session)
{
	struct wire_open open;
	const uint8_t *payload = (const uint8_t *)session->opening.data + WIRE_HEAD_BYTES;
	int r;

	r = wire_unpack(&wire_open_message, payload, session->opening.length - WIRE_HEAD_BYTES,
			&open);
	if (r >= 0)
		r = guest_send(session->sessions->guest, WIRE_OPEN, &wire_open_message, &open);
	buf_done(&session->opening);
	session->state = SESSION_WAITING;
	session->deadline_ms = clock_monotonic_ms() + HELLO_TIMEOUT_MS;
	return r;
}

/* The port is there, or will not be: what waits for it goes on, or ends. */
static void on_port_added(void *owner, int port, const char *sentence)
{
	struct channel *channel = find_port(owner, port);
	struct session *session = channel->session;

	channel->plug = sentence == NULL ? PLUG_IN : PLUG_OUT;
	if (session == NULL || session->state != SESSION_PLUGGING)
		return;
	if (sentence == NULL && send_opening(session) < 0)
		sentence = "the guest does not answer";
	if (sentence == NULL)
		return;
	detach_client(session, sentence);
	free_session(session);
}

static void on_monitor_lost(void *owner, const char *sentence)
{
	struct sessions *sessions = owner;

	sessions->is_cut_short = true;
	for (struct channel *c = sessions->channels; c != NULL; c = c->next) {
		if (c->plug == PLUG_ASKED)
			on_port_added(sessions, c->port, sentence);
	}
}

static const struct qmp_calls monitor_calls = {
	.port_added = on_port_added,
	.lost = on_monitor_lost,
};

void sessions_init(struct sessions *sessions, struct loop *loop, struct guest *guest,
		   void (*detached)(struct link *client))
{
	*sessions = (struct sessions){
		.loop = loop,
		.guest = guest,
		.detached = detached,
		.listener = {.fd = -1, .events = POLLIN, .ready = on_connection, .owner = sessions},
	};
	qmp_init(&sessions->monitor, loop, &monitor_calls, sessions);
}

int sessions_listen(struct sessions *sessions, const char *run_dir, struct err *err)
{
	int fd, r;

	sessions->path = path_join(run_dir, SOCKET_NAME);
	r = fd_unix_listen(sessions->path, 0600, &fd);
	if (r >= 0) {
		sessions->listener.fd = fd;
		r = fd_set_nonblock(fd, true);
	}
	if (r < 0)
		return err_set_errno(err, -r, "cannot listen on '%s'", sessions->path);
	loop_add(sessions->loop, &sessions->listener);
	return 0;
}

int sessions_add_port(struct sessions *sessions, int fd, struct err *err)
{
	sessions->ports = true;
	if (add_channel(sessions, fd, (int)sessions->channel_count) == NULL)
		return err_set(err, EIO, "cannot watch a session port");
	return 0;
}

int sessions_add_monitor(struct sessions *sessions, int fd, int first, struct err *err)
{
	int r = qmp_open(&sessions->monitor, fd);

	if (r < 0)
		return err_set_errno(err, -r, "cannot watch QEMU's monitor");
	for (struct channel *c = sessions->channels; c != NULL; c = c->next) {
		if (c->port >= first)
			c->plug = PLUG_OUT;
	}
	return 0;
}

void sessions_reset(struct sessions *sessions)
{
	struct channel *channel;
	int fd = sessions->listener.fd;

	qmp_done(&sessions->monitor);
	abort_all(sessions, "the machine has ended");
	while ((channel = sessions->channels) != NULL) {
		sessions->channels = channel->next;
		link_done(&channel->link);
		free(channel);
	}
	if (fd >= 0) {
		loop_remove(sessions->loop, &sessions->listener);
		fd_close(fd);
		(void)unlink(sessions->path);
	}
	free(sessions->path);
	sessions_init(sessions, sessions->loop, sessions->guest, sessions->detached);
}

void sessions_done(struct sessions *sessions)
{
	if (sessions->loop != NULL)
		sessions_reset(sessions);
}

static struct channel *find_kept(struct sessions *sessions)
{
	for (struct channel *c = sessions->channels; c != NULL; c = c->next) {
		if (c->kept)
			return c;
	}
	return NULL;
}

/* What is there before what is asked for; of these what has rested longest; else the lowest. */
static bool is_better_port(const struct channel *a, const struct channel *b)
{
	static const int ranks[] = {[PLUG_IN] = 0, [PLUG_ASKED] = 1, [PLUG_OUT] = 2};

	if (a->plug != b->plug)
		return ranks[a->plug] < ranks[b->plug];
	return a->last_use != b->last_use ? a->last_use < b->last_use : a->port < b->port;
}

static struct channel *choose_port(struct sessions *sessions)
{
	struct channel *chosen = NULL;

	for (struct channel *c = sessions->channels; c != NULL; c = c->next) {
		if (c->session != NULL || c->spoilt ||
		    (c->plug != PLUG_IN && !qmp_is_open(&sessions->monitor)))
			continue;
		if (chosen == NULL || is_better_port(c, chosen))
			chosen = c;
	}
	return chosen;
}

static struct session *add_session(struct sessions *sessions, struct link *client)
{
	struct session *session = mem_new(struct session);

	session->sessions = sessions;
	session->client = client;
	session->state = SESSION_WAITING;
	session->deadline_ms = clock_monotonic_ms() + HELLO_TIMEOUT_MS;
	do {
		rand_bytes(&session->number, sizeof(session->number));
	} while (session->number == 0 || find_waiting(sessions, session->number) != NULL);
	session->next = sessions->first;
	sessions->first = session;
	sessions->session_count++;
	return session;
}

static void use_channel(struct channel *channel, struct session *session)
{
	set_kept(channel, false);
	channel->session = session;
	channel->last_use = ++channel->sessions->uses;
	session->channel = channel;
	session->is_direct = channel->port < 0;
}

/* OPEN follows when QEMU has plugged the port. */
static int begin_plugging(struct session *session, const struct wire_open *open)
{
	struct channel *channel = session->channel;
	char *tail;
	long length;
	int r;

	buf_init(&session->opening, WIRE_FRAME_BYTES_MAX);
	r = buf_reserve(&session->opening, WIRE_FRAME_BYTES_MAX, &tail);
	if (r < 0)
		return r;
	length = wire_pack(WIRE_OPEN, 0, &wire_open_message, open, (uint8_t *)tail,
			   WIRE_FRAME_BYTES_MAX);
	if (length < 0)
		return (int)length;
	buf_commit(&session->opening, (size_t)length);
	r = qmp_add_port(&session->sessions->monitor, channel->port);
	if (r < 0)
		return r;
	channel->plug = PLUG_ASKED;
	session->state = SESSION_PLUGGING;
	session->deadline_ms = clock_monotonic_ms() + PLUG_TIMEOUT_MS;
	return 0;
}

static int send_open(struct session *session, const struct wire_open *open)
{
	struct channel *channel = session->channel;

	if (session->is_direct)
		return link_send(&channel->link, WIRE_OPEN, 0, &wire_open_message, open);
	if (channel != NULL && channel->plug != PLUG_IN)
		return begin_plugging(session, open);
	return guest_send(session->sessions->guest, WIRE_OPEN, &wire_open_message, open);
}

struct session *sessions_open(struct sessions *sessions, struct link *client,
			      struct wire_open *open)
{
	struct channel *channel;
	struct session *session;
	int r;

	sweep(sessions);
	if (sessions->session_count >= LIMIT_SESSIONS) {
		session_refuse(client, CODE_SET_UP,
			       "the machine has 64 sessions open, which is "
			       "as many as it may have: close one");
		return NULL;
	}
	channel = sessions->ports ? choose_port(sessions) : find_kept(sessions);
	if (sessions->ports && channel == NULL) {
		session_refuse(
			client, CODE_SET_UP,
			sessions->is_cut_short
				? "all session ports of the machine are in use, and QEMU does "
				  "not add any more: close a session"
				: "all 16 session ports of the machine are in use, which is as "
				  "many as QEMU has: close a session");
		return NULL;
	}
	session = add_session(sessions, client);
	open->session = session->number;
	open->port = channel != NULL && channel->port >= 0 ? (uint32_t)channel->port : 0;
	open->output_credit = MIN(open->output_credit, LIMIT_WINDOW_BYTES);
	relay_init(&session->relay, open);
	if (channel != NULL)
		use_channel(channel, session);
	r = send_open(session, open);
	if (r < 0) {
		/* `detached` is for sessions that the client knows of already. */
		free_session(session);
		if (channel != NULL && !sessions->ports)
			close_channel(channel);
		session_refuse(client, CODE_SET_UP, "the guest does not answer");
		return NULL;
	}
	/* Until the guest's HELLO. */
	if (!session->is_direct)
		link_pause(client, true);
	return session;
}

int session_take(struct session *session, const struct wire_frame *frame)
{
	struct link *guest = &session->channel->link;
	enum relay_verdict verdict;
	int r;

	r = relay_up(&session->relay, frame, &verdict);
	if (r < 0 || verdict == RELAY_DROP)
		return r;
	r = link_send_raw(guest, frame->type, frame->stream, frame->payload, frame->length);
	if (r < 0)
		return r;
	if (guest->out.length > UP_BYTES_HIGH)
		link_pause(session->client, true);
	return 0;
}

void session_hang_up(struct session *session)
{
	session->client = NULL;
	/* A guest that has not come yet is told when it comes, unless it knows of nothing. */
	if (session->state == SESSION_OPEN)
		send_hang_up(session);
	else if (session->state == SESSION_PLUGGING)
		free_session(session);
}

int64_t sessions_deadline(const struct sessions *sessions)
{
	int64_t deadline_ms = INT64_MAX;

	for (const struct session *s = sessions->first; s != NULL; s = s->next)
		deadline_ms = MIN(deadline_ms, s->deadline_ms);
	for (const struct channel *c = sessions->channels; c != NULL; c = c->next) {
		if (c->session == NULL && !c->over)
			deadline_ms = MIN(deadline_ms, MIN(c->deadline_ms, c->link.linger_ms));
	}
	return deadline_ms;
}

/* The guest did not come, or did not end after HANGUP: a port that may still speak is given up. */
static void expire_session(struct session *session)
{
	bool plugging = session->state == SESSION_PLUGGING;

	detach_client(session, plugging ? "QEMU did not add a session port in time"
					: "the guest did not answer in time");
	if (plugging) {
		free_session(session);
		return;
	}
	if (session->channel != NULL && session->channel->port < 0)
		close_channel(session->channel);
	else if (session->channel != NULL)
		session->channel->spoilt = true;
	free_session(session);
}

void sessions_expire(struct sessions *sessions)
{
	int64_t now_ms = clock_monotonic_ms();
	struct session *next;

	for (struct session *s = sessions->first; s != NULL; s = next) {
		next = s->next;
		if (s->deadline_ms <= now_ms)
			expire_session(s);
	}
	for (struct channel *c = sessions->channels; c != NULL; c = c->next) {
		link_expire(&c->link, now_ms);
		if (c->session == NULL && !c->over && c->deadline_ms <= now_ms)
			close_channel(c);
	}
	sweep(sessions);
}

void sessions_end(struct sessions *sessions, const char *sentence)
{
	for (struct channel *c = sessions->channels; c != NULL; c = c->next)
		link_drain(&c->link);
	abort_all(sessions, sentence);
	sweep(sessions);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "wire/signal.h"

#define HELLO_TIMEOUT_MS   10000
#define LOGGED_INTERVAL_MS 20
#define CODE_REFUSED       125

/* A window for each output; a guest that sends byte by byte, both in turn, costs nine for one. */
#define OUT_BYTES_MAX (9 * 2 * LIMIT_WINDOW_BYTES + 2 * WIRE_FRAME_BYTES_MAX)

struct client {
	struct client *next;
	struct control *control;
	struct link link;
	uint32_t role;           /* 0: no HELLO yet */
	struct session *session; /* WIRE_ROLE_SESSION after OPEN */
	bool opened;             /* OPEN was sent, the session is not over */
	bool rested;             /* it has had a session */
	bool state_due, logged_due, stats_due;
	bool stats_asked;    /* and not known yet */
	int64_t deadline_ms; /* of HELLO */
	bool over;           /* closed: freed by the next sweep */
};

/* A manager is given one thing at a time: what comes meanwhile is put together. */
static void feed_manager(struct client *client)
{
	struct control *control = client->control;

	if (client->role != WIRE_ROLE_MANAGER || !link_is_open(&client->link))
		return;
	/* In this order: nothing comes behind the last state. */
	if (client->logged_due && client->link.out.length == 0) {
		client->logged_due = false;
		(void)!link_send_raw(&client->link, WIRE_LOGGED, 0, NULL, 0);
	}
	if (client->stats_due && client->link.out.length == 0) {
		client->stats_due = false;
		(void)!link_send(&client->link, WIRE_MACHINE_STATS, 0, &wire_machine_stats_message,
				 &control->stats);
	}
	if (client->state_due && client->link.out.length == 0 && control->state.length > 0) {
		client->state_due = false;
		(void)!link_send_raw(&client->link, WIRE_STATE, 0, control->state.data,
				     control->state.length);
	}
}

static int take_hello(struct client *client, const struct wire_frame *frame)
{
	struct control *control = client->control;
	struct wire_hello hello, answer = {
					 .version = WIRE_VERSION,
					 .role = WIRE_ROLE_VMM,
					 .machine_id = control->machine_id,
					 .generation = control->generation,
				 };
	int r;

	if (frame->type != WIRE_HELLO ||
	    wire_unpack(&wire_hello_message, frame->payload, frame->length, &hello) < 0)
		return -EBADMSG;
	/* The answer names our version also to one that speaks another. */
	r = link_send(&client->link, WIRE_HELLO, 0, &wire_hello_message, &answer);
	if (r < 0)
		return r;
	if (hello.version != WIRE_VERSION ||
	    (hello.role != WIRE_ROLE_MANAGER && hello.role != WIRE_ROLE_SESSION))
		return -EBADMSG;
	client->role = hello.role;
	client->deadline_ms = INT64_MAX;
	client->state_due = true;
	feed_manager(client);
	return 0;
}

static int take_stop(struct client *client, const struct wire_frame *frame)
{
	struct wire_shutdown stop;

	if (wire_unpack(&wire_shutdown_message, frame->payload, frame->length, &stop) < 0 ||
	    stop.signal > WIRE_SIGNAL_MAX)
		return -EBADMSG;
	client->control->calls->stop(client->control->owner, &stop);
	return 0;
}

static int take_signal(struct client *client, const struct wire_frame *frame)
{
	struct wire_signal signal;

	if (wire_unpack(&wire_signal_message, frame->payload, frame->length, &signal) < 0 ||
	    signal.signal < 1 || signal.signal > WIRE_SIGNAL_MAX)
		return -EBADMSG;
	client->control->calls->signal(client->control->owner, &signal);
	return 0;
}

static int take_stats_ask(struct client *client)
{
	client->stats_asked = true;
	client->control->calls->ask_stats(client->control->owner);
	return 0;
}

static int take_from_manager(struct client *client, const struct wire_frame *frame)
{
	switch (frame->type) {
	case WIRE_STOP:
		return take_stop(client, frame);
	case WIRE_KILL:
		client->control->calls->kill(client->control->owner);
		return 0;
	case WIRE_SIGNAL:
		return take_signal(client, frame);
	case WIRE_STATS_ASK:
		return take_stats_ask(client);
	default:
		return -EBADMSG;
	}
}

static int take_open(struct client *client, const struct wire_frame *frame)
{
	struct control *control = client->control;
	const char *refusal = control->calls->refuse_session(control->owner);
	struct wire_open open;

	if (frame->type != WIRE_OPEN ||
	    wire_unpack(&wire_open_message, frame->payload, frame->length, &open) < 0 ||
	    (open.kind == WIRE_KIND_EXEC ? open.process.argv[0] == NULL : open.path == NULL))
		return -EBADMSG;
	client->opened = true;
	if (refusal != NULL)
		session_refuse(&client->link, CODE_REFUSED, refusal);
	else
		client->session = sessions_open(control->sessions, &client->link, &open);
	return 0;
}

static bool is_of_session(const struct wire_frame *frame)
{
	return frame->type == WIRE_SIGNAL ||
	       (frame->type >= WIRE_STDIN && frame->type <= WIRE_HANGUP);
}

static int on_frame(struct link *link, const struct wire_frame *frame)
{
	struct client *client = link->owner;

	if (client->role == 0)
		return take_hello(client, frame);
	if (client->role == WIRE_ROLE_MANAGER)
		return take_from_manager(client, frame);
	/* What was under way when its last session ended. */
	if (client->rested && !client->opened && frame->type != WIRE_OPEN)
		return is_of_session(frame) ? 0 : -EBADMSG;
	if (!client->opened)
		return take_open(client, frame);
	return client->session != NULL ? session_take(client->session, frame) : 0;
}

static void on_closed(struct link *link, int error)
{
	struct client *client = link->owner;
	struct session *session = take_ptr(client->session);

	client->over = true;
	if (session != NULL)
		session_hang_up(session);
}

static void on_drained(struct link *link)
{
	feed_manager(link->owner);
}

static const struct link_calls client_calls = {
	.frame = on_frame,
	.closed = on_closed,
	.drained = on_drained,
};

void control_detach_session(struct link *link)
{
	struct client *client = link->owner;

	client->session = NULL;
	client->opened = false;
	client->rested = true;
}

static void sweep(struct control *control)
{
	struct client **at = &control->first;

	while (*at != NULL) {
		struct client *client = *at;

		if (!client->over) {
			at = &client->next;
			continue;
		}
		*at = client->next;
		link_done(&client->link);
		free(client);
		control->client_count--;
	}
}

/* The connection that has waited longest for another session makes room for a new one. */
static void close_rested(struct control *control)
{
	struct client *oldest = NULL;

	for (struct client *client = control->first; client != NULL; client = client->next) {
		if (client->rested && !client->opened && !client->over)
			oldest = client;
	}
	if (oldest == NULL)
		return;
	link_close(&oldest->link);
	oldest->over = true;
	sweep(control);
}

/* Takes the descriptor. */
static void add_client(struct control *control, int fd)
{
	struct client *client = mem_new(struct client);

	*client = (struct client){
		.control = control,
		.deadline_ms = clock_monotonic_ms() + HELLO_TIMEOUT_MS,
	};
	link_init(&client->link, control->loop, &client_calls, client);
	if (link_open(&client->link, fd, OUT_BYTES_MAX) < 0) {
		free(client);
		return;
	}
	client->next = control->first;
	control->first = client;
	if (++control->client_count > LIMIT_CONTROL_CLIENTS)
		session_refuse(&client->link, CODE_REFUSED,
			       "the machine has too many connections: close one");
}

static void on_connection(struct loop_watch *watch, short events)
{
	struct control *control = watch->owner;
	int fd;

	(void)events;
	sweep(control);
	if (control->client_count >= LIMIT_CONTROL_CLIENTS)
		close_rested(control);
	if (fd_accept(watch->fd, &fd) >= 0)
		add_client(control, fd);
}

void control_init(struct control *control, struct loop *loop, struct sessions *sessions,
		  const struct control_calls *calls, void *owner)
{
	*control = (struct control){
		.calls = calls,
		.owner = owner,
		.loop = loop,
		.sessions = sessions,
		.listener = {.fd = -1, .events = POLLIN, .ready = on_connection, .owner = control},
		.logged_at_ms = INT64_MAX,
	};
	buf_init(&control->state, LIMIT_RECORD_BYTES);
}

/* Where the socket is bound, as its maker has bound it. */
static char *bound_path(int fd)
{
	struct sockaddr_un address = {0};
	socklen_t length = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &length) < 0 ||
	    address.sun_family != AF_UNIX || address.sun_path[0] != '/')
		return NULL;
	address.sun_path[sizeof(address.sun_path) - 1] = '\0';
	return mem_strdup(address.sun_path);
}

int control_open(struct control *control, int listen_fd, const char *machine_id,
		 uint32_t generation, struct err *err)
{
	int r;

	control->machine_id = machine_id;
	control->generation = generation;
	r = fd_set_cloexec(listen_fd, true);
	if (r >= 0)
		r = fd_set_nonblock(listen_fd, true);
	if (r < 0)
		return err_set_errno(err, -r, "descriptor %d is not the control socket", listen_fd);
	control->path = bound_path(listen_fd);
	control->listener.fd = listen_fd;
	loop_add(control->loop, &control->listener);
	return 0;
}

void control_done(struct control *control)
{
	if (control->loop != NULL)
		control_end(control, 0);
}

void control_set_logged(struct control *control)
{
	control->logged = true;
	if (control->logged_at_ms == INT64_MAX)
		control->logged_at_ms = 0;
}

static void tell_logged(struct control *control, int64_t now_ms)
{
	if (!control->logged) {
		control->logged_at_ms = INT64_MAX;
		return;
	}
	control->logged = false;
	control->logged_at_ms = now_ms + LOGGED_INTERVAL_MS;
	for (struct client *client = control->first; client != NULL; client = client->next) {
		client->logged_due = true;
		feed_manager(client);
	}
}

void control_warn(struct control *control, const char *sentence)
{
	const struct wire_sentence warning = {.text = sentence};

	for (struct client *client = control->first; client != NULL; client = client->next) {
		if (client->role == WIRE_ROLE_MANAGER && link_is_open(&client->link) &&
		    client->link.out.length < LIMIT_PAYLOAD_BYTES)
			(void)!link_send(&client->link, WIRE_WARNING, 0, &wire_sentence_message,
					 &warning);
	}
}

void control_set_state(struct control *control, const char *json, size_t length)
{
	if (control->logged)
		tell_logged(control, clock_monotonic_ms());
	buf_clear(&control->state);
	if (buf_append(&control->state, json, length) < 0)
		return;
	for (struct client *client = control->first; client != NULL; client = client->next) {
		client->state_due = true;
		feed_manager(client);
	}
}

void control_set_stats(struct control *control, const struct wire_machine_stats *stats)
{
	control->stats = *stats;
	for (struct client *client = control->first; client != NULL; client = client->next) {
		if (!client->stats_asked)
			continue;
		client->stats_asked = false;
		client->stats_due = true;
		feed_manager(client);
	}
}

int64_t control_deadline(const struct control *control)
{
	int64_t deadline_ms = control->logged_at_ms;

	for (const struct client *client = control->first; client != NULL; client = client->next) {
		if (!client->over)
			deadline_ms =
				MIN(deadline_ms, MIN(client->deadline_ms, client->link.linger_ms));
	}
	return deadline_ms;
}

void control_expire(struct control *control)
{
	int64_t now_ms = clock_monotonic_ms();

	if (control->logged_at_ms <= now_ms)
		tell_logged(control, now_ms);
	for (struct client *client = control->first; client != NULL; client = client->next) {
		link_expire(&client->link, now_ms);
		if (client->over || client->deadline_ms > now_ms)
			continue;
		link_close(&client->link);
		client->over = true;
	}
	sweep(control);
}

void control_end(struct control *control, int64_t deadline_ms)
{
	int fd = control->listener.fd;

	if (fd >= 0) {
		loop_remove(control->loop, &control->listener);
		/* Whoever connects from now on must find nobody. */
		if (control->path != NULL)
			(void)unlink(control->path);
		fd_close(fd);
	}
	for (struct client *client = control->first; client != NULL; client = client->next) {
		do {
			link_flush(&client->link, deadline_ms);
			feed_manager(client);
		} while (link_is_open(&client->link) && client->link.out.length > 0 &&
			 clock_left_ms(deadline_ms) > 0);
		link_close(&client->link);
		client->over = true;
	}
	sweep(control);
	buf_done(&control->state);
	free(control->path);
	control->path = NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "guest.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/file.h"

#define SOCKET_NAME "g"
/* CONFIG, OPEN for a few sessions, SHUTDOWN: a guest that leaves more than this unread has hung. */
#define OUT_BYTES_MAX (16 * WIRE_FRAME_BYTES_MAX)
/* Guest monotonic time before the bytes of OUTPUT. */
#define OUTPUT_HEAD_BYTES 8

static int fault(struct guest *guest, const char *sentence)
{
	snprintf(guest->fault, sizeof(guest->fault), "%s", sentence);
	return -EBADMSG;
}

static void stop_listening(struct guest *guest)
{
	int fd = guest->listener.fd;

	if (fd < 0)
		return;
	loop_remove(guest->loop, &guest->listener);
	fd_close(fd);
	(void)unlink(guest->path);
}

static int take_hello(struct guest *guest, const struct wire_frame *frame)
{
	struct wire_hello hello;

	if (guest->hello ||
	    wire_unpack(&wire_hello_message, frame->payload, frame->length, &hello) < 0 ||
	    hello.role != WIRE_ROLE_GUEST)
		return fault(guest, "the guest's first message is not vminit's");
	if (hello.version != WIRE_VERSION) {
		snprintf(guest->fault, sizeof(guest->fault),
			 "vminit speaks version %u of the protocol, krun-vmm version %d: install "
			 "both from the same release",
			 hello.version, WIRE_VERSION);
		return -EBADMSG;
	}
	guest->hello = true;
	stop_listening(guest);
	guest->calls->hello(guest->owner, &hello);
	return 0;
}

static int take_ready(struct guest *guest, const struct wire_frame *frame)
{
	struct wire_ready ready;

	if (guest->ready ||
	    wire_unpack(&wire_ready_message, frame->payload, frame->length, &ready) < 0)
		return fault(guest, "the guest sent a broken READY");
	guest->ready = true;
	guest->calls->ready(guest->owner, &ready);
	return 0;
}

static int take_output(struct guest *guest, const struct wire_frame *frame)
{
	if (frame->length < OUTPUT_HEAD_BYTES ||
	    (frame->stream != WIRE_STREAM_STDOUT && frame->stream != WIRE_STREAM_STDERR))
		return fault(guest, "the guest sent a broken OUTPUT");
	guest->calls->output(guest->owner,
			     frame->stream == WIRE_STREAM_STDOUT ? LOG_STREAM_STDOUT
								 : LOG_STREAM_STDERR,
			     frame->payload + OUTPUT_HEAD_BYTES, frame->length - OUTPUT_HEAD_BYTES);
	return 0;
}

static int take_exited(struct guest *guest, const struct wire_frame *frame)
{
	struct wire_exited exited;

	if (guest->exited ||
	    wire_unpack(&wire_exited_message, frame->payload, frame->length, &exited) < 0)
		return fault(guest, "the guest sent a broken EXITED");
	guest->exited = true;
	/* Where the guest cannot see that it was delivered it waits for this. */
	(void)!link_send_raw(&guest->link, WIRE_END, WIRE_STREAM_ALL, NULL, 0);
	guest->calls->exited(guest->owner, &exited);
	return 0;
}

static int take_warning(struct guest *guest, const struct wire_frame *frame)
{
	struct wire_sentence warning;

	if (wire_unpack(&wire_sentence_message, frame->payload, frame->length, &warning) < 0)
		return fault(guest, "the guest sent a broken WARNING");
	guest->calls->warned(guest->owner, warning.text);
	return 0;
}

static int take_stats(struct guest *guest, const struct wire_frame *frame)
{
	struct wire_stats stats;

	if (wire_unpack(&wire_stats_message, frame->payload, frame->length, &stats) < 0)
		return fault(guest, "the guest sent broken STATS");
	guest->calls->stats(guest->owner, &stats);
	return 0;
}

static int on_frame(struct link *link, const struct wire_frame *frame)
{
	struct guest *guest = link->owner;

	if (!guest->hello || frame->type == WIRE_HELLO) {
		if (frame->type != WIRE_HELLO)
			return fault(guest, "the guest's first message is not HELLO");
		return take_hello(guest, frame);
	}
	switch (frame->type) {
	case WIRE_READY:
		return take_ready(guest, frame);
	case WIRE_OUTPUT:
		return take_output(guest, frame);
	case WIRE_EXITED:
		return take_exited(guest, frame);
	case WIRE_WARNING:
		return take_warning(guest, frame);
	case WIRE_STATS:
		return take_stats(guest, frame);
	default:
		/* What a newer vminit may say. */
		return 0;
	}
}

static void on_closed(struct link *link, int error)
{
	struct guest *guest = link->owner;

	/* Before HELLO somebody else may have dialled: the real one can still come. */
	if (!guest->hello && guest->listener.fd >= 0) {
		guest->listener.events = POLLIN;
		return;
	}
	if (error == -EBADMSG && guest->fault[0] == '\0')
		(void)fault(guest, "the guest sent something that is no message");
	guest->calls->lost(guest->owner, guest->fault[0] != '\0' ? guest->fault : NULL);
}

static const struct link_calls link_calls = {.frame = on_frame, .closed = on_closed};

static void on_connection(struct loop_watch *watch, short events)
{
	struct guest *guest = watch->owner;
	int fd;

	(void)events;
	if (fd_accept(watch->fd, &fd) < 0)
		return;
	if (link_open(&guest->link, fd, OUT_BYTES_MAX) >= 0)
		watch->events = 0; /* one at a time */
}

void guest_init(struct guest *guest, struct loop *loop, const struct guest_calls *calls,
		void *owner)
{
	*guest = (struct guest){
		.calls = calls,
		.owner = owner,
		.loop = loop,
		.listener = {.fd = -1, .events = POLLIN, .ready = on_connection, .owner = guest},
	};
	link_init(&guest->link, loop, &link_calls, guest);
}

void guest_done(struct guest *guest)
{
	if (guest->loop == NULL)
		return;
	stop_listening(guest);
	link_done(&guest->link);
	free(guest->path);
}

int guest_listen(struct guest *guest, const char *run_dir, struct err *err)
{
	int fd, r;

	guest->path = path_join(run_dir, SOCKET_NAME);
	r = fd_unix_listen(guest->path, 0600, &fd);
	if (r >= 0) {
		guest->listener.fd = fd;
		r = fd_set_nonblock(fd, true);
	}
	if (r < 0)
		return err_set_errno(err, -r, "cannot listen on '%s'", guest->path);
	loop_add(guest->loop, &guest->listener);
	return 0;
}

int guest_open(struct guest *guest, int fd, struct err *err)
{
	int r = link_open(&guest->link, fd, OUT_BYTES_MAX);

	return r < 0 ? err_set_errno(err, -r, "cannot open the guest's control channel") : 0;
}

int guest_send(struct guest *guest, enum wire_type type, const struct wire_message *message,
	       const void *from)
{
	return link_send(&guest->link, type, 0, message, from);
}

int guest_ask_stats(struct guest *guest)
{
	return link_send_raw(&guest->link, WIRE_STATS_ASK, 0, NULL, 0);
}

void guest_drain(struct guest *guest)
{
	link_drain(&guest->link);
	link_close(&guest->link);
	stop_listening(guest);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/jsonw.h"
#include "base/mem.h"
#include "machine/net_config.h"

#define NET_PROGRAM    "krun-net"
#define NET_CONTROL_FD 4
#define NET_FRAMES_FD  3
#define NET_END_MS     2000
#define OUT_BYTES_MAX  4096

static int take_ready(struct net *net, const struct wire_frame *frame)
{
	struct wire_net_ready ready;

	if (net->ready ||
	    wire_unpack(&wire_net_ready_message, frame->payload, frame->length, &ready) < 0)
		return -EBADMSG;
	net->ready = true;
	net->calls->ready(net->owner, &ready);
	return 0;
}

static int take_hello(struct net *net, const struct wire_frame *frame)
{
	struct wire_hello hello;

	if (wire_unpack(&wire_hello_message, frame->payload, frame->length, &hello) < 0 ||
	    hello.role != WIRE_ROLE_NET || hello.version != WIRE_VERSION)
		return -EBADMSG;
	net->hello = true;
	return 0;
}

static int take_fail(struct net *net, const struct wire_frame *frame)
{
	struct wire_fail fail;

	if (wire_unpack(&wire_fail_message, frame->payload, frame->length, &fail) < 0)
		return -EBADMSG;
	snprintf(net->failure, sizeof(net->failure), "%s", fail.text);
	return 0;
}

static int take_warning(struct net *net, const struct wire_frame *frame)
{
	struct wire_sentence warning;

	if (wire_unpack(&wire_sentence_message, frame->payload, frame->length, &warning) < 0)
		return -EBADMSG;
	net->calls->warned(net->owner, warning.text);
	return 0;
}

static int take_stats(struct net *net, const struct wire_frame *frame)
{
	struct wire_net_stats stats;

	if (wire_unpack(&wire_net_stats_message, frame->payload, frame->length, &stats) < 0)
		return -EBADMSG;
	net->calls->stats(net->owner, &stats);
	return 0;
}

static int on_frame(struct link *link, const struct wire_frame *frame)
{
	struct net *net = link->owner;

	if (frame->type == WIRE_HELLO)
		return take_hello(net, frame);
	if (!net->hello)
		return -EBADMSG;
	switch (frame->type) {
	case WIRE_NET_READY:
		return take_ready(net, frame);
	case WIRE_FAIL:
		return take_fail(net, frame);
	case WIRE_WARNING:
		return take_warning(net, frame);
	case WIRE_NET_STATS:
		return take_stats(net, frame);
	default:
		return 0;
	}
}

static void on_closed(struct link *link, int error)
{
	struct net *net = link->owner;
	char sentence[LIMIT_SENTENCE_BYTES + 64];
	int status;

	if (net->failure[0] != '\0') {
		net->calls->lost(net->owner, net->failure);
		return;
	}
	/* It ends right after it has closed; how it ended is worth a moment. */
	child_end(&net->child, clock_monotonic_ms() + NET_END_MS);
	status = net->child.status;
	if (error == -EBADMSG)
		snprintf(sentence, sizeof(sentence), "krun-net sent something that is no message");
	else if (WIFSIGNALED(status))
		snprintf(sentence, sizeof(sentence), "krun-net was ended by signal %d (%s)",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		snprintf(sentence, sizeof(sentence), "krun-net ended with status %d",
			 WEXITSTATUS(status));
	net->calls->lost(net->owner, sentence);
}

static const struct link_calls link_calls = {.frame = on_frame, .closed = on_closed};

void net_init(struct net *net, struct loop *loop, const struct net_calls *calls, void *owner)
{
	*net = (struct net){.calls = calls, .owner = owner};
	link_init(&net->link, loop, &link_calls, net);
}

void net_done(struct net *net)
{
	if (net->link.loop == NULL)
		return;
	net_end(net);
	link_done(&net->link);
}

static int write_config(const struct vmm_config *config, struct buf *out)
{
	struct net_config net_config = {
		.mac = config->mac,
		.network = config->network,
		.ports = config->ports,
		.mtu = LIMIT_MTU,
	};
	struct jsonw w;

	jsonw_init(&w, out);
	net_config_write(&w, &net_config);
	return jsonw_finish(&w);
}

int net_start(struct net *net, const struct vmm_config *config, int frames_fd, struct err *err)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_buf_ struct buf text;
	char *argv[] = {(char[]){NET_PROGRAM},    (char[]){"--frames-fd"}, (char[]){"3"},
			(char[]){"--control-fd"}, (char[]){"4"},           NULL};
	int pair[2];
	int r;

	buf_init(&text, LIMIT_CONFIG_BYTES);
	r = path_find_program(config->net_path != NULL ? config->net_path : NET_PROGRAM, &path);
	if (r < 0)
		return err_set_errno(err, -r, "krun-net ('%s') cannot be run",
				     config->net_path != NULL ? config->net_path : NET_PROGRAM);
	r = write_config(config, &text);
	if (r >= 0)
		r = fd_socketpair(pair);
	if (r < 0)
		return err_set_errno(err, -r, "cannot prepare krun-net");
	struct spawn_fd fds[] = {
		{STDERR_FILENO, STDOUT_FILENO},
		{STDERR_FILENO, STDERR_FILENO},
		{frames_fd, NET_FRAMES_FD},
		{pair[1], NET_CONTROL_FD},
	};
	struct spawn spawn = {
		.path = path,
		.argv = argv,
		.fds = fds,
		.fd_count = ARRAY_SIZE(fds),
	};
	r = child_start(&net->child, &spawn, &text, err);
	fd_close(pair[1]);
	if (r < 0) {
		fd_close(pair[0]);
		return r;
	}
	r = link_open(&net->link, pair[0], OUT_BYTES_MAX);
	return r < 0 ? err_set_errno(err, -r, "cannot watch krun-net") : 0;
}

int net_ask_stats(struct net *net)
{
	return link_send_raw(&net->link, WIRE_STATS_ASK, 0, NULL, 0);
}

void net_end(struct net *net)
{
	link_close(&net->link);
	child_end(&net->child, clock_monotonic_ms() + NET_END_MS);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <arpa/inet.h>
#include <errno.h>

#include "base/clock.h"
#include "base/log.h"

#define DNS_PORT 53

/* More than this waits for the guest: libslirp's sockets are not read. */
#define QUEUE_PAUSE_BYTES (256 * KIB)

/* As much is written at once, without waiting for the end of the turn. */
#define QUEUE_WRITE_BYTES (64 * KIB)

#define REFUSALS_LOGGED_MAX 50

static void flush(struct relay *relay)
{
	int r = frames_write(&relay->queue, relay->frames_fd);

	if (r < 0 && relay->lost == 0)
		relay->lost = r;
}

/* Queues the frame that stands where frames_reserve() said. */
static void commit(struct relay *relay, uint8_t *frame, size_t length)
{
	frames_commit(&relay->queue, frame, length);
	relay->stats.received_frames++;
	relay->stats.received_bytes += length;
	if (frames_queued_bytes(&relay->queue) >= QUEUE_WRITE_BYTES)
		flush(relay);
}

static void send_answer(struct relay *relay, const struct gate_answer *answer)
{
	uint8_t *frame;

	if (answer->length == 0)
		return;
	frame = frames_reserve(&relay->queue, answer->length);
	memcpy(frame, answer->frame, answer->length);
	commit(relay, frame, answer->length);
}

static const char *protocol_name(const struct packet *packet)
{
	switch (packet->protocol) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return "icmp";
	default:
		return "a protocol that is not carried";
	}
}

/* The first ones only: the guest decides how many there are. */
static void log_refusal(struct relay *relay, const struct packet *packet)
{
	char text[INET6_ADDRSTRLEN] = "?";
	bool is_ip4 = IN6_IS_ADDR_V4MAPPED(&packet->remote);

	if (relay->refusals_logged >= REFUSALS_LOGGED_MAX)
		return;
	relay->refusals_logged++;
	if (is_ip4)
		inet_ntop(AF_INET, &packet->remote.s6_addr[12], text, sizeof(text));
	else
		inet_ntop(AF_INET6, &packet->remote, text, sizeof(text));
	log_info("refused the guest %s to %s port %d%s", protocol_name(packet), text,
		 packet->remote_port,
		 relay->refusals_logged == REFUSALS_LOGGED_MAX ? "; later ones are only counted"
							       : "");
}

static void refuse(struct relay *relay, const uint8_t *frame, const struct packet *packet)
{
	struct gate_answer answer;

	relay->stats.refused_flows++;
	log_refusal(relay, packet);
	gate_refuse(&relay->gate, frame, packet, &answer);
	send_answer(relay, &answer);
}

static bool is_from(const struct packet *packet, const struct in6_addr *address)
{
	return address_is_equal(&packet->remote, address);
}

/* Into libslirp, with the addresses and ports that it knows. */
static void pass_in(struct relay *relay, uint8_t *frame, const struct packet *packet)
{
	if (packet->protocol == IPPROTO_TCP && packet->remote_port == DNS_PORT &&
	    is_from(packet, &relay->policy.gateway4))
		gate_set_target_port(frame, packet, relay->dns_streams.port);
	else if (is_from(packet, &relay->policy.loopback4))
		gate_set_target4(frame, packet, relay->gate.gateway4);
	stack_input(relay->stack, frame, packet->length, relay->now_ms);
}

/* Begins the packet a connection? Then what is known of its ports is of an older one. */
static bool is_beginning(const struct packet *packet)
{
	return packet->protocol == IPPROTO_TCP &&
	       (packet->tcp_flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
}

static void judge(struct relay *relay, uint8_t *frame, const struct packet *packet)
{
	enum policy_verdict verdict;

	if (!is_beginning(packet) && flow_touch(&relay->flows, packet, relay->now_ms)) {
		pass_in(relay, frame, packet);
		return;
	}
	verdict = policy_judge(&relay->policy, packet, relay->now_ms);
	if (verdict == POLICY_DNS && packet->protocol == IPPROTO_UDP) {
		dns_input(&relay->dns, packet->is_ip6, packet->guest_port,
			  frame + packet->payload_at, packet->length - packet->payload_at,
			  relay->now_ms);
		return;
	}
	/* DNS over TCP is there for IPv4 only: the one address that the guest is told. */
	if (verdict == POLICY_REFUSE || (verdict == POLICY_DNS && packet->is_ip6) ||
	    stack_is_full(relay->stack)) {
		refuse(relay, frame, packet);
		return;
	}
	flow_add(&relay->flows, packet, relay->now_ms);
	pass_in(relay, frame, packet);
}

static void take_frame(struct relay *relay, uint8_t *frame, size_t length)
{
	struct gate_answer answer;
	struct packet packet;

	relay->stats.sent_frames++;
	relay->stats.sent_bytes += length;
	switch (gate_check_from_guest(&relay->gate, frame, length, &packet, &answer)) {
	case GATE_ANSWER:
		send_answer(relay, &answer);
		break;
	case GATE_JUDGE:
		judge(relay, frame, &packet);
		break;
	case GATE_REFUSE:
		refuse(relay, frame, &packet);
		break;
	case GATE_DROP:
	case GATE_PASS:
		relay->stats.dropped_frames++;
		break;
	}
}

/*
 * Back to the addresses and ports that the guest knows. True: the frame belongs to a flow that the
 * guest began or may answer.
 */
static bool admit(struct relay *relay, uint8_t *frame, struct packet *packet)
{
	if (is_from(packet, &relay->policy.gateway4)) {
		struct packet alias = *packet;

		if (packet->protocol == IPPROTO_TCP &&
		    packet->remote_port == relay->dns_streams.port) {
			gate_set_source_port(frame, packet, DNS_PORT);
			return true;
		}
		alias.remote = relay->policy.loopback4;
		if (flow_touch(&relay->flows, &alias, relay->now_ms)) {
			gate_set_source4(frame, packet, relay->gate.loopback4);
			return true;
		}
	}
	if (flow_touch(&relay->flows, packet, relay->now_ms))
		return true;
	if ((packet->protocol == IPPROTO_UDP || is_beginning(packet)) &&
	    published_has(&relay->published, packet->protocol, packet->guest_port)) {
		flow_add(&relay->flows, packet, relay->now_ms);
		return true;
	}
	/* A connection of libslirp's whose flow was pushed out of the table; never a new one. */
	return packet->protocol == IPPROTO_TCP && !is_beginning(packet);
}

void relay_output(const uint8_t *data, size_t length, void *opaque)
{
	struct relay *relay = opaque;
	struct packet packet;
	bool good = false;

	if (length <= relay->gate.frame_bytes_max) {
		uint8_t *frame = frames_reserve(&relay->queue, length);
		enum gate_verdict verdict;

		memcpy(frame, data, length);
		verdict = gate_check_to_guest(&relay->gate, frame, length, &packet);
		good = verdict == GATE_PASS ||
		       (verdict == GATE_JUDGE && admit(relay, frame, &packet));
		if (good)
			commit(relay, frame, length);
	}
	relay->stats.dropped_frames += !good;
}

void relay_output_dns(bool is_ip6, uint16_t guest_port, const uint8_t *message, size_t length,
		      void *opaque)
{
	struct relay *relay = opaque;
	size_t at = gate_udp_payload(is_ip6);
	uint8_t *frame = frames_reserve(&relay->queue, at + length);

	memcpy(frame + at, message, length);
	length = gate_wrap_udp(&relay->gate, is_ip6, DNS_PORT, guest_port, frame, length);
	commit(relay, frame, length);
}

/* One read's worth of frames: the sockets of the host get their turn after it. */
static int take_frames(struct relay *relay)
{
	long n = frames_read(&relay->reader, relay->frames_fd);
	uint8_t *frame;
	size_t length;
	int r;

	if (n < 0)
		return n == -EAGAIN ? 0 : (int)n;
	while ((r = frames_next(&relay->reader, &frame, &length)) == 0)
		take_frame(relay, frame, length);
	return r == -EAGAIN ? 0 : r;
}

static struct wire_net_stats count_stats(const struct relay *relay)
{
	struct wire_net_stats stats = relay->stats;

	stats.dropped_frames += relay->queue.dropped;
	stats.refused_flows += relay->dns.refused;
	return stats;
}

static void answer_stats(struct relay *relay)
{
	struct wire_net_stats stats = count_stats(relay);

	if (!relay->control->stats_asked)
		return;
	relay->control->stats_asked = false;
	control_send_stats(relay->control, &stats);
}

static void fill(struct relay *relay)
{
	struct pollset *set = &relay->set;
	size_t queued = frames_queued_bytes(&relay->queue);
	bool paused = queued > QUEUE_PAUSE_BYTES;

	pollset_clear(set);
	answer_stats(relay);
	control_fill(relay->control, set);
	relay->frames_index =
		pollset_add(set, relay->frames_fd, (short)(POLLIN | (queued > 0 ? POLLOUT : 0)));
	dns_fill(&relay->dns, set);
	dns_streams_fill(&relay->dns_streams, set, paused);
	/* Last: it may fill the set. */
	if (paused)
		stack_fill_paused(relay->stack, set, relay->now_ms);
	else
		stack_fill(relay->stack, set, relay->now_ms);
}

static int wait_for_events(struct relay *relay)
{
	struct pollset *set = &relay->set;
	int timeout_ms = set->deadline_ms == INT64_MAX ? -1 : clock_left_ms(set->deadline_ms);
	int n = poll(set->fds, (nfds_t)set->count, timeout_ms);

	if (n < 0 && errno != EINTR)
		return -errno;
	/* After EINTR the events are undefined. */
	for (size_t i = 0; n <= 0 && i < set->count; i++)
		set->fds[i].revents = 0;
	relay->now_ms = clock_monotonic_ms();
	return 0;
}

/* One turn of the loop. */
static int turn(struct relay *relay)
{
	int r;

	fill(relay);
	r = wait_for_events(relay);
	if (r < 0)
		return r;
	r = control_poll(relay->control, &relay->set);
	if (r < 0)
		return r;
	stack_poll(relay->stack, &relay->set);
	dns_poll(&relay->dns, &relay->set, relay->now_ms);
	dns_streams_poll(&relay->dns_streams, relay->stack, &relay->set, relay->now_ms);
	if ((pollset_events(&relay->set, relay->frames_index) & ~POLLOUT) != 0) {
		r = take_frames(relay);
		if (r < 0)
			return r;
	}
	flush(relay);
	return relay->lost;
}

int relay_run(struct relay *relay)
{
	int r;

	relay->now_ms = clock_monotonic_ms();
	do {
		r = turn(relay);
	} while (r == 0);
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

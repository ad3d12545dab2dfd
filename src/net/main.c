/* SPDX-License-Identifier: Apache-2.0 */
/* krun-net: the userspace network of one machine. Started by krun-vmm (ARCHITECTURE.md). */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/opt.h"
#include "base/rand.h"
#include "machine/net_config.h"
#include "relay.h"
#include "sandbox.h"

/* Of the stream socket to the guest: a few of the longest frames. */
#define SOCKET_BUFFER_BYTES (1 << 20)

static struct relay relay;
static struct control control = {.fd = -1};

static int parse_options(char **argv, long long *ret_frames_fd, long long *ret_control_fd,
			 enum opt_outcome *ret_outcome, struct err *err)
{
	const struct opt opts[] = {
		{0, "frames-fd", OPT_TYPE_INT, ret_frames_fd, "FD",
		 "stream socket with the guest's Ethernet frames", 3, INT16_MAX},
		{0, "control-fd", OPT_TYPE_INT, ret_control_fd, "FD", "stream socket to krun-vmm",
		 3, INT16_MAX},
		OPT_END,
	};
	const struct opt_parser parser = {
		.usage = "krun-net --frames-fd FD --control-fd FD <CONFIG",
		.about = "Connects one machine's network interface to the host's sockets.",
		.opts = opts,
	};
	char **operands;
	int r = opt_parse(&parser, argv, &operands, NULL, ret_outcome, err);

	if (r < 0 || *ret_outcome == OPT_OUTCOME_DONE)
		return r;
	if (operands[0] != NULL)
		return err_set(err, EINVAL, "unexpected operand '%s'", operands[0]);
	if (*ret_frames_fd < 0 || *ret_control_fd < 0)
		return err_set(err, EINVAL, "--frames-fd and --control-fd are both needed");
	return 0;
}

static int check_socket(int fd, const char *option, struct err *err)
{
	int type;
	socklen_t length = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_STREAM)
		return err_set(err, EINVAL, "%s %d is not a stream socket", option, fd);
	return fd_set_cloexec(fd, true);
}

/* What a host process may want to change in libslirp or GLib is not wanted here. */
static void prepare_process(void)
{
	struct rlimit files;

	signal(SIGPIPE, SIG_IGN);
	unsetenv("SLIRP_DEBUG");
	unsetenv("G_DEBUG");
	unsetenv("G_MESSAGES_DEBUG");
	/* The bound of libslirp's sockets. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = MIN(files.rlim_max, (rlim_t)POLLSET_FDS_MAX);
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

static void grow_socket(int fd)
{
	int bytes = SOCKET_BUFFER_BYTES;

	/* As much as the host allows. */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

static int read_config(struct net_config *config, struct err *err)
{
	_cleanup_buf_ struct buf text = {0};
	int r;

	buf_init(&text, LIMIT_CONFIG_BYTES);
	r = fd_read_to_end(STDIN_FILENO, &text);
	if (r < 0)
		return err_set_errno(err, -r, "cannot read the configuration");
	return net_config_parse(config, text.data, text.length, err);
}

static void find_resolvers(const struct net_config *config, struct resolvers *ret_resolvers)
{
	struct err err = {0};
	int r;

	*ret_resolvers = (struct resolvers){0};
	if (config->network.dns != NULL)
		r = resolvers_from_list(config->network.dns, ret_resolvers, &err);
	else
		r = resolvers_from_file(RESOLV_PATH, ret_resolvers, &err);
	if (r < 0) {
		log_warn("names cannot be resolved: %s", err.text);
		control_warn(&control, "names cannot be resolved in the machine: %s", err.text);
	}
}

static int open_network(const struct net_config *config, struct err *err)
{
	uint8_t mac[MAC_BYTES];
	struct resolvers resolvers;
	uint64_t seed;
	int r;

	if (mac_parse(config->mac, mac) < 0)
		return err_set(err, EINVAL, "mac is not an Ethernet address");
	gate_init(&relay.gate, mac, (size_t)config->mtu);
	r = policy_init(&relay.policy, config->network.allow_list, err);
	if (r < 0)
		return r;
	rand_bytes(&seed, sizeof(seed));
	flow_table_init(&relay.flows, seed);
	find_resolvers(config, &resolvers);
	dns_init(&relay.dns, &relay.policy, &resolvers, relay_output_dns, &relay);
	r = dns_streams_open(&relay.dns_streams, &relay.dns);
	if (r < 0)
		return err_set_errno(err, -r, "cannot listen for DNS on the host's loopback");
	relay.stack = stack_new(&relay.gate, (size_t)config->mtu, relay_output, &relay);
	if (relay.stack == NULL)
		return err_set(err, EINVAL, "libslirp refuses the network's configuration");
	return publish_ports(relay.stack, &config->ports, &relay.published, err);
}

static void close_network(void)
{
	stack_free(relay.stack);
	relay.stack = NULL;
	dns_streams_close(&relay.dns_streams);
	dns_done(&relay.dns);
	policy_done(&relay.policy);
}

static int start(struct err *err)
{
	struct net_config config;
	int r;

	net_config_init(&config);
	r = read_config(&config, err);
	if (r == 0)
		r = open_network(&config, err);
	net_config_done(&config);
	if (r < 0)
		return r;
	r = sandbox_enter(err);
	if (r == -ENOSYS) {
		log_warn("%s", err->text);
		control_warn(&control, "%s", err->text);
		r = 0;
	}
	return r;
}

static int run(struct err *err)
{
	int r;

	if (control_say_hello(&control) < 0)
		return err_set(err, EPIPE, "krun-vmm does not read its control socket");
	r = start(err);
	if (r < 0) {
		if (control_say_failed(&control, err->text) < 0)
			log_warn("krun-vmm has gone");
		return r;
	}
	if (control_say_ready(&control, &relay.published) < 0)
		return err_set(err, EPIPE, "krun-vmm does not read its control socket");
	r = relay_run(&relay);
	if (r == -EBADMSG)
		return err_set(err, EBADMSG, "the guest's stream is not one of Ethernet frames");
	if (r < 0)
		return err_set_errno(err, -r, "the network ends");
	return 0;
}

int main(int argc, char **argv)
{
	long long frames_fd = -1, control_fd = -1;
	enum opt_outcome outcome = OPT_OUTCOME_RUN;
	struct err err = {0};
	int r;

	(void)argc;
	log_init("krun-net", LOG_LEVEL_INFO);
	r = parse_options(argv, &frames_fd, &control_fd, &outcome, &err);
	if (r == 0 && outcome == OPT_OUTCOME_DONE)
		return 0;
	if (r == 0)
		r = check_socket((int)frames_fd, "--frames-fd", &err);
	if (r == 0)
		r = check_socket((int)control_fd, "--control-fd", &err);
	if (r < 0) {
		log_error("%s", err.text);
		return 2;
	}
	prepare_process();
	grow_socket((int)frames_fd);
	relay.frames_fd = (int)frames_fd;
	relay.control = &control;
	control.fd = (int)control_fd;
	r = run(&err);
	if (r < 0)
		log_error("%s", err.text);
	close_network();
	return r < 0 ? 1 : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages whose payload is a structure, and their one reader and one writer.
 *
 * Each message has a struct and a table of its fields (message.c). wire_pack() writes a whole frame,
 * wire_unpack() reads a payload: `u16 tag, u32 length, bytes` each, in any order, unknown tags
 * skipped. Strings carry their NUL and hold no other, so an unpacked string is a C string inside the
 * payload: it lives as long as the payload does. Nothing is allocated.
 *
 *	struct wire_hello hello = {.version = WIRE_VERSION};
 *	length = wire_pack(WIRE_HELLO, 0, &wire_hello_message, &hello, frame, sizeof(frame));
 *
 * Absent numbers are 0, absent strings NULL, absent vectors empty. A required field that is absent,
 * a number of the wrong size, a string without its NUL, too many items: -EBADMSG.
 */
#ifndef WIRE_MESSAGE_H
#define WIRE_MESSAGE_H

#include "wire/frame.h"

struct wire_message; /* the table of a message's fields */

enum wire_role {
	WIRE_ROLE_GUEST = 1,   /* vminit's control connection */
	WIRE_ROLE_SESSION = 2, /* a session, on any connection */
	WIRE_ROLE_MANAGER = 3, /* krun-api on a control socket */
	WIRE_ROLE_VMM = 4,     /* krun-vmm's answer to each of these */
	WIRE_ROLE_NET = 5,     /* krun-net */
};

struct wire_hello {
	uint32_t version;       /* WIRE_VERSION */
	uint32_t role;          /* enum wire_role */
	uint32_t session;       /* WIRE_ROLE_SESSION from the guest: which one */
	uint64_t uptime_us;     /* WIRE_ROLE_GUEST: since the guest's kernel started */
	const char *kernel;     /* WIRE_ROLE_GUEST: its release, for information */
	const char *machine_id; /* WIRE_ROLE_VMM */
	uint32_t generation;    /* WIRE_ROLE_VMM */
};

struct wire_ready {
	uint32_t root_us;    /* mounting the root */
	uint32_t network_us; /* interfaces up */
	uint32_t start_us;   /* from fork to exec of the workload */
};

/* EXITED and EXIT. A process ended by a signal has code 128 + signal. */
struct wire_exited {
	uint32_t code;
	uint32_t signal; /* Linux number, 0: none */
	uint32_t oom_killed;
	const char *reason; /* codes 125 to 127 before the program ran: which step failed, why */
};

struct wire_sentence {
	const char *text; /* at most LIMIT_SENTENCE_BYTES */
};

/* As the guest counts since its boot. */
struct wire_stats {
	uint64_t cpu_us; /* of all vCPUs, busy */
	uint64_t memory_total_bytes, memory_available_bytes;
	uint64_t disk_read_bytes, disk_written_bytes;    /* of all its block devices */
	uint64_t root_total_bytes, root_available_bytes; /* of the root's file system */
};

/* A process to run in the guest. Vectors are NULL-terminated. */
struct wire_process {
	const char *argv[LIMIT_ARGS + 1]; /* [0] is looked up in PATH unless it has a slash */
	const char *env[LIMIT_ENV + 1];
	const char *workdir; /* NULL: "/" */
	const char *user; /* "uid", "name", "uid:gid", ... by the guest's own passwd; NULL: root */
	uint32_t tty;     /* give it a terminal */
	uint32_t rows, columns; /* of the terminal; 0: unknown */
};

enum wire_root_kind {
	WIRE_ROOT_OVERLAY = 1,   /* lower: image, upper: the machine's disk; device names */
	WIRE_ROOT_DIRECTORY = 2, /* virtiofs tag */
	WIRE_ROOT_HOST = 3,      /* fake backend: the host's own root */
};

/* A share by virtiofs, or a disk with an ext4 file system: one of `virtiofs_tag` and `device`. */
struct wire_volume {
	const char *virtiofs_tag;
	const char *guest_path;
	uint32_t read_only;
	const char *device; /* "/dev/vdc" */
	const char *source; /* virtiofs: the one file in the share to mount; NULL: all of it */
};

struct wire_config {
	uint32_t root_kind;       /* enum wire_root_kind */
	const char *lower_device; /* "/dev/vda" */
	const char *upper_device; /* "/dev/vdb" */
	const char *root_tag;     /* virtiofs tag of the root directory */
	struct wire_volume volumes[LIMIT_VOLUMES];
	uint32_t volume_count;
	const char *hostname;
	const char *address; /* "192.168.127.2/24"; NULL: no network */
	const char *gateway;
	const char *address6, *gateway6; /* NULL: no IPv6 */
	const char *dns[LIMIT_DNS_SERVERS + 1];
	uint32_t mtu;
	uint64_t realtime_ns;   /* the host's clock now */
	uint32_t session_ports; /* transport has that many virtio-serial session ports; 0: vsock */
	struct wire_process process;
};

enum wire_kind {
	WIRE_KIND_EXEC = 0, /* run `process` */
	WIRE_KIND_PUT = 1,  /* extract the tar on STDIN below the directory `path`, which exists */
	WIRE_KIND_GET = 2,  /* write a tar of `path` to STDOUT; "dir/." is the content of dir */
};

struct wire_open {
	uint32_t session; /* unique within a boot */
	uint32_t port;    /* virtio-serial: index of krun.session.N */
	struct wire_process process;
	uint32_t kind;          /* enum wire_kind */
	const char *path;       /* PUT, GET: absolute in the guest, any bytes */
	uint32_t entry_only;    /* GET: `path` alone, without content and with size 0 */
	uint32_t output_credit; /* as by CREDIT of STDOUT and of STDERR: they begin with it */
	uint32_t input_ended;   /* as by END of STDIN: there is none */
};

/* Exit codes of a PUT or GET; the sentence is on STDERR. */
enum wire_copy_code {
	WIRE_COPY_DONE = 0,
	WIRE_COPY_FAILED = 1,
	WIRE_COPY_NOT_FOUND = 2,
	WIRE_COPY_NOT_DIRECTORY = 3,
	WIRE_COPY_REFUSED = 4, /* permissions, a read-only file system */
	WIRE_COPY_NO_SPACE = 5,
	WIRE_COPY_BROKEN = 6, /* the archive is */
};

struct wire_signal {
	uint32_t signal; /* Linux number */
};

/* SHUTDOWN and STOP. timeout_ms 0: SIGKILL at once. */
struct wire_shutdown {
	uint32_t signal; /* Linux number */
	uint32_t timeout_ms;
};

struct wire_clock {
	uint64_t realtime_ns;
};

struct wire_credit {
	uint32_t bytes;
};

struct wire_resize {
	uint32_t rows, columns;
};

struct wire_fail {
	uint32_t code;    /* 125 set-up, 126 not executable, 127 not found */
	const char *text; /* the sentence */
};

struct wire_net_ready {
	/* Host port of each published port, in the order of the configuration. */
	uint32_t host_ports[LIMIT_PORTS];
	uint32_t host_port_count;
};

struct wire_net_stats {
	uint64_t sent_bytes, received_bytes; /* by the guest */
	uint64_t sent_frames, received_frames;
	uint64_t dropped_frames; /* by the gate */
	uint64_t refused_flows;  /* by policy */
};

/* What a machine uses, guest and host side, at one moment. What did not answer is all 0. */
struct wire_machine_stats {
	uint64_t realtime_ns;
	struct wire_stats guest;
	struct wire_net_stats net;
	uint64_t host_cpu_us;       /* of supervisor, VM process and krun-net */
	uint64_t host_memory_bytes; /* PSS of these; macOS: physical footprint */
	uint64_t disk_bytes;        /* the machine's own disk, as allocated on the host */
};

extern const struct wire_message wire_hello_message, wire_ready_message, wire_exited_message,
	wire_sentence_message, wire_stats_message, wire_config_message, wire_open_message,
	wire_signal_message, wire_shutdown_message, wire_clock_message, wire_credit_message,
	wire_resize_message, wire_fail_message, wire_net_ready_message, wire_net_stats_message,
	wire_process_message, wire_volume_message, wire_machine_stats_message;

/*
 * Writes the whole frame, head included, into `out`. Returns its length, or -EMSGSIZE when it does
 * not fit into `size` or into a frame.
 */
long wire_pack(enum wire_type type, uint8_t stream, const struct wire_message *message,
	       const void *from, uint8_t *out, size_t size);

/*
 * Sets each field to 0, NULL or an empty vector. Not all of the struct: its vectors are large, and of most
 * hardly anything is used.
 */
void wire_clear(const struct wire_message *message, void *ret_struct);

/* Reads a payload into the struct, which is cleared first. 0 or -EBADMSG. */
int wire_unpack(const struct wire_message *message, const uint8_t *payload, size_t length,
		void *ret_to);

#endif

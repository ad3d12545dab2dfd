/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every limit on what a client of the HTTP interface can grow or hold, beside those of
 * wire/limits.h on machines.
 */
#ifndef API_BOUNDS_H
#define API_BOUNDS_H

#include "wire/limits.h"

/* Connections. */
#define HTTP_CONNECTIONS_MAX        8192
#define HTTP_BACKLOG                1024
#define HTTP_TARGET_BYTES_MAX       (8 * KIB)
#define HTTP_HEAD_BYTES_MAX         (32 * KIB)
#define HTTP_HEADERS_MAX            100
#define HTTP_HEADER_VALUE_BYTES_MAX (8 * KIB)
#define HTTP_BODY_BYTES_MAX         (1 * MIB)
#define HTTP_READ_BYTES             (64 * KIB) /* of one read(2); one buffer for all connections */
#define HTTP_PENDING_BYTES_MAX      (64 * KIB) /* pipelined behind a request that is being answered */
#define HTTP_OUTPUT_BYTES_MAX       (256 * KIB) /* queued for a client before it gets no more */
#define HTTP_UPGRADED_BYTES_MAX     (1 * MIB)   /* the same, before nothing more is taken from it */
#define HTTP_REPLY_BYTES_MAX        (32 * MIB)
#define HTTP_LINGER_BYTES_MAX       (8 * MIB) /* read and dropped after a refusal */

#define HTTP_HEAD_TIMEOUT_MS   10000  /* first byte of a request to the end of its head */
#define HTTP_BODY_TIMEOUT_MS   30000  /* without a byte of the body */
#define HTTP_BODY_TOTAL_MS     120000 /* whole body that is kept in memory */
#define HTTP_IDLE_TIMEOUT_MS   75000  /* between requests */
#define HTTP_WRITE_TIMEOUT_MS  60000  /* without the client taking a byte of an answer */
#define HTTP_STREAM_TIMEOUT_MS 600000 /* the same, of an answer without an end (a pager) */
#define HTTP_LINGER_TIMEOUT_MS 2000

/* Queries. */
#define QUERY_ITEMS_MAX       32
#define LIST_ITEMS_MAX        1000
#define LIST_ITEMS_USUAL      100
#define WAIT_TIMEOUT_S_MAX    3600
#define WAIT_TIMEOUT_S_USUAL  60
#define START_TIMEOUT_S_USUAL 30
#define LOG_TAIL_MAX          100000000

/* Machines and images. */
#define MACHINES_MAX          10000
#define EXEC_STDIN_BYTES_MAX  HTTP_BODY_BYTES_MAX
#define EXEC_OUTPUT_BYTES_MAX (1 * MIB) /* of each stream; the rest is dropped and said */
#define EXEC_TIMEOUT_S_USUAL  30
#define EXEC_TIMEOUT_S_MAX    86400
#define EXEC_WINDOW_MAX       65535 /* rows and columns of a terminal */
#define EXEC_GRACE_MS         5000  /* between the SIGKILL of a timeout and giving up */
/* A command over WebSocket. */
#define EXEC_FIRST_MESSAGE_BYTES_MAX HTTP_BODY_BYTES_MAX
#define EXEC_MESSAGE_BYTES_MAX       (64 * KIB + 1) /* a channel byte and data */
/* One message, and the small ones that wslay had read ahead when the client was held back. */
#define EXEC_INPUT_BYTES_MAX    (EXEC_MESSAGE_BYTES_MAX + 4 * KIB)
#define EXEC_OPEN_TIMEOUT_MS    10000
#define EXEC_PING_INTERVAL_MS   30000
#define EXEC_SILENCE_TIMEOUT_MS HTTP_STREAM_TIMEOUT_MS
#define EXEC_CLOSE_TIMEOUT_MS   5000

/* Files: the body that came with one read, and pipelined with it, before the client is held back. */
#define FILES_INPUT_BYTES_MAX  (HTTP_READ_BYTES + HTTP_PENDING_BYTES_MAX)
#define FILES_STALL_TIMEOUT_MS 120000 /* without the guest doing anything */
#define FILES_STALL_TICK_MS    5000

#define STOP_TIMEOUT_S_MAX       3600
#define IMAGE_NAME_BYTES_MAX     255
#define IMAGE_UPLOAD_BYTES_MAX   (64ULL * 1024 * MIB)
#define IMAGE_UPLOAD_AHEAD_BYTES (1 * MIB) /* received and not yet written */
#define IMAGE_IMPORT_TIMEOUT_MS  (60 * 60 * 1000)
#define IMAGE_IMPORTS_MAX        4
#define IMAGE_EVENT_BYTES_MAX    (1 * MIB) /* one line of krun-image */
#define DISK_TEMPLATES_MAX       32
#define DISK_TIMEOUT_MS          60000
#define PROBE_TIMEOUT_MS         15000
#define PROBE_BYTES_MAX          (64 * KIB)

/* Volumes. */
#define VOLUMES_MAX           1000
#define VOLUME_SIZE_MIB_USUAL 4096

/* Idempotency keys. */
#define ANSWERS_MAX          10000
#define ANSWER_KEPT_S        86400
#define ANSWER_KEY_BYTES_MAX 255
#define ANSWER_BYTES_MAX     (64 * KIB) /* of a larger one the machine is shown again */

/* Events. */
#define EVENTS_MAX           10000 /* kept; the oldest go first */
#define EVENTS_SLICE         128   /* read at once for one follower */
#define EVENTS_KEEP_ALIVE_MS 15000
#define STATS_INTERVAL_MS    1000 /* of those who follow */

/* Tokens. */
#define TOKEN_BYTES_MIN 16
#define TOKEN_BYTES_MAX 512

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include "idempotency.h"

#include <errno.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "bounds.h"
#include "find_http.h"
#include "machine.h"
#include "request.h"
#include "server.h"
#include "store.h"

#define DIGEST_BYTES (2 * SHA256_DIGEST_LENGTH + 1)

/* A call in progress. */
struct idempotency {
	struct idempotency *next, **link;
	char digest[DIGEST_BYTES];
	struct store_answer row;
	char machine_id[MACHINE_ID_BYTES];
	bool is_written; /* the row is, with its machine */
};

static const char replayed[] = "Idempotent-Replayed: true\r\n";

/* Of all that says what is to be done: the query and the body. */
static void make_digest(const struct request *request, char ret_digest[DIGEST_BYTES])
{
	struct buf text;
	unsigned char hash[SHA256_DIGEST_LENGTH];

	buf_init(&text, 2 * HTTP_BODY_BYTES_MAX);
	for (size_t i = 0; i < request->query.count; i++)
		/* Bounded by the target that it came in. */
		(void)!buf_printf(&text, "%s=%s\n", request->query.items[i].name,
				  request->query.items[i].value == NULL
					  ? ""
					  : request->query.items[i].value);
	(void)!buf_append(&text, "", 1);
	(void)!buf_append(&text, request->body.data == NULL ? "" : request->body.data,
			  request->body.length);
	SHA256((const unsigned char *)text.data, text.length, hash);
	hex_format(hash, sizeof(hash), ret_digest);
	buf_done(&text);
}

static bool is_key(const char *key)
{
	size_t length = strlen(key);

	for (const char *p = key; *p != '\0'; p++) {
		if (*p <= ' ' || *p > '~')
			return false;
	}
	return length > 0 && length <= ANSWER_KEY_BYTES_MAX;
}

static struct idempotency *find_running(const struct server *server, const char *key)
{
	for (struct idempotency *i = server->idempotency; i != NULL; i = i->next) {
		if (strcmp(i->row.key, key) == 0)
			return i;
	}
	return NULL;
}

/* The answer goes out, or (status 0) never will. */
static void on_answer(struct request *request, int status, const char *body, size_t length)
{
	struct idempotency *running = request->answer_data;
	struct err err = {0};

	*running->link = running->next;
	if (running->next != NULL)
		running->next->link = running->link;
	if (running->is_written && status != 0 && length <= ANSWER_BYTES_MAX) {
		_cleanup_free_ char *copy = mem_zalloc(length + 1);

		memcpy(copy, body, length);
		if (store_answer_complete(request->server->store, running->row.key, status, copy,
					  &err) < 0)
			log_warn("the answer to an Idempotency-Key: %s", err.text);
	}
	free(running);
	request->answer_data = NULL;
}

static void begin(struct request *request, const char *digest)
{
	struct server *server = request->server;
	struct idempotency *running = mem_new(struct idempotency);

	strcpy(running->digest, digest);
	running->row = (struct store_answer){.key = request->idempotency_key,
					     .digest = running->digest,
					     .machine_id = running->machine_id,
					     .created_at = clock_realtime_ns()};
	running->next = server->idempotency;
	running->link = &server->idempotency;
	if (running->next != NULL)
		running->next->link = &running->next;
	server->idempotency = running;
	request->on_answer = on_answer;
	request->answer_data = running;
}

static void replay(struct request *request, const struct store_answer *answer)
{
	struct machine *machine;

	request->extra_header = replayed;
	if (answer->status != 0)
		reply_text(request, answer->status, "application/json", answer->body,
			   strlen(answer->body));
	else if (machines_find(&request->server->machines, answer->machine_id, &machine) == 0)
		reply_machine(request, 201, machine);
	else
		reply_error(request, 404, "machine_not_found",
			    "the machine that was made with this Idempotency-Key is gone");
}

static void refuse_other(struct request *request)
{
	reply_error(request, 422, "idempotency_key_reused",
		    "this Idempotency-Key came with another call before: make a new one for each");
}

bool idempotency_begin(struct request *request)
{
	const char *key = request->idempotency_key;
	const struct idempotency *running;
	struct store_answer answer = {0};
	char digest[DIGEST_BYTES];
	struct err err = {0};
	int r;

	if (key == NULL)
		return true;
	if (!is_key(key)) {
		reply_error(
			request, 400, "invalid_request",
			"Idempotency-Key must be 1 to %d printable ASCII characters without spaces",
			ANSWER_KEY_BYTES_MAX);
		return false;
	}
	make_digest(request, digest);
	running = find_running(request->server, key);
	if (running != NULL) {
		if (strcmp(running->digest, digest) != 0)
			refuse_other(request);
		else
			reply_error(request, 409, "idempotency_in_progress",
				    "the first call with this Idempotency-Key is not answered yet");
		return false;
	}
	r = store_answer_find(request->server->store, key,
			      clock_realtime_ns() - ANSWER_KEPT_S * CLOCK_NS_PER_S, &answer, &err);
	if (r == -ENOENT)
		begin(request, digest);
	else if (r < 0)
		reply_errno(request, r, &err);
	else if (strcmp(answer.digest, digest) != 0)
		refuse_other(request);
	else
		replay(request, &answer);
	store_answer_done(&answer);
	return r == -ENOENT;
}

const struct store_answer *idempotency_row(const struct request *request, const char *machine_id)
{
	struct idempotency *running = request->answer_data;

	if (running == NULL)
		return NULL;
	strcpy(running->machine_id, machine_id);
	running->is_written = true;
	return &running->row;
}

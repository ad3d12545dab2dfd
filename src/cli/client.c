/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/version.h"

#define CONNECT_TIMEOUT_MS     10000L
#define ERROR_ANSWER_BYTES_MAX (64 * 1024)
/* How much of an answer that is not ours is quoted. */
#define QUOTE_BYTES_MAX 200
#define PATH_BYTES_MAX  (1024 * 1024)

struct client {
	struct endpoint endpoint;
	CURLM *multi;
};

struct client_call {
	struct client *client;
	CURL *easy;
	struct curl_slist *headers;
	struct client_request request; /* its strings are curl's copies by now */
	struct buf answer;
	int failed; /* negative errno out of source() or sink() */
	bool done;
	CURLcode result;
};

int client_new(const struct endpoint *endpoint, struct client **ret_client, struct err *err)
{
	struct client *client;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return err_set(err, ENOMEM, "libcurl could not be initialised");
	client = mem_new(struct client);
	client->endpoint.text = mem_strdup(endpoint->text);
	client->endpoint.base_url = mem_strdup(endpoint->base_url);
	client->endpoint.unix_path = mem_strdup_or_null(endpoint->unix_path);
	client->endpoint.token = mem_strdup_or_null(endpoint->token);
	client->endpoint.loopback = endpoint->loopback;
	client->multi = curl_multi_init();
	if (client->multi == NULL) {
		client_free(client);
		return err_set(err, ENOMEM, "libcurl could not be initialised");
	}
	*ret_client = client;
	return 0;
}

void client_free(struct client *client)
{
	if (client == NULL)
		return;
	if (client->multi != NULL)
		curl_multi_cleanup(client->multi);
	endpoint_done(&client->endpoint);
	free(client);
	curl_global_cleanup();
}

const char *client_name(const struct client *client)
{
	return client->endpoint.text;
}

static long call_status(const struct client_call *call)
{
	long status = 0;

	curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

static size_t take_answer(char *data, size_t size, size_t count, void *user)
{
	struct client_call *call = user;
	size_t length = size * count;
	int r;

	if (call_status(call) >= 400)
		r = call->answer.length + length > ERROR_ANSWER_BYTES_MAX
			    ? 0
			    : buf_append(&call->answer, data, length);
	else if (call->request.sink != NULL)
		r = call->request.sink(call->request.user, data, length);
	else
		r = buf_append(&call->answer, data, length);
	if (r < 0) {
		call->failed = r;
		return 0;
	}
	return length;
}

static size_t give_body(char *data, size_t size, size_t count, void *user)
{
	struct client_call *call = user;
	ssize_t n = call->request.source(call->request.user, data, size * count);

	if (n < 0) {
		call->failed = (int)n;
		return CURL_READFUNC_ABORT;
	}
	return (size_t)n;
}

static void add_header(struct client_call *call, const char *name, const char *value)
{
	_cleanup_free_ char *line = mem_printf("%s: %s", name, value);
	struct curl_slist *longer = curl_slist_append(call->headers, line);

	if (longer != NULL)
		call->headers = longer;
}

static void set_headers(struct client_call *call)
{
	const struct client_request *request = &call->request;
	const char *token = call->client->endpoint.token;

	add_header(call, "Accept", request->accept != NULL ? request->accept : "application/json");
	if (token != NULL) {
		_cleanup_free_ char *bearer = mem_printf("Bearer %s", token);

		add_header(call, "Authorization", bearer);
	}
	if (request->body != NULL)
		add_header(call, "Content-Type", "application/json");
	else if (request->source != NULL)
		add_header(call, "Content-Type", "application/x-tar");
	else
		call->headers = curl_slist_append(call->headers, "Content-Type:");
	/* No second of waiting for permission to send. */
	call->headers = curl_slist_append(call->headers, "Expect:");
	curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
}

static void set_body(struct client_call *call)
{
	const struct client_request *request = &call->request;
	CURL *easy = call->easy;

	if (request->source != NULL) {
		curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
		curl_easy_setopt(easy, CURLOPT_READDATA, call);
		if (request->source_bytes >= 0)
			curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE,
					 (curl_off_t)request->source_bytes);
	} else if (request->body != NULL) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
				 (curl_off_t)request->body_length);
		curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body);
	} else if (strcmp(request->method, "POST") == 0) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
		curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, "");
	}
	if (strcmp(request->method, "GET") != 0)
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method);
}

static void set_where(struct client_call *call)
{
	const struct endpoint *endpoint = &call->client->endpoint;
	_cleanup_free_ char *url = mem_printf("%s%s", endpoint->base_url, call->request.path);
	CURL *easy = call->easy;

	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	if (endpoint->unix_path != NULL)
		curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, endpoint->unix_path);
	/* A proxy in the environment is for the world, not for this machine. */
	if (endpoint->unix_path != NULL || endpoint->loopback)
		curl_easy_setopt(easy, CURLOPT_PROXY, "");
}

static void set_limits(struct client_call *call)
{
	const struct client_request *request = &call->request;
	long timeout_ms = request->timeout_ms == 0 ? CLIENT_TIMEOUT_MS : (long)request->timeout_ms;

	curl_easy_setopt(call->easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
	if (timeout_ms > 0)
		curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, timeout_ms);
	if (request->idle_s > 0) {
		curl_easy_setopt(call->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
		curl_easy_setopt(call->easy, CURLOPT_LOW_SPEED_TIME, (long)request->idle_s);
	}
	curl_easy_setopt(call->easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(call->easy, CURLOPT_NOSIGNAL, 1L);
}

int client_begin(struct client *client, const struct client_request *request,
		 struct client_call **ret_call, struct err *err)
{
	struct client_call *call = mem_new(struct client_call);

	call->client = client;
	call->request = *request;
	buf_init(&call->answer, CLIENT_ANSWER_BYTES_MAX);
	call->easy = curl_easy_init();
	if (call->easy == NULL) {
		buf_done(&call->answer);
		free(call);
		return err_set(err, ENOMEM, "libcurl could not be initialised");
	}
	curl_easy_setopt(call->easy, CURLOPT_USERAGENT, "krunctl/" VERSION);
	curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, take_answer);
	curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
	set_where(call);
	set_body(call);
	set_headers(call);
	set_limits(call);
	curl_multi_add_handle(client->multi, call->easy);
	*ret_call = call;
	return 0;
}

static void note_ended(struct client *client)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
		struct client_call *call = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		call->result = message->data.result;
		call->done = true;
	}
}

int client_step(struct client *client, int fd, int timeout_ms, struct err *err)
{
	struct curl_waitfd extra = {.fd = fd, .events = CURL_WAIT_POLLIN};
	CURLMcode code;
	int running;

	code = curl_multi_perform(client->multi, &running);
	note_ended(client);
	/* What has just ended is for the caller to see before any wait. */
	if (code == CURLM_OK && running > 0)
		code = curl_multi_poll(client->multi, &extra, fd >= 0 ? 1 : 0, timeout_ms, NULL);
	if (code != CURLM_OK)
		return err_set(err, EIO, "talking to %s: %s", client_name(client),
			       curl_multi_strerror(code));
	return 0;
}

bool client_call_is_done(const struct client_call *call)
{
	return call->done;
}

static int status_errnum(long status)
{
	static const struct {
		long status;
		int errnum;
	} kinds[] = {
		{400, EINVAL}, {401, EACCES}, {403, EACCES}, {404, ENOENT}, {408, ETIMEDOUT},
		{409, EBUSY},  {413, E2BIG},  {422, EDOM},   {429, EAGAIN}, {503, EAGAIN},
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].status == status)
			return kinds[i].errnum;
	}
	return EIO;
}

/* The server's sentence, or what the answer says where it is not krun-api that answers. */
static int fail_status(const struct client_call *call, long status, struct err *err)
{
	const struct buf *answer = &call->answer;
	_cleanup_json_ json_t *body = NULL;
	const char *sentence = NULL;

	if (answer->length > 0 && json_parse(answer->data, answer->length, &body, NULL) == 0)
		sentence = json_string_value(json_object_get(body, "error"));
	if (sentence == NULL)
		return err_set(err, status_errnum(status),
			       "%s answered %ld and this is not krun-api: %.*s",
			       client_name(call->client), status,
			       (int)MIN(answer->length, QUOTE_BYTES_MAX),
			       answer->data != NULL ? answer->data : "");
	if (status == 401 && call->client->endpoint.token == NULL)
		return err_set(err, EACCES,
			       "%s (no token is known for %s: give --token-file or $KRUN_TOKEN)",
			       sentence, client_name(call->client));
	return err_set(err, status_errnum(status), "%s", sentence);
}

static int fail_connect(const struct client_call *call, struct err *err)
{
	const char *name = client_name(call->client);
	long errnum = 0;

	curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &errnum);
	if (errnum == EACCES || errnum == EPERM)
		return err_set(err, EACCES,
			       "%s belongs to another user: only that user (or root) may use it",
			       name);
	return err_set(
		err, ECONNREFUSED,
		"no krun-api answers at %s: start it with 'krun-api', or say where it is with "
		"--api or $KRUN_API",
		name);
}

static int fail_transport(const struct client_call *call, struct err *err)
{
	const char *name = client_name(call->client);

	switch (call->result) {
	case CURLE_COULDNT_CONNECT:
		return fail_connect(call, err);
	case CURLE_COULDNT_RESOLVE_HOST:
		return err_set(err, ECONNREFUSED, "no host of that name: %s", name);
	case CURLE_OPERATION_TIMEDOUT:
		return err_set(err, ETIME, "%s did not answer in time", name);
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
		return err_set(err, ECONNRESET, "%s went away in the middle of an answer", name);
	default:
		return err_set(err, EIO, "talking to %s: %s", name,
			       curl_easy_strerror(call->result));
	}
}

static int outcome(struct client_call *call, struct buf *ret_answer, struct err *err)
{
	long status = call_status(call);

	if (!call->done)
		return err_set(err, ECANCELED, "broken off");
	if (call->failed == -ENOBUFS)
		return err_set(err, ENOBUFS, "the answer of %s is too long",
			       client_name(call->client));
	if (call->failed < 0)
		return err_set_errno(err, -call->failed, "the transfer was broken off");
	/* An early refusal of an upload counts, even where the rest could not be sent. */
	if (status >= 400)
		return fail_status(call, status, err);
	if (call->result != CURLE_OK)
		return fail_transport(call, err);
	if (status < 200 || status >= 300)
		return fail_status(call, status, err);
	if (ret_answer != NULL) {
		*ret_answer = call->answer;
		call->answer = (struct buf){0};
	}
	return 0;
}

int client_end(struct client_call *call, struct buf *ret_answer, struct err *err)
{
	int r;

	if (call == NULL)
		return 0;
	r = outcome(call, ret_answer, err);
	curl_multi_remove_handle(call->client->multi, call->easy);
	curl_easy_cleanup(call->easy);
	curl_slist_free_all(call->headers);
	buf_done(&call->answer);
	free(call);
	return r;
}

int client_do(struct client *client, const struct client_request *request, struct buf *ret_answer,
	      struct err *err)
{
	struct client_call *call;
	int r;

	r = client_begin(client, request, &call, err);
	if (r < 0)
		return r;
	while (!client_call_is_done(call)) {
		r = client_step(client, -1, 1000, err);
		if (r < 0) {
			client_end(call, NULL, NULL);
			return r;
		}
	}
	return client_end(call, ret_answer, err);
}

int client_json(struct client *client, const struct client_request *request, json_t **ret_answer,
		struct err *err)
{
	_cleanup_buf_ struct buf answer = {0};
	int r;

	r = client_do(client, request, &answer, err);
	if (r < 0)
		return r;
	r = json_parse(answer.data != NULL ? answer.data : "", answer.length, ret_answer, err);
	if (r < 0)
		return err_prefix(err, "the answer of %s", client_name(client));
	return 0;
}

static void append_encoded(struct buf *buf, const char *text)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

	for (; *text != '\0'; text++) {
		if (strchr(plain, *text) != NULL)
			(void)!buf_append_char(buf, *text);
		else
			(void)!buf_printf(buf, "%%%02X", (unsigned char)*text);
	}
}

char *client_path(const char *format, ...)
{
	_cleanup_buf_ struct buf buf = {0};
	va_list ap;

	buf_init(&buf, PATH_BYTES_MAX);
	va_start(ap, format);
	for (; *format != '\0'; format++) {
		if (format[0] == '%' && format[1] == 's') {
			append_encoded(&buf, va_arg(ap, const char *));
			format++;
		} else {
			(void)!buf_append_char(&buf, *format);
		}
	}
	va_end(ap);
	return buf_take_string(&buf);
}

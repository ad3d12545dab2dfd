/* SPDX-License-Identifier: Apache-2.0 */
#include "routes.h"

#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "handlers.h"
#include "request.h"

#define GET    HTTP_METHOD_GET
#define POST   HTTP_METHOD_POST
#define PUT    HTTP_METHOD_PUT
#define DELETE HTTP_METHOD_DELETE

/* clang-format off */
const struct route routes[] = {
	{POST,   "/v1/machines", "createMachine", machines_http_create, ROUTE_BODY_JSON},
	{GET,    "/v1/machines", "listMachines", machines_http_list},
	{GET,    "/v1/machines/{id}", "getMachine", machines_http_get},
	{DELETE, "/v1/machines/{id}", "deleteMachine", machines_http_delete},
	{POST,   "/v1/machines/{id}/start", "startMachine", machines_http_start},
	{POST,   "/v1/machines/{id}/stop", "stopMachine", machines_http_stop,
		 ROUTE_BODY_JSON_OPTIONAL},
	{POST,   "/v1/machines/{id}/restart", "restartMachine", machines_http_restart,
		 ROUTE_BODY_JSON_OPTIONAL},
	{POST,   "/v1/machines/{id}/signal", "signalMachine", machines_http_signal,
		 ROUTE_BODY_JSON},
	{GET,    "/v1/machines/{id}/logs", "getMachineLogs", logs_http_get, .no_head = true},
	{GET,    "/v1/machines/{id}/stats", "getMachineStats", stats_http_get, .no_head = true},
	{GET,    "/v1/machines/{id}/wait", "waitForMachine", machines_http_wait, .no_head = true},
	{POST,   "/v1/machines/{id}/exec", "execInMachine", exec_http_run, ROUTE_BODY_JSON},
	{GET,    "/v1/machines/{id}/exec", "attachToExec", exec_ws_open, .no_head = true},
	{GET,    "/v1/machines/{id}/files", "getFiles", files_http_get, .no_head = true},
	{PUT,    "/v1/machines/{id}/files", "putFiles", files_http_put, ROUTE_BODY_TAR},
	{POST,   "/v1/images", "importImage", images_http_import, ROUTE_BODY_STREAM},
	{GET,    "/v1/images", "listImages", images_http_list},
	{GET,    "/v1/images/{image}", "getImage", images_http_get},
	{DELETE, "/v1/images/{image}", "deleteImage", images_http_delete},
	{POST,   "/v1/volumes", "createVolume", volumes_http_create, ROUTE_BODY_JSON},
	{GET,    "/v1/volumes", "listVolumes", volumes_http_list},
	{GET,    "/v1/volumes/{name}", "getVolume", volumes_http_get},
	{DELETE, "/v1/volumes/{name}", "deleteVolume", volumes_http_delete},
	{GET,    "/v1/events", "followEvents", events_http_get, .no_head = true},
	{GET,    "/v1/info", "getInfo", server_http_info, .no_head = true},
	{GET,    "/metrics", "getMetrics", metrics_http_get, .no_head = true},
	{GET,    "/healthz", "getHealth", server_http_healthz},
	{GET,    "/readyz", "getReadiness", server_http_readyz},
	{GET,    "/openapi.json", "getOpenapi", server_http_openapi},
};
/* clang-format on */
const size_t route_count = ARRAY_SIZE(routes);

const char *http_method_name(enum http_method method)
{
	static const char *const names[] = {
		[HTTP_METHOD_GET] = "GET",     [HTTP_METHOD_HEAD] = "HEAD",
		[HTTP_METHOD_POST] = "POST",   [HTTP_METHOD_PUT] = "PUT",
		[HTTP_METHOD_PATCH] = "PATCH", [HTTP_METHOD_DELETE] = "DELETE",
		[HTTP_METHOD_OTHER] = "OTHER",
	};

	return names[method];
}

/* Does the template's next segment stand for any? `{image}` at the end takes all that are left. */
static bool path_matches(const char *template, const char *const *segments, int count)
{
	for (int i = 0; i < count; i++) {
		const char *end;
		size_t length;

		if (*template != '/')
			return false;
		template ++;
		end = template + strcspn(template, "/");
		length = (size_t)(end - template);
		if (template[0] == '{') {
			if (segments[i][0] == '\0')
				return false;
			if (strcmp(template, "{image}") == 0)
				return true;
		} else if (strlen(segments[i]) != length ||
			   memcmp(segments[i], template, length) != 0) {
			return false;
		}
		template = end;
	}
	return *template == '\0';
}

static char *join_segments(const char *const *segments, int count)
{
	size_t length = 0;
	char *joined;

	for (int i = 0; i < count; i++)
		length += strlen(segments[i]) + 1;
	joined = mem_zalloc(length + 1);
	for (int i = 0; i < count; i++) {
		if (i > 0)
			strcat(joined, "/");
		strcat(joined, segments[i]);
	}
	return joined;
}

/* The value of the template's one parameter. */
static void take_param(struct request *request, const char *const *segments, int count)
{
	const char *brace = strchr(request->route->path, '{');
	int index = -1;

	if (brace == NULL)
		return;
	for (const char *p = request->route->path; p < brace; p++)
		index += *p == '/';
	if (strcmp(brace, "{image}") == 0 && count - index > 1) {
		request->param_own = join_segments(segments + index, count - index);
		request->param = request->param_own;
	} else {
		request->param = segments[index];
	}
}

static bool method_fits(const struct route *route, enum http_method method)
{
	return route->method == method ||
	       (method == HTTP_METHOD_HEAD && route->method == HTTP_METHOD_GET && !route->no_head);
}

static void add_method(char allow[64], const char *name)
{
	if (*allow != '\0')
		strcat(allow, ", ");
	strcat(allow, name);
}

static bool find_route(struct request *request, const char *const *segments, int count)
{
	char allow[64] = "";

	for (size_t i = 0; i < route_count; i++) {
		if (!path_matches(routes[i].path, segments, count))
			continue;
		if (method_fits(&routes[i], request->method)) {
			request->route = &routes[i];
			return true;
		}
		add_method(allow, http_method_name(routes[i].method));
		if (routes[i].method == HTTP_METHOD_GET && !routes[i].no_head)
			add_method(allow, "HEAD");
	}
	if (*allow != '\0')
		reply_not_allowed(request, allow);
	else
		reply_error(request, 404, "not_found",
			    "there is no such path; GET /openapi.json lists those there are");
	return false;
}

/* "application/json; charset=utf-8" has the media type "application/json". */
static bool media_type_is(const char *value, const char *type)
{
	size_t length = strcspn(value, "; \t");

	return length == strlen(type) && strncasecmp(value, type, length) == 0;
}

static bool type_fits(enum route_body body, const char *value)
{
	/* The first three for a plain archive as well. */
	static const char *const archives[] = {
		"application/x-tar",  "application/tar",  "application/octet-stream",
		"application/gzip",   "application/zstd", "application/x-gzip",
		"application/x-zstd",
	};

	if (value == NULL)
		return true;
	if (!route_body_streams(body))
		return media_type_is(value, "application/json");
	for (size_t i = 0; i < (body == ROUTE_BODY_TAR ? 3 : ARRAY_SIZE(archives)); i++) {
		if (media_type_is(value, archives[i]))
			return true;
	}
	return false;
}

static bool check_body(struct request *request, const struct http_head *head)
{
	enum route_body body = request->route->body;

	if (head->headers[HTTP_HEADER_CONTENT_ENCODING] != NULL && head->has_body &&
	    !media_type_is(head->headers[HTTP_HEADER_CONTENT_ENCODING], "identity")) {
		reply_error(request, 415, "unsupported_encoding",
			    "send the body without a Content-Encoding");
		return false;
	}
	if (body == ROUTE_BODY_NONE) {
		if (head->has_body)
			reply_error(request, 400, "unexpected_body", "this call takes no body");
		return !head->has_body;
	}
	if ((head->has_body || body == ROUTE_BODY_JSON) &&
	    !type_fits(body, head->headers[HTTP_HEADER_CONTENT_TYPE])) {
		reply_error(request, 415, "unsupported_media_type",
			    route_body_streams(body)
				    ? "send the archive as Content-Type: application/x-tar"
				    : "send the body as Content-Type: application/json");
		return false;
	}
	if (!route_body_streams(body) && head->content_length > HTTP_BODY_BYTES_MAX) {
		reply_error(request, 413, "body_too_large", "the body is larger than %lu bytes",
			    HTTP_BODY_BYTES_MAX);
		return false;
	}
	return true;
}

bool routes_find(struct request *request, const struct http_head *head)
{
	const char *segments[PATH_SEGMENTS_MAX];
	struct err err = {0};
	int count = request_read_target(request, segments, &err);

	if (count < 0) {
		reply_error(request, 400, "bad_target", "%s", err.text);
		return false;
	}
	if (!find_route(request, segments, count))
		return false;
	take_param(request, segments, count);
	return check_body(request, head);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/fd.h"
#include "base/jsonw.h"
#include "limits.h"

#define EVENT_BYTES_MAX (IMAGE_CONFIG_BYTES_MAX + 64 * KIB)

static void begin(struct buf *buf, struct jsonw *w, const char *event)
{
	buf_init(buf, EVENT_BYTES_MAX);
	jsonw_init(w, buf);
	jsonw_object_begin(w, NULL);
	jsonw_string(w, "event", event);
}

static int finish(struct buf *buf, struct jsonw *w, struct fault *fault)
{
	int r;

	jsonw_object_end(w);
	r = jsonw_finish(w);
	if (r >= 0)
		r = buf_append_char(buf, '\n');
	if (r < 0)
		return fault_set(fault, FAULT_IMAGE_BROKEN, "the image's config is too long");
	r = fd_write_all(STDOUT_FILENO, buf->data, buf->length);
	return r < 0 ? fault_set_errno(fault, -r, "cannot report progress") : 0;
}

static int put_config(struct jsonw *w, json_t *config, struct fault *fault)
{
	_cleanup_free_ char *text = NULL;
	size_t bytes;

	if (config == NULL) {
		jsonw_raw(w, "config", "{}", 2);
		return 0;
	}
	text = json_dumps(config, JSON_COMPACT);
	bytes = text != NULL ? strlen(text) : 0;
	if (text == NULL || bytes > IMAGE_CONFIG_BYTES_MAX)
		return fault_set(fault, FAULT_IMAGE_BROKEN,
				 "the image's config is longer than %lu bytes",
				 IMAGE_CONFIG_BYTES_MAX);
	jsonw_raw(w, "config", text, bytes);
	return 0;
}

int progress_config(const struct progress_config *config, struct fault *fault)
{
	_cleanup_buf_ struct buf buf;
	struct jsonw w;

	begin(&buf, &w, "config");
	jsonw_string(&w, "digest", config->digest);
	jsonw_strings(&w, "names", config->names);
	if (put_config(&w, config->config, fault) < 0)
		return -1;
	jsonw_string(&w, "architecture", config->architecture);
	jsonw_string(&w, "os", config->os);
	return finish(&buf, &w, fault);
}

int progress_layer(unsigned index, unsigned count, uint64_t bytes, struct fault *fault)
{
	_cleanup_buf_ struct buf buf;
	struct jsonw w;

	begin(&buf, &w, "layer");
	jsonw_int(&w, "index", index);
	jsonw_int(&w, "count", count);
	jsonw_int(&w, "bytes", (int64_t)bytes);
	return finish(&buf, &w, fault);
}

int progress_done(uint64_t size_bytes, uint64_t content_bytes, struct fault *fault)
{
	_cleanup_buf_ struct buf buf;
	struct jsonw w;

	begin(&buf, &w, "done");
	jsonw_int(&w, "size_bytes", (int64_t)size_bytes);
	jsonw_int(&w, "content_bytes", (int64_t)content_bytes);
	return finish(&buf, &w, fault);
}

void progress_error(const struct fault *error)
{
	_cleanup_buf_ struct buf buf;
	struct fault ignored = {0};
	struct jsonw w;

	begin(&buf, &w, "error");
	jsonw_string(&w, "code", fault_code_name(error->code));
	jsonw_string(&w, "error", error->text);
	(void)!finish(&buf, &w, &ignored);
}

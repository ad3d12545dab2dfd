/* SPDX-License-Identifier: Apache-2.0 */
/* The body of POST /v1/machines: read, and what was accepted must survive being stored. */
#include "machine/config.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void store_and_read(const struct machine_request *request)
{
	_cleanup_buf_ struct buf text;
	_cleanup_json_ json_t *stored = NULL;
	struct machine_config config;
	struct jsonw w;

	buf_init(&text, 16 * MIB);
	jsonw_init(&w, &text);
	jsonw_object_begin(&w, NULL);
	machine_config_write(&w, &request->config);
	jsonw_object_end(&w);
	if (jsonw_finish(&w) < 0 || json_parse(text.data, text.length, &stored, NULL) < 0)
		abort();
	machine_config_init(&config);
	if (machine_config_read(json_object_get(stored, "config"), "config", &config, NULL) < 0)
		abort();
	machine_config_done(&config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_json_ json_t *body = NULL;
	struct machine_request request;
	struct err err = {0};

	if (json_parse((const char *)data, size, &body, &err) < 0)
		return 0;
	machine_request_init(&request);
	if (machine_request_read(&request, body, &err) == 0)
		store_and_read(&request);
	else if (err.text[0] == '\0')
		abort();
	machine_request_done(&request);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the command line reads: one text for each parser. A published port that was taken must be one
 * that the server can take; an image's name must be one.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/strv.h"
#include "endpoint.h"
#include "screen.h"
#include "table.h"

#include "../../../src/cli/spec.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ports(const char *text)
{
	struct machine_ports ports = {0};

	if (spec_parse_port(text, &ports, NULL) == 0) {
		const struct machine_port *port = &ports.items[0];

		if (ports.count != 1 || port->guest_port < 1 || port->guest_port > 65535 ||
		    port->host_port < 0 || port->host_port > 65535 || port->host_ip == NULL)
			abort();
	}
	machine_ports_done(&ports);
}

static void check_image_name(const char *text)
{
	_cleanup_free_ char *name = spec_image_name(text);
	const char *colon = strchr(name, ':');

	if (colon == NULL || strcmp(colon, ":latest") != 0 || colon == name ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") != (size_t)(colon - name))
		abort();
}

static void check_endpoint(const char *text)
{
	struct endpoint endpoint;

	if (endpoint_parse(&endpoint, text, NULL) == 0 &&
	    (endpoint.authority == NULL || strpbrk(endpoint.authority, " \r\n@?#") != NULL))
		abort();
	endpoint_done(&endpoint);
}

/* A path has a slash or is "." or ".."; nothing else is looked up on this host. */
static void check_volume(const char *text)
{
	struct machine_volumes volumes = {0};

	if (spec_parse_volume(text, &volumes, NULL) == 0) {
		const struct machine_volume *volume = &volumes.items[0];

		if (volumes.count != 1 || volume->guest_path[0] != '/' ||
		    (volume->host_path == NULL) == (volume->volume == NULL) ||
		    (volume->volume != NULL && strpbrk(volume->volume, "/:") != NULL))
			abort();
	}
	machine_volumes_done(&volumes);
}

static void check_restart(const char *text)
{
	struct machine_restart restart = {.max_retries = 5};

	if (spec_parse_restart(text, &restart, NULL) == 0 &&
	    (restart.policy == NULL || restart.max_retries < 0))
		abort();
	free(restart.policy);
}

/* What another program prints reaches the terminal as words: nothing in it can move the cursor. */
static void check_words(const char *text, size_t size)
{
	_cleanup_free_ char *words = screen_words(text, size);
	size_t columns = screen_columns(words);

	for (const unsigned char *p = (const unsigned char *)words; *p != '\0'; p++) {
		if (*p < ' ' || *p == 0x7f || (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0))
			abort();
	}
	if (screen_fit(words, columns) != strlen(words) || screen_fit(words, 0) != 0)
		abort();
	for (size_t i = 1; i < columns; i += columns / 8 + 1) {
		_cleanup_free_ char *cut = mem_printf("%.*s", (int)screen_fit(words, i), words);

		if (screen_columns(cut) > i)
			abort();
	}
}

static void check_clean(const char *text)
{
	_cleanup_free_ char *clean = table_clean(text);

	for (const unsigned char *p = (const unsigned char *)clean; *p != '\0'; p++) {
		if (*p < ' ' || *p == 0x7f)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_strv_ char **env = NULL, **labels = NULL;
	char text[1024] = {0};

	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	check_ports(text);
	check_image_name(text);
	check_endpoint(text);
	check_clean(text);
	check_volume(text);
	check_restart(text);
	check_words(text, strlen(text));
	(void)!spec_parse_env(text, &env, NULL);
	(void)!spec_parse_label(text, &labels, NULL);
	return 0;
}

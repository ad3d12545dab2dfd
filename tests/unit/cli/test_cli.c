/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/dirs.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/strv.h"
#include "endpoint.h"
#include "spec.h"
#include "table.h"
#include "vminit.h"

/* ---- a directory of its own for each test that needs files ---- */

static char directory[64];

static int make_directory(void **state)
{
	snprintf(directory, sizeof(directory), "/tmp/test-cli-XXXXXX");
	return mkdtemp(directory) != NULL ? 0 : -1;
}

static int remove_directory(void **state)
{
	return file_remove_tree(directory);
}

static char *write_file(const char *name, const void *data, size_t length)
{
	char *path = path_join(directory, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
	return path;
}

/* ---- endpoints ---- */

static void endpoints_are_read(void **state)
{
	static const struct {
		const char *url, *authority, *host, *port, *unix_path;
		bool loopback;
	} good[] = {
		{"unix:///run/a.sock", "localhost", NULL, NULL, "/run/a.sock", false},
		{"http://localhost:8080", "localhost:8080", "localhost", "8080", NULL, true},
		{"http://LOCALHOST:8080/", "LOCALHOST:8080", "LOCALHOST", "8080", NULL, true},
		{"http://127.0.0.1:80", "127.0.0.1:80", "127.0.0.1", "80", NULL, true},
		{"http://127.9.8.7", "127.9.8.7", "127.9.8.7", "80", NULL, true},
		{"http://[::1]:8080", "[::1]:8080", "::1", "8080", NULL, true},
		{"http://[2001:db8::1]:8080", "[2001:db8::1]:8080", "2001:db8::1", "8080", NULL,
		 false},
		/* Only looks like this machine: it must not be sent this user's token. */
		{"http://127.example.org:8080", "127.example.org:8080", "127.example.org", "8080",
		 NULL, false},
		{"http://localhost.example.org", "localhost.example.org", "localhost.example.org",
		 "80", NULL, false},
		{"http://127.0.0.1.example.org", "127.0.0.1.example.org", "127.0.0.1.example.org",
		 "80", NULL, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct endpoint endpoint;

		assert_int_equal(endpoint_parse(&endpoint, good[i].url, NULL), 0);
		assert_string_equal(endpoint.authority, good[i].authority);
		if (good[i].host != NULL) {
			assert_string_equal(endpoint.host, good[i].host);
			assert_string_equal(endpoint.port, good[i].port);
		}
		if (good[i].unix_path != NULL)
			assert_string_equal(endpoint.unix_path, good[i].unix_path);
		else
			assert_null(endpoint.unix_path);
		assert_int_equal(endpoint.loopback, good[i].loopback);
		endpoint_done(&endpoint);
	}
}

static void bad_endpoints_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"localhost:8080",
		"ftp://localhost",
		"unix://",
		"unix://relative.sock",
		"http://",
		"http://:8080",
		"http:///v1",
		"http://host/v1",
		"http://user@host",
		"http://ho st",
		"http://host?x=1",
		"http://host#x",
		"http://[::1",
		"http://[::1]8080",
		"http://host:",
		"http://host:0",
		"http://host:65536",
		"http://host:80:80",
		/* The server has no TLS. */
		"https://krun.example.org",
		"http://a\nb",
		"HTTP",
	};
	_cleanup_free_ char *long_path = mem_printf("unix:///%0200d", 1);

	for (size_t i = 0; i <= ARRAY_SIZE(bad); i++) {
		struct endpoint endpoint;
		struct err err = {0};
		int r = endpoint_parse(&endpoint, i < ARRAY_SIZE(bad) ? bad[i] : long_path, &err);

		assert_int_equal(r, -EINVAL);
		assert_true(err.text[0] != '\0');
		endpoint_done(&endpoint);
	}
}

static void environment_and_option_choose_the_endpoint(void **state)
{
	struct endpoint endpoint;

	setenv("XDG_RUNTIME_DIR", directory, 1);
	unsetenv("KRUN_API");
	unsetenv("KRUN_TOKEN");
	assert_int_equal(endpoint_find(&endpoint, NULL, NULL, NULL), 0);
	assert_memory_equal(endpoint.unix_path, directory, strlen(directory));
	assert_string_equal(endpoint.unix_path + strlen(directory), "/krun-api/api.sock");
	assert_null(endpoint.token);
	endpoint_done(&endpoint);

	setenv("KRUN_API", "http://there.example.org:1", 1);
	assert_int_equal(endpoint_find(&endpoint, NULL, NULL, NULL), 0);
	assert_string_equal(endpoint.authority, "there.example.org:1");
	assert_null(endpoint.token);
	endpoint_done(&endpoint);

	setenv("KRUN_TOKEN", "secret", 1);
	assert_int_equal(endpoint_find(&endpoint, "http://here.example.org:2", NULL, NULL), 0);
	assert_string_equal(endpoint.authority, "here.example.org:2");
	assert_string_equal(endpoint.token, "secret");
	endpoint_done(&endpoint);
	unsetenv("KRUN_API");
	unsetenv("KRUN_TOKEN");
}

static void token_files_are_one_line(void **state)
{
	_cleanup_free_ char *good = write_file("good", "abc.DEF\n", 8);
	_cleanup_free_ char *empty = write_file("empty", "\n", 1);
	_cleanup_free_ char *header = write_file("header", "a\rX-Evil: 1", 11);
	_cleanup_free_ char *spaces = write_file("spaces", "a b\n", 4);
	_cleanup_free_ char *missing = path_join(directory, "missing");
	struct endpoint endpoint;

	assert_int_equal(endpoint_find(&endpoint, "http://h:1", good, NULL), 0);
	assert_string_equal(endpoint.token, "abc.DEF");
	endpoint_done(&endpoint);
	assert_int_equal(endpoint_find(&endpoint, "http://h:1", header, NULL), 0);
	assert_string_equal(endpoint.token, "a");
	endpoint_done(&endpoint);
	assert_int_equal(endpoint_find(&endpoint, "http://h:1", empty, NULL), -EINVAL);
	endpoint_done(&endpoint);
	assert_int_equal(endpoint_find(&endpoint, "http://h:1", spaces, NULL), -EINVAL);
	endpoint_done(&endpoint);
	assert_int_equal(endpoint_find(&endpoint, "http://h:1", missing, NULL), -ENOENT);
	endpoint_done(&endpoint);
}

/* ---- ports ---- */

static void ports_are_read(void **state)
{
	static const struct {
		const char *text, *host_ip;
		long long host_port, guest_port;
		const char *protocol;
	} good[] = {
		{"8080:80", "127.0.0.1", 8080, 80, "tcp"},
		{"80", "127.0.0.1", 0, 80, "tcp"},
		{"0:80", "127.0.0.1", 0, 80, "tcp"},
		{"5353:53/udp", "127.0.0.1", 5353, 53, "udp"},
		{"53/udp", "127.0.0.1", 0, 53, "udp"},
		{"0.0.0.0:8080:80", "0.0.0.0", 8080, 80, "tcp"},
		{"10.0.0.1::80", "10.0.0.1", 0, 80, "tcp"},
		{"[::1]:8080:80/tcp", "::1", 8080, 80, "tcp"},
		{"65535:65535", "127.0.0.1", 65535, 65535, "tcp"},
	};
	struct machine_ports ports = {0};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(spec_parse_port(good[i].text, &ports, NULL), 0);
		assert_int_equal(ports.count, i + 1);
		assert_string_equal(ports.items[i].host_ip, good[i].host_ip);
		assert_int_equal(ports.items[i].host_port, good[i].host_port);
		assert_int_equal(ports.items[i].guest_port, good[i].guest_port);
		assert_string_equal(ports.items[i].protocol, good[i].protocol);
	}
	machine_ports_done(&ports);
}

static void bad_ports_are_refused(void **state)
{
	static const char *const bad[] = {
		"",           ":",
		"a",          "80:",
		"80:0",       "0",
		"65536:80",   "80:65536",
		"-1:80",      "80:80/sctp",
		"80:80/",     "80:80:80:80:80",
		"[::1:80:80", "8080-8090:80",
		" 80:80",     "80:80 ",
		"1e3:80",
	};
	struct machine_ports ports = {0};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {0};

		assert_int_equal(spec_parse_port(bad[i], &ports, &err), -EINVAL);
		assert_non_null(strstr(err.text, bad[i]));
	}
	assert_int_equal(ports.count, 0);
}

/* ---- volumes, environment, labels ---- */

static void volumes_are_read(void **state)
{
	_cleanup_free_ char *plain = mem_printf("%s:/data", directory);
	_cleanup_free_ char *dotted = mem_printf("%s/.:/data/x:ro", directory);
	_cleanup_free_ char *resolved = NULL;
	struct machine_volumes volumes = {0};

	assert_int_equal(path_resolve(directory, &resolved), 0);
	assert_int_equal(spec_parse_volume(plain, &volumes, NULL), 0);
	assert_int_equal(spec_parse_volume(dotted, &volumes, NULL), 0);
	assert_string_equal(volumes.items[0].host_path, resolved);
	assert_string_equal(volumes.items[0].guest_path, "/data");
	assert_false(volumes.items[0].read_only);
	assert_string_equal(volumes.items[1].host_path, resolved);
	assert_string_equal(volumes.items[1].guest_path, "/data/x");
	assert_true(volumes.items[1].read_only);
	machine_volumes_done(&volumes);
}

/* docker's rule: what has no slash is a name, whatever lies in this directory. */
static void a_source_without_a_slash_is_a_named_volume(void **state)
{
	static const char *const names[] = {"data:/data", "my.data-1:/d:ro", "tmp:/d:rw"};
	_cleanup_free_ char *path = write_file("one.conf", "x", 1);
	_cleanup_free_ char *file = mem_printf("%s:/etc/one.conf:ro", path);
	_cleanup_free_ char *resolved = NULL, *here = NULL;
	struct machine_volumes volumes = {0};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(spec_parse_volume(names[i], &volumes, NULL), 0);
		assert_null(volumes.items[i].host_path);
	}
	assert_string_equal(volumes.items[0].volume, "data");
	assert_string_equal(volumes.items[1].volume, "my.data-1");
	assert_true(volumes.items[1].read_only);
	assert_int_equal(spec_parse_volume(file, &volumes, NULL), 0);
	assert_int_equal(path_resolve(path, &resolved), 0);
	assert_string_equal(volumes.items[3].host_path, resolved);
	assert_null(volumes.items[3].volume);
	assert_int_equal(spec_parse_volume(".:/here", &volumes, NULL), 0);
	assert_int_equal(path_resolve(".", &here), 0);
	assert_string_equal(volumes.items[4].host_path, here);
	machine_volumes_done(&volumes);
}

static void bad_volumes_are_refused(void **state)
{
	static const char *const bad[] = {"",       "/tmp",       "/tmp:",       "/tmp:data",
					  ":/data", "/tmp:/d:rx", "/tmp:/d:ro:x"};
	struct machine_volumes volumes = {0};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(spec_parse_volume(bad[i], &volumes, NULL), -EINVAL);
	assert_int_equal(spec_parse_volume("/nowhere/at/all:/data", &volumes, NULL), -ENOENT);
	assert_int_equal(volumes.count, 0);
}

static void environment_is_read(void **state)
{
	_cleanup_strv_ char **env = NULL;

	setenv("TEST_CLI_HERE", "from here", 1);
	unsetenv("TEST_CLI_NOWHERE");
	assert_int_equal(spec_parse_env("A=1", &env, NULL), 0);
	assert_int_equal(spec_parse_env("B=", &env, NULL), 0);
	assert_int_equal(spec_parse_env("C=x=y", &env, NULL), 0);
	assert_int_equal(spec_parse_env("A=2", &env, NULL), 0);
	assert_int_equal(spec_parse_env("TEST_CLI_HERE", &env, NULL), 0);
	assert_int_equal(spec_parse_env("TEST_CLI_NOWHERE", &env, NULL), 0);
	assert_int_equal(spec_parse_env("=1", &env, NULL), -EINVAL);
	assert_int_equal(spec_parse_env("", &env, NULL), -EINVAL);
	assert_int_equal(strv_length(env), 4);
	assert_string_equal(strv_env_get(env, "A"), "2");
	assert_string_equal(strv_env_get(env, "B"), "");
	assert_string_equal(strv_env_get(env, "C"), "x=y");
	assert_string_equal(strv_env_get(env, "TEST_CLI_HERE"), "from here");
}

static void environment_files_are_read(void **state)
{
	static const char text[] =
		"# a comment\nA=of the file\r\n\nB=x=y \nTEST_CLI_HERE\nA=2\nC=3";
	_cleanup_free_ char *path = write_file("env", text, strlen(text));
	_cleanup_free_ char *empty = write_file("empty", "", 0);
	_cleanup_free_ char *bad = write_file("bad", "A=1\n=2\n", 7);
	_cleanup_free_ char *binary = write_file("binary", "A=1\0B=2", 7);
	_cleanup_free_ char *missing = path_join(directory, "missing");
	_cleanup_strv_ char **env = NULL;
	struct err err = {0};

	setenv("TEST_CLI_HERE", "from here", 1);
	assert_int_equal(spec_parse_env("C=said", &env, NULL), 0);
	assert_int_equal(spec_read_env_file(path, &env, NULL), 0);
	assert_int_equal(spec_read_env_file(empty, &env, NULL), 0);
	assert_string_equal(strv_env_get(env, "A"), "2");
	assert_string_equal(strv_env_get(env, "B"), "x=y ");
	assert_string_equal(strv_env_get(env, "TEST_CLI_HERE"), "from here");
	/* What the command line says itself comes first. */
	assert_string_equal(strv_env_get(env, "C"), "said");
	assert_int_equal(spec_read_env_file(bad, &env, &err), -EINVAL);
	assert_non_null(strstr(err.text, bad));
	assert_int_equal(spec_read_env_file(binary, &env, NULL), -EINVAL);
	assert_int_equal(spec_read_env_file(missing, &env, NULL), -ENOENT);
	assert_int_equal(strv_length(env), 4);
}

static void restart_policies_are_read(void **state)
{
	static const struct {
		const char *text, *policy;
		long long retries;
	} good[] = {{"no", "no", 5},
		    {"always", "always", 5},
		    {"on-failure", "on-failure", 5},
		    {"on-failure:3", "on-failure", 3},
		    {"on-failure:0", "on-failure", 0}};
	static const char *const bad[] =
		{"",  "yes", "always:3", "no:1", "on-failure:", "on-failure:-1", "on-failure:x",
		 ":3"};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct machine_restart restart = {.max_retries = 5};

		assert_int_equal(spec_parse_restart(good[i].text, &restart, NULL), 0);
		assert_string_equal(restart.policy, good[i].policy);
		assert_int_equal(restart.max_retries, good[i].retries);
		free(restart.policy);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct machine_restart restart = {0};

		assert_int_equal(spec_parse_restart(bad[i], &restart, NULL), -EINVAL);
		assert_null(restart.policy);
	}
}

static void labels_are_read(void **state)
{
	_cleanup_strv_ char **labels = NULL;

	assert_int_equal(spec_parse_label("team=a", &labels, NULL), 0);
	assert_int_equal(spec_parse_label("flag", &labels, NULL), 0);
	assert_int_equal(spec_parse_label("=x", &labels, NULL), -EINVAL);
	assert_string_equal(strv_env_get(labels, "team"), "a");
	assert_string_equal(strv_env_get(labels, "flag"), "");
}

/* ---- what is run ---- */

static void image_names_are_clean(void **state)
{
	static const struct {
		const char *path, *name;
	} cases[] = {
		{"/no/such/web", "web:latest"},
		{"/no/such/My App", "my-app:latest"},
		{"/no/such/a__b..c--d", "a_b.c-d:latest"},
		{"/no/such/-lead-trail-", "lead-trail:latest"},
		{"/no/such/\xc3\x9c"
		 "ber",
		 "ber:latest"},
		{"/no/such/***", "image:latest"},
		{"/", "image:latest"},
	};
	_cleanup_free_ char *long_path = mem_printf("/no/such/%0300d", 7);
	_cleanup_free_ char *long_name = spec_image_name(long_path);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *name = spec_image_name(cases[i].path);

		assert_string_equal(name, cases[i].name);
	}
	assert_int_equal(strlen(long_name), 100 + strlen(":latest"));
}

/* "krun-run ." names the image after the directory it stands for. */
static void dot_has_the_name_of_its_directory(void **state)
{
	_cleanup_free_ char *web = path_join(directory, "Web");
	_cleanup_free_ char *dot = path_join(web, ".");
	_cleanup_free_ char *name = NULL;

	assert_int_equal(mkdir(web, 0700), 0);
	name = spec_image_name(dot);
	assert_string_equal(name, "web:latest");
}

static void operands_are_told_apart(void **state)
{
	_cleanup_free_ char *archive = write_file("web.tar", "x", 1);
	_cleanup_free_ char *gzip = write_file("web.tar.gz", "x", 1);
	_cleanup_free_ char *dockerfile = write_file("Dockerfile.dev", "x", 1);
	_cleanup_free_ char *missing = path_join(directory, "missing");
	enum spec_root root;

	assert_int_equal(spec_classify(directory, &root, NULL), 0);
	assert_int_equal(root, SPEC_ROOT_BUILD);
	assert_int_equal(spec_classify(archive, &root, NULL), 0);
	assert_int_equal(root, SPEC_ROOT_ARCHIVE);
	assert_int_equal(spec_classify(gzip, &root, NULL), 0);
	assert_int_equal(root, SPEC_ROOT_ARCHIVE);
	assert_int_equal(spec_classify(dockerfile, &root, NULL), 0);
	assert_int_equal(root, SPEC_ROOT_BUILD);
	assert_int_equal(spec_classify("web:latest", &root, NULL), 0);
	assert_int_equal(root, SPEC_ROOT_IMAGE);
	assert_int_equal(spec_classify("registry.example.org/team/web:1", &root, NULL), 0);
	assert_int_equal(root, SPEC_ROOT_IMAGE);
	assert_int_equal(spec_classify(missing, &root, NULL), -ENOENT);
	assert_int_equal(spec_classify("./missing", &root, NULL), -ENOENT);
	assert_int_equal(spec_classify("missing.tar", &root, NULL), -ENOENT);
	assert_int_equal(spec_classify("", &root, NULL), -EINVAL);
}

/* ---- vminit ---- */

struct elf {
	uint8_t bytes[64 + 2 * 56];
};

static void make_elf(struct elf *elf, uint8_t machine, uint8_t second_program)
{
	*elf = (struct elf){{0x7f, 'E', 'L', 'F', 2, 1, 1}};
	elf->bytes[18] = machine;
	elf->bytes[32] = 64;
	elf->bytes[54] = 56;
	elf->bytes[56] = 2;
	elf->bytes[64] = 1;
	elf->bytes[64 + 56] = second_program;
}

static int check_elf(const struct elf *elf, size_t length, struct err *err)
{
	_cleanup_free_ char *path = write_file("vminit", elf, length);

	return vminit_check(path, err);
}

static void only_a_static_linux_program_is_a_vminit(void **state)
{
	_cleanup_free_ char *text = write_file("text", "#!/bin/sh\n", 10);
	_cleanup_free_ char *missing = path_join(directory, "missing");
	struct err err = {0};
	struct elf elf;

	make_elf(&elf, 62, 1);
	assert_int_equal(check_elf(&elf, sizeof(elf), NULL), 0);
	make_elf(&elf, 183, 1);
	assert_int_equal(check_elf(&elf, sizeof(elf), NULL), 0);
	make_elf(&elf, 62, 3);
	assert_int_equal(check_elf(&elf, sizeof(elf), &err), -ENOEXEC);
	assert_non_null(strstr(err.text, "dynamically"));
	make_elf(&elf, 3, 1);
	assert_int_equal(check_elf(&elf, sizeof(elf), NULL), -ENOEXEC);
	make_elf(&elf, 62, 1);
	assert_int_equal(check_elf(&elf, 70, NULL), -ENOEXEC);
	assert_int_equal(check_elf(&elf, 10, NULL), -ENOEXEC);
	assert_int_equal(vminit_check(text, NULL), -ENOEXEC);
	assert_int_equal(vminit_check(missing, NULL), -ENOENT);
	assert_int_equal(vminit_check(directory, NULL), -EINVAL);
}

/* ---- tables ---- */

static char *printed(const struct table *table)
{
	char *text = NULL;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	assert_non_null(out);
	table_print(table, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void columns_line_up(void **state)
{
	static const char *const head[] = {"NAME", "STATE", "PORTS", NULL};
	static const char *const rows[][3] = {
		{"a", "running", "x"},
		{"gr\xc3\xbc\xc3\x9f"
		 "e-1",
		 "stopped", NULL},
	};
	_cleanup_free_ char *text = NULL;
	struct table table;

	table_init(&table, head);
	table_add(&table, rows[0]);
	table_add(&table, rows[1]);
	text = printed(&table);
	assert_string_equal(text, "NAME      STATE     PORTS\n"
				  "a         running   x\n"
				  "gr\xc3\xbc\xc3\x9f"
				  "e-1   stopped   -\n");
	table_done(&table);
}

/* A name from an archive must not drive the terminal of who lists it. */
static void control_characters_are_not_printed(void **state)
{
	static const char *const head[] = {"NAME", NULL};
	static const char *const row[] = {"a\033[31m\nb\x7f\xc2\x9b"
					  "1m"};
	_cleanup_free_ char *text = NULL;
	struct table table;

	table_init(&table, head);
	table_add(&table, row);
	text = printed(&table);
	assert_string_equal(text, "NAME\na?[31m?b???1m\n");
	table_done(&table);
}

static void ages_and_sizes_are_short(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} ages[] = {{-5, "0 seconds"}, {0, "0 seconds"}, {1, "1 second"},   {59, "59 seconds"},
		    {60, "1 minute"},  {7199, "1 hour"}, {172800, "2 days"}};
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {{0, "0 bytes"},         {1023, "1023 bytes"}, {1024, "1.0 KiB"},
		     {1536, "1.5 KiB"},      {10240, "10 KiB"},    {1048576, "1.0 MiB"},
		     {1ULL << 40, "1.0 TiB"}};

	for (size_t i = 0; i < ARRAY_SIZE(ages); i++) {
		_cleanup_free_ char *text = table_age(ages[i].seconds * CLOCK_NS_PER_S);

		assert_string_equal(text, ages[i].text);
	}
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_free_ char *text = table_size(sizes[i].bytes);

		assert_string_equal(text, sizes[i].text);
	}
}

#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints_are_read),
		cmocka_unit_test(bad_endpoints_are_refused),
		WITH_DIRECTORY(environment_and_option_choose_the_endpoint),
		WITH_DIRECTORY(token_files_are_one_line),
		cmocka_unit_test(ports_are_read),
		cmocka_unit_test(bad_ports_are_refused),
		WITH_DIRECTORY(volumes_are_read),
		WITH_DIRECTORY(a_source_without_a_slash_is_a_named_volume),
		cmocka_unit_test(bad_volumes_are_refused),
		WITH_DIRECTORY(environment_files_are_read),
		cmocka_unit_test(restart_policies_are_read),
		cmocka_unit_test(environment_is_read),
		cmocka_unit_test(labels_are_read),
		cmocka_unit_test(image_names_are_clean),
		WITH_DIRECTORY(dot_has_the_name_of_its_directory),
		WITH_DIRECTORY(operands_are_told_apart),
		WITH_DIRECTORY(only_a_static_linux_program_is_a_vminit),
		cmocka_unit_test(columns_line_up),
		cmocka_unit_test(control_characters_are_not_printed),
		cmocka_unit_test(ages_and_sizes_are_short),
	};

	return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "machine/allow.h"
#include "machine/config.h"
#include "machine/id.h"
#include "machine/log_file.h"
#include "machine/net_config.h"
#include "machine/record.h"
#include "machine/state.h"
#include "machine/vmm_config.h"

static void ids_are_version_7_and_sorted(void **state)
{
	char first[MACHINE_ID_BYTES], second[MACHINE_ID_BYTES], name[MACHINE_RUN_NAME_BYTES];
	uint8_t mac[6];

	machine_id_make(first);
	assert_true(machine_id_is_valid(first));
	assert_int_equal(first[14], '7');
	assert_non_null(strchr("89ab", first[19]));
	/* Also those of one millisecond, and past the end of the counter in it. */
	for (int i = 0; i < 10000; i++) {
		machine_id_make(second);
		assert_true(machine_id_is_valid(second));
		assert_int_equal(second[14], '7');
		assert_true(strcmp(first, second) < 0);
		strcpy(first, second);
	}
	machine_id_run_name(first, name);
	assert_string_equal(name, first + 24);
	machine_id_mac(first, mac);
	assert_int_equal(mac[0] & 3, 2);
}

static void prefixes_of_ids_are_eight_characters_or_more(void **state)
{
	assert_true(machine_id_is_prefix("0190a3b4"));
	assert_true(machine_id_is_prefix("0190a3b4-1"));
	assert_false(machine_id_is_prefix("0190a3b"));
	assert_false(machine_id_is_prefix("0190a3bg"));
	assert_false(machine_id_is_prefix("0190a3b41"));
	assert_false(machine_id_is_prefix(""));
}

static void names_follow_the_rule(void **state)
{
	static const char *const wrong[] = {"",         "A",
					    "-a",       ".a",
					    "a b",      "a/b",
					    "\xc3\xa4", "0190a3b4-1111-7111-8111-111111111111"};
	char made[64], longest[LIMIT_NAME_BYTES + 2];

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		if (machine_name_check(wrong[i], NULL) != -EINVAL)
			fail_msg("taken for a name: '%s'", wrong[i]);
	}
	memset(longest, 'a', sizeof(longest));
	longest[LIMIT_NAME_BYTES] = '\0';
	assert_int_equal(machine_name_check(longest, NULL), 0);
	longest[LIMIT_NAME_BYTES] = 'a';
	longest[LIMIT_NAME_BYTES + 1] = '\0';
	assert_int_equal(machine_name_check(longest, NULL), -EINVAL);
	machine_name_make(made);
	assert_int_equal(machine_name_check(made, NULL), 0);
}

static void only_the_drawn_moves_are_allowed(void **state)
{
	/* Rows: from; columns: to, in the order of the enum. */
	static const char *const table[MACHINE_STATE_COUNT] = {
		"010000", "001111", "000111", "000011", "010000", "010000",
	};

	for (int from = 0; from < MACHINE_STATE_COUNT; from++) {
		for (int to = 0; to < MACHINE_STATE_COUNT; to++)
			assert_int_equal(machine_state_may_move(from, to), table[from][to] == '1');
	}
}

static void allow_rules_are_read(void **state)
{
	struct allow_rule rule;
	struct in_addr address;
	struct in6_addr address6;

	assert_int_equal(allow_rule_parse("10.0.0.0/8:443", &rule, NULL), 0);
	assert_int_equal(rule.kind, ALLOW_CIDR4);
	assert_int_equal(rule.port, 443);
	inet_pton(AF_INET, "10.255.0.1", &address);
	assert_true(allow_rule_matches4(&rule, address));
	inet_pton(AF_INET, "11.0.0.1", &address);
	assert_false(allow_rule_matches4(&rule, address));
	assert_false(allow_rule_matches_port(&rule, 80));

	assert_int_equal(allow_rule_parse("0.0.0.0/0", &rule, NULL), 0);
	assert_true(allow_rule_matches4(&rule, address));
	assert_true(allow_rule_matches_port(&rule, 80));

	assert_int_equal(allow_rule_parse("2001:db8::/33", &rule, NULL), 0);
	inet_pton(AF_INET6, "2001:db8:7fff::1", &address6);
	assert_true(allow_rule_matches6(&rule, &address6));
	inet_pton(AF_INET6, "2001:db8:8000::1", &address6);
	assert_false(allow_rule_matches6(&rule, &address6));

	assert_int_equal(allow_rule_parse("[2001:db8::1]:53", &rule, NULL), 0);
	assert_int_equal(rule.prefix_bits, 128);
	assert_int_equal(rule.port, 53);
}

static void names_match_without_case_and_final_dot(void **state)
{
	struct allow_rule rule;

	assert_int_equal(allow_rule_parse("Example.ORG.", &rule, NULL), 0);
	assert_true(allow_rule_matches_name(&rule, "example.org"));
	assert_true(allow_rule_matches_name(&rule, "EXAMPLE.org."));
	assert_false(allow_rule_matches_name(&rule, "a.example.org"));
	assert_int_equal(allow_rule_parse("*.example.org:443", &rule, NULL), 0);
	assert_true(allow_rule_matches_name(&rule, "a.b.example.org"));
	assert_false(allow_rule_matches_name(&rule, "example.org"));
	assert_false(allow_rule_matches_name(&rule, ".example.org"));
	assert_false(allow_rule_matches_name(&rule, "badexample.org"));
}

static void broken_allow_rules_are_refused(void **state)
{
	static const char *const wrong[] = {
		"",
		"*",
		"*.",
		"10.0.0.1/8",
		"10.0.0.0/33",
		"10.0.0.300",
		"1234",
		"a..b",
		"a.org:0",
		"a.org:65536",
		"a.org:",
		"[::1",
		"[::1]x",
		"[a.org]:1",
		"a.org/8",
		"*.*.org",
		"a b",
		"http://a.org",
		"-.org:port",
		"::1/129",
		"10.0.0.0/-1",
		"10.0.0.0/8/8",
		"2001:db8::1/32",
	};
	struct allow_rule rule;
	struct err err;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		err = (struct err){0};
		if (allow_rule_parse(wrong[i], &rule, &err) != -EINVAL || err.text[0] == '\0')
			fail_msg("taken for a rule: '%s'", wrong[i]);
	}
}

static int read_request(const char *text, struct machine_request *request, struct err *err)
{
	_cleanup_json_ json_t *body = NULL;
	int r;

	machine_request_init(request);
	r = json_parse(text, strlen(text), &body, err);
	return r < 0 ? r : machine_request_read(request, body, err);
}

static void a_small_request_gets_the_defaults(void **state)
{
	struct machine_request request;

	assert_int_equal(read_request("{\"config\":{\"image\":\"web\"}}", &request, NULL), 0);
	assert_int_equal(request.config.vcpus, 1);
	assert_int_equal(request.config.memory_mib, 256);
	assert_int_equal(request.config.stop.timeout_s, 10);
	assert_null(request.network.allow_list);
	assert_null(request.config.args);
	machine_request_done(&request);
}

static void a_full_request_survives_being_stored(void **state)
{
	static const char text[] =
		"{\"name\":\"web\",\"labels\":{\"team\":\"a\"},\"config\":{\"rootfs_path\":\"/r\","
		"\"exec_path\":\"/s\",\"args\":[],\"env\":{\"K\":\"a=b\"},\"tty\":true,"
		"\"volumes\":[{\"host_path\":\"/h\",\"guest_path\":\"/g\",\"read_only\":true}],"
		"\"ports\":[{\"host_port\":0,\"guest_port\":80},{\"guest_port\":53,"
		"\"host_port\":5353,\"protocol\":\"udp\",\"host_ip\":\"::1\"}],"
		"\"stop\":{\"signal\":\"INT\",\"timeout_s\":0}},"
		"\"network\":{\"allow_list\":[],\"dns\":[\"1.1.1.1\"]}}";
	struct machine_request request;
	struct machine_config config;
	_cleanup_buf_ struct buf first = {0}, second = {0};
	_cleanup_json_ json_t *stored = NULL;
	struct jsonw w;

	assert_int_equal(read_request(text, &request, NULL), 0);
	assert_non_null(request.network.allow_list);
	assert_non_null(request.config.args);
	buf_init(&first, 65536);
	jsonw_init(&w, &first);
	jsonw_object_begin(&w, NULL);
	machine_config_write(&w, &request.config);
	jsonw_object_end(&w);
	assert_int_equal(jsonw_finish(&w), 0);
	assert_int_equal(json_parse(first.data, first.length, &stored, NULL), 0);
	machine_config_init(&config);
	assert_int_equal(machine_config_read(json_object_get(stored, "config"), "config", &config,
					     NULL),
			 0);
	buf_init(&second, 65536);
	jsonw_init(&w, &second);
	jsonw_object_begin(&w, NULL);
	machine_config_write(&w, &config);
	jsonw_object_end(&w);
	assert_string_equal(first.data, second.data);
	machine_config_done(&config);
	machine_request_done(&request);
}

#define CONFIG(members) "{\"config\":{\"image\":\"i\"," members "}}"

static void broken_requests_name_the_field(void **state)
{
	static const struct {
		const char *text, *sentence;
		int errnum;
	} cases[] = {
		{"{}", "config is missing", EINVAL},
		{"{\"config\":{}}", "exactly one of config.image and config.rootfs_path", EDOM},
		{CONFIG("\"rootfs_path\":\"/x\""), "exactly one of", EDOM},
		{"{\"config\":{\"rootfs_path\":\"x\",\"exec_path\":\"/s\"}}", "absolute path",
		 EDOM},
		{"{\"config\":{\"rootfs_path\":\"/x\"}}", "config.exec_path is needed", EDOM},
		{CONFIG("\"vcpus\":17"), "config.vcpus must be between 1 and 16", EDOM},
		{CONFIG("\"memory_mib\":127"), "config.memory_mib", EDOM},
		{CONFIG("\"colour\":1"), "unknown field 'config.colour'", EINVAL},
		{CONFIG("\"ports\":[{\"guest_port\":0}]"), "config.ports[0].guest_port", EDOM},
		{CONFIG("\"ports\":[{\"guest_port\":80,\"host_port\":65536}]"),
		 "config.ports[0].host_port", EDOM},
		{CONFIG("\"ports\":[{\"guest_port\":80,\"host_ip\":\"localhost\"}]"),
		 "config.ports[0].host_ip", EDOM},
		{CONFIG("\"ports\":[{\"guest_port\":80,\"protocol\":\"sctp\"}]"),
		 "config.ports[0].protocol", EDOM},
		{CONFIG("\"ports\":[{\"guest_port\":1,\"host_port\":5},{\"guest_port\":2,"
			"\"host_port\":5}]"),
		 "asked for twice", EDOM},
		{CONFIG("\"volumes\":[{\"host_path\":\"/a\",\"guest_path\":\"/\"}]"),
		 "must not be '/'", EDOM},
		{CONFIG("\"stop\":{\"signal\":\"SIGWHAT\"}"), "config.stop.signal", EDOM},
		{CONFIG("\"restart\":{\"policy\":\"never\"}"), "config.restart.policy", EDOM},
		{CONFIG("\"restart\":{\"policy\":\"always\"},\"auto_remove\":true"), "contradict",
		 EDOM},
		{CONFIG("\"ttl_s\":-1"), "config.ttl_s", EDOM},
		{CONFIG("\"hostname\":\"a_b\""), "config.hostname", EDOM},
		{"{\"name\":\"A\",\"config\":{\"image\":\"i\"}}", "name must be", EDOM},
		{"{\"config\":{\"image\":\"i\"},\"network\":{\"allow_list\":[\"a b\"]}}",
		 "network.allow_list[0]", EDOM},
		{"{\"config\":{\"image\":\"i\"},\"network\":{\"mode\":\"bridge\"}}", "network.mode",
		 EDOM},
		{"{\"config\":{\"image\":\"i\",\"ports\":[{\"guest_port\":1}]},\"network\":{"
		 "\"mode\":\"none\"}}",
		 "needs network.mode 'user'", EDOM},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct machine_request request;
		struct err err = {0};
		int r = read_request(cases[i].text, &request, &err);

		if (r != -cases[i].errnum || strstr(err.text, cases[i].sentence) == NULL)
			fail_msg("%s gave %d '%s'", cases[i].text, r, err.text);
		machine_request_done(&request);
	}
}

static void arguments_and_environment_fit_into_one_frame(void **state)
{
	static char text[LIMIT_PROCESS_BYTES + 200], value[LIMIT_PROCESS_BYTES + 1];
	struct machine_request request;
	struct err err = {0};

	memset(value, 'a', LIMIT_PROCESS_BYTES);
	snprintf(text, sizeof(text), CONFIG("\"args\":[\"%s\"]"), value);
	assert_int_equal(read_request(text, &request, &err), -EDOM);
	assert_non_null(strstr(err.text, "together are longer"));
	machine_request_done(&request);
}

static void a_record_survives_the_disk(void **state)
{
	struct machine_record record, back;
	char directory[] = "/tmp/krun-record-XXXXXX", path[64];

	assert_non_null(mkdtemp(directory));
	machine_record_init(&record);
	machine_record_init(&back);
	record.id = mem_strdup("0190a3b4-1111-7111-8111-111111111111");
	record.generation = 3;
	record.state = MACHINE_STATE_FAILED;
	record.reason = mem_strdup("line\nwith \"quotes\"");
	record.supervisor = (struct proc_id){42, UINT64_MAX};
	record.boot_ms.spawn = 3;
	record.started_at = 1763842281123456789;
	record.has_exit = true;
	record.exit = (struct machine_exit){137, 9, true, false};
	assert_int_equal(machine_record_load(&back, directory, MACHINE_EXIT_FILE, NULL), -ENOENT);
	assert_int_equal(machine_record_save(&record, directory, MACHINE_EXIT_FILE, NULL), 0);
	assert_int_equal(machine_record_load(&back, directory, MACHINE_EXIT_FILE, NULL), 0);
	assert_string_equal(back.reason, record.reason);
	assert_int_equal(back.state, MACHINE_STATE_FAILED);
	assert_true(back.supervisor.start_time == UINT64_MAX);
	assert_int_equal(back.vm.pid, 0);
	assert_int_equal(back.boot_ms.spawn, 3);
	assert_int_equal(back.boot_ms.ready, -1);
	assert_true(back.started_at == record.started_at);
	assert_true(back.has_exit && back.exit.oom_killed);
	assert_int_equal(back.exit.signal, 9);
	snprintf(path, sizeof(path), "%s/%s", directory, MACHINE_EXIT_FILE);
	assert_int_equal(remove(path), 0);
	assert_int_equal(remove(directory), 0);
	machine_record_done(&record);
	machine_record_done(&back);
}

static void the_configurations_of_programs_survive_the_pipe(void **state)
{
	struct vmm_config vmm, vmm_back;
	struct net_config net, net_back;
	_cleanup_buf_ struct buf text = {0}, again = {0};
	struct jsonw w;

	vmm_config_init(&vmm);
	vmm.id = mem_strdup("0190a3b4-1111-7111-8111-111111111111");
	vmm.machine_dir = mem_strdup("/m");
	vmm.run_dir = mem_strdup("/r");
	vmm.rootfs_path = mem_strdup("/");
	strv_push(&vmm.exec, "/bin/true");
	strv_push(&vmm.env, "A=b=c");
	vmm.mac = mem_strdup("02:00:00:00:00:01");
	buf_init(&text, 65536);
	jsonw_init(&w, &text);
	vmm_config_write(&w, &vmm);
	assert_int_equal(jsonw_finish(&w), 0);
	vmm_config_init(&vmm_back);
	assert_int_equal(vmm_config_parse(&vmm_back, text.data, text.length, NULL), 0);
	buf_init(&again, 65536);
	jsonw_init(&w, &again);
	vmm_config_write(&w, &vmm_back);
	assert_string_equal(text.data, again.data);
	vmm_config_done(&vmm);
	vmm_config_done(&vmm_back);

	net_config_init(&net);
	net.mac = mem_strdup("02:00:00:00:00:01");
	buf_clear(&text);
	jsonw_init(&w, &text);
	net_config_write(&w, &net);
	net_config_init(&net_back);
	assert_int_equal(net_config_parse(&net_back, text.data, text.length, NULL), 0);
	assert_string_equal(net_back.mac, net.mac);
	assert_null(net_back.network.allow_list);
	net_config_done(&net);
	net_config_done(&net_back);
}

static void log_lines_are_read_as_they_are_written(void **state)
{
	struct log_record record;
	char line[128];
	size_t length;

	length = log_record_head(1763842281123456789, LOG_STREAM_STDERR, true, line);
	memcpy(line + length, "a b", 3);
	assert_int_equal(log_record_parse(line, length + 3, &record), 0);
	assert_true(record.realtime_ns == 1763842281123456789);
	assert_int_equal(record.stream, LOG_STREAM_STDERR);
	assert_true(record.partial);
	assert_int_equal(record.length, 3);
	assert_memory_equal(record.text, "a b", 3);
	for (size_t cut = 0; cut < length; cut++)
		assert_int_equal(log_record_parse(line, cut, &record), -EBADMSG);
	line[length - 2] = 'X';
	assert_int_equal(log_record_parse(line, length + 3, &record), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_are_version_7_and_sorted),
		cmocka_unit_test(prefixes_of_ids_are_eight_characters_or_more),
		cmocka_unit_test(names_follow_the_rule),
		cmocka_unit_test(only_the_drawn_moves_are_allowed),
		cmocka_unit_test(allow_rules_are_read),
		cmocka_unit_test(names_match_without_case_and_final_dot),
		cmocka_unit_test(broken_allow_rules_are_refused),
		cmocka_unit_test(a_small_request_gets_the_defaults),
		cmocka_unit_test(a_full_request_survives_being_stored),
		cmocka_unit_test(broken_requests_name_the_field),
		cmocka_unit_test(arguments_and_environment_fit_into_one_frame),
		cmocka_unit_test(a_record_survives_the_disk),
		cmocka_unit_test(the_configurations_of_programs_survive_the_pipe),
		cmocka_unit_test(log_lines_are_read_as_they_are_written),
	};

	return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}

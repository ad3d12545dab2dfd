"""What machines use: stats, and /metrics as a Prometheus server reads it."""

import json
import os
import signal

import pytest

parser = pytest.importorskip("prometheus_client.parser")


def stats(api, machine, query=""):
    return api.get(f"/v1/machines/{machine['id']}/stats{query}")


def metrics(api):
    answer = api.get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {family.name: family for family in parser.text_string_to_metric_families(answer.text)}


def value(families, metric, **labels):
    for family in families.values():
        for sample in family.samples:
            if sample.name == metric and labels.items() <= sample.labels.items():
                return sample.value
    return None


def test_stats_of_a_running_machine(api):
    machine = api.run(name="web")
    answer = stats(api, machine)
    assert answer.status == 200, answer.text
    found = answer.json
    assert (found["id"], found["name"], found["network"]) == (machine["id"], "web", None)
    assert found["cpu"]["vcpus"] == 1
    assert found["cpu"]["host_us"] >= 0
    assert found["memory"]["guest_total_bytes"] > found["memory"]["guest_available_bytes"] > 0
    assert found["memory"]["host_bytes"] > 0
    assert found["time"] > machine["ready_at"]
    assert set(found["disk"]) == {
        "read_bytes", "written_bytes", "root_total_bytes", "root_available_bytes", "allocated_bytes",
    }  # fmt: skip


def test_only_of_a_running_machine(api):
    machine = api.create()
    for query in ("", "?follow=true"):
        answer = stats(api, machine, query)
        assert (answer.status, answer.code) == (409, "wrong_state")
    assert stats(api, machine, "?follow=2").status == 400
    assert api.get("/v1/machines/none/stats").status == 404


def test_follow_until_it_stops(api):
    machine = api.run()
    with api.stream(f"/v1/machines/{machine['id']}/stats?follow=true") as stream:
        assert stream.getheader("Content-Type") == "application/x-ndjson"
        first, second = json.loads(stream.readline()), json.loads(stream.readline())
        assert second["time"] > first["time"]
        api.post(f"/v1/machines/{machine['id']}/stop", {"timeout_s": 0})
        # What is left, and then the end.
        for line in stream:
            json.loads(line)


def test_a_supervisor_that_does_not_answer(api):
    """A wait with an end, and whoever asks later is served again."""
    machine = api.run()
    supervisor = api.record(machine)["supervisor"]["pid"]
    os.kill(supervisor, signal.SIGSTOP)
    try:
        answer = stats(api, machine)
        assert (answer.status, answer.code) == (503, "no_answer")
        assert value(metrics(api), "krun_machine_host_memory_bytes", id=machine["id"]) is None
    finally:
        os.kill(supervisor, signal.SIGCONT)
    assert stats(api, machine).status == 200


def test_the_last_known_figures_are_shown(api):
    machine = api.run()
    known = stats(api, machine).json["memory"]["host_bytes"]
    supervisor = api.record(machine)["supervisor"]["pid"]
    os.kill(supervisor, signal.SIGSTOP)
    try:
        assert value(metrics(api), "krun_machine_host_memory_bytes", id=machine["id"]) == known
    finally:
        os.kill(supervisor, signal.SIGCONT)


def test_metrics_of_the_server(api):
    api.get("/v1/machines/none")
    families = metrics(api)
    version = api.get("/v1/info").json["version"]
    assert value(families, "krun_api_build_info", version=version) == 1
    assert value(families, "krun_api_http_requests_total", method="GET", status="4xx") == 1
    before = value(families, "krun_api_http_request_duration_seconds_count")
    again = metrics(api)
    # /metrics itself and /v1/info.
    assert value(again, "krun_api_http_request_duration_seconds_count") == before + 2
    assert value(again, "krun_api_http_request_duration_seconds_bucket", le="+Inf") == before + 2
    assert value(again, "process_open_fds") > 5
    assert value(again, "process_resident_memory_bytes") > 1 << 20
    assert 0 <= value(again, "process_cpu_seconds_total") < 60
    assert value(again, "process_start_time_seconds") > 1.7e9


def test_buckets_grow(api):
    buckets = [
        sample.value
        for sample in metrics(api)["krun_api_http_request_duration_seconds"].samples
        if sample.name.endswith("_bucket")
    ]
    assert len(buckets) == 15
    assert buckets == sorted(buckets)


def test_counters_are_called_so(api):
    api.run()
    for family in metrics(api).values():
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter"), sample.name
        assert family.documentation


def test_metrics_of_machines(api):
    api.run(name="one", restart={"policy": "on-failure"})
    api.run(name="two", network={"mode": "user"})
    api.create(name="three")
    families = metrics(api)
    assert value(families, "krun_api_machines", state="running") == 2
    assert value(families, "krun_api_machines", state="created") == 1
    assert value(families, "krun_api_machines", state="failed") == 0
    assert value(families, "krun_machine_restarts_total", name="one") == 0
    assert value(families, "krun_machine_memory_size_bytes", name="two") > 0
    assert value(families, "krun_machine_network_refused_flows_total", name="two") == 0
    assert value(families, "krun_machine_network_refused_flows_total", name="one") is None
    assert value(families, "krun_machine_memory_size_bytes", name="three") is None


def test_many_ask_at_once(api):
    machine = api.run()
    connections = [api.connection() for _ in range(50)]
    for index, connection in enumerate(connections):
        connection.request("GET", "/metrics" if index % 2 else f"/v1/machines/{machine['id']}/stats")
    for connection in connections:
        assert connection.getresponse().status == 200
        connection.close()

"""What follows the end of a real guest: its policy, its time to live, its removal; and the verbs that end and start it."""

import json

import pytest

from conftest import IMAGE, remove
from server import READY_S

LOOP = "while :; do sleep 1; done"
TTL_S = 15  # its boot counts


@pytest.fixture
def machine(server, name):
    """machine(script, **config): created, started and ready."""

    def start(script, **config):
        config = {"image": IMAGE, "exec_path": "/bin/sh", "args": ["-c", script], **config}
        body = {"name": name, "config": config, "network": {"mode": "none"}}
        status, answer = server.call("POST", f"/v1/machines?start=true&wait=ready&timeout={READY_S}", body)
        assert status == 201, f"{answer}{server.diagnosis()}"
        return answer

    yield start
    remove(server, name)


def events(server, machine):
    lines = server.text("events", "--no-follow", "--json", "--since", "0").splitlines()
    return [event for event in map(json.loads, lines) if event["machine_id"] == machine["id"]]


def types(found):
    return [event["type"].removeprefix("machine.") for event in found]


def test_on_failure_keeps_the_disk(server, machine, name):
    script = "test -e /second && exit 0; touch /second; exit 7"
    made = machine(script, restart={"policy": "on-failure", "max_retries": 3})
    ended = server.wait(name, "stopped", 3 * READY_S)
    assert (ended["exit"]["code"], ended["restart_count"], ended["generation"]) == (0, 1, 2)
    one = ["starting", "running", "stopped"]
    found = events(server, made)
    assert types(found) == ["created", *one, "restarting", *one]
    assert found[4]["reason"] == "restarting in 0.1 s after exit code 7"


def test_ttl_ends_a_guest_and_auto_remove_deletes_it(server, machine, name):
    made = machine("trap 'exit 0' TERM; " + LOOP, ttl_s=TTL_S, auto_remove=True)
    status, _ = server.call("GET", f"/v1/machines/{name}/wait?state=deleted&timeout={READY_S}")
    assert status in (200, 404)
    found = events(server, made)
    assert types(found)[-3:] == ["stopping", "stopped", "deleted"]
    assert found[-2]["reason"] == "stopped: it had run for its ttl_s of 15 s"


def test_restart_and_signal(server, machine, name):
    machine("trap 'echo hup >>/log' HUP; trap 'exit 0' TERM; echo start >>/log; " + LOOP)
    wait_for = "while ! grep -q {} /log; do sleep 0.1; done; cat /log"
    assert server.text("exec", name, "sh", "-c", wait_for.format("start")) == "start\n"
    status, _ = server.call("POST", f"/v1/machines/{name}/signal", {"signal": "SIGHUP"})
    assert status == 204
    assert server.text("exec", name, "sh", "-c", wait_for.format("hup")) == "start\nhup\n"
    status, again = server.call("POST", f"/v1/machines/{name}/restart?wait=ready&timeout={READY_S}")
    assert (status, again["generation"], again["restart_count"]) == (200, 2, 0)
    assert server.text("exec", name, "sh", "-c", "while [ $(wc -l </log) -lt 3 ]; do sleep 0.1; done; cat /log") == (
        "start\nhup\nstart\n"
    )


def test_a_warning_of_the_guest_is_an_event(server, name):
    config = {"image": IMAGE, "exec_path": "/bin/sh", "workdir": "/proc/nowhere"}
    status, answer = server.call("POST", "/v1/machines", {"name": name, "config": config, "network": {"mode": "none"}})
    assert status == 201
    try:
        status, failed = server.call("POST", f"/v1/machines/{name}/start?wait=ready&timeout={READY_S}")
        assert (status, failed["code"]) == (409, "machine_failed")
        found = events(server, answer)
        assert types(found) == ["created", "starting", "warning", "failed"]
        assert found[2]["reason"].startswith("cannot make the directory /proc/nowhere: ")
        assert found[2]["state"] == "starting"
    finally:
        remove(server, name)

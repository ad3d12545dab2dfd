"""What a machine printed."""

import json
import time

from conftest import until

NDJSON = {"Accept": "application/x-ndjson"}


def records(api, machine, query=""):
    answer = api.get(f"/v1/machines/{machine['id']}/logs{query}", headers=NDJSON)
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_sources_and_formats(api):
    machine = api.wait(api.run("echo out; echo err >&2; printf 'no end'"))
    assert sorted(api.logs(machine).splitlines()) == ["err", "no end", "out"]
    assert api.logs(machine, "?source=stderr") == "err\n"
    assert api.logs(machine, "?source=stdout,stderr&timestamps=true").count("Z ") == 3
    assert api.logs(machine, "?source=console") == ""
    out = [record for record in records(api, machine) if record["stream"] == "stdout"]
    assert [record["text"] for record in out] == ["out", "no end"]
    assert api.get(f"/v1/machines/{machine['id']}/logs?source=nonsense").code == "invalid_query"
    assert api.get(f"/v1/machines/{machine['id']}/logs?tial=1").code == "invalid_query"


def test_tail_since_until(api):
    machine = api.wait(api.run("for i in $(seq 1000); do echo line $i; done"))
    lines = [f"line {i}\n" for i in range(1, 1001)]
    assert api.logs(machine) == "".join(lines)
    assert api.logs(machine, "?tail=3") == "".join(lines[-3:])
    assert api.logs(machine, "?tail=0") == ""
    assert api.logs(machine, "?tail=100000") == "".join(lines)
    middle = records(api, machine)[500]["time"]
    since = records(api, machine, f"?since={middle}")
    assert all(record["time"] >= middle for record in since) and since[-1]["text"] == "line 1000"
    before = records(api, machine, f"?until={middle}")
    assert all(record["time"] <= middle for record in before) and before[0]["text"] == "line 1"
    assert records(api, machine, f"?until={middle}&tail=2")[-1:] in ([], before[-1:])
    assert api.logs(machine, "?since=2100-01-01T00:00:00Z") == ""
    assert api.get(f"/v1/machines/{machine['id']}/logs?since=yesterday").status == 400


def test_rotation_loses_nothing_that_is_kept(api):
    # 30 MB: more than three files of 10 MiB keep.
    machine = api.wait(api.run("seq 1 400000 | sed 's/$/ ........................................../'"), timeout=60)
    lines = api.logs(machine).splitlines()
    numbers = [int(line.split()[0]) for line in lines]
    assert numbers[-1] == 400000
    assert numbers == list(range(numbers[0], 400001)), "a line is missing or stands twice"
    assert api.logs(machine, "?tail=300000").splitlines() == lines[-300000:]
    files = sorted((api.state_dir / "machines" / machine["id"] / "log").iterdir())
    assert 1 < len(files) <= 3


def test_follow_sees_the_end(api):
    machine = api.run("echo one; while [ ! -e %s ]; do sleep 0.01; done; echo two" % (api.directory / "go"))
    with api.stream(f"/v1/machines/{machine['id']}/logs?follow=true") as response:
        assert response.readline() == b"one\n"
        (api.directory / "go").touch()
        assert response.readline() == b"two\n"
        assert response.read() == b""
    assert api.look(machine)["state"] == "stopped", "the end came before the state"


def test_follow_through_rotation(api):
    machine = api.run("seq 1 300000 | sed 's/$/ ........................................../'")
    with api.stream(f"/v1/machines/{machine['id']}/logs?follow=true") as response:
        numbers = [int(line.split()[0]) for line in response.read().splitlines()]
    assert numbers == list(range(1, 300001))


def test_follow_a_machine_at_rest_ends_at_once(api):
    machine = api.create()
    assert api.logs(machine, "?follow=true") == ""
    ended = api.wait(api.run("echo x"))
    assert api.logs(ended, "?follow=true") == "x\n"


def test_follow_until_a_moment(api):
    machine = api.run("echo x; sleep 1000")
    moment = time.time() + 0.3
    assert api.logs(machine, f"?follow=true&until={moment:.3f}") == "x\n"


def test_followers_that_leave(api):
    machine = api.run("while :; do echo x; sleep 0.01; done")
    for _ in range(50):
        with api.stream(f"/v1/machines/{machine['id']}/logs?follow=true&tail=1") as response:
            assert response.readline() == b"x\n"
    assert api.get("/healthz").status == 200


def test_a_follower_that_does_not_read_costs_little(api):
    """Its output stays in the log, not in the server."""
    machine = api.run("while :; do seq 1 1000; done")
    path = f"/v1/machines/{machine['id']}/logs?follow=true"
    idle = [api.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()) for _ in range(20)]
    log = api.state_dir / "machines" / machine["id"] / "log"
    until((log / "machine.log.2").exists, "20 MiB were logged", 60)
    resident_kib = api.memory_kib("VmRSS")
    for sock in idle:
        sock.close()
    assert resident_kib < (400 << 10 if api.is_sanitized() else 40 << 10)
    assert api.get("/healthz").status == 200


def test_follow_ends_when_the_machine_is_deleted(api):
    machine = api.run("echo x; sleep 1000")
    with api.stream(f"/v1/machines/{machine['id']}/logs?follow=true") as response:
        assert response.readline() == b"x\n"
        assert api.delete(f"/v1/machines/{machine['id']}?force=true").status == 204
        assert response.read() == b""


def test_binary_output(api):
    machine = api.wait(api.run(r"printf '\377\000\001x\n'"))
    answer = api.get(f"/v1/machines/{machine['id']}/logs?source=stdout")
    assert answer.body == b"\xff\x00\x01x\n"
    assert records(api, machine, "?source=stdout")[0]["text"] == "�\0\x01x"


def test_a_long_line(api):
    machine = api.wait(api.run("head -c 100000 /dev/zero | tr '\\0' a; echo; echo end"))
    assert api.logs(machine) == "a" * 100000 + "\nend\n"
    assert api.logs(machine, "?tail=1") == "end\n"
    assert api.logs(machine, "?timestamps=true").count("Z ") == 2

"""GET /v1/events: what happens, in order, to everybody who wants to know, and nothing twice."""

import json
import threading
from pathlib import Path

import pytest
from conftest import make_image, until

SSE = {"Accept": "text/event-stream"}


def events(api, query="follow=false"):
    answer = api.get(f"/v1/events?{query}")
    assert answer.status == 200, answer.text
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.body.splitlines()]


def types(found, machine=None):
    return [event["type"] for event in found if machine is None or event["machine_id"] == machine["id"]]


def next_event(stream):
    return json.loads(stream.readline())


def test_the_life_of_a_machine(api):
    machine = api.run("exit 3", name="web")
    api.wait(machine)
    api.delete(f"/v1/machines/{machine['id']}")
    found = events(api)
    assert types(found) == [
        "machine.created", "machine.starting", "machine.running", "machine.stopped", "machine.deleted",
    ]  # fmt: skip
    assert [event["state"] for event in found] == ["created", "starting", "running", "stopped", "stopped"]
    assert [event["id"] for event in found] == sorted({event["id"] for event in found})
    assert {event["name"] for event in found} == {"web"}
    stopped = found[3]
    assert stopped["attributes"] == {
        "generation": 1, "exit_code": 3, "signal": None, "oom_killed": False, "requested": False,
    }  # fmt: skip
    assert stopped["time"].endswith("Z")


def test_a_failure_tells_why(api):
    answer = api.post("/v1/machines?start=true&wait=ready", api.body(exec_path="/nowhere"))
    assert answer.status == 409
    failed = events(api)[-1]
    assert failed["type"] == "machine.failed"
    assert "/nowhere" in failed["reason"]
    assert failed["attributes"]["exit_code"] == 127


def test_a_stop_is_told(api):
    machine = api.run_trap("'' TERM")
    with api.stream("/v1/events") as stream:
        api.post(f"/v1/machines/{machine['id']}/stop", {"timeout_s": 0})
        found = [next_event(stream), next_event(stream)]
    assert types(found) == ["machine.stopping", "machine.stopped"]
    assert found[1]["attributes"]["requested"] is True


def test_a_follower_begins_now_and_goes_on(api):
    api.create(name="before")
    with api.stream("/v1/events") as stream:
        machine = api.create(name="after")
        event = next_event(stream)
        assert (event["type"], event["name"]) == ("machine.created", "after")
        api.delete(f"/v1/machines/{machine['id']}")
        assert next_event(stream)["type"] == "machine.deleted"


def test_since_goes_on_without_loss(api):
    for i in range(3):
        api.create(name=f"m{i}")
    first = events(api)[0]["id"]
    assert [event["name"] for event in events(api, f"follow=false&since={first}")] == ["m1", "m2"]
    with api.stream(f"/v1/events?since={first}") as stream:
        assert next_event(stream)["name"] == "m1"
        assert next_event(stream)["name"] == "m2"
        api.create(name="m3")
        assert next_event(stream)["name"] == "m3"


@pytest.mark.parametrize("what", ["id", "prefix", "name"])
def test_of_one_machine(api, what):
    machine = api.create(name="one")
    api.create(name="two")
    text = {"id": machine["id"], "prefix": machine["id"][:-1], "name": "one"}[what]
    assert types(events(api, f"follow=false&machine={text}")) == ["machine.created"]
    with api.stream(f"/v1/events?machine={text}") as stream:
        api.create(name="three")
        api.delete(f"/v1/machines/{machine['id']}")
        event = next_event(stream)
        assert (event["type"], event["machine_id"]) == ("machine.deleted", machine["id"])


def test_images_are_told(api):
    data, digest = make_image()
    tar = {"Content-Type": "application/x-tar"}
    assert api.post("/v1/images", data, headers=tar).status == 201
    assert api.delete("/v1/images/web").status == 204
    found = events(api)
    assert types(found) == ["image.imported", "image.deleted"]
    assert [event["name"] for event in found] == ["web:latest"] * 2
    assert [event["attributes"] for event in found] == [{"digest": digest}] * 2
    assert found[0]["machine_id"] is None and found[0]["state"] is None


# ---- server-sent events ----


def read_sse(stream):
    fields = {}
    while True:
        line = stream.readline().decode()
        assert line.endswith("\n"), "the stream has ended"
        if line == "\n":
            return fields
        name, _, value = line.rstrip("\n").partition(": ")
        fields[name] = value


def test_server_sent_events(api):
    with api.stream("/v1/events", SSE) as stream:
        assert stream.getheader("Content-Type") == "text/event-stream"
        machine = api.create()
        event = read_sse(stream)
    data = json.loads(event["data"])
    assert (event["id"], event["event"]) == (str(data["id"]), "machine.created")
    assert data["machine_id"] == machine["id"]


def test_last_event_id_goes_before_since(api):
    for i in range(3):
        api.create(name=f"m{i}")
    second = events(api)[1]["id"]
    with api.stream("/v1/events?since=0", {**SSE, "Last-Event-ID": str(second)}) as stream:
        assert json.loads(read_sse(stream)["data"])["name"] == "m2"
    assert api.get("/v1/events", headers={"Last-Event-ID": "x"}).status == 400


@pytest.mark.parametrize("query", ["since=-1", "since=x", "since=9223372036854775808", "follow=maybe", "until=3"])
def test_bad_queries(api, query):
    answer = api.get(f"/v1/events?{query}")
    assert (answer.status, answer.code) == (400, "invalid_query")


# ---- much ----


def test_a_hundred_followers_miss_nothing(api):
    """Each has its own id and is given every event once, in order; some read only at the end."""
    count = 60
    with api.stream("/v1/events") as first:
        machine = api.create(name="start")
        start = next_event(first)["id"]
    streams = []
    try:
        for _ in range(100):
            connection = api.connection()
            connection.request("GET", f"/v1/events?since={start}")
            streams.append((connection, connection.getresponse()))
        results = [[] for _ in streams]

        def read(index):
            while len(results[index]) < count:
                results[index].append(next_event(streams[index][1]))

        readers = [threading.Thread(target=read, args=(index,)) for index in range(50)]
        for reader in readers:
            reader.start()
        for _ in range(count // 4):
            api.post(f"/v1/machines/{machine['id']}/start?wait=ready")
            api.post(f"/v1/machines/{machine['id']}/stop", {"timeout_s": 0})
        for reader in readers:
            reader.join(60)
        for index in range(50, 100):
            read(index)
    finally:
        for connection, _ in streams:
            connection.close()
    assert all(result == results[0] for result in results)
    assert types(results[0]) == ["machine.starting", "machine.running", "machine.stopping", "machine.stopped"] * (
        count // 4
    )


def test_a_follower_that_reads_nothing_costs_nothing(api):
    """It is not in anybody's way, and what it has not read is read from the table later."""
    slow = api.raw(b"GET /v1/events?since=0 HTTP/1.1\r\nHost: x\r\n\r\n")
    # More than what fits into a socket and the output queue of a connection.
    count = 1500
    for _ in range(count):
        api.delete(f"/v1/machines/{api.create()['id']}")
    text = b""
    while text.count(b'"machine.deleted"') < count:
        chunk = slow.recv(65536)
        assert chunk
        text += chunk
    slow.close()


def test_idle_followers_take_no_time(api):
    with api.stream("/v1/events"), api.stream("/v1/events", SSE):
        api.create()

        def ticks():
            fields = Path(f"/proc/{api.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])

        # Until it has come to rest: two looks at a process that does nothing are the same.
        until(lambda: ticks() == ticks(), "rest")
        before = ticks()
        api.get("/healthz")
        assert ticks() - before <= 1


# ---- the server's end ----


def test_events_survive_the_server(api):
    machine = api.run()
    before = events(api)
    api.restart()
    api.post(f"/v1/machines/{machine['id']}/stop", {"timeout_s": 0})
    after = events(api)
    assert after[: len(before)] == before
    # It was adopted, which is no event.
    assert types(after[len(before) :]) == ["machine.stopping", "machine.stopped"]
    assert after[len(before)]["id"] > before[-1]["id"]


def test_what_happened_meanwhile_is_told_at_the_next_start(api):
    machine = api.run("while [ ! -e go ]; do sleep 0.01; done; exit 4", workdir=str(api.directory))
    api.kill()
    (api.directory / "go").touch()
    until(lambda: (api.state_dir / "machines" / machine["id"] / "exit.json").exists(), "its end")
    api.start()
    found = events(api)
    assert types(found)[-1] == "machine.stopped"
    assert found[-1]["attributes"]["exit_code"] == 4


def test_an_id_of_another_history(api):
    api.create()
    newest = events(api)[-1]["id"]
    found = events(api, f"follow=false&since={newest + 5}")
    assert types(found) == ["events.lost", "machine.created"]
    assert "another history" in found[0]["reason"]
    assert events(api, f"follow=false&since={newest}") == []

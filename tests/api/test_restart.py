"""Starting again: by hand, by signal, by the restart policy; and ends that come by themselves."""

import json
import os
import random
import signal
import time
from datetime import datetime

import pytest
from conftest import until


def path(machine, verb):
    return f"/v1/machines/{machine['id']}/{verb}"


# ---- by hand ----


def test_restart_stops_and_starts(api):
    machine = api.run_trap("'echo stopping; exit 3' TERM", name="web")
    answer = api.post("/v1/machines/web/restart?wait=ready")
    assert answer.status == 200, answer.text
    assert answer.json["state"] == "running"
    assert answer.json["generation"] == 2
    assert answer.json["restart_count"] == 0
    assert api.record(machine)["generation"] == 2
    assert api.logs(machine, "?source=stdout").startswith("up\nstopping\n")


def test_restart_takes_the_body_of_stop(api):
    machine = api.run_trap("'' TERM; trap 'exit 9' USR1")
    assert api.post(path(machine, "restart?wait=ready"), {"signal": "SIGUSR1"}).json["generation"] == 2
    assert api.post(path(machine, "restart?wait=ready"), {"timeout_s": 0}).json["generation"] == 3


def test_restart_of_a_machine_at_rest_starts_it(api):
    machine = api.create()
    answer = api.post(path(machine, "restart?wait=ready"))
    assert (answer.status, answer.json["state"], answer.json["generation"]) == (200, "running", 1)
    api.post(path(machine, "stop"))
    assert api.post(path(machine, "restart")).json["generation"] == 2


def test_restart_goes_on_without_its_client(api):
    machine = api.run_trap("'while [ ! -e go ]; do sleep 0.01; done; exit 0' TERM", workdir=str(api.directory))
    connection = api.connection()
    connection.request("POST", path(machine, "restart"))
    assert api.get(path(machine, "wait?state=stopped&timeout=0")).status == 408
    connection.close()
    (api.directory / "go").touch()
    until(lambda: api.look(machine)["generation"] == 2, "it is started again")
    assert api.wait(machine, "running")["state"] == "running"


@pytest.mark.parametrize(
    ("verb", "body", "status"),
    [
        ("restart", {"signal": "SIGNOTHING"}, 422),
        ("restart", {"timeout": 3}, 400),
        ("restart?wait=soon", None, 400),
        ("signal", {}, 400),
        ("signal", {"signal": "SIGNOTHING"}, 422),
        ("signal", {"signal": "65"}, 422),
        ("signal", {"signal": 9}, 400),
        ("signal", None, 400),
    ],
)
def test_bad_bodies_are_refused(api, verb, body, status):
    machine = api.run()
    assert api.post(path(machine, verb), body).status == status
    assert api.look(machine)["state"] == "running"
    assert api.look(machine)["generation"] == 1


def test_signal_reaches_the_workload(api):
    machine = api.run_trap("'echo hup' HUP; trap 'exit 7' USR1")
    with api.stream(path(machine, "logs?follow=true&source=stdout")) as log:
        assert log.readline() == b"up\n"
        answer = api.post(path(machine, "signal"), {"signal": "HUP"})
        assert (answer.status, answer.body) == (204, b"")
        assert log.readline() == b"hup\n"
    assert api.post(path(machine, "signal"), {"signal": "10"}).status == 204
    ended = api.wait(machine)
    assert (ended["exit"]["code"], ended["exit"]["requested"]) == (7, False)


def test_signal_needs_a_running_machine(api):
    machine = api.create()
    answer = api.post(path(machine, "signal"), {"signal": "HUP"})
    assert (answer.status, answer.code) == (409, "wrong_state")


# ---- the restart policy ----

EVENTS = "/v1/events?follow=false"


def events(api, machine, query=""):
    lines = api.get(f"{EVENTS}&machine={machine['id']}{query}").body.splitlines()
    return [json.loads(line) for line in lines]


def types(found):
    return [event["type"].removeprefix("machine.") for event in found]


def follow_until(api, machine, kind, count=1):
    """Events of a machine from its beginning to the count-th of a type."""
    found = []
    with api.stream(f"/v1/events?since=0&machine={machine['id']}") as stream:
        while types(found).count(kind) < count:
            found.append(json.loads(stream.readline()))
    return found


def counting(api, end):
    """A workload that adds a line to a file at each start, then does that."""
    return {"script": f"echo x >>starts; {end}", "workdir": str(api.directory)}


def starts(api):
    return (api.directory / "starts").read_text().count("x")


ON_FAILURE = {"policy": "on-failure", "max_retries": 2}
ALWAYS = {"policy": "always"}


def test_on_failure_restarts_a_failing_machine_so_many_times(api):
    machine = api.run(**counting(api, "exit 3"), restart=ON_FAILURE)
    ended = api.wait(machine)
    assert (ended["state"], ended["restart_count"], ended["generation"]) == ("stopped", 2, 3)
    assert ended["status_reason"] == "not restarted again after 2 restarts: exit code 3"
    assert ended["exit"]["code"] == 3
    assert starts(api) == 3
    found = events(api, machine)
    one = ["starting", "running", "stopped", "restarting"]
    assert types(found) == ["created", *one, *one, *one[:3]]
    waiting = [event["reason"] for event in found if event["type"] == "machine.restarting"]
    assert waiting == ["restarting in 0.1 s after exit code 3", "restarting in 0.2 s after exit code 3"]
    assert [event["state"] for event in found if event["type"] == "machine.restarting"] == ["stopped"] * 2


def test_on_failure_lets_success_be(api):
    machine = api.run("exit 0", restart=ON_FAILURE)
    ended = api.wait(machine)
    assert (ended["restart_count"], ended["status_reason"]) == (0, None)


def test_always_restarts_after_success(api):
    machine = api.run(**counting(api, "exit 0"), restart=ALWAYS)
    found = follow_until(api, machine, "running", 3)
    assert types(found).count("restarting") == 2
    api.post(path(machine, "stop"))
    assert api.wait(machine)["state"] == "stopped"


def test_a_start_that_fails_counts(api):
    answer = api.post("/v1/machines?start=true&wait=ready", api.body(exec_path="/nowhere", restart=ON_FAILURE))
    assert (answer.status, answer.code) == (409, "machine_failed")
    machine = api.get("/v1/machines").json["machines"][0]
    ended = api.wait(machine, "failed")
    assert (ended["state"], ended["restart_count"]) == ("failed", 2)
    assert ended["status_reason"].startswith("not restarted again after 2 restarts: it failed: ")


def test_a_lost_machine_is_started_again(api):
    machine = api.run(restart=ON_FAILURE)
    os.kill(api.record(machine)["supervisor"]["pid"], signal.SIGKILL)
    found = follow_until(api, machine, "running", 2)
    assert types(found)[-4:] == ["failed", "restarting", "starting", "running"]
    assert api.look(machine)["restart_count"] == 1


@pytest.mark.parametrize("policy", [ON_FAILURE, ALWAYS])
def test_a_stop_is_no_reason_to_restart(api, policy):
    machine = api.run_trap("'exit 3' TERM", restart=policy)
    assert api.post(path(machine, "stop")).json["state"] == "stopped"
    assert types(events(api, machine))[-1] == "stopped"
    assert api.look(machine)["status_reason"] is None


def endless(api):
    """It ends and is started again, and waits longer each time."""
    machine = api.run(**counting(api, "exit 1"), restart=ALWAYS)
    follow_until(api, machine, "restarting", 4)
    return machine


def test_a_stop_calls_a_restart_off(api):
    machine = endless(api)
    while api.look(machine)["state"] != "stopped":
        pass
    answer = api.post(path(machine, "stop"))
    assert answer.status == 200
    stopped = answer.json
    assert stopped["state"] == "stopped"
    if stopped["exit"]["requested"]:
        return  # it was just running
    assert stopped["status_reason"] is None
    assert types(events(api, machine))[-2:] == ["restarting", "stopped"]


def test_a_restart_that_is_called_off_is_followed_by_the_removal(api):
    machine = api.run("exit 1", restart={"policy": "on-failure", "max_retries": 0}, auto_remove=True)
    follow_until(api, machine, "restarting", 4)
    assert api.post(path(machine, "stop"), {"timeout_s": 0}).status == 200
    follow_until(api, machine, "deleted")
    assert api.get(f"/v1/machines/{machine['id']}").status == 404


def test_waiting_while_it_waits(api):
    machine = endless(api)
    assert api.get(path(machine, "wait?state=stopped&timeout=0")).status == 408
    waiting = api.connection()
    waiting.request("GET", path(machine, "wait?state=stopped&timeout=20"))
    api.post(path(machine, "stop"), {"timeout_s": 0})
    assert waiting.getresponse().status == 200
    waiting.close()


def test_start_does_not_wait_and_counts_anew(api):
    machine = endless(api)
    answer = api.post(path(machine, "start?wait=ready"))
    if answer.status == 409:  # it was just running
        assert answer.code == "wrong_state"
        return
    assert answer.json["restart_count"] in (0, 1)


def test_deleting_calls_a_restart_off(api):
    machine = endless(api)
    assert api.delete(f"/v1/machines/{machine['id']}?force=true").status == 204
    assert types(events(api, machine))[-1] == "deleted"


def test_a_log_follower_sees_all_starts(api):
    machine = api.create("echo hello; exit 1", restart=ON_FAILURE)
    with api.stream(path(machine, "logs?follow=true&source=stdout")):
        pass
    api.post(path(machine, "start"))
    with api.stream(path(machine, "logs?follow=true&source=stdout")) as log:
        assert log.read() == b"hello\n" * 3


# ---- and the server's end ----


def test_a_restart_that_waits_survives_the_server(api):
    machine = endless(api)
    before = api.look(machine)
    api.restart()
    found = follow_until(api, machine, "starting", before["generation"] + 1)
    assert found[-1]["attributes"]["restart_count"] >= before["restart_count"]
    api.post(path(machine, "stop"), {"timeout_s": 0})
    assert api.wait(machine)["state"] == "stopped"


def test_what_ended_without_the_server_is_started_again(api):
    machine = api.run("while [ ! -e go ]; do sleep 0.01; done; exit 4", workdir=str(api.directory), restart=ON_FAILURE)
    api.kill()
    (api.directory / "go").touch()
    until(lambda: (api.state_dir / "machines" / machine["id"] / "exit.json").exists(), "its end")
    api.start()
    found = follow_until(api, machine, "running", 2)
    assert types(found)[3:5] == ["stopped", "restarting"]


def test_what_was_stopped_without_the_server_is_not(api):
    machine = api.run_trap("'while [ ! -e go ]; do sleep 0.01; done; exit 4' TERM", restart=ALWAYS,
                           workdir=str(api.directory))  # fmt: skip
    connection = api.connection()
    connection.request("POST", path(machine, "stop"), json.dumps({"timeout_s": 60}))
    until(lambda: api.look(machine)["state"] == "stopping", "the stop has come there")
    api.kill()
    connection.close()
    (api.directory / "go").touch()
    until(lambda: (api.state_dir / "machines" / machine["id"] / "exit.json").exists(), "its end")
    api.start()
    ended = api.wait(machine)
    assert (ended["state"], ended["restart_count"], ended["exit"]["code"]) == ("stopped", 0, 4)


# ---- ttl_s ----


def test_ttl_ends_a_machine(api):
    machine = api.run_trap("'exit 0' TERM", ttl_s=1, restart=ALWAYS)
    ended = api.wait(machine)
    assert (ended["state"], ended["restart_count"]) == ("stopped", 0)
    assert ended["status_reason"] == "stopped: it had run for its ttl_s of 1 s"
    assert events(api, machine)[-1]["reason"] == ended["status_reason"]
    assert ended["exit"]["requested"] is True


def test_ttl_survives_the_server(api):
    machine = api.run_trap("'exit 0' TERM", ttl_s=1)
    api.kill()
    until(lambda: time.time() > time_of(machine["started_at"]) + 1, "its time is over")
    assert api.record(machine)["state"] == "running"
    api.start()
    assert api.wait(machine)["status_reason"] == "stopped: it had run for its ttl_s of 1 s"


def time_of(text):
    return datetime.fromisoformat(text[:26] + "+00:00").timestamp()


# ---- auto_remove ----


def test_auto_remove_after_the_end(api):
    machine = api.create("echo out; exit 3", auto_remove=True)
    waiting = api.connection()
    waiting.request("GET", path(machine, "wait?state=stopped"))
    gone = api.connection()
    gone.request("GET", path(machine, "wait?state=deleted"))
    api.post(path(machine, "start"))
    ended = json.loads(waiting.getresponse().read())
    assert (ended["state"], ended["exit"]["code"]) == ("stopped", 3)
    assert gone.getresponse().status == 200
    assert api.get(f"/v1/machines/{machine['id']}").status == 404
    assert types(events(api, machine))[-2:] == ["stopped", "deleted"]
    waiting.close()
    gone.close()


def test_auto_remove_waits_for_those_who_read(api):
    """The log is whole although it is longer than what a client that does not read is given at once."""
    lines = 200000
    machine = api.run(f"seq {lines}; touch said; sleep 1000", auto_remove=True, workdir=str(api.directory))
    until((api.directory / "said").exists, "everything is said")
    connection = api.connection()
    connection.request("GET", path(machine, "logs?follow=true&source=stdout"))
    stream = connection.getresponse()
    api.post(path(machine, "stop"), {"timeout_s": 0})
    assert api.look(machine)["state"] == "stopped"
    assert stream.read().count(b"\n") == lines
    connection.close()
    until(lambda: api.get(f"/v1/machines/{machine['id']}").status == 404, "it is removed")


def test_auto_remove_after_the_last_restart(api):
    machine = api.run("exit 1", auto_remove=True, restart=ON_FAILURE)
    found = follow_until(api, machine, "deleted")
    assert types(found).count("starting") == 3


def test_auto_remove_of_what_could_not_start(api):
    answer = api.post("/v1/machines?start=true&wait=ready", api.body(exec_path="/nowhere", auto_remove=True))
    assert (answer.status, answer.code) == (409, "machine_failed")
    until(lambda: api.get("/v1/machines").json["machines"] == [], "it is removed")


def test_restart_by_hand_keeps_it(api):
    machine = api.run_trap("'exit 0' TERM", auto_remove=True)
    assert api.post(path(machine, "restart?wait=ready")).json["generation"] == 2
    api.post(path(machine, "stop"), {"timeout_s": 0})
    follow_until(api, machine, "deleted")


def test_auto_remove_of_what_ended_without_the_server(api):
    machine = api.run("while [ ! -e go ]; do sleep 0.01; done", workdir=str(api.directory), auto_remove=True)
    api.kill()
    (api.directory / "go").touch()
    until(lambda: (api.state_dir / "machines" / machine["id"] / "exit.json").exists(), "its end")
    api.start()
    follow_until(api, machine, "deleted")
    assert api.get("/v1/machines").json["machines"] == []


def test_a_removal_survives_the_server(api):
    """Killed while somebody still reads the log of a machine that is to be removed."""
    machine = api.run("seq 200000; touch said; sleep 1000", auto_remove=True, workdir=str(api.directory))
    until((api.directory / "said").exists, "everything is said")
    connection = api.connection()
    connection.request("GET", path(machine, "logs?follow=true&source=stdout"))
    api.post(path(machine, "stop"), {"timeout_s": 0})
    assert api.look(machine)["state"] == "stopped"
    api.restart()
    connection.close()
    follow_until(api, machine, "deleted")
    assert not (api.state_dir / "machines" / machine["id"]).exists()


def test_killed_at_any_moment_a_removal_is_finished(api):
    """Its end, the removal, and what stands in the database of them: whatever was done when it was killed."""
    chance = random.Random(7)
    for index in range(10):
        machine = api.run("while [ ! -e go ]; do sleep 0.002; done", workdir=str(api.directory), auto_remove=True)
        (api.directory / "go").touch()
        # No event tells how far it has come, which is the point.
        time.sleep(chance.uniform(0, 0.05))
        api.restart()
        follow_until(api, machine, "deleted")
        (api.directory / "go").unlink()
        assert api.get(f"/v1/machines/{machine['id']}").status == 404
        assert not (api.state_dir / "machines" / machine["id"]).exists()
        assert not api.run_dir(machine).exists()
        found = types(events(api, machine))
        assert found[-2:] == ["stopped", "deleted"]
        assert found.count("stopped") == found.count("deleted") == 1


def test_killed_at_any_moment_a_restart_is_made(api):
    """No start is lost and none is made twice: each generation starts and ends once."""
    chance = random.Random(11)
    machine = api.run(**counting(api, "exit 1"), restart=ALWAYS)
    for _ in range(10):
        # As above.
        time.sleep(chance.uniform(0, 0.4))
        api.restart()
    generation = api.look(machine)["generation"]
    follow_until(api, machine, "restarting", generation)
    api.post(path(machine, "stop"), {"timeout_s": 0})
    found = events(api, machine)
    started = [event["attributes"]["generation"] for event in found if event["type"] == "machine.starting"]
    assert started == list(range(1, started[-1] + 1))
    ended = [
        event["attributes"]["generation"] for event in found if event["type"] in ("machine.stopped", "machine.failed")
    ]
    assert sorted(set(ended)) == started
    assert len(ended) - len(started) <= 1  # the stop called a restart off, which is told as the state it stays in

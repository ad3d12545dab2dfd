"""Starting again: by hand, by signal, by the restart policy; and ends that come by themselves."""

import pytest


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
    events = api.get(path(machine, "wait?state=ready&timeout=20"))
    assert events.status == 200
    while api.look(machine)["generation"] != 2:
        pass
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

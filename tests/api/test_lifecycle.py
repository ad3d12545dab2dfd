"""The life of a machine."""

import json
import os
import signal
from pathlib import Path

import pytest
from conftest import MARK, processes, until


def test_create_start_stop_delete(api):
    machine = api.create("echo hello; exec sleep 1000", name="web", labels={"team": "a"})
    assert machine["state"] == "created" and machine["exit"] is None and machine["generation"] == 0
    assert machine["config"]["vcpus"] == 1 and machine["labels"] == {"team": "a"}

    started = api.post("/v1/machines/web/start?wait=ready").json
    assert started["state"] == "running" and started["backend"] == "fake" and started["generation"] == 1
    assert started["ready_at"] and started["boot_ms"]["ready"] is not None

    stopped = api.post("/v1/machines/web/stop").json
    assert stopped["state"] == "stopped"
    assert stopped["exit"] == {"code": 143, "signal": 15, "oom_killed": False, "requested": True}
    assert stopped["finished_at"] and not api.run_dir(machine).exists()
    assert api.logs(machine) == "hello\n"

    assert api.delete("/v1/machines/web").status == 204
    assert api.get("/v1/machines/web").code == "machine_not_found"
    assert not (api.state_dir / "machines" / machine["id"]).exists()


@pytest.mark.parametrize("code", [0, 7])
def test_the_workload_ends_by_itself(api, code):
    machine = api.run(f"exit {code}")
    machine = api.wait(machine)
    assert machine["exit"]["code"] == code and machine["exit"]["requested"] is False
    assert machine["status_reason"] is None


def test_the_workload_is_killed_by_a_signal(api):
    machine = api.wait(api.run("kill -9 $$"))
    assert machine["exit"]["code"] == 137 and machine["exit"]["signal"] == 9


def test_a_program_that_is_not_there(api):
    machine = api.create(exec_path="/nowhere/program", args=[])
    answer = api.post(f"/v1/machines/{machine['id']}/start?wait=ready")
    assert answer.status == 409 and answer.code == "machine_failed"
    machine = api.look(machine)
    assert machine["state"] == "failed" and machine["exit"]["code"] == 127
    assert "/nowhere/program" in machine["status_reason"]


def test_ready_is_answered_although_it_has_ended_since(api):
    answer = api.post("/v1/machines?start=true&wait=ready", api.body("exit 3"))
    assert answer.status == 201
    machine = api.wait(answer.json)
    assert api.get(f"/v1/machines/{machine['id']}/wait?state=ready").status == 200


def test_start_again(api):
    machine = api.run("echo again; exit 1")
    for generation in (2, 3):
        api.wait(machine)
        machine = api.post(f"/v1/machines/{machine['id']}/start?wait=ready").json
        assert machine["generation"] == generation
    api.wait(machine)
    assert api.logs(machine) == "again\n" * 3


def test_stop_is_answered_when_it_has_stopped(api):
    machine = api.run_trap("'echo bye; exit 5' TERM")
    stopped = api.post(f"/v1/machines/{machine['id']}/stop").json
    assert stopped["exit"]["code"] == 5 and stopped["exit"]["requested"] is True
    assert api.logs(machine, "?source=stdout") == "up\nbye\n"
    assert api.post(f"/v1/machines/{machine['id']}/stop").status == 200


def test_a_workload_that_ignores_the_signal_is_killed(api):
    machine = api.run_trap("'' TERM")
    stopped = api.post(f"/v1/machines/{machine['id']}/stop", {"timeout_s": 1}).json
    assert stopped["state"] == "stopped" and stopped["exit"]["signal"] == 9


def test_stop_with_another_signal(api):
    machine = api.run_trap("'exit 9' HUP")
    assert api.post(f"/v1/machines/{machine['id']}/stop", {"signal": "SIGHUP"}).json["exit"]["code"] == 9
    assert api.post(f"/v1/machines/{machine['id']}/stop", {"signal": "NONSENSE"}).status == 422


def test_stop_uses_the_machines_own_signal(api):
    machine = api.run_trap("'exit 8' USR1", stop={"signal": "SIGUSR1", "timeout_s": 5})
    assert api.post(f"/v1/machines/{machine['id']}/stop").json["exit"]["code"] == 8


def test_delete_while_it_runs(api):
    machine = api.run()
    answer = api.delete(f"/v1/machines/{machine['id']}")
    assert answer.status == 409 and answer.code == "wrong_state"
    pids = [api.record(machine)[who]["pid"] for who in ("supervisor", "vm")]
    assert api.delete(f"/v1/machines/{machine['id']}?force=true").status == 204
    for pid in pids:
        assert not Path(f"/proc/{pid}/exe").exists(), "204 before the processes were gone"
    assert not api.run_dir(machine).exists()


def test_start_of_a_live_machine_is_a_conflict(api):
    machine = api.run()
    assert api.post(f"/v1/machines/{machine['id']}/start").code == "wrong_state"


def test_states_are_listed(api):
    live, ended = api.run(name="live", labels={"a": "1"}), api.wait(api.run("true", name="ended"))
    fresh = api.create(name="fresh", labels={"a": "1", "b": "2"})

    def names(query):
        return [machine["name"] for machine in api.get("/v1/machines" + query).json["machines"]]

    assert names("") == ["fresh", "ended", "live"]
    assert names("?state=running") == ["live"]
    assert names("?state=running&state=created") == ["fresh", "live"]
    assert names("?label=a%3D1") == ["fresh", "live"]
    assert names("?label=a%3D1&label=b%3D2") == ["fresh"]
    page = api.get("/v1/machines?limit=2").json
    assert len(page["machines"]) == 2
    assert names(f"?limit=2&cursor={page['next_cursor']}") == ["live"]
    assert api.get(f"/v1/machines?cursor={page['next_cursor']}").json["next_cursor"] is None
    assert {live["id"], ended["id"], fresh["id"]} >= {page["next_cursor"]}


def test_names_and_prefixes(api):
    first = api.create(name="first")
    second = api.create(name="second")
    assert api.post("/v1/machines", api.body(name="first")).code == "name_taken"
    assert api.get(f"/v1/machines/{first['id'][:35]}").status in (200, 409)
    assert api.get(f"/v1/machines/{first['id']}").json["name"] == "first"
    # Both ids begin with the same moment.
    assert api.get(f"/v1/machines/{first['id'][:8]}").code == "ambiguous_id"
    assert first["id"][:8] == second["id"][:8]
    assert api.delete("/v1/machines/second").status == 204
    assert api.get(f"/v1/machines/{first['id'][:8]}").json["name"] == "first"
    assert api.get(f"/v1/machines/{first['id'][:7]}").status == 404
    # The name is free again.
    assert api.create(name="second")["id"] != second["id"]


def test_wait(api):
    machine = api.create()
    path = f"/v1/machines/{machine['id']}/wait"
    answer = api.get(path + "?state=running&timeout=0.01")
    assert answer.status == 408 and answer.code == "wait_timeout"
    assert api.get(path + "?state=nonsense").status == 400
    waiting = api.connection()
    waiting.request("GET", path + "?state=running")
    api.post(f"/v1/machines/{machine['id']}/start")
    answer = waiting.getresponse()
    assert answer.status == 200 and b'"running"' in answer.read()
    waiting.close()


def test_wait_sees_deletion(api):
    machine = api.create()
    waiting = api.connection()
    waiting.request("GET", f"/v1/machines/{machine['id']}/wait?state=deleted")
    other = api.connection()
    other.request("GET", f"/v1/machines/{machine['id']}/wait?state=running")
    assert api.delete(f"/v1/machines/{machine['id']}").status == 204
    assert waiting.getresponse().status == 200
    assert other.getresponse().status == 404
    waiting.close()
    other.close()


def test_many_wait_for_one_machine(api):
    machine = api.run("read line; exit 4")
    waiting = [api.connection() for _ in range(50)]
    for connection in waiting:
        connection.request("GET", f"/v1/machines/{machine['id']}/wait?state=stopped")
    api.post(f"/v1/machines/{machine['id']}/stop")
    for connection in waiting:
        assert connection.getresponse().status == 200
        connection.close()


def test_the_supervisor_is_killed(api):
    machine = api.run()
    record = api.record(machine)
    os.kill(record["supervisor"]["pid"], signal.SIGKILL)
    answer = api.get(f"/v1/machines/{machine['id']}/wait?state=stopped")
    assert answer.status == 409 and answer.code == "machine_failed"
    machine = api.look(machine)
    assert machine["state"] == "failed" and machine["status_reason"] == "the supervisor was killed"
    assert processes(api.mark) == [api.process.pid], "the VM process outlived its supervisor"
    assert not api.run_dir(machine).exists()
    # It can be used again.
    assert api.post(f"/v1/machines/{machine['id']}/start?wait=ready").status == 200


def test_the_vm_process_is_killed(api):
    machine = api.run()
    os.kill(api.record(machine)["vm"]["pid"], signal.SIGKILL)
    assert api.get(f"/v1/machines/{machine['id']}/wait?state=failed&timeout=2").status == 200, api.look(machine)
    machine = api.look(machine)
    assert machine["state"] == "failed" and machine["status_reason"]
    until(lambda: processes(api.mark) == [api.process.pid], "the workload is gone")


def test_krun_vmm_is_not_there(stopped_api):
    api = stopped_api.start(vmm_path="/nowhere/krun-vmm")
    machine = api.create()
    answer = api.post(f"/v1/machines/{machine['id']}/start")
    assert answer.status == 503 and "/nowhere/krun-vmm" in answer.json["error"]
    machine = api.look(machine)
    assert machine["state"] == "failed" and "/nowhere/krun-vmm" in machine["status_reason"]
    assert not api.run_dir(machine).exists()


def test_krun_vmm_ends_at_once(stopped_api, tmp_path):
    program = tmp_path / "krun-vmm"
    program.write_text("#!/bin/sh\necho first >&2\necho 'something is missing' >&2\nexit 3\n")
    program.chmod(0o755)
    api = stopped_api.start(vmm_path=program)
    machine = api.create()
    answer = api.post(f"/v1/machines/{machine['id']}/start?wait=ready")
    assert answer.code == "machine_failed"
    assert "status 3" in answer.json["error"] and "something is missing" in answer.json["error"]


def test_memory_of_the_host_is_not_promised_twice(api):
    host_mib = api.get("/v1/info").json["capacity"]["memory_mib"]
    first = api.create(memory_mib=host_mib - 128)
    second = api.create(memory_mib=256)
    assert api.post(f"/v1/machines/{first['id']}/start?wait=ready").status == 200
    answer = api.post(f"/v1/machines/{second['id']}/start")
    assert answer.status == 503 and answer.code == "at_capacity"
    api.post(f"/v1/machines/{first['id']}/stop")
    assert api.post(f"/v1/machines/{second['id']}/start?wait=ready").status == 200


def test_a_client_that_goes_away_stops_nothing(api):
    connection = api.connection()
    connection.request("POST", "/v1/machines?start=true&wait=ready", json.dumps(api.body(name="left")),
                       {"Content-Type": "application/json"})
    connection.close()
    machine = until(lambda: api.get("/v1/machines").json["machines"], "the machine was created")[0]
    assert api.get(f"/v1/machines/{machine['id']}/wait?state=running").status == 200


def test_environment_and_directory(api):
    machine = api.run("echo $A; pwd; echo $PATH", env={"A": "b c"}, workdir="/tmp")
    api.wait(machine)
    assert api.logs(machine) == "b c\n/tmp\n/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
    assert machine["config"]["env"] == {"A": "b c", MARK: api.mark}

"""krun-api dies and comes back: machines do not notice."""

import os
import signal
import time
from pathlib import Path

from conftest import until


def test_kill_and_adopt(api):
    running = api.run("echo one; while [ ! -e %s ]; do sleep 0.01; done; echo two; exec sleep 1000" % (api.directory / "go"))
    # These end while nobody looks.
    ends = {code: api.run(f"while [ ! -e {api.directory}/end ]; do sleep 0.01; done; echo end; exit {code}") for code in (0, 7)}
    signalled = api.run(f"while [ ! -e {api.directory}/end ]; do sleep 0.01; done; kill -9 $$")
    fresh = api.create(name="fresh")
    pids = {machine["id"]: api.record(machine)["vm"]["pid"] for machine in (running, *ends.values(), signalled)}
    api.kill()
    (api.directory / "end").touch()
    (api.directory / "go").touch()
    for machine in (*ends.values(), signalled):
        until(lambda: (api.state_dir / "machines" / machine["id"] / "exit.json").exists(), "its end is written")
    api.start()
    states = {machine["id"]: machine for machine in api.get("/v1/machines").json["machines"]}
    assert states[running["id"]]["state"] == "running"
    assert states[fresh["id"]]["state"] == "created"
    for code, machine in ends.items():
        assert states[machine["id"]]["state"] == "stopped" and states[machine["id"]]["exit"]["code"] == code
        assert api.logs(machine) == "end\n"
        assert not api.run_dir(machine).exists()
    assert states[signalled["id"]]["exit"]["signal"] == 9
    assert Path(f"/proc/{pids[running['id']]}").exists(), "the machine that ran was not left alone"

    with api.stream(f"/v1/machines/{running['id']}/logs?follow=true") as log:
        assert log.readline() + log.readline() == b"one\ntwo\n"
        assert api.exec(running, "echo", "hi").json["stdout"] == "hi\n"
        assert api.post(f"/v1/machines/{running['id']}/stop").json["exit"]["code"] == 143
        assert log.read() == b""


def test_an_orderly_end_leaves_machines_alone(api):
    machine = api.run()
    pid = api.record(machine)["vm"]["pid"]
    api.stop()
    assert Path(f"/proc/{pid}").exists()
    api.start()
    assert api.look(machine)["state"] == "running"
    assert api.look(machine)["ready_at"] == machine["ready_at"]


def test_again_and_again(api):
    machine = api.run("while :; do echo x; sleep 0.01; done")
    for _ in range(5):
        api.restart()
        assert api.look(machine)["state"] == "running"
    assert api.post(f"/v1/machines/{machine['id']}/stop").json["state"] == "stopped"


def test_killed_together_with_its_supervisors(api):
    machine = api.run()
    record = api.record(machine)
    api.kill()
    os.kill(record["supervisor"]["pid"], signal.SIGKILL)
    api.start()
    machine = api.look(machine)
    assert machine["state"] == "failed" and machine["status_reason"] == "the supervisor was killed"
    for who in ("supervisor", "vm"):
        assert not Path(f"/proc/{record[who]['pid']}/exe").exists()


def test_killed_while_a_machine_starts(api):
    """Whatever moment it was: afterwards the state is true."""
    for delay in (0, 0.001, 0.003, 0.01):
        connection = api.connection()
        machine = api.create()
        connection.request("POST", f"/v1/machines/{machine['id']}/start")
        time.sleep(delay)
        api.restart()
        connection.close()
        state = api.look(machine)["state"]
        assert state in ("created", "starting", "running", "failed")
        if state in ("starting", "running"):
            assert api.get(f"/v1/machines/{machine['id']}/wait?state=ready").status == 200
        assert api.delete(f"/v1/machines/{machine['id']}?force=true").status == 204


def test_killed_while_a_machine_is_deleted(api):
    for delay in (0, 0.001, 0.005):
        machine = api.run()
        connection = api.connection()
        connection.request("DELETE", f"/v1/machines/{machine['id']}?force=true")
        time.sleep(delay)
        api.restart()
        connection.close()
        answer = api.delete(f"/v1/machines/{machine['id']}?force=true")
        assert answer.status in (204, 404)
        assert not (api.state_dir / "machines" / machine["id"]).exists()


def test_a_directory_without_a_row_is_removed(api):
    machine = api.create()
    orphan = api.state_dir / "machines" / (machine["id"][:-4] + "0000")
    orphan.mkdir()
    (orphan / "disk.ext4").write_bytes(b"x")
    (api.state_dir / "tmp" / "archive-1").write_bytes(b"x")
    sockets = api.socket_dir / "0123456789ab"
    sockets.mkdir()
    api.restart()
    assert not orphan.exists() and not sockets.exists()
    assert not list((api.state_dir / "tmp").iterdir())
    assert api.look(machine)["state"] == "created"


def test_two_servers_on_one_state_directory(api):
    words = api.refuses_to_start(listen=["unix:///tmp/never.sock"])
    assert "another krun-api uses the state directory" in words
    api.log_at = 0


def test_a_database_of_a_later_version(stopped_api):
    import sqlite3

    api = stopped_api.start()
    api.stop()
    with sqlite3.connect(api.state_dir / "krun.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    assert "later krun-api" in api.refuses_to_start()
    with sqlite3.connect(api.state_dir / "krun.db") as database:
        database.execute("PRAGMA user_version = 2")
    database.close()

"""kill -9 of any one process loses nothing that it did not own."""

import os
import signal
import subprocess

import pytest

import archive
from server import KRUNCTL, is_running, until

LOOP = "echo up; while :; do sleep 0.2; done"


def assert_lost(server, name, pids, word):
    """The machine is failed with a reason, none of its processes runs, its output is there."""
    machine = server.wait(name, "failed")
    assert word in machine["status_reason"], machine["status_reason"]
    until(lambda: not any(map(is_running, pids.values())), what=f"the processes of {name} are gone")
    assert server.text("logs", name) == "up\n"


@pytest.fixture
def victim(server, launch, name):
    launch(LOOP, "-p", "0:80")
    until(lambda: server.text("logs", name) == "up\n", what="the workload runs")
    return server.pids(name)


def test_supervisor(server, name, victim):
    os.kill(victim["supervisor"], signal.SIGKILL)
    assert_lost(server, name, victim, "supervisor was killed")
    server.krunctl("start", name)
    assert server.machine(name)["state"] == "running"


def test_vm_process(server, name, victim):
    os.kill(victim["vm"], signal.SIGKILL)
    assert_lost(server, name, victim, "")
    assert server.machine(name)["status_reason"]


def test_network_process(server, name, victim):
    os.kill(victim["net"], signal.SIGKILL)
    assert_lost(server, name, victim, "krun-net")


def test_server_finds_its_machines_again(server, launch, name):
    kept, ending = f"{name}-kept", f"{name}-ending"
    launch(LOOP + " & trap 'exit 6' TERM; while :; do sleep 0.1; done", "-p", "0:80", name=kept)
    launch("echo first; while [ ! -e /end ]; do sleep 0.1; done; echo last; exit 5", name=ending)
    server.krunctl("exec", ending, "sh", "-c", "(sleep 1; touch /end) >/dev/null 2>&1 &")
    before = server.machine(kept)
    pids, gone = server.pids(kept), server.pids(ending)
    server.end(signal.SIGKILL)
    until(lambda: not any(map(is_running, gone.values())), 60, "the machine ends without a server")
    assert all(map(is_running, pids.values()))
    server.start()

    ended = server.machine(ending)
    assert (ended["state"], ended["exit"]["code"], ended["exit"]["requested"]) == ("stopped", 5, False)
    assert server.text("logs", ending) == "first\nlast\n"

    found = server.machine(kept)
    assert found["state"] == "running"
    assert [found[field] for field in ("id", "generation", "ports", "guest_ip", "ready_at")] == [
        before[field] for field in ("id", "generation", "ports", "guest_ip", "ready_at")
    ]
    assert server.pids(kept) == pids
    assert server.text("exec", kept, "echo", "still here") == "still here\n"
    assert server.text("logs", kept) == "up\n"
    server.krunctl("stop", kept)
    assert server.machine(kept)["exit"]["code"] == 6


def test_image_worker(server, tmp_path):
    """Importing goes on long enough to be hit; the half image is not there afterwards."""
    path = tmp_path / "large.tar"
    archive.write_image(path, "large:latest", {f"data{i}": os.urandom(1024) * 65536 for i in range(4)})
    importing = subprocess.Popen(
        [str(KRUNCTL), "import", str(path)], env=server.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )

    def worker():
        assert importing.poll() is None, "the import was over before it was hit"
        return next((pid for pid, name in server.processes() if name == "krun-image"), None)

    os.kill(until(worker, 60, "krun-image works"), signal.SIGKILL)
    _, err = importing.communicate(timeout=60)
    assert importing.returncode == 1
    assert err.startswith(b"krunctl: ")
    assert server.call("GET", "/v1/images/large:latest")[0] == 404
    assert server.names(server.state / "tmp") == []
    assert len(server.names(server.state / "images")) == 1

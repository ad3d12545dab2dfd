"""Session ports under QEMU: a guest has one from the start, because each costs it 4 MiB; others come with need."""

import concurrent.futures
import os
import re
import signal
import subprocess

from server import KRUNCTL

LOOP = "while :; do sleep 1; done"
PORTS = 16


def count_ports(server, name):
    """Session ports the guest has; it has two more, for its console and for control."""
    return len(server.text("exec", name, "ls", "/sys/class/virtio-ports").split()) - 2


class Held:
    """An exec that runs until it is let go."""

    def __init__(self, server, name):
        argv = [str(KRUNCTL), "exec", "-i", name, "sh", "-c", "echo up; cat"]
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=server.env)

    def is_up(self):
        return self.process.stdout.readline() == b"up\n"

    def end(self):
        output, errors = self.process.communicate(b"over\n", timeout=60)
        return self.process.returncode, output, errors.decode()


def end_all(held):
    for one in held:
        one.process.kill()
        one.process.communicate(timeout=60)


def test_an_idle_guest_has_most_of_its_memory(server, launch, name):
    launch(LOOP)
    info = dict(re.findall(r"(\w+): +(\d+) kB", server.text("exec", name, "cat", "/proc/meminfo")))
    assert int(info["Slab"]) < 40 * 1024
    assert int(info["MemAvailable"]) > 0.6 * 256 * 1024


def test_sixteen_sessions_at_once_and_not_one_more(server, launch, name):
    launch(LOOP)
    assert count_ports(server, name) == 1
    held = []
    try:
        held += [Held(server, name) for _ in range(PORTS)]
        with concurrent.futures.ThreadPoolExecutor(PORTS) as pool:
            assert list(pool.map(Held.is_up, held)) == [True] * PORTS
        refused = server.krunctl("exec", name, "true", check=False)
        assert refused.returncode != 0
        assert "all 16 session ports of the machine are in use" in refused.stderr.decode()
        for one in held:
            assert one.end() == (0, b"over\n", "")
    finally:
        end_all(held)
    # They are used again, and stay.
    assert count_ports(server, name) == PORTS
    assert server.machine(name)["state"] == "running"


def test_a_port_that_does_not_come_refuses_its_session_only(server, launch, name):
    launch(LOOP)
    first = Held(server, name)
    second = None
    vm = server.pids(name)["vm"]
    try:
        assert first.is_up()
        os.kill(vm, signal.SIGSTOP)
        try:
            refused = server.krunctl("exec", name, "true", check=False)
        finally:
            os.kill(vm, signal.SIGCONT)
        assert refused.returncode != 0
        assert "QEMU did not add a session port in time" in refused.stderr.decode()
        # It came late, and is there for the next one.
        second = Held(server, name)
        assert second.is_up()
        assert second.end() == (0, b"over\n", "")
        assert count_ports(server, name) == 2
        assert first.end() == (0, b"over\n", "")
    finally:
        end_all([one for one in (first, second) if one])

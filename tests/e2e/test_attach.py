"""krun-run -a: a machine in the place of a program."""

import signal
import subprocess

import pytest

from conftest import IMAGE, remove
from server import COMMAND_S, KRUN_RUN, READY_S, until

EVERY_BYTE = "i=0; while [ $i -lt 256 ]; do printf \"\\\\$(printf %03o $i)\"; i=$((i+1)); done"


def attach(server, name, script, *options, **popen):
    popen.setdefault("stdout", subprocess.PIPE)
    argv = [str(KRUN_RUN), "-a", "-n", name, *options, IMAGE, "--", "/bin/sh", "-c", script]
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, env=server.env, **popen)


@pytest.fixture
def attached(server, name):
    """attached(script, ...): krun-run -a under way, ended in the end."""
    started = []

    def start(script, *options, **popen):
        started.append(attach(server, name, script, *options, **popen))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=30)
    remove(server, name)


@pytest.mark.parametrize("code", [0, 7])
def test_exit_code_and_streams(server, attached, name, code):
    out, err = (process := attached(f"echo out; echo err >&2; exit {code}", "--rm")).communicate(timeout=COMMAND_S)
    assert process.returncode == code
    assert out == b"out\n"
    said = err.decode().splitlines()
    assert said[0].startswith("Created machine: id=")
    assert said[1:] == ["err"]
    # --rm
    assert server.call("GET", f"/v1/machines/{name}")[0] == 404


def test_killed_by_signal(attached):
    process = attached("kill -SEGV $$")
    process.communicate(timeout=COMMAND_S)
    assert process.returncode == 139


def test_workload_not_found(server, name):
    try:
        done = server.krun_run("-a", "-n", name, "--entrypoint", "/no/such", IMAGE, check=False)
        assert done.returncode == 127
        assert b"/no/such" in done.stderr
    finally:
        remove(server, name)


def test_output_is_the_same_bytes(attached):
    process = attached(EVERY_BYTE)
    out, _ = process.communicate(timeout=COMMAND_S)
    assert out == bytes(range(256))
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_the_machine(server, attached, name, number):
    process = attached("trap 'echo asked; exit 3' TERM; echo up; while :; do sleep 0.1; done")
    assert process.stdout.readline() == b"up\n"
    process.send_signal(number)
    out, _ = process.communicate(timeout=COMMAND_S)
    assert out == b"asked\n"
    assert process.returncode == 3
    machine = server.machine(name)
    assert machine["state"] == "stopped"
    assert machine["exit"]["requested"] is True


def test_second_signal_kills(server, attached, name):
    process = attached("trap '' TERM; echo up; while :; do sleep 1; done", "--stop-timeout", "600")
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    until(lambda: server.machine(name)["state"] == "stopping", what="the stop was asked for")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=COMMAND_S)
    assert process.returncode == 137


def test_reader_that_goes_away_stops_the_machine(server, attached, name):
    process = attached("trap 'exit 0' TERM; while echo y; do sleep 0.1; done")
    assert process.stdout.readline() == b"y\n"
    process.stdout.close()
    process.wait(COMMAND_S)
    assert server.machine(name)["state"] == "stopped"
    process.stdout = None


def test_server_killed_meanwhile(server, attached, name):
    process = attached("echo up; while [ ! -e /end ]; do sleep 0.2; done; echo down; exit 5")
    assert process.stdout.readline() == b"up\n"
    server.end(signal.SIGKILL)
    assert b"the machine runs on" in b"".join(process.stderr.readline() for _ in range(2))
    server.start()
    server.krunctl("exec", name, "touch", "/end")
    out, _ = process.communicate(timeout=COMMAND_S)
    assert out == b"down\n"
    assert process.returncode == 5

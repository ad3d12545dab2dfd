"""The command line on real guests: what the fake backend cannot show."""

import json
import signal
import sys
from pathlib import Path

from conftest import IMAGE, remove
from server import COMMAND_S, KRUN_RUN, until
from test_attach import attached  # noqa: F401

sys.path.append(str(Path(__file__).resolve().parents[1] / "api"))
from terminal import Terminal  # noqa: E402

LOOP = "trap 'echo hup' HUP; echo up; while :; do sleep 0.1; done"


def test_signal_stats_restart_events(server, launch, name):
    launch(LOOP)
    until(lambda: server.text("logs", name) == "up\n", what="the trap is set")
    server.krunctl("signal", name, "HUP")
    until(lambda: "hup" in server.text("logs", name), what="the signal was caught")

    figures = json.loads(server.text("stats", "--no-stream", "--json", name))
    assert 0 < figures["memory"]["guest_available_bytes"] < figures["memory"]["guest_total_bytes"] <= 256 * 1024 * 1024
    row = server.text("stats", "--no-stream", name).splitlines()[1]
    assert row.startswith(name) and " MiB / 2" in row and row.count("%") == 2

    assert server.text("restart", "-t", "1", name) == f"{name}\n"
    assert server.machine(name)["generation"] == 2
    events = [line.split()[2] for line in server.text("events", "--no-follow", name).splitlines()]
    start = ["machine.starting", "machine.running"]
    assert events == ["machine.created", *start, "machine.stopping", "machine.stopped", *start]


def test_killed_krun_run_leaves_no_machine(server, attached, name):  # noqa: F811
    process = attached("echo up; while [ ! -e /end ]; do sleep 0.1; done", "--rm")
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGKILL)
    process.wait(COMMAND_S)
    server.krunctl("exec", name, "touch", "/end")
    until(lambda: server.call("GET", f"/v1/machines/{name}")[0] == 404, what="the server has deleted it")


def test_policy_restarts_the_attached(server, attached, name):  # noqa: F811
    # What it writes outlives the restart.
    process = attached("echo up; [ -e /again ] && exit 0; touch /again; exit 3", "--restart", "on-failure")
    out, _ = process.communicate(timeout=COMMAND_S)
    assert (process.returncode, out) == (0, b"up\nup\n")
    assert server.machine(name)["restart_count"] == 1


def test_boot_on_a_terminal(server, name):
    argv = [KRUN_RUN, "-a", "--rm", "-n", name, IMAGE, "--", "/bin/sh", "-c", "echo first; echo second; exit 4"]
    try:
        with Terminal(argv, 60, 20, **server.env) as terminal:
            assert terminal.end() == 4
            assert any(f"booting {name}" in line for line in terminal.drawings())
            # Of the line that showed the boot nothing is left between the workload's.
            assert terminal.screen()[-3:] == ["first", "second", ""]
    finally:
        remove(server, name)

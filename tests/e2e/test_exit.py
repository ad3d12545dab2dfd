"""How machines end, and what is said of it."""

import pytest

from conftest import IMAGE, remove
from server import until


@pytest.mark.parametrize("code", [0, 7])
def test_exit_code_of_the_workload(server, launch, name, code):
    launch(f"sleep 1; echo bye; exit {code}")
    machine = server.wait(name, "stopped")
    assert machine["exit"] == {"code": code, "signal": None, "oom_killed": False, "requested": False}
    assert machine["status_reason"] is None
    assert server.text("logs", name) == "bye\n"
    assert server.text("wait", name) == f"{code}\n"


def test_workload_killed_by_signal(server, launch, name):
    launch("sleep 1; kill -KILL $$")
    machine = server.wait(name, "stopped")
    assert (machine["exit"]["code"], machine["exit"]["signal"]) == (137, 9)
    assert server.text("wait", name) == "137\n"


@pytest.mark.parametrize("program, code", [("/no/such/program", 127), ("/www/index.html", 126)])
def test_workload_that_cannot_run(server, name, program, code):
    try:
        done = server.krun_run("-n", name, "--entrypoint", program, IMAGE, check=False)
        assert done.returncode == 125
        assert program.encode() in done.stderr
        machine = server.machine(name)
        assert machine["state"] == "failed"
        assert machine["exit"]["code"] == code
        assert program in machine["status_reason"]
    finally:
        remove(server, name)


def test_workload_that_ignores_sigterm_is_killed(server, launch, name):
    launch("trap '' TERM; echo up; while :; do sleep 1; done")
    until(lambda: server.text("logs", name) == "up\n", what="the trap is set")
    server.krunctl("stop", "-t", "1", name)
    machine = server.machine(name)
    assert machine["state"] == "stopped"
    assert machine["exit"]["signal"] == 9
    assert machine["exit"]["requested"] is True


def test_workload_may_use_its_time_to_stop(server, launch, name):
    launch("trap 'echo cleaning; sleep 1; echo clean; exit 3' TERM; echo up; while :; do sleep 0.1; done")
    until(lambda: server.text("logs", name) == "up\n", what="the trap is set")
    server.krunctl("stop", "-t", "30", name)
    machine = server.machine(name)
    assert machine["exit"] == {"code": 3, "signal": None, "oom_killed": False, "requested": True}
    # The shell's own remark about its sleep, which was signalled with it, is on the other stream.
    assert server.text("logs", "--source", "stdout", name) == "up\ncleaning\nclean\n"


def test_stop_signal_of_the_machine(server, launch, name):
    launch("trap 'exit 4' USR1; trap 'exit 5' TERM; echo up; while :; do sleep 0.1; done", "--stop-signal", "SIGUSR1")
    until(lambda: server.text("logs", name) == "up\n", what="the traps are set")
    server.krunctl("stop", name)
    assert server.machine(name)["exit"]["code"] == 4
    # Stopping what has stopped is no error.
    server.krunctl("stop", name)


def test_ten_megabytes_of_output_arrive_whole(server, launch, name):
    lines = 10 * 1024 * 1024 // 32
    launch(f"yes 0123456789abcdef0123456789abcde | head -n {lines}; echo end >&2")
    assert server.wait(name, "stopped")["exit"]["code"] == 0
    out = server.krunctl("logs", "--source", "stdout", name).stdout
    assert len(out) == lines * 32
    assert set(out.splitlines()) == {b"0123456789abcdef0123456789abcde"}
    assert server.text("logs", "--source", "stderr", name) == "end\n"
    assert len(server.text("logs", "--tail", "3", "--source", "stdout", name).splitlines()) == 3


def test_logs_follow_to_the_end(server, launch, name):
    launch("for i in 1 2 3; do echo line $i; sleep 0.3; done")
    assert server.text("logs", "-f", name) == "line 1\nline 2\nline 3\n"
    assert server.machine(name)["state"] == "stopped"

"""A guest that was stopped has the right time when it goes on."""

import os
import re
import signal
import time

from server import until


def process_state(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def guest_clock(server, name):
    """How far the guest's clock is off, in seconds; and how long asking for it took."""
    before = time.time()
    # busybox's date has no fractions of a second, what adjtimex reads has.
    said = dict(re.findall(r"time.tv_(u?sec):\s*(\d+)", server.text("exec", name, "adjtimex")))
    after = time.time()
    guest = int(said["sec"]) + int(said["usec"]) / 1e6
    return guest - (before + after) / 2, (after - before) / 2


def is_right(server, name):
    off, slack = guest_clock(server, name)
    return abs(off) < 0.5 + slack


def stop_for(pids, seconds):
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    until(lambda: all(process_state(pid) == "T" for pid in pids), what="they are stopped")
    time.sleep(seconds)  # what is tested is that time passes
    for pid in pids:
        os.kill(pid, signal.SIGCONT)


SECONDS = float(os.environ.get("KRUN_TEST_STOPPED_S", "3"))


def test_time_after_the_vm_process_was_stopped(server, launch, name):
    launch("while :; do sleep 1; done")
    assert is_right(server, name)
    stop_for([server.pids(name)["vm"]], SECONDS)
    until(lambda: is_right(server, name), what="the guest's clock is right")


def test_time_after_the_whole_machine_was_stopped(server, launch, name):
    launch("while :; do sleep 1; done")
    pids = server.pids(name)
    stop_for([pids["vm"], pids["net"], pids["supervisor"]], SECONDS)
    until(lambda: is_right(server, name), what="the guest's clock is right")

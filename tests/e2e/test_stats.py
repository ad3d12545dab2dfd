"""What a machine uses, counted by its guest, its network and the host."""

import os
import signal

from server import until

LOOP = "while :; do sleep 1; done"
MIB = 1 << 20


def stats(server, name):
    return server.get(f"/v1/machines/{name}/stats")


def test_what_is_used_is_counted(server, launch, name):
    launch(LOOP, "--allow", "10.0.0.0/8")
    before = stats(server, name)
    assert before["cpu"]["vcpus"] == 1
    assert 0 < before["cpu"]["guest_us"] and 0 < before["cpu"]["host_us"]
    assert 100 * MIB < before["memory"]["guest_total_bytes"] <= 256 * MIB
    assert before["memory"]["guest_available_bytes"] < before["memory"]["guest_total_bytes"]
    # What of the guest's memory was touched, and QEMU.
    assert 20 * MIB < before["memory"]["host_bytes"] < 1024 * MIB
    work = "dd if=/dev/zero of=/big bs=1M count=16; sync; nc -w 2 192.0.2.1 80 </dev/null; nc -w 2 192.0.2.1 81 </dev/null; true"
    server.krunctl("exec", name, "sh", "-c", work)
    after = stats(server, name)
    assert after["time"] > before["time"]
    for key in ("guest_us", "host_us"):
        assert after["cpu"][key] > before["cpu"][key]
    assert after["disk"]["written_bytes"] >= before["disk"]["written_bytes"] + 16 * MIB
    assert after["disk"]["allocated_bytes"] >= before["disk"]["allocated_bytes"] + 16 * MIB
    assert after["disk"]["root_available_bytes"] <= before["disk"]["root_available_bytes"] - 16 * MIB
    assert after["network"]["refused_flows"] == before["network"]["refused_flows"] + 2
    assert after["network"]["sent_bytes"] > before["network"]["sent_bytes"]


def test_a_guest_that_hangs_is_left_out(server, launch, name):
    launch(LOOP)
    vm = server.pids(name)["vm"]
    os.kill(vm, signal.SIGSTOP)
    try:
        hung = stats(server, name)
    finally:
        os.kill(vm, signal.SIGCONT)
    assert hung["cpu"]["guest_us"] is None and hung["memory"]["guest_total_bytes"] is None
    assert hung["memory"]["host_bytes"] > 0 and hung["network"]["sent_frames"] >= 0
    until(lambda: stats(server, name)["cpu"]["guest_us"], what="it answers again")

"""The arm64 vminit, which is the one that every Mac runs, as PID 1 on an emulated arm64 machine.

KRUN_BUILD names the build directory. KRUN_GUEST_ARCH=x86_64 runs the same on an x86_64 machine. The guests' image is one
static program and nothing else: whatever they have beside it is vminit's work.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import guest as guests
import pytest
import wire

ARCH = os.environ.get("KRUN_GUEST_ARCH", "aarch64")
BUILD = Path(os.environ.get("KRUN_BUILD", guests.REPOSITORY / "build/main"))
VMINIT = BUILD / f"src/guest/vminit-{ARCH}"
PROBE = "/probe"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """An image as `FROM scratch` makes it, but for the users' names and a directory in /run."""
    if not shutil.which(guests.MACHINES[ARCH][0]):
        pytest.skip(f"{guests.MACHINES[ARCH][0]} is not installed")
    if not guests.find_firmware(ARCH):
        pytest.skip(f"no libkrunfw for {ARCH}: run tools/bootstrap check")
    directory = tmp_path_factory.mktemp("image")
    shutil.copy(BUILD / f"src/guest/probe-{ARCH}", directory / "probe")
    (directory / "run/service").mkdir(parents=True)
    (directory / "run/service").chmod(0o2770)
    (directory / "run/stale.pid").write_text("1\n")
    (directory / "etc").mkdir()
    (directory / "etc/passwd").write_text("root:x:0:0::/root:/probe\nworker:x:1000:1001::/home/worker:/probe\n")
    (directory / "etc/group").write_text("workers:x:1001:\nextra:x:1002:other,worker\n")
    (directory / "etc/resolv.conf").symlink_to("../run/nowhere/resolv.conf")
    return directory


def boot(root, **options):
    return guests.Guest(ARCH, VMINIT, root, **options)


def probe(*words):
    return {"argv": [PROBE, *words]}


def is_clean(disk):
    """The disk is as after an unmount: no journal to replay, nothing to repair."""
    head = subprocess.run([guests.tool("dumpe2fs"), "-h", disk], capture_output=True, text=True, check=True).stdout
    checked = subprocess.run([guests.tool("e2fsck"), "-fn", disk], capture_output=True, text=True)
    return "needs_recovery" not in head and checked.returncode == 0


def test_workload_runs_on_its_disk_over_its_image(root, tmp_path):
    process = {**probe("identity", "make", "/kept", "make", "/run/service/pid", "file", "/run/stale.pid", "file", "/etc/hosts",
                       "file", "/etc/resolv.conf", "file", "/proc/self/mounts", "env", "SECRET", "exit", "7"),
               "env": ["SECRET=a b\n\xe9='"], "workdir": "/srv/dir"}
    disk = None
    for boot_number in (1, 2):
        with boot(root, disk=disk) as guest:
            hello = guest.configure(process)
            assert hello["role"] == 1 and hello["kernel"].startswith("6.") and hello["uptime_us"] > 0
            guest.until_ready()
            output, errors, exited = guest.until_exited()
            print(output, errors, guest.warnings, guest.console.read_text(errors="replace"), sep="\n")
            print(f"hello after {guest.hello_s:.2f} s, ready after {guest.ready_s:.2f} s")
            assert (exited["code"], exited["signal"], exited["reason"]) == (7, 0, None)
            assert guest.wait() == 0
            assert guest.warnings == []
            assert is_clean(guest.disk)
            disk = shutil.copy(guest.disk, tmp_path / f"disk{boot_number}.ext4")
        lines = output.splitlines()
        assert "hostname guest" in lines
        assert "uid 0 gid 0 groups" in lines
        assert "cwd /srv/dir" in lines
        assert "home /root" in lines
        # What is on the disk outlives the boot, what is in /run does not.
        assert ("made /kept" in lines) == (boot_number == 1)
        assert "made /run/service/pid" in lines
        assert "/run/stale.pid: No such file or directory" in lines
        assert f"{guests.ADDRESS}\tguest" in lines
        assert f"nameserver {guests.GATEWAY}" in lines
        assert "SECRET=a b\n\xe9='" in output
        mounted = {line.split()[1]: line.split()[2] for line in lines if " rw," in line or " ro," in line}
        assert mounted["/"] == "overlay"
        assert {"/proc": "proc", "/sys": "sysfs", "/dev": "devtmpfs", "/dev/pts": "devpts", "/dev/shm": "tmpfs", "/run": "tmpfs",
                "/sys/fs/cgroup": "cgroup2"}.items() <= mounted.items()
        assert not any(target.startswith("/newroot") for target in mounted)


def test_workload_that_ignores_its_stop_signal_is_killed(root):
    with boot(root, network=False) as guest:
        guest.configure(probe("ignore", "orphan", "say", "up", "wait"))
        guest.control.until(wire.OUTPUT)
        guest.control.send(wire.SHUTDOWN, signal=signal.SIGTERM, timeout_ms=300)
        _, _, exited = guest.until_exited()
        assert (exited["code"], exited["signal"], exited["oom_killed"]) == (137, 9, 0)
        assert guest.wait() == 0
        assert is_clean(guest.disk)


def test_guest_ends_when_its_host_goes_away(root):
    with boot(root, network=False) as guest:
        guest.configure(probe("say", "up", "wait"))
        guest.control.until(wire.OUTPUT)
        guest.control.sock.close()
        assert guest.wait() == 0
        assert is_clean(guest.disk)


def test_machine_that_cannot_start_says_why(root):
    with boot(root, network=False) as guest:
        guest.configure(probe("exit", "0"), lower_device="/dev/vdx")
        frames = guest.control.until(wire.EXITED)
        assert wire.READY not in [kind for kind, _, _ in frames]
        assert (frames[-1][2]["code"], frames[-1][2]["reason"]) == (125, "the disk /dev/vdx is not there")
        assert guest.wait() == 0


@pytest.fixture(scope="module")
def running(root):
    """One guest for the tests below, the last of which stops it."""
    with boot(root, memory_mib=192) as guest:
        guest.configure(probe("bye", "wait"))
        guest.until_ready()
        yield guest


def test_network_is_up_without_any_tool_of_the_image(running):
    output, _ = running.execute(0, 700, [PROBE, "echo", guests.GATEWAY, "file", "/proc/net/if_inet6", "file", "/proc/net/ipv6_route"])
    assert "echo hello\n" in output
    assert re.search(r"^fd000127000000000000000000000002 \w\w 40 00 \w\w +eth0$", output, re.M)
    assert re.search(r"^0{32} 00 0{32} 00 fd000127000000000000000000000001 .* eth0$", output, re.M)


def test_session_ports_are_used_again_and_again(running):
    data = os.urandom(200 << 10)
    for session in range(1, 30):
        output, ended = running.execute(session % 2, session, [PROBE, "say", str(session), "exit", str(session)])
        assert (output, ended["code"]) == (f"{session}\n", session)
    running.control.send(wire.OPEN, session=100, port=3, process={"argv": [PROBE, "cat"]})
    peer = running.ports[3]
    received, credit = b"", 0
    peer.send(wire.CREDIT, 1, bytes=wire.WINDOW)
    for start in range(0, len(data), 50000):
        peer.send(wire.STDIN, payload=data[start:start + 50000])
    peer.send(wire.END, 0)
    while True:
        kind, stream, payload = peer.next()
        if kind == wire.STDOUT:
            received += payload
        if kind == wire.CREDIT:
            credit += payload["bytes"]
        if kind == wire.EXIT:
            break
    peer.send(wire.END, wire.ALL)
    assert received == data
    assert credit >= wire.WINDOW


def test_session_runs_as_the_user_of_the_image(running):
    output, _ = running.execute(0, 200, [PROBE, "identity"], user="worker", workdir="/run/..")
    assert "uid 1000 gid 1001 groups 1002\n" in output
    assert "home /home/worker\n" in output
    output, ended = running.execute(0, 201, [PROBE, "identity"], user="nobody-here")
    assert (ended["code"], ended["text"]) == (125, "user nobody-here is not in /etc/passwd")


def test_session_on_a_terminal(running):
    output, ended = running.execute(1, 300, [PROBE, "size", "cat"], stdin=b"typed\n", tty=1, rows=25, columns=90)
    assert ended["code"] == 0
    assert output.splitlines()[:2] in (["terminal 1 rows 25 columns 90", "typed"], ["typed", "terminal 1 rows 25 columns 90"])


def test_sessions_at_once_do_not_mix(running):
    for port in range(guests.SESSION_PORTS):
        running.control.send(wire.OPEN, session=400 + port, port=port, process={"argv": [PROBE, "cat"]})
    for port, peer in enumerate(running.ports):
        peer.send(wire.STDIN, payload=b"%d" % port)
        peer.send(wire.CREDIT, 1, bytes=wire.WINDOW)
        peer.send(wire.END, 0)
    for port, peer in enumerate(running.ports):
        frames = peer.until(wire.EXIT)
        assert frames[0][2]["session"] == 400 + port
        assert b"".join(payload for kind, _, payload in frames if kind == wire.STDOUT) == b"%d" % port
        peer.send(wire.END, wire.ALL)


def test_session_whose_client_hangs_up_ends(running):
    running.control.send(wire.OPEN, session=500, port=2, process={"argv": [PROBE, "wait"]})
    running.ports[2].until(wire.CREDIT)
    running.ports[2].send(wire.HANGUP)
    assert running.ports[2].until(wire.EXIT)[-1][2]["signal"] == signal.SIGHUP
    running.ports[2].send(wire.END, wire.ALL)


def test_memory_that_runs_out_ends_who_used_it_and_says_so(running):
    _, ended = running.execute(0, 550, [PROBE, "eat"])
    assert (ended["code"], ended["signal"], ended["oom_killed"]) == (137, 9, 1)
    _, ended = running.execute(0, 551, [PROBE, "exit", "137"])
    assert (ended["code"], ended["signal"], ended["oom_killed"]) == (137, 0, 0)


def test_clock_follows_the_host(running):
    then = 2_000_000_000
    running.control.send(wire.CLOCK, realtime_ns=then * 10**9)
    output, _ = running.execute(0, 600, [PROBE, "time"])
    assert then <= int(output) < then + 60
    running.control.send(wire.CLOCK, realtime_ns=time.time_ns())


def test_statistics_come_by_themselves(running):
    stats = running.control.until(wire.STATS)[-1][2]
    assert 64 << 20 < stats["memory_total_bytes"] < 192 << 20
    assert 0 < stats["memory_available_bytes"] < stats["memory_total_bytes"]
    assert stats["disk_read_bytes"] > 0
    assert stats["cpu_us"] > 0


def test_network_works_until_the_workload_has_ended(running):
    # The handler of the stop signal sends a datagram and waits for its echo.
    running.control.send(wire.SHUTDOWN, signal=signal.SIGTERM, timeout_ms=30000)
    output, _, exited = running.until_exited()
    assert output == "echo hello\n"
    assert (exited["code"], exited["oom_killed"]) == (3, 0)
    assert running.wait() == 0
    assert is_clean(running.disk)

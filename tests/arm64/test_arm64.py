"""The arm64 vminit, which is the one that every Mac runs, as PID 1 on an emulated arm64 machine.

KRUN_BUILD names the build directory. KRUN_GUEST_ARCH=x86_64 runs the same on an x86_64 machine. The guests' image is one
static program and nothing else: whatever they have beside it is vminit's work.
"""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
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


def test_named_volume_is_empty_at_first_and_outlives_its_machine(root, tmp_path):
    content = tmp_path / "content"
    for name in ("upper", "work"):
        (content / name).mkdir(parents=True)
    volume = guests.make_disk(tmp_path / "volume.ext4", 32, content)
    words = ["file", "/data/kept", "make", "/data/kept", "make", "/data/upper", "file", "/proc/self/mounts", "exit", "0"]
    for boot_number in (1, 2):
        with boot(root, network=False, volumes=[volume]) as guest:
            guest.configure(probe(*words), volumes=[{"guest_path": "/data", "device": "/dev/vdd"}])
            guest.until_ready()
            output, errors, exited = guest.until_exited()
            print(output, errors, guest.warnings, guest.console.read_text(errors="replace"), sep="\n")
            assert guest.wait() == 0
            assert is_clean(volume) and is_clean(guest.disk)
        lines = output.splitlines()
        assert ("made /data/kept" in lines) == (boot_number == 1)
        assert ("made /data/upper" in lines) == (boot_number == 1)
        assert any(line.startswith("/dev/vdd /data ext4 rw,noatime") for line in lines)
        assert exited["code"] == 0


def test_volume_that_is_no_file_system_is_a_sentence(root, tmp_path):
    volume = tmp_path / "volume"
    volume.write_bytes(bytes(8 << 20))
    with boot(root, network=False, volumes=[volume]) as guest:
        guest.configure(probe("exit", "0"), volumes=[{"guest_path": "/data", "device": "/dev/vdd"}])
        _, _, exited = guest.until_exited()
        assert (exited["code"], exited["reason"]) == (125, "the volume for /data is not an ext4 file system")
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


def test_session_waits_for_its_port_and_nobody_for_the_session(running):
    running.control.send(wire.OPEN, session=450, port=guests.LATE_PORT, process={"argv": [PROBE, "cat"]})
    for session in range(3):
        output, ended = running.execute(0, 451 + session, [PROBE, "cat"], stdin=b"meanwhile")
        assert (output, ended["code"]) == ("meanwhile", 0)
    running.plug_late_port()
    late = running.late_port
    late.send(wire.STDIN, payload=b"here")
    late.send(wire.CREDIT, 1, bytes=wire.WINDOW)
    late.send(wire.END, 0)
    frames = late.until(wire.EXIT)
    assert frames[0][2]["session"] == 450
    assert b"".join(payload for kind, _, payload in frames if kind == wire.STDOUT) == b"here"
    late.send(wire.END, wire.ALL)


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


def make_archive(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def member(name, data=b"", **fields):
    info = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def test_copies_need_no_tool_of_the_image(running):
    data = os.urandom(3 << 20)
    archive = make_archive(
        member("srv/in/data", data, uid=1000, gid=1001, mode=0o4750, mtime=1000000000.5),
        member("srv/in/link", type=tarfile.SYMTYPE, linkname="data"),
        member("srv/in/same", type=tarfile.LNKTYPE, linkname="srv/in/data"),
        member("srv/in/null", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        member("srv/in/fifo", type=tarfile.FIFOTYPE),
        member("etc/hostname", b"copied\n"),  # which vminit has mounted there
    )
    output, said, ended = running.run_session(0, 801, archive, kind=wire.PUT, path="/")
    assert (output, said, ended["code"]) == (b"", "", 0)
    assert "copied\n" in running.execute(1, 803, [PROBE, "file", "/etc/hostname"])[0]
    output, said, ended = running.run_session(1, 802, kind=wire.GET, path="/srv/in")
    assert (said, ended["code"]) == ("", 0)
    with tarfile.open(fileobj=io.BytesIO(output)) as got:
        members = {info.name: info for info in got}
        assert set(members) == {"in", *(f"in/{name}" for name in ("data", "link", "same", "null", "fifo"))}
        file = next(members[name] for name in ("in/data", "in/same") if members[name].isreg())
        assert (file.uid, file.gid, file.mode, file.mtime) == (1000, 1001, 0o4750, 1000000000.5)
        assert got.extractfile(file).read() == data
        assert (members["in/null"].devmajor, members["in/null"].devminor) == (1, 3)
        assert members["in/link"].linkname == "data" and members["in/fifo"].isfifo()


def test_copies_that_fail_say_why_and_leave_nothing(running):
    whole = make_archive(member("half", bytes(2 << 20)))
    _, said, ended = running.run_session(0, 810, whole[:1 << 20], kind=wire.PUT, path="/srv")
    assert (ended["code"], said) == (6, "the archive is damaged: it ends within an entry\n")
    _, said, ended = running.run_session(0, 811, whole, kind=wire.PUT, path="/srv/nowhere")
    assert (ended["code"], said) == (2, "cannot copy to /srv/nowhere: No such file or directory\n")
    _, said, ended = running.run_session(0, 812, make_archive(member("big", bytes(80 << 20))), kind=wire.PUT, path="/srv")
    assert ended["code"] == 5 and "No space left on device" in said
    _, _, ended = running.run_session(0, 813, make_archive(member("x")), kind=wire.PUT, path="/sys")
    assert ended["code"] == 4
    output, _, ended = running.run_session(0, 814, kind=wire.GET, path="/srv/.")
    with tarfile.open(fileobj=io.BytesIO(output)) as got:
        assert not {"./half", "./big"} & set(got.getnames())


def test_root_is_copied_without_what_is_mounted_in_it(running):
    output, said, ended = running.run_session(0, 820, kind=wire.GET, path="/")
    assert (said, ended["code"]) == ("", 0)
    with tarfile.open(fileobj=io.BytesIO(output)) as got:
        names = set(got.getnames())
    assert {"./proc", "./sys", "./dev", "./run", "./probe", "./etc/passwd"} <= names
    assert not [name for name in names if name.startswith(("./proc/", "./sys/", "./dev/", "./run/"))]
    output, _, ended = running.run_session(0, 821, kind=wire.GET, path="/srv/nowhere/.", entry_only=1)
    assert (output, ended["code"]) == (b"", 2)
    output, _, ended = running.run_session(0, 822, kind=wire.GET, path="/proc/.", entry_only=1)
    with tarfile.open(fileobj=io.BytesIO(output)) as got:
        assert got.getnames() == ["."]


def test_statistics_come_when_asked(running):
    running.control.send(wire.STATS_ASK)
    stats = running.control.until(wire.STATS)[-1][2]
    assert 64 << 20 < stats["memory_total_bytes"] < 192 << 20
    assert 0 < stats["memory_available_bytes"] < stats["memory_total_bytes"]
    assert stats["disk_read_bytes"] > 0
    assert stats["cpu_us"] > 0
    assert 0 < stats["root_available_bytes"] < stats["root_total_bytes"] <= 64 << 20
    assert stats["disk_written_bytes"] > 0


def test_network_works_until_the_workload_has_ended(running):
    # The handler of the stop signal sends a datagram and waits for its echo.
    running.control.send(wire.SHUTDOWN, signal=signal.SIGTERM, timeout_ms=30000)
    output, _, exited = running.until_exited()
    assert output == "echo hello\n"
    assert (exited["code"], exited["oom_killed"]) == (3, 0)
    assert running.wait() == 0
    assert is_clean(running.disk)

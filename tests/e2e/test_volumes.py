"""Volumes of a guest on QEMU: named ones for everybody, single files of the host by virtiofsd, which needs root."""

import os
import signal
import socket

import pytest

from conftest import IMAGE, remove
from server import READY_S, until

LOOP = "while :; do sleep 1; done"


@pytest.fixture
def volume(server, name):
    """The name of a volume that is gone in the end."""
    volume = f"v-{name}"[:60]
    yield volume
    status, answer = server.call("DELETE", f"/v1/volumes/{volume}")
    assert status in (204, 404), answer


@pytest.fixture
def machine(server, name, volume):
    """machine(*volumes): a running one that has these; deleted in the end, before the volume."""
    started = []

    def start(*volumes, script=LOOP, wanted=201, name=name):
        config = {"image": IMAGE, "exec_path": "/bin/sh", "args": ["-c", script], "volumes": list(volumes)}
        body = {"name": name, "config": config, "network": {"mode": "none"}}
        started.append(name)
        status, answer = server.call("POST", f"/v1/machines?start=true&wait=ready&timeout={READY_S}", body)
        assert status == wanted, f"{answer}{server.diagnosis()}"
        return answer

    yield start
    for name in started:
        remove(server, name)


def sh(server, name, script, check=True):
    return server.krunctl("exec", name, "sh", "-c", script, check=check)


def test_named_volume_outlives_its_machines(server, machine, volume, name):
    attached = {"volume": volume, "guest_path": "/var/lib/data"}
    machine(attached, name=f"{name}-a")
    assert server.machine(f"{name}-a")["config"]["volumes"][0]["volume"] == volume
    sh(server, f"{name}-a", "echo kept >/var/lib/data/file; chown 5:6 /var/lib/data/file")
    server.krunctl("stop", f"{name}-a")
    remove(server, f"{name}-a")
    machine(attached, name=f"{name}-b")
    assert server.text("exec", f"{name}-b", "cat", "/var/lib/data/file") == "kept\n"
    assert server.text("exec", f"{name}-b", "stat", "-c", "%u:%g", "/var/lib/data/file") == "5:6\n"


def test_named_volume_survives_a_kill(server, machine, volume, name):
    attached = {"volume": volume, "guest_path": "/data"}
    machine(attached, name=f"{name}-a")
    sh(server, f"{name}-a", "echo synced >/data/file; sync; echo lost >/data/other")
    os.kill(server.pids(f"{name}-a")["vm"], signal.SIGKILL)
    server.wait(f"{name}-a", "failed")
    server.krunctl("start", f"{name}-a")
    assert server.text("exec", f"{name}-a", "cat", "/data/file") == "synced\n"


def test_named_volume_read_only(server, machine, volume, name):
    machine({"volume": volume, "guest_path": "/data"}, script="echo written >/data/file", name=f"{name}-a")
    server.wait(f"{name}-a", "stopped")
    machine({"volume": volume, "guest_path": "/data", "read_only": True}, name=f"{name}-b")
    assert server.text("exec", f"{name}-b", "cat", "/data/file") == "written\n"
    assert sh(server, f"{name}-b", "echo x >/data/file", check=False).returncode != 0
    # Not by mounting it anew either: the host refuses.
    sh(server, f"{name}-b", "mount -o remount,rw /data; echo x >/data/file; sync", check=False)
    remove(server, f"{name}-b")
    server.krunctl("start", f"{name}-a")
    remove(server, f"{name}-a")
    machine({"volume": volume, "guest_path": "/data"}, name=f"{name}-c")
    assert server.text("exec", f"{name}-c", "cat", "/data/file") == "written\n"


def test_file(server, is_root, machine, name, tmp_path):
    if not is_root:
        pytest.skip("virtiofsd needs root")
    (tmp_path / "secret").write_text("nobody sees this\n")
    (tmp_path / "target").write_text("from the host\n")
    (tmp_path / "file").symlink_to("target")
    host_path = str(tmp_path / "file")
    machine({"host_path": host_path, "guest_path": "/etc/app/file"},
            {"host_path": host_path, "guest_path": "/etc/fixed", "read_only": True})
    assert server.text("exec", name, "cat", "/etc/app/file", "/etc/fixed") == "from the host\n" * 2
    # One file, both ways.
    sh(server, name, "echo from the guest >>/etc/app/file")
    assert (tmp_path / "target").read_text() == "from the host\nfrom the guest\n"
    with (tmp_path / "target").open("a") as file:
        file.write("again\n")
    until(lambda: server.text("exec", name, "cat", "/etc/app/file").endswith("again\n"), what="the guest sees it")
    assert sh(server, name, "echo x >>/etc/fixed", check=False).returncode != 0
    # The share itself, for whoever mounts it in the guest, has no other name in it.
    for tag in ("vol0", "vol1"):
        seen = sh(server, name, f"mkdir /{tag} && mount -t virtiofs {tag} /{tag} && ls -A /{tag} /{tag}/..").stdout.decode()
        assert "secret" not in seen
        assert seen.splitlines()[1] == "file"
    assert sh(server, name, "echo x >/vol1/file", check=False).returncode != 0
    assert (tmp_path / "target").read_text() == "from the host\nfrom the guest\nagain\n"
    remove(server, name)
    assert (tmp_path / "target").stat().st_nlink == 1


def test_file_on_another_file_system(server, is_root, machine, name, tmp_path):
    """Where no hard link can be made it is mounted for the machine alone."""
    if not is_root:
        pytest.skip("virtiofsd needs root")
    elsewhere = f"/dev/shm/{name}"
    if os.stat("/dev/shm").st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm is no file system of its own")
    try:
        with open(elsewhere, "w") as file:
            file.write("from the host\n")
        machine({"host_path": elsewhere, "guest_path": "/file"},
                {"host_path": elsewhere, "guest_path": "/fixed", "read_only": True})
        sh(server, name, "cat /file && echo from the guest >>/file")
        with open(elsewhere) as file:
            assert file.read() == "from the host\nfrom the guest\n"
        assert sh(server, name, "echo x >>/fixed", check=False).returncode != 0
        with open("/proc/self/mounts") as mounts:
            assert str(server.state) not in mounts.read()
    finally:
        os.unlink(elsewhere)


def test_what_cannot_be_shared(server, name, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "socket"))
    for path in ("/", "/dev/null", str(tmp_path / "fifo"), str(tmp_path / "socket"), str(tmp_path / "missing")):
        config = {"image": IMAGE, "exec_path": "/bin/true", "volumes": [{"host_path": path, "guest_path": "/data"}]}
        status, answer = server.call("POST", "/v1/machines?start=true&wait=ready", {"name": name, "config": config})
        assert status in (409, 422), answer
        assert path in answer["error"], answer
        remove(server, name)
    listener.close()

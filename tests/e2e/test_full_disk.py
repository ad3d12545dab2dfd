"""The host's disk is full: what cannot be done is said, what is there stays, and all of it can be removed."""

import gzip
import os
import shutil
import subprocess

import pytest

import archive
from conftest import IMAGE
from server import Server

DISK_MIB = 48


@pytest.fixture(scope="module")
def server(tmp_path_factory, image_archive, run_directory):
    """A server whose state lies on a file system of DISK_MIB, in memory."""
    base = tmp_path_factory.mktemp("small")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "none", base]
    mounted = subprocess.run(mount, capture_output=True, text=True, timeout=20)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted: {mounted.stderr.strip()}")
    host = Server(base, run_directory)
    try:
        host.start()
        host.krunctl("import", image_archive)
        yield host
        host.assert_clean()
        assert host.end() == 0
    finally:
        host.kill_all()
        subprocess.run(["umount", "-l", base], check=True, timeout=20)


def assert_only_the_first_image(server):
    assert [image["names"] for image in server.get("/v1/images")["images"]] == [[IMAGE]]
    assert server.names(server.state / "tmp") == []
    assert len(server.names(server.state / "images")) == 1


def test_archive_larger_than_the_disk(server, tmp_path):
    archive.write_image(tmp_path / "large.tar", "large:latest", {"large": os.urandom(DISK_MIB << 20)})
    done = server.krunctl("import", tmp_path / "large.tar", check=False)
    assert done.returncode != 0
    assert b"bytes left" in done.stderr, done.stderr
    assert_only_the_first_image(server)


def test_image_larger_than_the_disk(server, tmp_path):
    archive.write_image(tmp_path / "large.tar", "large:latest", {"large": os.urandom(DISK_MIB << 19).hex().encode()})
    with open(tmp_path / "large.tar", "rb") as plain, gzip.open(tmp_path / "large.tar.gz", "wb", 1) as packed:
        shutil.copyfileobj(plain, packed)
    done = server.krunctl("import", tmp_path / "large.tar.gz", check=False)
    assert done.returncode != 0
    assert b"o space left" in done.stderr, done.stderr
    assert_only_the_first_image(server)


def test_machine_that_fills_the_disk(server, launch, name):
    launch("while :; do sleep 1; done")
    fill = f"dd if=/dev/urandom of=/fill bs=1M count={2 * DISK_MIB} conv=fsync"
    assert server.krunctl("exec", name, "sh", "-c", fill, check=False).returncode == 1
    # The machine runs on, and is to be had.
    assert server.machine(name)["state"] == "running"
    server.krunctl("stop", name)
    assert server.machine(name)["state"] == "stopped"

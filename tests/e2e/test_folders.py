"""Directories of the host in a guest: under QEMU by virtiofsd, which needs root."""

import pytest

import archive
from conftest import IMAGE, remove
from server import READY_S, until


@pytest.fixture
def root_directory(tmp_path):
    path = tmp_path / "root"
    archive.write_directory(path)
    return path


def run_directory(server, name, path, script, *options, **more):
    return server.krun_run(
        "-n", name, "--rootfs", "--timeout", READY_S, "--entrypoint", "/bin/sh", *options, path, "--", "-c", script, **more
    )


def test_directory_as_root(server, is_root, name, root_directory):
    if not is_root:
        pytest.skip("virtiofsd needs root; the sentence that says so is tested instead")
    try:
        run_directory(server, name, root_directory, "echo written >/from-guest; sync; echo done; sleep 1000")
        until(lambda: server.text("logs", name) == "done\n", what="the guest wrote")
        assert (root_directory / "from-guest").read_text() == "written\n"
        (root_directory / "from-host").write_text("seen\n")
        assert server.text("exec", name, "cat", "/from-host") == "seen\n"
    finally:
        remove(server, name)


def test_volumes(server, is_root, launch, name, tmp_path):
    if not is_root:
        pytest.skip("virtiofsd needs root; the sentence that says so is tested instead")
    (tmp_path / "file").write_text("from the host\n")
    launch("while :; do sleep 1; done", "-v", f"{tmp_path}:/data", "-v", f"{tmp_path}:/fixed:ro")
    assert server.text("exec", name, "cat", "/data/file", "/fixed/file") == "from the host\n" * 2
    server.krunctl("exec", name, "sh", "-c", "echo from the guest >/data/file")
    assert (tmp_path / "file").read_text() == "from the guest\n"
    assert server.krunctl("exec", name, "sh", "-c", "echo x >/fixed/file", check=False).returncode != 0
    assert (tmp_path / "file").read_text() == "from the guest\n"


def test_ordinary_user_is_told(server, is_root, name, root_directory):
    if is_root:
        pytest.skip("root may: see the tests above")
    try:
        done = run_directory(server, name, root_directory, "true", check=False)
        assert done.returncode == 125
        assert b"virtiofsd" in done.stderr and b"root" in done.stderr
    finally:
        remove(server, name)


def test_missing_directory(server, tmp_path, name):
    done = run_directory(server, name, tmp_path / "missing", "true", check=False)
    assert done.returncode == 125
    assert b"missing" in done.stderr
    assert server.call("GET", f"/v1/machines/{name}")[0] == 404


def test_file_as_root(server, tmp_path, name):
    (tmp_path / "file").write_text("")
    try:
        done = run_directory(server, name, tmp_path / "file", "true", check=False)
        assert done.returncode == 125
        assert b"directory" in done.stderr
    finally:
        remove(server, name)

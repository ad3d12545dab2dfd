"""krunctl cp with a real guest: its own root, its own disk. tests/api/test_cli_cp.py has the rules."""

import hashlib
import os
import signal
import subprocess

import pytest

from conftest import IMAGE, remove
from server import COMMAND_S, KRUNCTL, READY_S, until

NAME = "copied"
ODD = b"odd \n\xff*"


@pytest.fixture(scope="module")
def box(server):
    server.krun_run("-n", NAME, "--disk", "64", "--timeout", READY_S, IMAGE, "--", "/bin/sleep", "100000")
    yield NAME
    remove(server, NAME)


@pytest.fixture
def place(server, box):
    """A directory in the guest, gone afterwards."""
    server.krunctl("exec", box, "mkdir", "/place")
    yield f"{box}:/place"
    server.krunctl("exec", box, "rm", "-rf", "/place")


def in_guest(server, script, **options):
    return server.krunctl("exec", NAME, "sh", "-c", script, **options).stdout.decode()


def test_a_tree_there_and_back(server, place, tmp_path):
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "file").write_text("text")
    (source / "file").chmod(0o640)
    os.utime(source / "file", (1_000_000_000, 1_000_000_000))
    (source / "link").symlink_to("sub/none")
    os.link(source / "file", source / "twin")
    with (source / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 30)
        sparse.write(b"begin")
    with open(os.path.join(os.fsencode(source), b"sub", ODD), "wb") as odd:
        odd.write(b"odd")
    server.krunctl("cp", source, f"{place}/tree")
    assert in_guest(server, "cd /place/tree; stat -c '%a %u %g %Y %h' file; readlink link") == (
        "640 0 0 1000000000 2\nsub/none\n"
    )
    # A GiB in a disk of 64 MiB: the holes are there.
    assert in_guest(server, "stat -c %s /place/tree/sparse") == f"{1 << 30}\n"

    server.krunctl("cp", f"{place}/tree", tmp_path / "back")
    back = tmp_path / "back"
    assert sorted(os.listdir(back)) == ["file", "link", "sparse", "sub", "twin"]
    assert os.listdir(os.fsencode(back / "sub")) == [ODD]
    st = (back / "file").stat()
    assert (st.st_mode & 0o7777, st.st_uid, st.st_mtime) == (0o640, os.geteuid(), 1_000_000_000)
    assert st.st_ino == (back / "twin").stat().st_ino
    assert os.readlink(back / "link") == "sub/none"
    st = (back / "sparse").stat()
    assert st.st_size == 1 << 30 and st.st_blocks * 512 < 1 << 20


def test_owners_of_the_guest(server, place, tmp_path, is_root):
    in_guest(server, "echo x > /place/file; chown 1234:567 /place/file; chmod 4755 /place/file")
    server.krunctl("cp", f"{place}/file", tmp_path)
    st = (tmp_path / "file").stat()
    assert (st.st_uid, st.st_mode & 0o7777) == (os.geteuid(), 0o755)
    server.krunctl("cp", "-a", f"{place}/file", tmp_path / "kept")
    st = (tmp_path / "kept").stat()
    assert (st.st_uid, st.st_mode & 0o7777) == ((1234, 0o4755) if is_root else (os.geteuid(), 0o755))
    server.krunctl("cp", "-a", tmp_path / "kept", f"{place}/again")
    assert in_guest(server, "stat -c %u /place/again") == f"{st.st_uid}\n"


def test_the_whole_root(server, box, tmp_path):
    """Devices are left out, and what is mounted there."""
    done = server.krunctl("cp", f"{box}:/", tmp_path / "root")
    assert (tmp_path / "root/bin/busybox").stat().st_size > 100_000
    assert os.readlink(tmp_path / "root/bin/sh") == "busybox"
    for mounted in ("proc", "sys", "dev"):
        assert not (tmp_path / "root" / mounted).exists() or os.listdir(tmp_path / "root" / mounted) == []
    assert done.stdout == b""


def test_large_files(server, place, tmp_path):
    data = os.urandom(8 * 1024 * 1024)
    (tmp_path / "large").write_bytes(data)
    server.krunctl("cp", tmp_path / "large", place)
    assert in_guest(server, "sha256sum < /place/large").split()[0] == hashlib.sha256(data).hexdigest()
    server.krunctl("cp", f"{place}/large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == data


def test_a_full_disk(server, place, tmp_path):
    (tmp_path / "huge").write_bytes(b"x" * (8 * 1024 * 1024))
    in_guest(server, "echo old > /place/huge; fallocate -l $(($(df -k /place | awk 'END {print $4}') - 4096))K /place/fill")
    done = server.krunctl("cp", tmp_path / "huge", place, check=False)
    assert done.returncode == 1
    assert "No space left" in done.stderr.decode()
    # What was there is there; nothing else is, and there is room again.
    assert in_guest(server, "ls -A /place; cat /place/huge") == "fill\nhuge\nold\n"
    in_guest(server, "head -c 2000000 /dev/zero > /place/room")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_copy_in_that_is_broken_off(server, place, number):
    in_guest(server, "echo old > /place/file")
    process = subprocess.Popen(
        [str(KRUNCTL), "cp", "-", place], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, env=server.env
    )
    # The head of a file that is longer than what comes of it.
    head = subprocess.run(
        ["tar", "-C", "/", "--owner=0", "-cf", "-", "--transform=s,.*,file,", str(KRUNCTL).lstrip("/")],
        capture_output=True,
        check=True,
    ).stdout
    process.stdin.write(head[: 64 * 1024])
    process.stdin.flush()
    # The copier is a copy of PID 1.
    until(lambda: int(in_guest(server, "ps | grep -c '[v]minit'")) > 1, what="it copies")
    process.send_signal(number)
    assert process.wait(COMMAND_S) == -number
    process.stdin.close()
    until(lambda: in_guest(server, "ls -A /place; cat /place/file") == "file\nold\n", what="nothing else is left")


def test_what_is_not_there(server, place, tmp_path):
    cases = [
        ((f"{place}/none", tmp_path), "No such file"),
        ((tmp_path / "none", place), "No such file"),
        ((KRUNCTL, f"{place}/no/such/place"), "No such file"),
        ((KRUNCTL, f"{place}/dir/"), "there is no directory"),
        ((KRUNCTL, f"{NAME}:/proc/none"), "takes no files"),
    ]
    for arguments, sentence in cases:
        done = server.krunctl("cp", *arguments, check=False)
        assert done.returncode == 1
        assert sentence in done.stderr.decode()

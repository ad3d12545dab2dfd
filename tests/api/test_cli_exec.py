"""krunctl exec on the fake backend: what would take an emulated guest too long. tests/e2e/test_interactive.py has the rest."""

import hashlib
import os
import subprocess
import threading
from pathlib import Path

import pytest
from conftest import BUILD, PATIENCE_S, until

KRUNCTL = BUILD / "src/cli/krunctl"
NAME = "box"
SIZE = 100 * 1024 * 1024


@pytest.fixture
def start(api):
    """start(arguments): krunctl exec under way."""
    api.run(name=NAME)
    started = []

    def begin(*arguments):
        argv = [os.fspath(KRUNCTL), "exec", *arguments]
        env = dict(os.environ, KRUN_API=f"unix://{api.socket}")
        started.append(
            subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
        )
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def peak_kib(pid):
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0])


def test_a_hundred_megabytes_out(api, start):
    """To a reader that stops for a while: back-pressure is what holds them, and nobody grows."""
    supervisor = api.record(api.get("/v1/machines").json["machines"][0])["supervisor"]["pid"]
    process = start(NAME, "sh", "-c", f"head -c {SIZE} /dev/zero")
    peaks = {pid: peak_kib(pid) for pid in (supervisor, api.process.pid)}
    assert process.stdout.read(1024) == b"\0" * 1024
    # Somebody else's is served meanwhile.
    assert start(NAME, "echo", "other").communicate(timeout=PATIENCE_S)[0] == b"other\n"
    seen = 1024
    while seen < SIZE:
        data = process.stdout.read(min(1024 * 1024, SIZE - seen))
        assert data and data.count(0) == len(data)
        seen += len(data)
        # While there is more to come: one that has ended has no memory.
        if seen == SIZE - 1024 * 1024 + 1024 and not api.is_sanitized():
            assert peak_kib(process.pid) < 16 * 1024
            for pid, kib in peaks.items():
                assert peak_kib(pid) < kib + 4 * 1024
    assert process.stdout.read() == b""
    assert process.wait(PATIENCE_S) == 0


def test_a_hundred_megabytes_in(api, start):
    process = start("-i", NAME, "sha256sum")
    block, digest = os.urandom(1024 * 1024), hashlib.sha256()
    for _ in range(SIZE // len(block)):
        process.stdin.write(block)
        digest.update(block)
    if not api.is_sanitized():
        assert peak_kib(process.pid) < 16 * 1024
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert out.split()[0].decode() == digest.hexdigest()
    assert process.returncode == 0


def test_input_that_nobody_reads(start):
    """The command ends, and so do we, with input that was never taken."""
    process = start("-i", NAME, "sh", "-c", "sleep 0.2; exit 3")
    writer = threading.Thread(target=lambda: write_until_broken(process.stdin))
    writer.start()
    assert process.wait(PATIENCE_S) == 3
    writer.join()


def write_until_broken(pipe):
    try:
        while True:
            pipe.write(b"x" * 65536)
    except (BrokenPipeError, ValueError):
        pass


def test_both_ways_at_once(start):
    data = os.urandom(16 * 1024 * 1024)
    process = start("-i", NAME, "cat")
    assert process.communicate(data, timeout=PATIENCE_S)[0] == data


def test_thirty_at_once(start):
    processes = [start("-i", NAME, "cat") for _ in range(30)]
    for number, process in enumerate(processes):
        assert process.communicate(str(number).encode(), timeout=PATIENCE_S)[0] == str(number).encode()
        assert process.returncode == 0


def test_arguments_must_be_text(start):
    process = start(NAME, "echo", os.fsdecode(b"\xff"))
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 125
    assert b"must be text" in err


def test_a_server_that_dies(api, start):
    process = start(NAME, "sh", "-c", "echo $$; exec sleep 1000")
    pid = int(process.stdout.readline())
    api.kill()
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 125
    assert b"went away before the command had ended" in err
    # It is hung up, as was said.
    until(lambda: not Path(f"/proc/{pid}").exists(), "the command is gone")
    api.start()

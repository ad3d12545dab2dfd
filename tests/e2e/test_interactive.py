"""krunctl exec as people use it: a terminal in the machine, or a command in a pipe. One machine for all of it."""

import contextlib
import errno
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import threading
import time
from pathlib import Path

import pytest

from conftest import IMAGE, remove
from server import COMMAND_S, KRUNCTL, READY_S, until

NAME = "interactive"
# What busybox's shell prints when it is ready to be typed to: it asks where the cursor is and needs no answer.
PROMPT = "ready> \x1b[6n"
WAIT_S = 60


@pytest.fixture(scope="module")
def box(server):
    server.krun_run("-n", NAME, "--timeout", READY_S, IMAGE, "--", "/bin/sleep", "100000")
    yield NAME
    remove(server, NAME)


class Terminal:
    """A terminal of ours with krunctl on it, as the leader of a session."""

    def __init__(self, server, *arguments, rows=24, columns=80):
        self.master, self.slave = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        self.process = subprocess.Popen(
            [str(KRUNCTL), *arguments],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env=server.env,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text if isinstance(text, bytes) else text.encode())

    def read_until(self, what, wait_s=WAIT_S):
        """Everything up to `what` and with it."""
        what = what if isinstance(what, bytes) else what.encode()
        end = time.monotonic() + wait_s
        while what not in self.seen:
            left = end - time.monotonic()
            assert left > 0, f"{what} has not come: {self.seen}"
            if select.select([self.master], [], [], left)[0]:
                self.seen += os.read(self.master, 65536)
        before, _, self.seen = self.seen.partition(what)
        return before + what

    def wait(self):
        """Its exit code; what it prints meanwhile is kept."""
        end = time.monotonic() + WAIT_S
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it does not end: {self.seen}"
            if select.select([self.master], [], [], 0.05)[0]:
                with contextlib.suppress(OSError):
                    self.seen += os.read(self.master, 65536)
        while select.select([self.master], [], [], 0)[0]:
            try:
                self.seen += os.read(self.master, 65536)
            except OSError as error:
                assert error.errno == errno.EIO
                break
        return self.process.returncode

    def attributes(self):
        return termios.tcgetattr(self.slave)

    def is_raw(self):
        return not self.attributes()[3] & termios.ICANON

    def is_restored(self):
        return self.attributes() == self.before

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(server, box):
    opened = []

    def start(*command, options=("-it",), **size):
        opened.append(Terminal(server, "exec", *options, box, *command, **size))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.fixture
def shell(terminal):
    """A shell that waits for what is typed; the terminal is raw."""

    def start(**size):
        one = terminal("/bin/sh", "-c", "PS1='ready> ' exec /bin/sh -i", **size)
        one.read_until(PROMPT)
        assert one.is_raw()
        return one

    return start


# ---- with a terminal ----


def test_it_has_our_size_and_follows_it(shell):
    one = shell(rows=33, columns=111)
    one.type("stty size\r")
    one.read_until("33 111\r\n")
    one.resize(40, 132)
    one.type("until stty size | grep '^40 132$'; do :; done; echo fol''lowed\r")
    one.read_until("followed\r\n")
    one.type("exit\r")
    assert one.wait() == 0


@pytest.mark.parametrize("code", [0, 7])
def test_the_exit_code_is_the_commands(shell, code):
    one = shell()
    one.type(f"exit {code}\r")
    assert one.wait() == code
    assert one.is_restored()


def test_interrupts_reach_the_guest(shell):
    one = shell()
    one.type("sh -c 'echo up at la\"\"st; exec sleep 1000'\r")
    one.read_until("up at last\r\n")
    one.type(b"\x03")
    one.read_until(PROMPT)
    one.type("echo code=$?\r")
    one.read_until("code=130\r\n")
    # So does ^Z: the shell there has jobs.
    one.type("sh -c 'echo up at la\"\"st; exec sleep 1000'\r")
    one.read_until("up at last\r\n")
    one.type(b"\x1a")
    one.read_until("Stopped")
    one.read_until(PROMPT)
    # Not exit: a shell does not leave stopped jobs behind.
    one.type("kill -9 %1; exec sh -c 'exit 3'\r")
    assert one.wait() == 3


def test_keys_come_as_they_are(terminal):
    one = terminal("/bin/sh", "-c", "stty raw -echo; echo set; head -c 5 | od -An -tx1")
    one.read_until("set")
    one.type(b"\x03\x1a\x04\r\xff")
    one.read_until("03 1a 04 0d ff")
    assert one.wait() == 0


def test_the_terminal_is_named(terminal):
    one = terminal("/bin/sh", "-c", "tty; echo kind=$TERM; test -t 0 && test -t 1 && test -t 2 && echo all")
    one.read_until("/dev/pts/")
    one.read_until("kind=xterm")
    one.read_until("all")
    assert one.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGSEGV])
def test_a_signal_ends_us_with_the_terminal_as_it_was(shell, number):
    one = shell()
    one.process.send_signal(number)
    assert one.wait() == -number
    assert one.is_restored()


def test_being_stopped_and_going_on(shell):
    one = shell()

    def state():
        return Path(f"/proc/{one.process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    one.process.send_signal(signal.SIGTSTP)
    until(lambda: state() == "T", what="it stops")
    assert one.is_restored()
    one.resize(50, 150)
    one.process.send_signal(signal.SIGCONT)
    until(one.is_raw, what="it is raw again")
    one.type("until stty size | grep '^50 150$'; do :; done; exit 4\r")
    assert one.wait() == 4
    assert one.is_restored()


def test_a_server_that_dies(server, shell):
    one = shell()
    try:
        server.end(signal.SIGKILL)
        assert one.wait() == 125
        assert one.is_restored()
        assert b"went away before the command had ended" in one.seen
    finally:
        server.start()
    assert server.text("exec", NAME, "echo", "still") == "still\n"


def test_without_input_the_terminal_is_left_alone(server, terminal):
    one = terminal("/bin/sh", "-c", "test -t 1 && echo on; sleep 1000", options=("-t",))
    one.read_until("on\r")
    assert one.is_restored()
    one.type(b"\x03")
    assert one.wait() == 130


# ---- in a pipe ----


def start(server, *arguments, **popen):
    return subprocess.Popen(
        [str(KRUNCTL), "exec", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=server.env, **popen
    )


def peak_kib(pid):
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0])


def test_input_and_output_flow(server, box):
    process = start(server, "-i", box, "cat")
    for line in (b"one\n", b"two\0\xff\n"):
        process.stdin.write(line)
        process.stdin.flush()
        assert process.stdout.readline() == line
    process.stdin.close()
    assert process.stdout.read() == b""
    assert process.wait(COMMAND_S) == 0


def test_without_i_there_is_no_input(server, box):
    done = server.krunctl("exec", box, "cat", input=b"not for it")
    assert done.stdout == b""


def test_streams_stay_apart(server, box):
    done = server.krunctl("exec", box, "sh", "-c", "echo out; echo err >&2; exit 5", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (5, b"out\n", b"err\n")


def test_where_who_and_with_what(server, box):
    options = ("-w", "/tmp", "-u", "1234:567", "-e", "A=b c", "-e", "FROM_HERE")
    script = "pwd; id -u; id -g; echo $A; echo $FROM_HERE"
    done = server.krunctl("exec", *options, box, "sh", "-c", script, env={**server.env, "FROM_HERE": "mine"})
    assert done.stdout == b"/tmp\n1234\n567\nb c\nmine\n"


def test_much_output_grows_nobody(server, box):
    """A hundred megabytes are in tests/api; an emulated guest takes a minute for them."""
    size, seen = 12 * 1024 * 1024, 0
    process = start(server, box, "sh", "-c", f"head -c {size} /dev/zero")
    peaks = {pid: peak_kib(pid) for pid in (server.pids(box)["supervisor"], server.process.pid)}
    while data := process.stdout.read(1024 * 1024):
        assert data.count(0) == len(data)
        seen += len(data)
        if seen == 1024 * 1024:
            # Whoever does not hold back has its memory filled meanwhile.
            assert server.text("exec", box, "true") == ""
        # While there is more to come: one that has ended has no memory.
        if seen == size - 1024 * 1024:
            assert peak_kib(process.pid) < 32 * 1024
            for pid, kib in peaks.items():
                assert peak_kib(pid) < kib + 4 * 1024
    assert process.wait(COMMAND_S) == 0
    process.stdin.close()
    assert seen == size


def test_megabytes_both_ways_at_once(server, box):
    data = os.urandom(4 * 1024 * 1024)
    process = start(server, "-i", box, "cat")

    def write():
        process.stdin.write(data)
        process.stdin.close()

    writer = threading.Thread(target=write)
    writer.start()
    assert process.stdout.read() == data
    writer.join()
    assert process.wait(COMMAND_S) == 0


def test_a_reader_that_goes_away(server, box):
    process = start(server, box, "yes", stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"y\n"
    process.stdout.close()
    assert process.wait(COMMAND_S) == 141
    assert process.stderr.read() == b""
    until(lambda: server.krunctl("exec", box, "pidof", "yes", check=False).returncode == 1, what="it is hung up")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_signals_are_passed_on(server, box, number):
    word = signal.Signals(number).name.removeprefix("SIG")
    script = f"trap 'echo got {word}; exit 9' {word}; echo up; while :; do sleep 0.1; done"
    process = start(server, box, "sh", "-c", script)
    assert process.stdout.readline() == b"up\n"
    process.send_signal(number)
    assert process.stdout.read() == f"got {word}\n".encode()
    assert process.wait(COMMAND_S) == 9
    process.stdin.close()


def test_the_third_interrupt_is_for_us(server, box):
    process = start(server, box, "sh", "-c", "trap 'echo no' INT; echo up; while :; do sleep 0.1; done")
    assert process.stdout.readline() == b"up\n"
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == b"no\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(COMMAND_S) == -signal.SIGINT
    process.stdin.close()


def test_a_client_that_vanishes_hangs_its_command_up(server, box):
    script = "trap 'echo hung > /tmp/hung; exit' HUP; echo up; while :; do sleep 0.1; done"
    process = start(server, box, "sh", "-c", script)
    assert process.stdout.readline() == b"up\n"
    process.kill()
    process.wait(COMMAND_S)
    process.stdin.close()
    until(lambda: server.krunctl("exec", box, "cat", "/tmp/hung", check=False).stdout == b"hung\n", what="SIGHUP")


def test_ended_by_a_signal(server, box):
    assert server.krunctl("exec", box, "sh", "-c", "kill -TERM $$", check=False).returncode == 143


def test_what_cannot_be_run(server, box):
    cases = [
        ((box, "/no/such"), 127, "/no/such"),
        ((box, "/etc/passwd"), 126, "/etc/passwd"),
        (("-u", "nobody-there", box, "id"), 125, "nobody-there"),
        (("-w", "/no/where", box, "pwd"), 125, "/no/where"),
        (("-it", box, "sh"), 125, "standard input is not a terminal"),
        (("no-such-machine", "true"), 125, "there is no machine 'no-such-machine'"),
        (("--timeout", "1", box, "sleep", "100"), 125, "did not end within 1 s"),
    ]
    for arguments, code, sentence in cases:
        done = server.krunctl("exec", *arguments, check=False)
        assert done.returncode == code, arguments
        assert sentence in done.stderr.decode()
        assert done.stdout == b""


def test_a_machine_that_is_stopped(server, launch):
    machine = launch("exit 0")
    server.wait(machine["name"], "stopped")
    done = server.krunctl("exec", machine["name"], "true", check=False)
    assert done.returncode == 125
    assert "stopped" in done.stderr.decode()

"""Commands over WebSocket: channels, terminals, back-pressure, and whatever a client may do wrong."""

import base64
import contextlib
import json
import os
import socket
import struct
import threading
from pathlib import Path

import pytest
from conftest import PATIENCE_S, processes, until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect, unix_connect

STDIN, STDOUT, STDERR, EXIT, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255


class Session:
    """One command; remembers what came on each channel."""

    def __init__(self, websocket):
        self.websocket = websocket
        self.output = {STDOUT: b"", STDERR: b""}
        self.verdict = None

    def send(self, channel, data=b""):
        self.websocket.send(bytes([channel]) + data)

    def type(self, text):
        self.send(STDIN, text.encode())

    def end_input(self):
        self.send(CLOSE, bytes([STDIN]))

    def resize(self, width, height):
        self.send(RESIZE, json.dumps({"width": width, "height": height}).encode())

    def signal(self, name):
        self.websocket.send(json.dumps({"signal": name}))

    def receive(self):
        """One message, kept under its channel."""
        message = self.websocket.recv(timeout=PATIENCE_S)
        assert isinstance(message, bytes) and message
        if message[0] == EXIT:
            self.verdict = json.loads(message[1:])
        else:
            self.output[message[0]] += message[1:]
        return message[0]

    def until(self, text, channel=STDOUT):
        while text.encode() not in self.output[channel]:
            self.receive()
        return self.output[channel].decode()

    def finish(self):
        """To the server's close; what channel 3 said."""
        while self.receive() != EXIT:
            pass
        with pytest.raises(ConnectionClosed):
            self.websocket.recv(timeout=PATIENCE_S)
        assert self.websocket.close_code == 1000
        return self.verdict

    def closed(self):
        """(code, reason) of the server's close, whatever comes before."""
        with pytest.raises(ConnectionClosed):
            while True:
                self.receive()
        return self.websocket.close_code, self.websocket.close_reason


@contextlib.contextmanager
def open_socket(api, machine, **options):
    path = f"ws://localhost/v1/machines/{machine['id']}/exec"
    options = {"compression": None, "max_size": None, "open_timeout": PATIENCE_S, "close_timeout": PATIENCE_S, **options}
    with unix_connect(api.socket, path, **options) as websocket:
        yield Session(websocket)


@contextlib.contextmanager
def run(api, machine, *cmd, options=None, **fields):
    with open_socket(api, machine, **(options or {})) as session:
        session.websocket.send(json.dumps({"cmd": list(cmd), **fields}))
        yield session


def test_result(api):
    machine = api.run()
    script = "cat; echo $A; pwd; echo err >&2; exit 3"
    with run(api, machine, "sh", "-c", script, env={"A": "b"}, workdir="/usr") as session:
        session.type("in\n")
        session.end_input()
        assert session.finish() == {"exit_code": 3, "signal": None}
    assert session.output == {STDOUT: b"in\nb\n/usr\n", STDERR: b"err\n"}


def test_it_is_interactive(api):
    """Each line is answered before the next one is written."""
    machine = api.run()
    with run(api, machine, "sh", "-c", "while read line; do echo got $line; done; echo end") as session:
        for number in range(20):
            session.type(f"{number}\n")
            session.until(f"got {number}\n")
        session.end_input()
        assert session.finish()["exit_code"] == 0
    assert session.output[STDOUT].endswith(b"end\n")


def test_no_input(api):
    machine = api.run()
    with run(api, machine, "cat") as session:
        session.end_input()
        session.end_input()
        assert session.finish()["exit_code"] == 0


def test_terminal(api):
    machine = api.run()
    with run(api, machine, "sh", tty=True, rows=33, columns=101) as session:
        session.type("tty; stty size; echo $TERM-\n")
        text = session.until("xterm-\r\n")
        assert "/dev/pts/" in text and "33 101\r\n" in text
        session.type("trap 'stty size; echo resized' WINCH; echo s''et\n")
        session.until("set\r\n")
        session.resize(120, 40)
        session.type("\n")
        assert "40 120\r\n" in session.until("resized\r\n")
        session.type("exit 4\n")
        assert session.finish() == {"exit_code": 4, "signal": None}
    assert session.output[STDERR] == b""


def test_keys_of_a_terminal(api):
    machine = api.run()
    with run(api, machine, "sh", "-c", "trap 'exit 9' INT; echo up; while :; do sleep 0.01; done", tty=True) as session:
        session.until("up")
        session.type("\x03")
        assert session.finish()["exit_code"] == 9
    with run(api, machine, "cat", tty=True) as session:
        session.type("line\n")
        session.until("line\r\nline\r\n")
        session.end_input()
        assert session.finish()["exit_code"] == 0


def test_signals(api):
    machine = api.run()
    with run(api, machine, "sh", "-c", "trap 'echo caught; exit 7' USR1; echo up; while :; do sleep 0.01; done") as session:
        session.until("up")
        session.signal("SIGUSR1")
        assert session.finish()["exit_code"] == 7
    with run(api, machine, "sh", "-c", "echo up; exec sleep 1000") as session:
        session.until("up")
        session.signal("TERM")
        assert session.finish() == {"exit_code": 143, "signal": 15}


def test_time_limit(api):
    machine = api.run()
    with run(api, machine, "sleep", "1000", timeout_s=1) as session:
        assert session.finish() == {"exit_code": 137, "signal": 9, "timed_out": True}


def test_many_at_once(api):
    machine = api.run()
    with contextlib.ExitStack() as stack:
        sessions = [stack.enter_context(run(api, machine, "cat")) for _ in range(20)]
        for number, session in enumerate(sessions):
            session.type(f"{number}\n")
        for number, session in reversed(list(enumerate(sessions))):
            session.until(f"{number}\n")
            session.end_input()
            assert session.finish()["exit_code"] == 0
            assert session.output[STDOUT] == f"{number}\n".encode()


def test_too_many_at_once(api):
    machine = api.run()
    with contextlib.ExitStack() as stack:
        for _ in range(64):
            session = stack.enter_context(run(api, machine, "sh", "-c", "echo up; exec cat"))
            session.until("up")
        with pytest.raises(InvalidStatus) as refused, open_socket(api, machine):
            pass
        assert refused.value.response.status_code == 429


# ---- back-pressure ----


def memory_kib(pid, what="VmHWM"):
    return int(Path(f"/proc/{pid}/status").read_text().split(what + ":")[1].split()[0])


def forget_peak(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5")


SIZE = 100_000_000
GROWTH_KIB = 8192


@contextlib.contextmanager
def nobody_grows(api, machine):
    pids = {"krun-api": api.process.pid, "krun-vmm": api.record(machine)["supervisor"]["pid"]}
    assert api.exec(machine, "true").status == 200
    for pid in pids.values():
        forget_peak(pid)
    before = {name: memory_kib(pid, "VmRSS") for name, pid in pids.items()}
    yield
    if not api.is_sanitized():
        for name, pid in pids.items():
            assert memory_kib(pid) - before[name] < GROWTH_KIB, name


def test_much_output_to_a_slow_reader(api):
    machine = api.run()
    with nobody_grows(api, machine), run(api, machine, "head", "-c", str(SIZE), "/dev/zero") as session:
        # Nothing is read until the command is held back.
        pid = until(lambda: find_process(api, b"head\0-c"), "the command runs")
        until(lambda: is_writing(pid), "it is held back")
        received = 0
        while (channel := session.receive()) != EXIT:
            received += len(session.output[channel])
            session.output[channel] = b""
        assert received == SIZE and session.verdict["exit_code"] == 0


def find_process(api, command_line):
    for pid in processes(api.mark):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().startswith(command_line):
                return pid
    return None


def is_writing(pid):
    """Sleeps in write(2)."""
    number = {"x86_64": "1", "aarch64": "64"}[os.uname().machine]
    return Path(f"/proc/{pid}/syscall").read_text().split()[0] == number


def test_much_input_to_a_slow_command(api):
    """What the command does not read stays with the client."""
    machine = api.run()
    gate = api.directory / "gate"
    script = f"until test -e {gate}; do sleep 0.01; done; wc -c"
    with nobody_grows(api, machine), run(api, machine, "sh", "-c", script) as session:
        piece = bytes(65536)
        sent = 0

        def send():
            nonlocal sent
            for _ in range(SIZE // len(piece)):
                session.send(STDIN, piece)
                sent += len(piece)
            session.end_input()

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        try:
            until(lambda: sent > 0, "the first is sent")
            gate.touch()
            assert session.finish()["exit_code"] == 0
        finally:
            gate.touch()
            thread.join(PATIENCE_S)
        assert int(session.output[STDOUT]) == sent == SIZE // len(piece) * len(piece)


def test_input_that_nobody_reads(api):
    """A command that ends without reading ends its session, however much is on its way."""
    machine = api.run()
    with run(api, machine, "sh", "-c", "exec <&-; sleep 0.1") as session:

        def send():
            with contextlib.suppress(ConnectionClosed):
                for _ in range(1000):
                    session.send(STDIN, bytes(65536))

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        assert session.finish()["exit_code"] == 0
        thread.join(PATIENCE_S)


def test_a_flood_of_orders_is_held_back(api):
    machine = api.run()
    with nobody_grows(api, machine), run(api, machine, "sh", "-c", "read line; echo $line", tty=True) as session:
        for number in range(20_000):
            session.resize(80 + number % 2, 25)
        session.type("done\n")
        assert session.finish()["exit_code"] == 0


# ---- what goes wrong ----


def test_cannot_be_run(api):
    machine = api.run()
    for fields, code, name, word in [
        ({"cmd": ["/nowhere/program"]}, 127, "command_not_found", "/nowhere/program"),
        ({"cmd": ["/etc/passwd"]}, 126, "command_not_executable", "/etc/passwd"),
        ({"cmd": ["true"], "user": "nobody-of-that-name"}, 125, "exec_failed", "nobody-of-that-name"),
        ({"cmd": ["true"], "workdir": "/nowhere"}, None, None, "/nowhere"),
    ]:
        with open_socket(api, machine) as session:
            session.websocket.send(json.dumps(fields))
            verdict = session.finish()
        assert word in verdict["error"], verdict
        assert code is None or (verdict["exit_code"], verdict["code"]) == (code, name), verdict


def test_bad_first_messages(api):
    machine = api.run()
    for message, code in [
        ({}, "invalid_request"),
        ({"cmd": []}, "invalid_value"),
        ({"cmd": [""]}, "invalid_value"),
        ({"cmd": "true"}, "invalid_request"),
        ({"cmd": ["true"], "extra": 1}, "invalid_request"),
        ({"cmd": ["true"], "stdin": "x"}, "invalid_request"),
        ({"cmd": ["true"], "rows": -1}, "invalid_value"),
        ({"cmd": ["true"], "columns": 65536}, "invalid_value"),
        ({"cmd": ["true"], "workdir": "relative"}, "invalid_value"),
        ({"cmd": ["x" * 60_000]}, "invalid_value"),
    ]:
        with open_socket(api, machine) as session:
            session.websocket.send(json.dumps(message))
            verdict = session.finish()
        assert verdict["code"] == code and verdict["error"] and "exit_code" not in verdict, (message, verdict)
    with open_socket(api, machine) as session:
        session.websocket.send("{")
        assert session.finish()["code"] == "invalid_request"
    with open_socket(api, machine) as session:
        session.send(STDIN, b"x")
        assert session.closed()[0] == 1008


def test_bad_messages(api):
    machine = api.run()
    for message, code, word in [
        (b"", 1008, "channel"),
        (b"\x01out", 1008, "channel"),
        (b"\x03{}", 1008, "channel"),
        (b"\x05", 1008, "channel"),
        (b"\xff", 1008, "255"),
        (b"\xff\x01", 1008, "255"),
        (b"\xff\x00\x00", 1008, "255"),
        (b"\x04", 1007, "width"),
        (b"\x04{", 1007, "width"),
        (b'\x04{"width": 0, "height": 24}', 1008, "width"),
        (b'\x04{"width": 80, "height": 0}', 1008, "width"),
        (b'\x04{"width": 65536, "height": 24}', 1008, "width"),
        (b'\x04{"width": 80}', 1008, "width"),
        (b'\x04{"width": 80, "height": 24, "depth": 1}', 1008, "width"),
        ("hello", 1007, "JSON"),
        ('{"signal": "SIGNOTHING"}', 1008, "signal"),
        ('{"signal": 2}', 1008, "signal"),
        ("{}", 1008, "signal"),
        (bytes(65538), 1009, "large"),
        ('{"signal": "' + "x" * 65536 + '"}', 1009, "large"),
    ]:
        with run(api, machine, "sh", "-c", "echo up; exec cat") as session:
            session.until("up")
            session.websocket.send(message)
            status, reason = session.closed()
        assert (status, word in reason) == (code, True), (message[:40], status, reason)
    with run(api, machine, "cat") as session:
        session.end_input()
        with contextlib.suppress(ConnectionClosed):
            session.type("more")
        status, _ = session.closed()
        assert status in (1008, 1000)  # cat may have ended first
    until(lambda: not find_process(api, b"cat\0"), "all of them were hung up on")


def test_the_largest_messages(api):
    machine = api.run()
    with run(api, machine, "wc", "-c") as session:
        session.send(STDIN, bytes(65536))
        session.websocket.send([b"\x00" + bytes(30_000), bytes(35_536)])  # in fragments
        session.end_input()
        assert session.finish()["exit_code"] == 0
    assert int(session.output[STDOUT]) == 2 * 65536
    with open_socket(api, machine) as session:
        session.websocket.send(json.dumps({"cmd": ["true"]}) + " " * ((1 << 20) - 20))
        assert session.finish()["exit_code"] == 0
    with open_socket(api, machine) as session:
        session.websocket.send(" " * ((1 << 20) + 1))
        assert session.closed()[0] == 1009


def test_a_client_that_closes_takes_its_command_with_it(api):
    machine = api.run()
    flag = api.directory / "flag"
    script = f"trap 'rm {flag}; exit' HUP; touch {flag}; echo up; while :; do sleep 0.01; done"
    with run(api, machine, "sh", "-c", script) as session:
        session.until("up")
    until(lambda: not flag.exists(), "the command was hung up on")
    assert session.websocket.close_code == 1000


def test_a_client_that_vanishes_takes_its_command_with_it(api):
    machine = api.run()
    flag = api.directory / "flag"
    for tty in (False, True):
        script = f"trap 'rm {flag}; exit' HUP; touch {flag}; echo up; while :; do sleep 0.01; done"
        with run(api, machine, "sh", "-c", script, tty=tty) as session:
            session.until("up")
            session.websocket.socket.shutdown(socket.SHUT_RDWR)
        until(lambda: not flag.exists(), "the command was hung up on")


def test_a_client_that_vanishes_while_output_is_held_back(api):
    machine = api.run()
    with run(api, machine, "sh", "-c", "exec cat /dev/zero") as session:
        session.until("\0")
        session.websocket.socket.shutdown(socket.SHUT_RDWR)
    until(lambda: not find_process(api, b"cat\0/dev/zero"), "the command was hung up on")


def test_the_machine_ends_meanwhile(api):
    machine = api.run()
    with run(api, machine, "sh", "-c", "echo up; exec sleep 1000") as session:
        session.until("up")
        assert api.delete(f"/v1/machines/{machine['id']}?force=true").status == 204
        verdict = session.finish()
    assert verdict.get("code") in ("machine_ended", "exec_failed") or "exit_code" in verdict


def test_the_machine_is_deleted_before_the_first_message(api):
    machine = api.run()
    with open_socket(api, machine) as session:
        assert api.delete(f"/v1/machines/{machine['id']}?force=true").status == 204
        session.websocket.send(json.dumps({"cmd": ["true"]}))
        assert session.finish()["code"] == "machine_not_found"


# ---- the handshake ----

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HEADERS = {
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def test_refused_before_the_upgrade(api):
    path = f"/v1/machines/{api.run()['id']}/exec"
    answer = api.get(path)
    assert answer.status == 426 and answer.code == "upgrade_required" and answer.headers["Upgrade"] == "websocket"
    for changes, status, code in [
        ({"Upgrade": "h2c"}, 426, "upgrade_required"),
        ({"Connection": "keep-alive"}, 426, "upgrade_required"),
        ({"Sec-WebSocket-Version": "8"}, 426, "upgrade_required"),
        ({"Sec-WebSocket-Key": "short"}, 400, "bad_websocket_key"),
        ({"Sec-WebSocket-Key": "!!!!IHNhbXBsZSBub25jZQ=="}, 400, "bad_websocket_key"),
    ]:
        answer = api.get(path, headers={**HEADERS, **changes})
        assert (answer.status, answer.code) == (status, code), changes
    for missing in HEADERS:
        answer = api.get(path, headers={name: value for name, value in HEADERS.items() if name != missing})
        assert answer.status in (400, 426), missing
    assert api.get("/v1/machines/nobody/exec", headers=HEADERS).status == 404
    assert api.request("HEAD", path, headers=HEADERS).status == 405
    stopped = api.create()
    answer = api.get(f"/v1/machines/{stopped['id']}/exec", headers=HEADERS)
    assert answer.status == 409 and answer.code == "wrong_state"


def test_over_tcp_with_a_token(tcp):
    machine = tcp.run()
    url = f"ws://127.0.0.1:{tcp.ports[0]}/v1/machines/{machine['id']}/exec"
    token = {"Authorization": f"Bearer {tcp.token}"}
    with connect(url, additional_headers=token, compression=None) as websocket:
        websocket.send(json.dumps({"cmd": ["echo", "over TCP"]}))
        session = Session(websocket)
        assert session.finish()["exit_code"] == 0
    assert session.output[STDOUT] == b"over TCP\n"
    for headers, origin, status in [
        ({}, None, 401),
        ({"Authorization": "Bearer wrong-token-of-somebody"}, None, 401),
        (token, "http://example.org", 403),
    ]:
        with pytest.raises(InvalidStatus) as refused:
            connect(url, additional_headers=headers, origin=origin, compression=None)
        assert refused.value.response.status_code == status


def frame(opcode, data, fin=True, mask=b"\1\2\3\4"):
    """A frame as a client writes it; without a mask as it must not."""
    head = bytes([(0x80 if fin else 0) | opcode])
    masked = 0x80 if mask else 0
    if len(data) < 126:
        head += bytes([masked | len(data)])
    elif len(data) < 65536:
        head += bytes([masked | 126]) + struct.pack(">H", len(data))
    else:
        head += bytes([masked | 127]) + struct.pack(">Q", len(data))
    if not mask:
        return head + data
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))


def handshake(machine):
    lines = [f"GET /v1/machines/{machine['id']}/exec HTTP/1.1", "Host: x", *(f"{k}: {v}" for k, v in HEADERS.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def read_frames(sock, stream):
    """(opcode, data) of each frame to the end of file, the answer's head before them; a close is answered."""
    assert b" 101 " in stream.readline()
    while (line := stream.readline()) != b"\r\n":
        name, value = line.strip().split(b": ", 1)
        if name.lower() == b"sec-websocket-accept":
            assert value == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, 1.3
    while head := stream.read(2):
        length = head[1] & 0x7F
        if length == 126:
            (length,) = struct.unpack(">H", stream.read(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", stream.read(8))
        data = stream.read(length)
        yield head[0] & 0x0F, data
        if head[0] == 0x88:
            with contextlib.suppress(OSError):
                sock.sendall(frame(8, data))


def talk(api, machine, *frames):
    """Everything in one write, behind the request's head; all frames that come back."""
    with api.raw(handshake(machine) + b"".join(frames)) as sock, sock.makefile("rb") as stream:
        return list(read_frames(sock, stream))


FIRST = frame(1, b'{"cmd": ["cat"]}')
END = frame(2, b"\xff\x00")


def status_of(frames):
    assert frames[-1][0] == 8
    return struct.unpack(">H", frames[-1][1][:2])[0]


def test_nothing_behind_the_head_is_lost(api):
    machine = api.run()
    frames = talk(api, machine, FIRST, frame(2, b"\x00one "), frame(9, b"ping"), frame(2, b"\x00two"), END)
    assert (0xA, b"ping") in frames
    assert b"".join(data[1:] for opcode, data in frames if opcode == 2 and data[0] == STDOUT) == b"one two"
    assert status_of(frames) == 1000


def test_echo_of_much(api):
    """Both directions at once, each held back by the other, and every byte in its place."""
    machine = api.run()
    data = os.urandom(1 << 20) * 8
    with api.raw(handshake(machine) + FIRST) as sock, sock.makefile("rb") as stream:

        def send():
            for at in range(0, len(data), 60_000):
                piece = data[at : at + 60_000]
                # A mask of zeros leaves the data as it is.
                sock.sendall(b"\x82\xfe" + struct.pack(">H", len(piece) + 1) + bytes(5) + piece)
            sock.sendall(END)

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        echo = b"".join(data[1:] for opcode, data in read_frames(sock, stream) if opcode == 2 and data[0] == STDOUT)
        thread.join(PATIENCE_S)
    assert echo == data


def test_behind_other_requests(api):
    """The upgrade, and what follows it, waited for an answer that took its time."""
    machine = api.run()
    slow = f"GET /v1/machines/{machine['id']}/wait?state=stopped&timeout=0.2 HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    data = slow + handshake(machine) + FIRST + frame(2, b"\x00behind") + END
    with api.raw(data) as sock, sock.makefile("rb") as stream:
        assert b" 408 " in stream.readline()
        length = 0
        while (line := stream.readline()) != b"\r\n":
            name, value = line.split(b":", 1)
            length = int(value) if name.lower() == b"content-length" else length
        stream.read(length)
        frames = list(read_frames(sock, stream))
    assert (2, b"\x01behind") in frames and status_of(frames) == 1000


def test_byte_by_byte(api):
    machine = api.run()
    with api.raw() as sock, sock.makefile("rb") as stream:
        for byte in handshake(machine) + FIRST + frame(2, b"\x00slow") + END:
            sock.sendall(bytes([byte]))
        assert (2, b"\x01slow") in list(read_frames(sock, stream))


def test_broken_frames(api):
    machine = api.run()
    for frames, status in [
        ([frame(1, b'{"cmd": ["cat"]}', mask=b"")], 1002),
        ([FIRST, frame(2, b"\x00x", mask=b"")], 1002),
        ([FIRST, frame(3, b"")], 1002),
        ([FIRST, frame(0, b"x")], 1002),
        ([FIRST, frame(2, b"\x00x", fin=False), frame(2, b"\x00x")], 1002),
        ([FIRST, frame(9, bytes(126))], 1002),
        ([FIRST, frame(9, b"", fin=False)], 1002),
        ([FIRST, bytes([0xC2, 0x80, 1, 2, 3, 4])], 1002),
        ([frame(1, b'{"cmd": ["\xff"]}')], 1007),
        ([FIRST, bytes([0x82, 0xFF]) + struct.pack(">Q", 1 << 40) + b"\1\2\3\4data"], 1009),
        ([FIRST, bytes([0x82, 0xFF]) + struct.pack(">Q", 1 << 63) + b"\1\2\3\4data"], 1002),
    ]:
        assert status_of(talk(api, machine, *frames)) == status, frames
    until(lambda: not find_process(api, b"cat\0"), "all of them were hung up on")


def test_tiny_fragments_cost_no_more_than_their_message(api):
    machine = api.run()
    with nobody_grows(api, machine):
        pieces = [frame(1, b"{", fin=False)] + [frame(0, b" ", fin=False)] * 500_000 + [frame(0, b'"cmd": ["true"]}')]
        assert status_of(talk(api, machine, *pieces)) == 1000


def test_a_client_that_pings_and_does_not_read(api):
    """Its pongs are not piled up."""
    machine = api.run()
    with nobody_grows(api, machine), api.raw(handshake(machine) + FIRST) as sock:
        sock.setblocking(False)
        pings = frame(9, bytes(125)) * 500
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 64 << 20:
                sent += sock.send(pings)
        held_back = sent < 64 << 20
        if not held_back:
            pytest.fail("64 MiB of pings were taken")


def test_the_token_of_the_key_is_random_base64(api):
    """The largest and the smallest key are keys."""
    machine = api.run()
    for raw in (bytes(16), b"\xff" * 16):
        headers = {**HEADERS, "Sec-WebSocket-Key": base64.b64encode(raw).decode()}
        connection = api.connection()
        connection.request("GET", f"/v1/machines/{machine['id']}/exec", headers=headers)
        assert connection.getresponse().status == 101
        connection.close()

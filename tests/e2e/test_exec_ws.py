"""Commands over WebSocket in real guests, as a program of one's own would run them."""

import contextlib
import json
import threading

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import unix_connect

from server import COMMAND_S, until

LOOP = "echo up; while :; do sleep 1; done"
STDIN, STDOUT, STDERR, EXIT, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255


class Session:
    def __init__(self, server, name, *cmd, **fields):
        path = f"ws://localhost/v1/machines/{name}/exec"
        self.stack = contextlib.ExitStack()
        self.websocket = self.stack.enter_context(
            unix_connect(str(server.socket), path, compression=None, max_size=None)
        )
        self.websocket.send(json.dumps({"cmd": list(cmd), **fields}))
        self.output = {STDOUT: b"", STDERR: b""}
        self.end = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stack.close()

    def send(self, channel, data=b""):
        self.websocket.send(bytes([channel]) + data)

    def receive(self):
        message = self.websocket.recv(timeout=COMMAND_S)
        if message[0] == EXIT:
            self.end = json.loads(message[1:])
        else:
            self.output[message[0]] += message[1:]
        return message[0]

    def until(self, text):
        while text not in self.output[STDOUT]:
            self.receive()

    def finish(self):
        while self.receive() != EXIT:
            pass
        with pytest.raises(ConnectionClosed):
            self.websocket.recv(timeout=COMMAND_S)
        assert self.websocket.close_code == 1000
        return self.end


def test_input_output_and_the_exit_code(server, launch, name):
    launch(LOOP)
    with Session(server, name, "sh", "-c", "tr a-z A-Z; echo $A >&2; exit 3", env={"A": "b"}) as session:
        session.send(STDIN, b"one ")
        session.send(STDIN, b"two\n")
        session.send(CLOSE, bytes([STDIN]))
        assert session.finish() == {"exit_code": 3, "signal": None}
    assert session.output == {STDOUT: b"ONE TWO\n", STDERR: b"b\n"}
    for fields, code in [
        ({"cmd": ["/nowhere"]}, "command_not_found"),
        ({"cmd": ["true"], "user": "nobody-of-that-name"}, "exec_failed"),
        ({"cmd": ["true"], "workdir": "/nowhere"}, "exec_failed"),
    ]:
        with Session(server, name, *fields.pop("cmd"), **fields) as session:
            assert session.finish()["code"] == code


def test_a_terminal(server, launch, name):
    launch(LOOP)
    # Not an interactive shell: that throws away what comes while it sets up the terminal for the next line.
    script = "trap 'stty size; echo resized' WINCH; trap 'exit 9' INT; stty size; echo set; while :; do sleep 0.1; done"
    with Session(server, name, "sh", "-c", script, tty=True, rows=33, columns=101) as session:
        session.until(b"set\r\n")
        assert session.output[STDOUT].startswith(b"33 101\r\n")
        session.send(RESIZE, json.dumps({"width": 120, "height": 40}).encode())
        session.until(b"resized\r\n")
        assert b"40 120\r\n" in session.output[STDOUT]
        session.send(STDIN, b"\x03")
        assert session.finish()["exit_code"] == 9


def test_signals_and_a_client_that_goes(server, launch, name):
    launch(LOOP)
    script = "trap 'echo caught; exit 7' USR1; trap 'echo hung up >/tmp/flag; exit' HUP; echo up; while :; do sleep 0.1; done"
    with Session(server, name, "sh", "-c", script) as session:
        session.until(b"up\n")
        session.websocket.send('{"signal": "SIGUSR1"}')
        assert session.finish()["exit_code"] == 7
    with Session(server, name, "sh", "-c", script) as session:
        session.until(b"up\n")
    until(lambda: server.krunctl("exec", name, "--", "cat", "/tmp/flag", check=False).stdout == b"hung up\n")


def test_sixteen_at_once_and_no_more(server, launch, name):
    """As many as QEMU has session ports."""
    launch(LOOP)
    sessions = [Session(server, name, "cat") for _ in range(16)]
    for number, session in enumerate(sessions):
        session.send(STDIN, b"%d\n" % number)
    for number, session in enumerate(sessions):
        session.until(b"%d\n" % number)
    with Session(server, name, "true") as one_more:
        assert "16 session ports" in one_more.finish()["error"]
    for session in sessions:
        session.send(CLOSE, bytes([STDIN]))
        assert session.finish()["exit_code"] == 0
        session.close()


def test_much_of_both_ways(server, launch, name):
    """Through a real transport: nothing is lost, nothing out of place."""
    launch(LOOP)
    size = 4 << 20
    with Session(server, name, "sh", "-c", f"md5sum; head -c {size} /dev/zero | tr '\\0' x") as session:

        def send():
            for _ in range(size // 32768):
                session.send(STDIN, bytes(32768))
            session.send(CLOSE, bytes([STDIN]))

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        assert session.finish()["exit_code"] == 0
        thread.join(COMMAND_S)
    digest, _, rest = session.output[STDOUT].partition(b"\n")
    assert digest.split()[0] == b"b5cfa9d6c8febd618f91ac2843d50a1c"
    assert rest == b"x" * size

"""A krun-api of one's own on this machine, measured through its unix socket."""

import concurrent.futures
import contextlib
import http.client
import json
import mmap
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path

START_TIMEOUT_S = 20
CALL_TIMEOUT_S = 120
IDLE_WORKLOAD = {"exec_path": "/bin/sh", "args": ["-c", "while :; do sleep 1000; done"]}


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=CALL_TIMEOUT_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Server:
    """Started on entry, ended on exit. The server is held on the first processor, so that a load has the second."""

    def __init__(self, build, work, backend):
        self.meter = build / "bench/meter"
        self.directory = Path(tempfile.mkdtemp(prefix="s", dir=work))
        self.socket = self.directory / "run/api.sock"
        self.log = (self.directory / "krun-api.log").open("wb")
        self.command = [str(build / "src/api/krun-api"), "--socket-dir", str(self.directory / "run"), "--state-dir",
                        str(self.directory / "state"), "--backend", backend]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self.call("GET", "/healthz")
                return self
            except (OSError, http.client.HTTPException) as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.__exit__()
                    raise RuntimeError(f"krun-api did not start: {self.said()}") from error
            time.sleep(0.02)

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def said(self):
        return (self.directory / "krun-api.log").read_text(errors="replace")[-2000:]

    def call(self, method, path, body=None, kind="application/json"):
        connection = Connection(self.socket)
        try:
            connection.request(method, path, body, {"Content-Type": kind})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {text.decode(errors='replace')}\n{self.said()}")
        return text

    def timed(self, method, path, body=None):
        started = time.monotonic()
        self.call(method, path, body)
        return (time.monotonic() - started) * 1e3

    def create(self, name, image="test:latest"):
        """Create a machine; the milliseconds it took."""
        return self.timed("POST", "/v1/machines", json.dumps({"name": name, "config": {"image": image, **IDLE_WORKLOAD}}))

    def import_image(self, archive, name):
        # Mapped, because http.client sends an open file in chunks of its own.
        with open(archive, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            self.call("POST", f"/v1/images?name={name}", content, "application/x-tar")

    def weigh(self, seconds=0):
        """Memory and, over some seconds, CPU time of krun-api alone."""
        return self._meter(["weigh", "-s", str(seconds), str(self.process.pid)])

    def _cpu_ns(self):
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0])

    def load(self, path, seconds=5):
        """Answers per second of krun-api's CPU time, which others on this machine cannot take from it."""
        os.sched_setaffinity(self.process.pid, {0})
        try:
            words = ["load", "-c", "32", "-s", str(seconds), str(self.socket), path]
            before = self._cpu_ns()
            answers = self._meter(words, cpu=os.cpu_count() - 1)["answers"]
            return answers * 1e9 / (self._cpu_ns() - before)
        finally:
            os.sched_setaffinity(self.process.pid, range(os.cpu_count()))

    def _meter(self, words, cpu=None):
        pin = ["taskset", "-c", str(cpu)] if cpu is not None else []
        ran = subprocess.run([*pin, str(self.meter), *words], capture_output=True, text=True, timeout=CALL_TIMEOUT_S)
        if ran.returncode != 0:
            raise RuntimeError(f"meter {' '.join(words)}: {ran.stderr.strip()}")
        return {name: float(value) for name, value in (line.split()[:2] for line in ran.stdout.splitlines())}

    def events_seen(self, count, since, machine_count, image):
        """So many followers of /v1/events watch machines come and go: how many of them saw exactly what the history has, and
        the milliseconds from the last change to the last follower's having seen it."""
        connections = [Connection(self.socket) for _ in range(count)]
        try:
            for connection in connections:
                connection.request("GET", f"/v1/events?since={since}&follow=true")
            streams = [connection.getresponse() for connection in connections]
            for number in range(machine_count):
                self.create(f"e{number}", image)
                self.call("DELETE", f"/v1/machines/e{number}")
            ended = time.monotonic()
            history = self.call("GET", f"/v1/events?since={since}&follow=false").splitlines(keepends=True)
            with concurrent.futures.ThreadPoolExecutor(count) as readers:
                seen = list(readers.map(lambda stream: [stream.readline() for _ in history], streams))
            return sum(lines == history for lines in seen), (time.monotonic() - ended) * 1e3
        finally:
            for connection in connections:
                connection.close()

    @contextlib.contextmanager
    def followers(self, path, count):
        """Hold so many followers of a stream open."""
        process = subprocess.Popen([str(self.meter), "follow", "-c", str(count), str(self.socket), path],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            if not process.stdout.readline().startswith("following"):
                raise RuntimeError("the followers could not be opened")
            yield
        finally:
            process.stdin.close()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

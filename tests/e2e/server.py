"""A krun-api of one's own, and its programs on the command line. Every wait has a deadline."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("KRUN_BUILD", ROOT / "build" / "main")).resolve()
API = BUILD / "src" / "api" / "krun-api"
KRUNCTL = BUILD / "src" / "cli" / "krunctl"
KRUN_RUN = BUILD / "src" / "cli" / "krun-run"
KRUNFW = next((ROOT / "build" / "deps" / "root" / "usr" / "lib").glob("*/libkrunfw.so.5"), None)

# An emulated guest is up in two seconds; a busy host takes several times as long.
READY_S = 60
COMMAND_S = 120

# A rootless podman leaves a process that holds its user namespace, for its next call: podman's, not ours.
PODMAN_PAUSE = ("podman pause", "catatonit")


def until(condition, deadline_s=20, what=""):
    """Asks again until the answer is true; what has no event to wait for."""
    end = time.monotonic() + deadline_s
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < end, f"not true within {deadline_s} s: {what or condition}"
        time.sleep(0.02)


def is_running(pid):
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return status != "Z"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


class Server:
    """`base` holds its state; sockets lie in `run`, whose path is short."""

    def __init__(self, base, run, options=()):
        self.state = base / "state"
        self.run_dir = run
        self.socket = run / "api.sock"
        self.log = base / "krun-api.log"
        self.options = list(options)
        self.mark = f"KRUN_TEST={uuid.uuid4()}"
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("KRUN_")}
        self.env.update({"KRUN_API": f"unix://{self.socket}", "KRUN_TEST": self.mark.partition("=")[2]})
        self.process = None

    # ---- the server itself ----

    def start(self):
        argv = [str(API), "--backend", "qemu", "--state-dir", str(self.state), "--socket-dir", str(self.run_dir)]
        argv += ["--listen", f"unix://{self.socket}"]
        if KRUNFW:
            argv += ["--libkrunfw-path", str(KRUNFW)]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                argv + self.options, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env, start_new_session=True
            )
        until(self.answers, what=f"krun-api answers; its log: {self.log.read_text()[-2000:]}")

    def answers(self):
        assert self.process.poll() is None, f"krun-api ended: {self.log.read_text()[-2000:]}"
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.call("GET", "/readyz", deadline_s=5)[0] == 200
        return False

    def end(self, number=signal.SIGTERM):
        if self.process is None:
            return None
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process = None
        return code

    # ---- calls ----

    def call(self, method, path, body=None, deadline_s=COMMAND_S):
        """(status, answer)"""
        connection = UnixConnection(self.socket, deadline_s)
        try:
            text = json.dumps(body) if body is not None else None
            connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
            answer = connection.getresponse()
            data = answer.read()
            is_json = "json" in (answer.headers.get("Content-Type") or "")
            return answer.status, json.loads(data) if is_json and data else data
        finally:
            connection.close()

    def get(self, path):
        status, answer = self.call("GET", path)
        assert status == 200, answer
        return answer

    def machine(self, name):
        return self.get(f"/v1/machines/{name}")

    def wait(self, name, state, deadline_s=READY_S):
        return self.get(f"/v1/machines/{name}/wait?state={state}&timeout={deadline_s}")

    def machine_dir(self, name):
        return self.state / "machines" / self.machine(name)["id"]

    def pids(self, name):
        """{"supervisor", "vm", "net"} of a running machine, from its record."""
        record = json.loads((self.machine_dir(name) / "record.json").read_text())
        return {role: record[role]["pid"] for role in ("supervisor", "vm", "net") if record[role]}

    def pids_or_none(self, name):
        return self.pids(name) if (self.machine_dir(name) / "record.json").exists() else None

    # ---- programs ----

    def run(self, argv, check=True, deadline_s=COMMAND_S, **options):
        options.setdefault("stdin", None if "input" in options else subprocess.DEVNULL)
        if "input" in options:
            del options["stdin"]
        options.setdefault("env", self.env)
        done = subprocess.run(argv, capture_output=True, timeout=deadline_s, **options)
        if check:
            said = done.stderr.decode(errors="replace")
            assert done.returncode == 0, f"{argv} ended with {done.returncode}: {said}{self.diagnosis()}"
        return done

    def krunctl(self, *arguments, **options):
        return self.run([str(KRUNCTL), *map(str, arguments)], **options)

    def krun_run(self, *arguments, **options):
        return self.run([str(KRUN_RUN), *map(str, arguments)], **options)

    def text(self, *arguments):
        """What krunctl prints, which must succeed."""
        return self.krunctl(*arguments).stdout.decode()

    # ---- what may be left ----

    def processes(self):
        """(pid, name) of what descends from this server or a krun-run, whoever its parent is now."""
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.mark.encode() in (entry / "environ").read_bytes().split(b"\0") and is_running(entry.name):
                    name = (entry / "comm").read_text().strip()
                    if name not in PODMAN_PAUSE:
                        yield int(entry.name), name

    def names(self, directory):
        return sorted(path.name for path in directory.iterdir()) if directory.exists() else []

    def assert_clean(self):
        """Every machine was deleted: nothing of them is left, on disk or running."""
        assert self.get("/v1/machines")["machines"] == []
        assert self.names(self.state / "machines") == []
        assert self.names(self.state / "tmp") == []
        assert self.names(self.run_dir) == ["api.sock"]
        left = [name for pid, name in self.processes() if pid != self.process.pid]
        assert left == [], f"processes are left: {left}"

    def diagnosis(self):
        """The ends of all logs, for a failure's message."""
        text = ""
        for path in [self.log, *self.state.glob("machines/*/vmm.log"), *self.state.glob("machines/*/log/machine.log")]:
            if path.exists():
                text += f"\n---- {path}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-20:])
        return text

    def kill_all(self):
        for pid, _name in list(self.processes()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

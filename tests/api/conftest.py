"""API scenarios on the fake backend: a krun-api of its own for each test, and nothing left behind by any."""

import contextlib
import hashlib
import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.parse
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("KRUN_BUILD", ROOT / "build" / "main"))
PATIENCE_S = 20  # a deadline for what takes milliseconds
MARK = "KRUN_API_SCENARIO"


def until(condition, what, patience_s=PATIENCE_S):
    """Waits for what nobody announces (the end of a process that is not ours)."""
    deadline = time.monotonic() + patience_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {patience_s} s: {what}"
        time.sleep(0.002)


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = response.headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def text(self):
        return self.body.decode()

    @property
    def code(self):
        return self.json.get("code")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=PATIENCE_S):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def processes(mark):
    """Pids of all processes that carry the mark in their environment or on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if state != "Z" and mark.encode() in text:
            found.append(int(entry.name))
    return found


class Api:
    """One krun-api and its directories; outlives the process itself."""

    def __init__(self, directory, mark):
        self.directory = Path(directory)
        self.mark = mark
        self.state_dir = self.directory / "state"
        self.socket_dir = self.directory / "run"
        self.socket = str(self.socket_dir / "api.sock")
        self.log_path = self.directory / "api.log"
        self.process = None
        self.ports = []

    # ---- the process ----

    def options(self, **changes):
        options = {
            "state_dir": self.state_dir,
            "socket_dir": self.socket_dir,
            "backend": "fake",
            "vminit_path": BUILD / "src/guest/vminit-fake",
            "vmm_path": BUILD / "src/vmm/krun-vmm",
            "net_path": BUILD / "src/net/krun-net",
            "image_path": BUILD / "src/image/krun-image",
            "log_level": "debug",
        }
        options.update(changes)
        return [f"--{name.replace('_', '-')}={value}" for name, value in options.items() if value is not None]

    def spawn(self, *arguments, listen=(), program=None, **changes):
        listens = [f"--listen={address}" for address in listen]
        with self.log_path.open("ab") as log:
            self.log_at = log.tell()
            return subprocess.Popen(
                [program or BUILD / "src/api/krun-api", *self.options(**changes), *listens, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=dict(os.environ, **{MARK: self.mark}),
                start_new_session=True,
            )

    def start(self, *arguments, **changes):
        self.process = self.spawn(*arguments, **changes)
        until(lambda: " ready: " in self.log_tail() or self.process.poll() is not None, "krun-api is ready")
        assert self.process.poll() is None, self.log_tail()
        self.ports = [
            int(line.rsplit(":", 1)[1]) for line in self.log_tail().splitlines() if "listening on http://127" in line
        ]
        return self

    def refuses_to_start(self, *arguments, **changes):
        """Its last words."""
        process = self.spawn(*arguments, **changes)
        assert process.wait(PATIENCE_S) == 1
        return self.log_tail()

    def log_tail(self):
        with self.log_path.open("rb") as log:
            log.seek(self.log_at)
            return log.read().decode()

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE_S)
        assert code == 0, f"krun-api ended with {code}: {self.log_tail()}"
        assert not Path(self.socket).exists()

    def restart(self, **changes):
        self.kill()
        self.start(**changes)

    # ---- requests ----

    def connection(self, timeout=PATIENCE_S):
        return UnixConnection(self.socket, timeout)

    def request(self, method, path, body=None, headers=None, connection=None):
        own = connection is None
        connection = connection or self.connection()
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)) and not hasattr(body, "read"):
            body = json.dumps(body)
        if body is not None and "Content-Type" not in headers:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return Answer(response, response.read())
        finally:
            if own:
                connection.close()

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.request("POST", path, body, **options)

    def delete(self, path, **options):
        return self.request("DELETE", path, **options)

    @contextlib.contextmanager
    def stream(self, path, headers=None):
        connection = self.connection()
        try:
            connection.request("GET", path, headers=headers or {})
            yield connection.getresponse()
        finally:
            connection.close()

    def raw(self, data=b""):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE_S)
        sock.connect(self.socket)
        sock.sendall(data)
        return sock

    # ---- machines ----

    def body(self, script="sleep 1000", name=None, network=None, labels=None, **config):
        """A machine that runs a shell script on the host's own root."""
        config = {"rootfs_path": "/", "exec_path": "/bin/sh", "args": ["-c", script], **config}
        config["env"] = {MARK: self.mark, **config.get("env", {})}
        body = {"config": config, "network": network or {"mode": "none"}}
        if name is not None:
            body["name"] = name
        if labels is not None:
            body["labels"] = labels
        return body

    def create(self, script="sleep 1000", **options):
        answer = self.post("/v1/machines", self.body(script, **options))
        assert answer.status == 201, answer.text
        return answer.json

    def run(self, script="sleep 1000", **options):
        answer = self.post("/v1/machines?start=true&wait=ready&timeout=20", self.body(script, **options))
        assert answer.status == 201, answer.text
        return answer.json

    def run_trap(self, trap, **options):
        """Runs until the trap is set."""
        machine = self.run(f"trap {trap}; echo up; while :; do sleep 0.01; done", **options)
        with self.stream(f"/v1/machines/{machine['id']}/logs?follow=true") as log:
            assert log.readline() == b"up\n"
        return machine

    def wait(self, machine, state="stopped", timeout=PATIENCE_S):
        answer = self.get(f"/v1/machines/{machine['id']}/wait?state={state}&timeout={timeout}")
        assert answer.status == 200, answer.text
        return answer.json

    def look(self, machine):
        return self.get(f"/v1/machines/{machine['id']}").json

    def logs(self, machine, query=""):
        return self.get(f"/v1/machines/{machine['id']}/logs{query}").text

    def exec(self, machine, *cmd, **fields):
        return self.post(f"/v1/machines/{machine['id']}/exec", {"cmd": list(cmd), **fields})

    def record(self, machine):
        """What krun-vmm wrote down: pids above all."""
        return json.loads((self.state_dir / "machines" / machine["id"] / "record.json").read_text())

    def run_dir(self, machine):
        return self.socket_dir / machine["id"].replace("-", "")[-12:]

    # ---- the end ----

    def memory_kib(self, what):
        """VmRSS or VmHWM of the server."""
        return int(Path(f"/proc/{self.process.pid}/status").read_text().split(what + ":")[1].split()[0])

    def is_sanitized(self):
        """Under a sanitizer everything is larger."""
        return b"__asan" in (BUILD / "src/api/krun-api").read_bytes()

    def leftovers(self):
        found = []
        for name in ("machines", "tmp"):
            path = self.state_dir / name
            found += [str(entry) for entry in path.iterdir()] if path.exists() else []
        if self.socket_dir.exists():
            found += [str(entry) for entry in self.socket_dir.iterdir()]
        return found

    def finish(self):
        if self.process is None:
            return
        if self.process.poll() is not None:
            self.start()
        for machine in self.get("/v1/machines?limit=1000").json["machines"]:
            answer = self.delete(f"/v1/machines/{machine['id']}?force=true")
            assert answer.status == 204, answer.text
        self.stop()
        # What the fake guest ran is not a process of ours: it may still be on its way out.
        until(lambda: not processes(self.mark), "the processes are gone")
        assert not self.leftovers()
        assert "Sanitizer" not in self.log_path.read_text(errors="replace")

    def destroy(self):
        """Whatever happened before: nothing survives the test."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for pid in processes(self.mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def stopped_api():
    """Not started: for tests of starting."""
    # Sockets have short paths.
    directory = tempfile.mkdtemp(prefix="krun-", dir="/tmp")
    api = Api(directory, os.path.basename(directory))
    try:
        yield api
        api.finish()
    except BaseException:
        if api.log_path.exists():
            sys.stderr.write(api.log_path.read_text(errors="replace"))
        raise
    finally:
        api.destroy()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def api(stopped_api):
    return stopped_api.start()


@pytest.fixture
def tcp(stopped_api):
    """With a TCP listener; `api.ports[0]` and `api.token`."""
    api = stopped_api
    api.start(listen=[f"unix://{api.socket}", ":0"])
    api.token = (api.state_dir / "token").read_text().strip()
    return api


# ---- images ----


def _add(archive, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def make_layer(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            _add(archive, name, data)
    return out.getvalue()


def make_image(config=None, files=None, names=("web:latest",)):
    """An OCI layout as a tar, and its digest."""
    layer = make_layer(files or {"hello.txt": b"hello\n"})

    def digest(data):
        return "sha256:" + hashlib.sha256(data).hexdigest()

    image = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine],
        "os": "linux",
        "config": config or {},
        "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
    }
    config_blob = json.dumps(image).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest(config_blob),
            "size": len(config_blob),
        },
        "layers": [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(layer), "size": len(layer)}
        ],
    }
    manifest_blob = json.dumps(manifest).encode()
    index = {
        "schemaVersion": 2,
        "manifests": [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": digest(manifest_blob),
                "size": len(manifest_blob),
                "annotations": {"org.opencontainers.image.ref.name": name},
            }
            for name in names[:1]
        ],
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(archive, "index.json", json.dumps(index).encode())
        for blob in (config_blob, manifest_blob, layer):
            _add(archive, "blobs/sha256/" + digest(blob)[7:], blob)
    return out.getvalue(), digest(config_blob)


def quote(text):
    return urllib.parse.quote(text, safe="")

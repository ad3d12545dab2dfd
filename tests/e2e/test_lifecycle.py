"""A machine from its start to its deletion."""

import json
import shutil
import socket
import subprocess
import urllib.request

import pytest

import archive
from conftest import IMAGE, remove
from server import KRUNCTL, is_running, until

LOOP = "echo up; while :; do sleep 1; done"


def fetch(port, path="/"):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return answer.read().decode()


def answers(port):
    try:
        return fetch(port)
    except OSError:
        return None


@pytest.fixture(scope="module")
def builder(server):
    """The builder that krun-run would take; the tests that need one are skipped where none works for this user."""
    done = server.krunctl("doctor", "--json", check=False)
    found = next(finding for finding in json.loads(done.stdout) if finding["check"] == "builder")
    if found["grade"] != "ok":
        pytest.skip(found["text"])
    return found["text"]


@pytest.fixture
def context(tmp_path, is_root):
    """A directory with a Dockerfile. Its RUN needs more of a builder than a user without subordinate ids can give it."""
    directory = tmp_path / "Web App"
    directory.mkdir()
    shutil.copy(archive.busybox(), directory / "busybox")
    (directory / "index.html").write_text("built here\n")
    run = 'RUN ["/bin/busybox", "sh", "-c", "echo and run here >>/www/index.html"]\n'
    (directory / "Dockerfile").write_text(
        "FROM scratch\n"
        "COPY busybox /bin/busybox\n"
        "COPY index.html /www/index.html\n"
        f"{run if is_root else ''}"
        "ENV GREETING=hello\n"
        "EXPOSE 80\n"
        'CMD ["/bin/busybox", "sh", "-c", "echo $GREETING from $0; exec busybox httpd -f -p 80 -h /www"]\n'
    )
    return directory, "built here\nand run here\n" if is_root else "built here\n"


def test_dockerfile_run_logs_exec_port_stop_delete(server, builder, context, name):
    context, page = context
    try:
        run = server.krun_run("--builder", builder, "-n", name, "-p", "80", "-e", "GREETING=good morning", context)
        machine = server.machine(name)
        assert run.stdout.decode() == f"Created machine: id={machine['id']} name={name} state=running\n"
        assert machine["config"]["image"] == "web-app:latest"
        assert machine["backend"] == "qemu"
        # The build's own output went to standard error.
        assert b"COPY busybox" in run.stderr or b"busybox /bin/busybox" in run.stderr

        until(lambda: server.text("logs", name) == "good morning from sh\n", what="the greeting is in the log")
        assert server.text("exec", name, "/bin/busybox", "cat", "/www/index.html") == page

        port = machine["ports"][0]["host_port"]
        assert port != 0
        assert until(lambda: answers(port), what="the published port answers") == page
        assert f"127.0.0.1:{port}->80/tcp" in server.text("ps")

        pids = server.pids(name)
        assert set(pids) == {"supervisor", "vm", "net"}
        directory = server.machine_dir(name)
        server.krunctl("stop", "-t", "1", name)
        stopped = server.machine(name)
        assert stopped["state"] == "stopped"
        assert stopped["exit"]["requested"] is True
        assert [role for role, pid in pids.items() if is_running(pid)] == []
        assert answers(port) is None
        assert name not in server.text("ps")
        assert name in server.text("ps", "-a")

        server.krunctl("rm", name)
        assert server.call("GET", f"/v1/machines/{name}")[0] == 404
        assert not directory.exists()
    finally:
        remove(server, name)
    # An image in use cannot go; one that is not can.
    assert server.text("rmi", "web-app:latest") == "web-app:latest\n"


def test_failing_build_makes_no_machine(server, builder, tmp_path):
    context = tmp_path / "broken"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY no-such-file /\n")
    done = server.krun_run("-n", "broken", context, check=False)
    assert done.returncode == 125
    assert done.stdout == b""
    assert b"no-such-file" in done.stderr
    assert b"the build of" in done.stderr
    assert server.call("GET", "/v1/machines/broken")[0] == 404
    assert server.call("GET", "/v1/images/broken:latest")[0] == 404


def test_archive_is_imported_and_its_own_command_runs(server, image_archive, name):
    try:
        server.krun_run("-n", name, image_archive)
        assert server.wait(name, "stopped")["exit"]["code"] == 0
        assert server.text("logs", name) == "its own command\n"
    finally:
        remove(server, name)


def test_environment_user_workdir_and_hostname(server, launch, name):
    launch(
        "echo $FROM_IMAGE $ADDED $(id -u):$(id -g) $(pwd) $(hostname); sleep 1000",
        "-e", "ADDED=a b", "-u", "guest", "-w", "/tmp", "--hostname", "inside",
    )  # fmt: skip
    until(lambda: server.text("logs", name) == "yes a b 1000:1000 /tmp inside\n", what="the line is in the log")


def test_no_start_then_start(server, name):
    try:
        done = server.krun_run("-n", name, "--no-start", IMAGE, "--", "/bin/sh", "-c", LOOP)
        assert done.stdout.decode().endswith(f"name={name} state=created\n")
        assert server.pids_or_none(name) is None
        server.krunctl("start", name)
        assert server.machine(name)["state"] == "running"
    finally:
        remove(server, name)


def test_stop_start_keeps_disk_and_log(server, launch, name):
    launch("echo start $(cat /kept 2>/dev/null); echo x >>/kept; sync; while :; do sleep 1; done", "--stop-timeout", "1")
    until(lambda: "start" in server.text("logs", name), what="first start")
    server.krunctl("stop", name)
    server.krunctl("start", name)
    until(lambda: server.text("logs", name) == "start\nstart x\n", what="second start sees the first one's file")
    assert server.machine(name)["generation"] == 2


def test_two_machines_at_once(server, launch, name):
    for which in ("one", "two"):
        launch(LOOP, "--hostname", which, "-p", "0:80", name=f"{name}-{which}", wait=False)
    for which in ("one", "two"):
        assert server.wait(f"{name}-{which}", "running")["state"] == "running"
        assert server.text("exec", f"{name}-{which}", "hostname") == f"{which}\n"
    one, two = (server.machine(f"{name}-{which}") for which in ("one", "two"))
    assert one["ports"][0]["host_port"] != two["ports"][0]["host_port"]
    assert set(server.pids(f"{name}-one").values()).isdisjoint(server.pids(f"{name}-two").values())
    # The one's end is not the other's.
    server.krunctl("stop", "-t", "0", f"{name}-one")
    assert server.text("exec", f"{name}-two", "hostname") == "two\n"


def test_taken_port_is_named_and_taken_by_nobody_else(server, launch, name):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = server.krun_run("-n", name, "-p", f"{port}:80", IMAGE, check=False)
        launch.launched.append(name)
        assert done.returncode == 125
        assert str(port) in done.stderr.decode()
        assert server.machine(name)["state"] == "failed"
    server.krunctl("start", name)


def test_name_taken(server, launch, name):
    launch(LOOP)
    done = server.krun_run("-n", name, IMAGE, check=False)
    assert done.returncode == 125
    assert name in done.stderr.decode()
    assert server.machine(name)["state"] == "running"


def test_unknown_image_says_so(server):
    done = server.krun_run("no-such-image:latest", check=False)
    assert done.returncode == 125
    assert b"no-such-image" in done.stderr
    assert server.get("/v1/machines")["machines"] == []


def test_exec_exit_codes_and_streams(server, launch, name):
    launch(LOOP)
    done = server.krunctl("exec", name, "sh", "-c", "echo out; echo err >&2; exit 9", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (9, b"out\n", b"err\n")
    assert server.krunctl("exec", name, "/no/such", check=False).returncode == 127
    assert server.krunctl("exec", name, "/www/index.html", check=False).returncode == 126
    assert server.krunctl("exec", name, "sh", "-c", "kill -9 $$", check=False).returncode == 137
    assert server.krunctl("exec", "-i", name, "wc", "-c", input=b"x" * 100000).stdout == b"100000\n"
    # No time for its own end: it is killed, and said so.
    done = server.krunctl("exec", "--timeout", "1", name, "sleep", "1000", check=False)
    assert done.returncode == 125
    assert b"did not end within 1 s" in done.stderr


def test_init_is_checked(server, tmp_path, name):
    wrong = tmp_path / "vminit"
    wrong.write_text("#!/bin/sh\n")
    done = server.krun_run("--init", wrong, "-n", name, IMAGE, check=False)
    assert done.returncode == 125
    assert b"no Linux program" in done.stderr
    assert server.call("GET", f"/v1/machines/{name}")[0] == 404


def test_info_and_doctor(server):
    info = json.loads(server.text("info", "--json"))
    qemu = next(backend for backend in info["backends"] if backend["name"] == "qemu")
    assert qemu["usable"], qemu
    assert "qemu" in server.text("info")
    findings = json.loads(server.text("doctor", "--json"))
    assert {"server", "builder", "disk", "hypervisor"} <= {finding["check"] for finding in findings}


def test_doctor_without_a_server(server, tmp_path):
    env = dict(server.env, KRUN_API=f"unix://{tmp_path}/nobody.sock")
    done = subprocess.run(
        [str(KRUNCTL), "doctor", "--json"], env=env, capture_output=True, timeout=60, stdin=subprocess.DEVNULL
    )
    findings = {finding["check"]: finding for finding in json.loads(done.stdout)}
    assert "no krun-api answers" in findings["server"]["text"]
    assert "backend qemu" in findings

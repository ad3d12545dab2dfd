"""Real guests on the qemu backend, emulated in software where the host has no usable KVM.

Each module has a server of its own with one image, test:latest (archive.py). A test launches its machines with the
fixture `launch`, which deletes them in the end; after the module's last test nothing may be left. Runs as root and as
an ordinary user; what only root can do says so.
"""

import itertools
import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest

import archive
from server import READY_S, Server, is_running

IMAGE = "test:latest"


@pytest.fixture(scope="session")
def image_archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "test.tar"
    archive.write_image(path, IMAGE)
    return path


@pytest.fixture(scope="module")
def server_options():
    """More options of the module's krun-api; a module overrides this."""
    return []


@pytest.fixture(scope="module")
def run_directory():
    """A directory for sockets, whose paths are short."""
    run = Path(tempfile.mkdtemp(prefix="k-"))
    yield run
    shutil.rmtree(run, ignore_errors=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory, image_archive, run_directory, server_options):
    host = Server(tmp_path_factory.mktemp("server"), run_directory, server_options)
    try:
        host.start()
        host.krunctl("import", image_archive)
        yield host
        host.assert_clean()
        assert host.end() == 0, "krun-api did not end well"
        assert host.names(run_directory) == []
    finally:
        host.kill_all()


_count = itertools.count(1)


@pytest.fixture
def name(request):
    """A name for a machine that tells which test made it."""
    clean = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return f"{clean[:50]}-{next(_count)}"


@pytest.fixture
def launch(server, name):
    """launch(script, ...): a machine that runs the script with sh, up when this returns; the machine as the API has it."""
    launched = []

    def start(script, *options, name=name, wait=True):
        launched.append(name)
        server.krun_run("-n", name, "--timeout", READY_S if wait else 0, *options, IMAGE, "--", "/bin/sh", "-c", script)
        return server.machine(name)

    start.launched = launched
    yield start
    for machine in launched:
        remove(server, machine)


def remove(server, name):
    """Deletes a machine if it is still there; at its return the processes are gone."""
    status, _ = server.call("GET", f"/v1/machines/{name}")
    if status == 404:
        return
    directory = server.machine_dir(name)
    pids = server.pids(name) if (directory / "record.json").exists() else {}
    server.krunctl("rm", "-f", name)
    assert not directory.exists()
    assert [role for role, pid in pids.items() if is_running(pid)] == []


@pytest.fixture(scope="session")
def is_root():
    return os.geteuid() == 0

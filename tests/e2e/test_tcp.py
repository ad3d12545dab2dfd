"""krunctl and krun-run over loopback TCP, which asks for a token."""

import os
import socket

import pytest

from conftest import IMAGE


@pytest.fixture(scope="module")
def port():
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        return chosen.getsockname()[1]


@pytest.fixture(scope="module")
def server_options(port):
    return ["--listen", str(port)]


def test_token_opens(server, port, name):
    token = ["--api", f"http://localhost:{port}", "--token-file", server.state / "token"]
    try:
        done = server.krun_run(*token, "-n", name, "--no-start", IMAGE)
        assert f"name={name} state=created" in done.stdout.decode()
        assert server.text("ps", "-a", *token).splitlines()[1].startswith(name)
    finally:
        server.krunctl("rm", *token, name)


@pytest.mark.parametrize("token", [None, "x" * 64])
def test_without_the_token_nothing(server, port, token, tmp_path):
    """Neither without one nor with a wrong one; krun-run notices before it builds."""
    options = ["--api", f"http://127.0.0.1:{port}"]
    if token:
        (tmp_path / "token").write_text(token)
        options += ["--token-file", tmp_path / "token"]
    # The state directory of somebody else: no token is found there.
    env = dict(server.env, XDG_STATE_HOME=str(tmp_path), HOME=str(tmp_path))
    if os.geteuid() == 0 and not token and os.path.exists("/var/lib/krun-api/token"):
        pytest.skip("this host has a krun-api whose token would be found")
    done = server.krunctl("ps", *options, check=False, env=env)
    assert done.returncode == 1
    assert b"token" in done.stderr
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    done = server.krun_run(*options, tmp_path, check=False, env=env)
    assert done.returncode == 125
    assert b"token" in done.stderr
    assert b"building" not in done.stderr


def test_token_file_is_the_users_alone(server):
    assert (server.state / "token").stat().st_mode & 0o777 == 0o600
    assert server.socket.stat().st_mode & 0o777 == 0o600


def test_nobody_listens(server):
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        port = chosen.getsockname()[1]
    done = server.krunctl("ps", "--api", f"http://localhost:{port}", check=False)
    assert done.returncode == 1
    assert b"start it with 'krun-api'" in done.stderr

"""Listening, tokens, and what the server says of itself."""

import http.client
import os
import socket
import stat

import pytest
from conftest import PATIENCE_S, Answer


def ask(api, path="/healthz", headers=None, token=True, host="127.0.0.1"):
    connection = http.client.HTTPConnection(host, api.ports[0], timeout=PATIENCE_S)
    headers = dict(headers or {})
    if token:
        headers["Authorization"] = f"Bearer {api.token}"
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return Answer(response, response.read())
    finally:
        connection.close()


def test_the_socket_is_its_owners(api):
    assert stat.S_IMODE(os.stat(api.socket).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(api.socket_dir).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(api.state_dir).st_mode) == 0o700


def test_tcp_needs_the_token(tcp):
    assert ask(tcp).status == 200
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {tcp.token}"},
                    {"Authorization": f"Bearer {tcp.token}x"}, {"Authorization": "Bearer "}):
        answer = ask(tcp, headers=headers, token=False)
        assert answer.status == 401 and answer.code == "unauthorized"
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        # Also where there is nothing: who may not ask does not learn what there is.
        assert ask(tcp, "/nothing", headers=headers, token=False).status == 401
    assert stat.S_IMODE((tcp.state_dir / "token").stat().st_mode) == 0o600


def test_loopback_is_both_families(tcp):
    assert len(tcp.ports) == 1
    if socket.has_ipv6:
        assert ask(tcp, host="::1").status == 200
        assert ask(tcp, host="localhost").status == 200


def test_dns_rebinding(tcp):
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "", "[::1", "a b"):
        answer = ask(tcp, headers={"Host": host})
        assert answer.status == 403 and answer.code == "foreign_host", host
    for host in ("localhost", "LOCALHOST:1", "127.0.0.1:8080", "[::1]:80", "web.localhost", "localhost."):
        assert ask(tcp, headers={"Host": host}).status == 200, host


def test_foreign_origins(tcp):
    for origin in ("http://evil.example", "null", f"http://localhost:{tcp.ports[0] + 1}", "http://127.0.0.1"):
        answer = ask(tcp, headers={"Origin": origin, "Host": f"localhost:{tcp.ports[0]}"})
        assert answer.status == 403 and answer.code == "foreign_origin", origin
    own = f"localhost:{tcp.ports[0]}"
    assert ask(tcp, headers={"Origin": f"http://{own}", "Host": own}).status == 200


def test_the_token_stays(tcp):
    token = tcp.token
    tcp.restart(listen=[f"unix://{tcp.socket}", ":0"])
    assert (tcp.state_dir / "token").read_text().strip() == token
    assert ask(tcp).status == 200


def test_a_token_file(stopped_api):
    path = stopped_api.directory / "secret"
    path.write_text("a-token-of-my-own-choice\n")
    path.chmod(0o644)
    assert "chmod 600" in stopped_api.refuses_to_start(listen=["0.0.0.0:0"], token_file=path)
    path.chmod(0o600)
    api = stopped_api.start(listen=[f"unix://{stopped_api.socket}", "127.0.0.1:0"], token_file=path)
    api.token = "a-token-of-my-own-choice"
    assert ask(api).status == 200
    api.stop()
    path.write_text("short\n")
    assert "16 to 512" in api.refuses_to_start(listen=[":0"], token_file=path)
    path.write_text("a-token-of-my-own-choice\n")


@pytest.mark.parametrize(
    "address, words",
    [
        ("0.0.0.0:0", "needs --token-file"),
        ("[::]:0", "needs --token-file"),
        ("192.0.2.1:0", "needs --token-file"),
        ("::1:80", "in brackets"),
        ("example.org:80", "is not an address"),
        (":65536", "port between"),
        (":x", "port between"),
        ("unix://relative", "absolute"),
        ("unix:///" + "a" * 200, "at most"),
        ("", "port between"),
    ],
)
def test_addresses_that_are_refused(stopped_api, address, words):
    assert words in stopped_api.refuses_to_start(listen=[address])


def test_a_port_in_use(stopped_api):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        words = stopped_api.refuses_to_start(listen=[f":{other.getsockname()[1]}"])
    assert "address already in use" in words


def test_options_that_are_refused(stopped_api, tmp_path):
    api = stopped_api
    assert "--backend" in api.refuses_to_start(backend="xen")
    assert "--log-level" in api.refuses_to_start(log_level="loud")
    assert "operand" in api.refuses_to_start("operand")
    assert "unknown" in api.refuses_to_start("--nonsense").lower()
    config = tmp_path / "config"
    config.write_text('{"listen": [":0"], "nonsense": 1}')
    assert "nonsense" in api.refuses_to_start(config=config)
    assert "cannot read" in api.refuses_to_start(config="/nowhere/config")
    (tmp_path / "file").write_text("")
    assert "cannot make the directory" in api.refuses_to_start(state_dir=tmp_path / "file" / "state")
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    assert "nobody else may write" in api.refuses_to_start(socket_dir=shared)
    assert "too long a path" in api.refuses_to_start(socket_dir=tmp_path / ("a" * 100))


def test_a_configuration_file(stopped_api):
    config = stopped_api.directory / "config.json"
    config.write_text('{"listen": ["unix://%s", ":0"], "log_level": "error"}' % stopped_api.socket)
    api = stopped_api.start(config=config)  # whose log level the command line overrides
    api.token = (api.state_dir / "token").read_text().strip()
    assert ask(api).status == 200


def test_info(api):
    api.create()
    info = api.get("/v1/info").json
    assert info["backend"] == "fake" and info["version"]
    assert [backend["name"] for backend in info["backends"]][:2] == ["libkrun", "qemu"]
    for backend in info["backends"]:
        assert backend["usable"] or backend["reason"]
    assert info["capacity"]["machines"] == 1 and info["capacity"]["machines_live"] == 0
    assert info["capacity"]["memory_left_mib"] == info["capacity"]["memory_mib"]
    assert info["limits"]["vcpus_max"] == 16


def test_info_without_krun_vmm(stopped_api):
    api = stopped_api.start(vmm_path="/nowhere/krun-vmm")
    for backend in api.get("/v1/info").json["backends"]:
        assert not backend["usable"] and "/nowhere/krun-vmm" in backend["reason"]


def test_the_document_is_served(api):
    document = api.get("/openapi.json").json
    assert document["openapi"] == "3.1.0" and "/v1/machines" in document["paths"]
    assert api.get("/readyz").json == {"status": "ready"}


def test_the_document_is_read_as_yaml_reads_it(api):
    yaml = pytest.importorskip("yaml")
    from conftest import ROOT

    with open(ROOT / "docs" / "openapi.yaml", encoding="utf-8") as file:
        assert api.get("/openapi.json").json == yaml.safe_load(file)

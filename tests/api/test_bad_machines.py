"""What cannot be: each has its own sentence, and leaves nothing behind."""

import socket

import pytest

CASES = [
    # (change of the body, status, a word of the sentence)
    ({"config": None}, 400, "config"),
    ({"nonsense": 1}, 400, "nonsense"),
    ({"name": 1}, 400, "name"),
    ({"name": "Not A Name"}, 422, "name"),
    ({"name": ""}, 422, "name"),
    ({"name": "a" * 64}, 422, "name"),
    ({"config": {}}, 422, "image"),
    ({"config": {"rootfs_path": "/", "image": "x", "exec_path": "/bin/sh"}}, 422, "image"),
    ({"config": {"rootfs_path": "/nowhere", "exec_path": "/bin/sh"}}, 422, "/nowhere"),
    ({"config": {"rootfs_path": "/etc/passwd", "exec_path": "/bin/sh"}}, 422, "not a directory"),
    ({"config": {"rootfs_path": "relative", "exec_path": "/bin/sh"}}, 422, "absolute"),
    ({"config": {"rootfs_path": "/"}}, 422, "exec_path"),
    ({"config": {"image": "unknown:latest"}}, 422, "no image 'unknown:latest'"),
    ({"vcpus": 0}, 422, "vcpus"),
    ({"vcpus": 17}, 422, "vcpus"),
    ({"vcpus": "1"}, 400, "vcpus"),
    ({"vcpus": 1.5}, 400, "vcpus"),
    ({"memory_mib": 127}, 422, "memory_mib"),
    ({"memory_mib": 1000000}, 422, "memory_mib"),
    ({"memory_mib": 10**30}, 400, ""),
    ({"disk_mib": 1}, 422, "disk_mib"),
    ({"unknown": 1}, 400, "config.unknown"),
    ({"ports": [{"host_port": 65536, "guest_port": 80}]}, 422, "host_port"),
    ({"ports": [{"host_port": 80, "guest_port": 0}]}, 422, "guest_port"),
    ({"ports": [{"host_port": 80}]}, 400, "guest_port"),
    ({"ports": [{"host_port": 80, "guest_port": 80, "protocol": "icmp"}]}, 422, "protocol"),
    ({"volumes": [{"host_path": "/nowhere", "guest_path": "/x"}]}, 422, "/nowhere"),
    ({"volumes": [{"host_path": "/", "guest_path": "/"}]}, 422, "guest_path"),
    ({"volumes": [{"host_path": "/tmp/..", "guest_path": "/x"}]}, 422, "whole"),
    ({"volumes": [{"host_path": "/dev/null", "guest_path": "/x"}]}, 422, "neither a directory"),
    ({"env": {"A=B": "c"}}, 400, "env"),
    ({"env": {"A": 1}}, 400, "env"),
    ({"args": ["x" * 60000]}, 422, "longer"),
    ({"stop": {"signal": "SIGNOPE"}}, 422, "signal"),
    ({"restart": {"policy": "unless-stopped"}}, 422, "restart"),
    ({"restart": {"policy": "on-failure", "max_retries": -1}}, 422, "max_retries"),
    ({"restart": {"policy": "always"}, "auto_remove": True}, 422, "contradict"),
    ({"ttl_s": -1}, 422, "ttl_s"),
]


@pytest.mark.parametrize("change, status, word", CASES, ids=[str(case[0])[:40] for case in CASES])
def test_refused(api, change, status, word):
    body = api.body(network={"mode": "user"})
    for key, value in change.items():
        if key in ("config", "name", "nonsense"):
            body[key] = value
        else:
            body["config"][key] = value
    answer = api.post("/v1/machines", body)
    assert answer.status == status and word in answer.json["error"], answer.text
    assert api.get("/v1/machines").json["machines"] == []
    assert not api.leftovers() or api.leftovers() == [api.socket]


@pytest.mark.parametrize(
    "text, word",
    [
        ("", "JSON"),
        ("{", "line 1"),
        ("[]", ""),
        ("null", ""),
        ('{"config": {"rootfs_path": "/"}} trailing', "line 1"),
        ('{"name": "a", "name": "b"}', "duplicate"),
        ('{"name": "\\ud800"}', ""),
        ('{"name": "a\\u0000b"}', ""),
        (b'{"name": "\xff"}', ""),
        ('{"a":' * 5000, ""),
    ],
)
def test_not_json(api, text, word):
    answer = api.post("/v1/machines", text)
    assert answer.status == 400 and word in answer.json["error"], answer.text


def test_a_directory_that_went_away(api):
    root = api.directory / "root"
    root.mkdir()
    machine = api.create(rootfs_path=str(root))
    root.rmdir()
    answer = api.post(f"/v1/machines/{machine['id']}/start")
    assert answer.status == 422 and "config.rootfs_path" in answer.json["error"]
    machine = api.look(machine)
    assert machine["state"] == "failed" and "config.rootfs_path" in machine["status_reason"]


def test_a_port_in_use(api):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        machine = api.create(network={"mode": "user"}, ports=[{"host_port": port, "guest_port": 80}])
        answer = api.post(f"/v1/machines/{machine['id']}/start?wait=ready")
        assert answer.status == 409 and answer.code == "machine_failed"
        assert str(port) in answer.json["error"], answer.text
    # It was nothing else.
    assert api.post(f"/v1/machines/{machine['id']}/start?wait=ready").status == 200
    published = api.look(machine)["ports"]
    assert [entry["host_port"] for entry in published] == [port]
    assert api.post(f"/v1/machines/{machine['id']}/stop").json["ports"] == []
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))


def test_a_chosen_port(api):
    machine = api.run(network={"mode": "user"}, ports=[{"host_port": 0, "guest_port": 80}])
    assert machine["ports"][0]["host_port"] > 0 and machine["guest_ip"] == "192.168.127.2"


def test_wrong_queries(api):
    machine = api.create()
    for path in ("?state=nonsense", "?limit=0", "?limit=1001", "?limit=x", "?cursor=x", "?label=", "?x=1", "?limit=1&limit=2"):
        answer = api.get("/v1/machines" + path)
        assert answer.status == 400 and answer.code == "invalid_query", path
    for path in ("?wait=never", "?timeout=-1", "?timeout=3601", "?timeout=1e3", "?start=true"):
        assert api.post(f"/v1/machines/{machine['id']}/start{path}").status == 400, path
    assert api.look(machine)["state"] == "created"

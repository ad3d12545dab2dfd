"""Named volumes, and what of the host may be shared."""

import os
import re
import shutil
import socket
import subprocess
import threading

import pytest
from conftest import until


def volume(name, guest_path="/data", **more):
    return {"volume": name, "guest_path": guest_path, **more}


def file_of(api, name):
    return api.state_dir / "volumes" / f"{name}.ext4"


def names(api):
    return [item["name"] for item in api.get("/v1/volumes").json["volumes"]]


def test_the_life_of_a_volume(api):
    answer = api.post("/v1/volumes", {"name": "data", "size_mib": 64})
    assert answer.status == 201, answer.text
    made = answer.json
    assert (made["name"], made["size_mib"], made["machines"]) == ("data", 64, [])
    path = file_of(api, "data")
    assert path.stat().st_size == 64 << 20
    assert path.stat().st_blocks * 512 < 8 << 20
    assert api.get("/v1/volumes/data").json == made
    assert api.get("/v1/volumes").json == {"volumes": [made]}
    assert api.delete("/v1/volumes/data").status == 204
    assert not path.exists()
    assert names(api) == []
    events = api.get("/v1/events?follow=false").text
    assert re.findall(r'"type":\s*"(volume\.\w+)"', events) == ["volume.created", "volume.deleted"]


@pytest.mark.skipif(shutil.which("debugfs") is None, reason="no e2fsprogs")
def test_a_volume_is_an_empty_ext4(api):
    api.post("/v1/volumes", {"name": "data", "size_mib": 64})
    path = file_of(api, "data")
    subprocess.run(["e2fsck", "-fn", path], check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    listing = subprocess.run(
        ["debugfs", "-R", "ls -p /", path], check=True, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    ).stdout
    found = {line.split("/")[5] for line in listing.splitlines() if line}
    assert found == {".", ".."}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "data"}, 409, "name_taken"),
        ({"name": "../x"}, 422, "invalid_value"),
        ({"name": "X"}, 422, "invalid_value"),
        ({}, 400, "invalid_request"),
        ({"name": "x", "size_mib": 15}, 422, "invalid_value"),
        ({"name": "x", "size_mib": "1"}, 400, "invalid_request"),
        ({"name": "x", "colour": "red"}, 400, "invalid_request"),
        (None, 400, "invalid_request"),
    ],
)
def test_bad_requests(api, body, status, code):
    api.post("/v1/volumes", {"name": "data", "size_mib": 16})
    answer = api.post("/v1/volumes", body)
    assert (answer.status, answer.code) == (status, code)
    assert names(api) == ["data"]
    assert os.listdir(api.state_dir / "volumes") == ["data.ext4"]


def test_unknown_volumes(api):
    for answer in (api.get("/v1/volumes/none"), api.delete("/v1/volumes/none")):
        assert (answer.status, answer.code) == (404, "volume_not_found")


def test_a_machine_makes_what_it_names(api):
    machine = api.create(name="web", volumes=[volume("data"), volume("more", "/more")])
    assert names(api) == ["data", "more"]
    assert api.get("/v1/volumes/data").json["size_mib"] == 4096
    assert api.get("/v1/volumes/data").json["machines"] == ["web"]
    answer = api.delete("/v1/volumes/data")
    assert (answer.status, answer.code) == (409, "volume_in_use")
    assert "'web'" in answer.json["error"]
    api.delete(f"/v1/machines/{machine['id']}")
    assert names(api) == ["data", "more"]
    assert api.delete("/v1/volumes/data").status == 204


def test_what_is_there_is_taken(api):
    api.post("/v1/volumes", {"name": "data", "size_mib": 32})
    api.create(volumes=[volume("data")])
    assert api.get("/v1/volumes/data").json["size_mib"] == 32


def test_many_machines_make_one_volume(api):
    made = []
    makers = [threading.Thread(target=lambda: made.append(api.create(volumes=[volume("data")]))) for _ in range(8)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(60)
    assert len(made) == 8
    assert names(api) == ["data"]
    assert len(api.get("/v1/volumes/data").json["machines"]) == 8


@pytest.mark.parametrize(
    ("volumes", "word"),
    [
        ([{"guest_path": "/x"}], "exactly one"),
        ([{"guest_path": "/x", "host_path": "/etc", "volume": "data"}], "exactly one"),
        ([{"guest_path": "/x", "volume": "../data"}], "volumes[0].volume"),
        ([volume("data"), volume("data", "/other")], "already"),
    ],
)
def test_bad_volumes_of_machines(api, volumes, word):
    answer = api.post("/v1/machines", api.body(volumes=volumes))
    assert answer.status == 422
    assert word in answer.json["error"]
    assert names(api) == []


# ---- one at a time ----


def test_one_live_machine_at_a_time(api):
    holder = api.run(name="holder", volumes=[volume("data")])
    other = api.create(name="other", volumes=[volume("data")])
    answer = api.post("/v1/machines/other/start")
    assert (answer.status, answer.code) == (409, "volume_in_use")
    assert "'holder'" in answer.json["error"]
    assert api.look(other)["state"] == "created"
    api.post(f"/v1/machines/{holder['id']}/stop", {"timeout_s": 0})
    assert api.post("/v1/machines/other/start?wait=ready").status == 200


def test_a_new_machine_is_refused_too(api):
    api.run(name="holder", volumes=[volume("data")])
    answer = api.post("/v1/machines?start=true", api.body(name="other", volumes=[volume("data", read_only=True)]))
    assert (answer.status, answer.code) == (409, "volume_in_use")
    assert api.get("/v1/machines/other").json["state"] == "failed"


def test_readers_share(api):
    api.run(volumes=[volume("data", read_only=True)])
    api.run(volumes=[volume("data", read_only=True)])
    writer = api.create(volumes=[volume("data")])
    assert api.post(f"/v1/machines/{writer['id']}/start").code == "volume_in_use"


def test_a_held_volume_is_held_after_a_restart(api):
    api.run(name="holder", volumes=[volume("data")])
    api.create(name="other", volumes=[volume("data")])
    api.restart()
    assert api.post("/v1/machines/other/start").code == "volume_in_use"


# ---- the server's end ----


def test_volumes_survive_the_server(api):
    api.post("/v1/volumes", {"name": "data", "size_mib": 16})
    before = api.get("/v1/volumes/data").json
    file_of(api, "data").write_bytes(b"mine")
    api.restart()
    assert api.get("/v1/volumes/data").json == before
    assert file_of(api, "data").read_bytes() == b"mine"


def test_what_was_half_made_or_half_deleted_is_removed(api):
    import sqlite3

    for name in ("kept", "gone"):
        api.post("/v1/volumes", {"name": name, "size_mib": 16})
    api.kill()
    with sqlite3.connect(api.state_dir / "krun.db") as database:
        database.execute("UPDATE volumes SET ready = 0 WHERE name = 'gone'")
        database.execute("INSERT INTO volumes VALUES ('half', 16, 0, 1)")
    database.close()
    api.start()
    until(lambda: not file_of(api, "gone").exists(), "it is removed")
    assert names(api) == ["kept"]
    assert api.post("/v1/volumes", {"name": "half", "size_mib": 16}).status in (201, 409)


# ---- paths of the host ----


def share(path):
    return {"host_path": str(path), "guest_path": "/data"}


def test_paths_that_cannot_be_shared(api):
    directory = api.directory
    os.mkfifo(directory / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory / "socket"))
    (directory / "root").symlink_to("/")
    (directory / "nowhere").symlink_to(directory / "missing")
    (directory / "loop").symlink_to(directory / "loop")
    cases = {
        directory / "missing": "No such file",
        directory / "nowhere": "No such file",
        directory / "loop": "symbolic links",
        directory / "fifo": "neither a directory nor a file",
        directory / "socket": "neither a directory nor a file",
        "/dev/null": "neither a directory nor a file",
        "/": "whole of the host",
        "/proc/..": "whole of the host",
        directory / "root": "whole of the host",
    }
    for path, word in cases.items():
        answer = api.post("/v1/machines", api.body(volumes=[share(path)]))
        assert (answer.status, answer.code) == (422, "invalid_value"), (path, answer.text)
        assert word in answer.json["error"], answer.text
        assert "config.volumes[0].host_path" in answer.json["error"]
    listener.close()


def test_paths_that_can(api):
    (api.directory / "folder").mkdir()
    (api.directory / "file").write_text("x")
    (api.directory / "link").symlink_to(api.directory / "folder")
    for name in ("folder", "file", "link"):
        machine = api.create(volumes=[share(api.directory / name)])
        assert machine["config"]["volumes"][0]["host_path"] == str(api.directory / name)


def test_a_path_that_went_is_told_at_the_start(api):
    (api.directory / "folder").mkdir()
    machine = api.create(volumes=[share(api.directory / "folder")])
    (api.directory / "folder").rmdir()
    answer = api.post(f"/v1/machines/{machine['id']}/start")
    assert (answer.status, answer.code) == (422, "invalid_value")
    assert "config.volumes[0].host_path" in api.look(machine)["status_reason"]

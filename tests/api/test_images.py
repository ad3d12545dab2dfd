"""Images: in, looked at, used, out."""

import gzip
import json
import time

from conftest import make_image, quote, until

TAR = {"Content-Type": "application/x-tar"}


def put(api, data, query="", headers=None, **options):
    return api.post(f"/v1/images{query}", data, headers={**TAR, **(headers or {})}, **options)


def test_import_and_look(api):
    data, digest = make_image({"Cmd": ["/bin/sh"], "Env": ["A=b"], "ExposedPorts": {"80/tcp": {}}})
    answer = put(api, data)
    assert answer.status == 201, answer.text
    image = answer.json
    assert image["digest"] == digest and image["names"] == ["web:latest"] and image["os"] == "linux"
    assert image["config"]["ExposedPorts"] == {"80/tcp": {}} and image["size_bytes"] > 0
    for name in ("web", "web:latest", digest, digest[7:], digest[7:19], quote(digest)):
        assert api.get(f"/v1/images/{name}").json == image, name
    assert api.get("/v1/images").json["images"] == [image]
    assert api.get("/v1/images/other").code == "image_not_found"
    assert api.delete("/v1/images/web").status == 204
    assert api.get("/v1/images").json["images"] == []
    assert not list((api.state_dir / "images").iterdir())


def test_a_name_of_ones_own(api):
    data, digest = make_image()
    assert put(api, data, "?name=localhost/team/app:v1").json["names"] == ["localhost/team/app:v1"]
    for name in ("localhost/team/app:v1", quote("localhost/team/app:v1"), "team/app:v1"):
        assert api.get(f"/v1/images/{name}").json["digest"] == digest
    assert put(api, data, "?name=" + quote("bad name")).code == "invalid_query"


def test_the_same_image_again(api):
    data, digest = make_image()
    first = put(api, data).json
    path = next((api.state_dir / "images").iterdir())
    inode = path.stat().st_ino
    again = put(api, gzip.compress(data), "?name=second")
    assert again.status == 201 and again.json["digest"] == digest
    assert again.json["names"] == ["second:latest", "web:latest"] and again.json["created_at"] == first["created_at"]
    assert path.stat().st_ino == inode
    # By one of its names only that name goes.
    assert api.delete("/v1/images/second").status == 204
    assert api.get("/v1/images/web").json["names"] == ["web:latest"]


def test_a_name_moves_to_the_newer_image(api):
    old, old_digest = make_image({"Env": ["A=1"]})
    new, new_digest = make_image({"Env": ["A=2"]})
    put(api, old)
    put(api, new)
    assert api.get("/v1/images/web").json["digest"] == new_digest
    assert api.get(f"/v1/images/{old_digest}").json["names"] == []


def test_progress(api):
    data, digest = make_image()
    answer = put(api, data, headers={"Accept": "application/x-ndjson"})
    assert answer.status == 201 and answer.headers["Content-Type"] == "application/x-ndjson"
    events = [json.loads(line) for line in answer.text.splitlines()]
    assert events[0]["event"] == "config" and events[0]["digest"] == digest
    assert [event["event"] for event in events].count("layer") >= 1
    assert events[-1]["event"] == "done" and events[-1]["image"]["digest"] == digest
    again = put(api, data, headers={"Accept": "application/x-ndjson"})
    assert json.loads(again.text.splitlines()[-1])["event"] == "done"


def test_broken_archives(api):
    data, _ = make_image()
    for broken in (b"nonsense", data[: len(data) // 2], b"\0" * 10240, gzip.compress(data)[:-20]):
        answer = put(api, broken)
        assert answer.status == 422, answer.text
        assert answer.json["error"]
        answer = put(api, broken, headers={"Accept": "application/x-ndjson"})
        assert answer.status == 422 or json.loads(answer.text.splitlines()[-1])["event"] == "error"
    answer = put(api, b"")
    assert answer.status == 400
    assert api.post("/v1/images", data, headers={"Content-Type": "text/plain"}).status == 415
    assert not list((api.state_dir / "images").iterdir()) and not list((api.state_dir / "tmp").iterdir())


def test_an_upload_that_breaks_off(api):
    data, _ = make_image()
    sock = api.raw(b"POST /v1/images HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + data[:5000])
    until(lambda: list((api.state_dir / "tmp").iterdir()), "the upload began")
    sock.close()
    until(lambda: not list((api.state_dir / "tmp").iterdir()), "its file is gone")
    assert api.get("/v1/images").json["images"] == []


def test_a_large_upload_is_held_back_not_kept_in_memory(api):
    size = 300 << 20

    def zeros():
        for _ in range(size >> 20):
            yield bytes(1 << 20)

    connection = api.connection(timeout=60)
    connection.putrequest("POST", "/v1/images")
    connection.putheader("Content-Length", str(size))
    connection.endheaders()
    for piece in zeros():
        connection.send(piece)
    peak_kib = api.memory_kib("VmHWM")
    assert connection.getresponse().status == 422
    connection.close()
    assert peak_kib < (300 << 10 if api.is_sanitized() else 32 << 10)


def test_krun_image_is_not_there(stopped_api):
    api = stopped_api.start(image_path="/nowhere/krun-image")
    data, _ = make_image()
    answer = put(api, data)
    assert answer.status == 503 and "/nowhere/krun-image" in answer.json["error"]


def test_krun_image_crashes(stopped_api):
    program = stopped_api.directory / "krun-image"
    program.write_text("#!/bin/sh\necho out of luck >&2\nkill -SEGV $$\n")
    program.chmod(0o755)
    api = stopped_api.start(image_path=program)
    data, _ = make_image()
    answer = put(api, data)
    assert answer.status == 500 and "signal 11" in answer.json["error"] and "out of luck" in answer.json["error"]


def test_too_many_imports(api):
    head = b"POST /v1/images HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
    socks = [api.raw(head + b"x") for _ in range(4)]
    until(lambda: len(list((api.state_dir / "tmp").iterdir())) == 4, "four imports")
    data, _ = make_image()
    assert put(api, data).code == "too_many_imports"
    for sock in socks:
        sock.close()
    until(lambda: not list((api.state_dir / "tmp").iterdir()), "they are gone")
    assert put(api, data).status == 201


def test_a_machine_of_an_image(api):
    data, digest = make_image({"Entrypoint": ["/bin/sh", "-c"], "Cmd": ["echo from the image; sleep 1000"], "Env": ["A=b"]})
    put(api, data)
    # The fake backend runs on the host's own root; disk and merging are real.
    body = {"name": "m", "config": {"image": "web", "disk_mib": 64, "env": {}}, "network": {"mode": "none"}}
    started = time.monotonic()
    machine = api.post("/v1/machines", body).json
    assert machine["image_digest"] == digest and machine["config"]["image"] == "web"
    disk = api.state_dir / "machines" / machine["id"] / "disk.ext4"
    assert disk.stat().st_size == 64 << 20 and disk.stat().st_blocks * 512 < 8 << 20
    assert list((api.state_dir / "cache").glob("disk-64*")), f"no template after {time.monotonic() - started:.3f} s"
    answer = api.delete("/v1/images/web")
    assert answer.status == 409 and answer.code == "image_in_use"
    assert api.delete("/v1/machines/m").status == 204
    assert api.delete(f"/v1/images/{digest}").status == 204
    assert api.post("/v1/machines", body).status == 422


def test_many_machines_of_a_new_size_at_once(api):
    put(api, make_image({"Cmd": ["/bin/true"]})[0])
    connections = [api.connection() for _ in range(8)]
    for connection in connections:
        body = json.dumps({"config": {"image": "web", "disk_mib": 32}, "network": {"mode": "none"}})
        connection.request("POST", "/v1/machines", body, {"Content-Type": "application/json"})
    for connection in connections:
        assert connection.getresponse().status == 201
        connection.close()


def test_the_disk_cannot_be_made(api):
    put(api, make_image({"Cmd": ["/bin/true"]})[0])
    program = api.directory / "krun-image"
    program.write_text("#!/bin/sh\necho no disk today >&2\nexit 1\n")
    program.chmod(0o755)
    api.restart(image_path=program)
    answer = api.post("/v1/machines", {"config": {"image": "web", "disk_mib": 48}})
    assert answer.status == 500 and "no disk today" in answer.json["error"]
    assert api.get("/v1/machines").json["machines"] == [] and not list((api.state_dir / "machines").iterdir())


def test_an_image_without_a_command(api):
    put(api, make_image()[0])
    answer = api.post("/v1/machines", {"config": {"image": "web"}})
    assert answer.status == 422 and "exec_path" in answer.json["error"]
    assert api.post("/v1/machines", {"config": {"image": "web", "exec_path": "/x"}, "network": {"mode": "none"}}).status == 201


def test_images_survive_a_restart(api):
    data, digest = make_image()
    put(api, data)
    (api.state_dir / "images" / ("0" * 64 + ".ext4")).write_bytes(b"x")
    api.restart()
    assert api.get("/v1/images/web").json["digest"] == digest
    assert [file.name for file in (api.state_dir / "images").iterdir()] == [digest[7:] + ".ext4"]

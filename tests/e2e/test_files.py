"""Files into and out of real guests by PUT and GET, as a program of one's own would copy them."""

import io
import os
import tarfile
import urllib.parse

import pytest

from server import COMMAND_S, UnixConnection, until

LOOP = "echo up; while :; do sleep 1; done"


@pytest.fixture
def call(server, name):
    def request(method, path, body=None):
        """(status, body)"""
        connection = UnixConnection(server.socket, COMMAND_S)
        try:
            query = urllib.parse.quote(os.fsencode(path), safe="")
            headers = {"Content-Type": "application/x-tar"} if body is not None else {}
            connection.request(method, f"/v1/machines/{name}/files?path={query}", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    return request


def make_tar(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.mode, info.mtime, info.uid, info.gid = 0o4751, 1_600_000_000, 1000, 1001
            if data is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(data, str):
                info.type, info.linkname = tarfile.SYMTYPE, data
            else:
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data) if isinstance(data, bytes) else None)
    return out.getvalue()


def test_there_and_back(server, launch, name, call):
    launch(LOOP)
    odd = os.fsdecode(b"\xff odd\n")
    members = {"tree": None, "tree/file": os.urandom(3_000_000), "tree/link": "file", f"tree/{odd}": b"x"}
    assert call("PUT", "/tmp", make_tar(members)) == (204, b"")
    assert server.text("exec", name, "--", "stat", "-c", "%a %u %g %Y %s", "/tmp/tree/file") == "4751 1000 1001 1600000000 3000000\n"
    status, data = call("GET", "/tmp/tree")
    assert status == 200
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert sorted(archive.getnames()) == sorted(members)
        assert archive.extractfile("tree/file").read() == members["tree/file"]
        entry = archive.getmember("tree/file")
        assert (entry.mode, entry.uid, entry.gid, entry.mtime) == (0o4751, 1000, 1001, 1_600_000_000)
        assert archive.getmember("tree/link").linkname == "file"
    status, data = call("GET", f"/tmp/tree/{odd}")
    assert status == 200 and tarfile.open(fileobj=io.BytesIO(data)).getnames() == [odd]


def test_what_cannot_be(server, launch, name, call):
    launch(LOOP)
    server.krunctl("exec", name, "--", "ln", "-s", "/etc", "/tmp/out")
    archive = make_tar({"file": b"x"})
    for method, path, body, status, code in [
        ("GET", "/nowhere", None, 404, "file_not_found"),
        ("PUT", "/nowhere", archive, 404, "file_not_found"),
        ("PUT", "/etc/passwd", archive, 409, "not_a_directory"),
        ("PUT", "/tmp", b"no archive" * 100, 400, "archive_broken"),
        ("PUT", "/tmp", make_tar({"out/file": b"x"}), 403, "file_refused"),
    ]:
        answer = call(method, path, body)
        assert answer[0] == status and code.encode() in answer[1], (method, path, answer)


def test_a_client_that_goes_away_leaves_nothing_half_written(server, launch, name, call):
    launch(LOOP)
    head = f"PUT /v1/machines/{name}/files?path=/tmp HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n".encode()
    info = tarfile.TarInfo("large")
    info.size = 90_000_000
    connection = UnixConnection(server.socket, COMMAND_S)
    connection.connect()
    connection.sock.sendall(head + info.tobuf())
    for _ in range(64):
        connection.sock.sendall(bytes(65536))  # more than fits in between: the guest has begun
    connection.close()
    until(lambda: server.text("exec", name, "--", "ls", "-A", "/tmp") == "", what="the guest's /tmp is empty again")
    assert call("PUT", "/tmp", make_tar({"file": b"x"}))[0] == 204

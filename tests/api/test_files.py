"""Files into and out of a running machine: tar through PUT and GET."""

import contextlib
import hashlib
import io
import os
import stat
import tarfile
import threading
from pathlib import Path

import pytest
from conftest import PATIENCE_S, processes, quote, until

TAR = {"Content-Type": "application/x-tar"}


@pytest.fixture
def machine(api):
    return api.run()


@pytest.fixture
def place(api):
    """The fake machine's root is the host's: a directory of our own in it."""
    path = api.directory / "place"
    path.mkdir()
    return path


def files(machine, path, query=""):
    return f"/v1/machines/{machine['id']}/files?path={quote(os.fsencode(path))}{query}"


def put(api, machine, path, archive, **options):
    return api.request("PUT", files(machine, path), archive, headers=TAR, **options)


def get(api, machine, path, query=""):
    return api.get(files(machine, path, query))


def make_tar(members, format=tarfile.PAX_FORMAT):
    """[(name, what)]: bytes, a link's target as text, None for a directory, or a whole TarInfo."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for name, what in members:
            info = tarfile.TarInfo(name)
            info.mode, info.mtime = 0o640, 1_600_000_000
            if what is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o750
            elif isinstance(what, str):
                info.type, info.linkname = tarfile.SYMTYPE, what
            else:
                info.size = len(what)
            archive.addfile(info, io.BytesIO(what) if isinstance(what, bytes) else None)
    return out.getvalue()


def read_tar(data):
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {
            member.name: archive.extractfile(member).read() if member.isfile() else member.linkname if member.issym() else None
            for member in archive
        }


def test_round_trip(api, machine, place):
    members = [("tree", None), ("tree/file", b"content\n"), ("tree/link", "file"), ("tree/empty", b"")]
    answer = put(api, machine, place, make_tar(members))
    assert answer.status == 204 and answer.body == b"", answer.text
    assert (place / "tree/file").read_bytes() == b"content\n" and os.readlink(place / "tree/link") == "file"
    status = (place / "tree/file").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (0o640, 1_600_000_000)
    answer = get(api, machine, place / "tree")
    assert answer.status == 200 and answer.headers["Content-Type"] == "application/x-tar"
    assert read_tar(answer.body) == dict(members)
    assert read_tar(get(api, machine, place / "tree/file").body) == {"file": b"content\n"}
    assert {name.removeprefix("./") for name in read_tar(get(api, machine, f"{place}/tree/.").body)} >= {"file", "link", "empty"}


def test_connections_are_kept(api, machine, place):
    connection = api.connection()
    for number in range(5):
        data = str(number).encode()
        assert put(api, machine, place, make_tar([("file", data)]), connection=connection).status == 204
        answer = api.request("GET", files(machine, place / "file"), connection=connection)
        assert read_tar(answer.body) == {"file": data}
    connection.close()


def test_does_it_exist(api, machine, place):
    (place / "file").write_bytes(bytes(1000))
    with tarfile.open(fileobj=io.BytesIO(get(api, machine, place, "&content=false").body)) as archive:
        assert [(member.name, member.isdir()) for member in archive] == [(place.name, True)]
    with tarfile.open(fileobj=io.BytesIO(get(api, machine, place / "file", "&content=false").body)) as archive:
        assert [(member.name, member.isfile(), member.size) for member in archive] == [("file", True, 0)]


def test_names_of_any_bytes(api, machine, place):
    for name in ("with space", "plus+and&=?#%", "tab\tand\nline", "ümläut", os.fsdecode(b"\xff\xfe\x01")):
        (place / name).mkdir()
        assert put(api, machine, place / name, make_tar([("in", b"x")])).status == 204, name
        assert (place / name / "in").read_bytes() == b"x"
        assert get(api, machine, place / name / "in").status == 200


def test_bodies_without_a_length(api, machine, place):
    data = make_tar([("file", os.urandom(300_000))])
    pieces = (data[at : at + 1000] for at in range(0, len(data), 1000))
    connection = api.connection()
    connection.request("PUT", files(machine, place), pieces, headers=TAR, encode_chunked=True)
    assert connection.getresponse().status == 204
    connection.close()
    assert (place / "file").stat().st_size == 300_000


SIZE = 100_000_000
GROWTH_KIB = 8192


class Zeros:
    """A body of one large file, made as it is read."""

    def __init__(self, size):
        info = tarfile.TarInfo("large")
        info.size = size
        self.head = info.tobuf()
        self.left = size + -size % 512 + 1024
        self.length = len(self.head) + self.left

    def read(self, length):
        if self.head:
            piece, self.head = self.head, b""
            return piece
        piece = min(self.left, length)
        self.left -= piece
        return bytes(piece)


def memory_kib(pid, what):
    return int(Path(f"/proc/{pid}/status").read_text().split(what + ":")[1].split()[0])


@contextlib.contextmanager
def nobody_grows(api, machine):
    pids = {"krun-api": api.process.pid, "krun-vmm": api.record(machine)["supervisor"]["pid"]}
    assert api.exec(machine, "true").status == 200
    for pid in pids.values():
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    before = {name: memory_kib(pid, "VmRSS") for name, pid in pids.items()}
    yield
    if not api.is_sanitized():
        for name, pid in pids.items():
            assert memory_kib(pid, "VmHWM") - before[name] < GROWTH_KIB, name


def test_much_in(api, machine, place):
    body = Zeros(SIZE)
    with nobody_grows(api, machine):
        connection = api.connection()
        connection.request("PUT", files(machine, place), body, headers={**TAR, "Content-Length": str(body.length)})
        assert connection.getresponse().status == 204
        connection.close()
    assert (place / "large").stat().st_size == SIZE


def test_much_out(api, machine, place):
    with (place / "large").open("wb") as file:
        for _ in range(100):
            file.write(b"x" * (SIZE // 100))
    with nobody_grows(api, machine), api.stream(files(machine, place / "large")) as answer:
        # The copier is held back before anything is read.
        assert answer.status == 200
        digest, size = hashlib.sha256(), 0
        while piece := answer.read(65536):
            digest.update(piece)
            size += len(piece)
    assert SIZE < size < SIZE + 65536


def test_several_at_once(api, machine, place):
    names = [f"dir{number}" for number in range(10)]
    for name in names:
        (place / name).mkdir()
    failures = []

    def copy(name):
        data = os.urandom(500_000)
        if put(api, machine, place / name, make_tar([("file", data)])).status != 204:
            failures.append(name)
        elif read_tar(get(api, machine, place / name / "file").body) != {"file": data}:
            failures.append(name)

    threads = [threading.Thread(target=copy, args=(name,), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not failures


def test_what_is_not_there(api, machine, place):
    (place / "file").write_bytes(b"x")
    archive = make_tar([("new", b"x")])
    answer = get(api, machine, place / "nothing")
    assert (answer.status, answer.code) == (404, "file_not_found") and "nothing" in answer.json["error"]
    answer = put(api, machine, place / "nothing", archive)
    assert (answer.status, answer.code) == (404, "file_not_found")
    answer = put(api, machine, place / "file", archive)
    assert (answer.status, answer.code) == (409, "not_a_directory")
    answer = get(api, machine, f"{place}/file/.")
    assert (answer.status, answer.code) == (409, "not_a_directory")


def test_refused_and_broken(api, machine, place):
    (place / "out").symlink_to(place.parent)
    for archive, status, code in [
        (b"this is no archive" * 100, 400, "archive_broken"),
        (make_tar([("file", b"x" * 5000)])[:3000], 400, "archive_broken"),
        (make_tar([("../above", b"x")]), 400, "archive_broken"),
        (make_tar([("out/above", b"x")]), 403, "file_refused"),
    ]:
        answer = put(api, machine, place, archive)
        assert (answer.status, answer.code) == (status, code), answer.text
    assert not (place.parent / "above").exists()
    assert [entry.name for entry in place.iterdir()] == ["out"], "something half-written stays behind"


def test_refused_while_the_body_is_still_coming(api, machine, place):
    """The answer is not lost, however much the client still had to say."""
    body = Zeros(SIZE)
    connection = api.connection()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        connection.request("PUT", files(machine, place / "nowhere"), body, headers={**TAR, "Content-Length": str(body.length)})
    assert connection.getresponse().status == 404
    connection.close()


def test_bad_requests(api, machine, place):
    path = f"/v1/machines/{machine['id']}/files"
    archive = make_tar([("x", b"")])
    for query in ("", "?path=", "?path=relative", "?path=/" + "x" * 1023, "?path=/a&path=/b", "?path=/&extra=1", "?path=/%00"):
        assert api.get(path + query).status == 400, query
        assert api.request("PUT", path + query, archive, headers=TAR).status == 400, query
    assert api.get(path + "?path=/&content=maybe").status == 400
    assert api.request("PUT", path + "?path=/&content=false", archive, headers=TAR).status == 400
    assert api.request("PUT", files(machine, place)).code == "missing_body"
    assert api.request("PUT", files(machine, place), archive, headers={"Content-Type": "application/gzip"}).status == 415
    assert api.request("HEAD", files(machine, place)).status == 405
    assert api.get("/v1/machines/nobody/files?path=/").status == 404
    stopped = api.create()
    assert get(api, stopped, "/").code == put(api, stopped, "/", archive).code == "wrong_state"


def guests(api):
    """Processes of vminit's: a copier is one more."""
    found = 0
    for pid in processes(api.mark):
        with contextlib.suppress(OSError):
            found += b"vminit-fake\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return found


def test_a_client_that_vanishes_leaves_nothing(api, machine, place):
    body = Zeros(SIZE)
    head = f"PUT {files(machine, place)} HTTP/1.1\r\nHost: x\r\nContent-Length: {body.length}\r\n\r\n".encode()
    before = guests(api)
    with api.raw(head) as sock:
        # Far more than what fits between us and the copier: it has begun the file.
        for _ in range(500):
            sock.sendall(body.read(65536))
        assert guests(api) > before
        assert not (place / "large").exists()
    until(lambda: guests(api) == before, "the copier was hung up on")
    assert not any(place.iterdir())
    assert get(api, machine, place).status == 200


def test_a_client_that_vanishes_while_it_is_sent_to(api, machine, place):
    (place / "large").write_bytes(bytes(20_000_000))
    before = guests(api)
    with api.stream(files(machine, place / "large")) as answer:
        answer.read(1000)
        assert guests(api) > before
    until(lambda: guests(api) == before, "the copier was hung up on")


def test_the_machine_ends_meanwhile(api, machine, place):
    """Whoever has had a part of it is not told that it was the whole."""
    (place / "large").write_bytes(bytes(20_000_000))
    with api.stream(files(machine, place / "large")) as answer:
        assert len(answer.read(1000)) == 1000
        assert api.delete(f"/v1/machines/{machine['id']}?force=true").status == 204
        with pytest.raises(Exception, match="IncompleteRead|reset"):
            answer.read()

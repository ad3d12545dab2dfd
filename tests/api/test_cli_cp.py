"""krunctl cp by docker's rules, on the fake backend: the machine's root is the host's."""

import io
import os
import signal
import stat
import subprocess
import tarfile

import pytest
from conftest import BUILD, PATIENCE_S, until

KRUNCTL = BUILD / "src/cli/krunctl"
NAME = "copied"


class Copier:
    def __init__(self, api, base):
        self.api = api
        self.base = base
        self.env = dict(os.environ, KRUN_API=f"unix://{api.socket}")

    def argv(self, *arguments):
        """'m:x' is x below the base, in the machine; 'h:x' is it on the host; anything else is what it says."""
        for argument in arguments:
            if argument.startswith("m:"):
                yield f"{NAME}:{self.base}/{argument[2:]}"
            elif argument.startswith("h:"):
                yield f"{self.base}/{argument[2:]}"
            else:
                yield argument

    def start(self, *arguments, **popen):
        argv = [os.fspath(KRUNCTL), "cp", *self.argv(*arguments)]
        popen.setdefault("stdin", subprocess.PIPE)
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.env, **popen)

    def run(self, *arguments, data=None, code=0):
        """(standard output, sentences)"""
        process = self.start(*arguments)
        out, err = process.communicate(data, timeout=PATIENCE_S)
        assert process.returncode == code, err
        return out, err.decode(errors="replace")

    def fails(self, *arguments, data=None):
        out, err = self.run(*arguments, data=data, code=1)
        assert out == b""
        return err

    def tree(self, path):
        """{name: text, target of a link or None for a directory}"""
        found = {}
        for directory, names, files in os.walk(os.fsencode(self.base / path)):
            for name in names + files:
                whole = os.path.join(directory, name)
                key = os.fsdecode(os.path.relpath(whole, os.fsencode(self.base / path)))
                if os.path.islink(whole):
                    found[key] = ("link", os.fsdecode(os.readlink(whole)))
                else:
                    found[key] = None if os.path.isdir(whole) else open(whole, "rb").read()
        return found


@pytest.fixture
def cp(api):
    api.run(name=NAME)
    base = api.directory / "copy"
    (base / "src/sub").mkdir(parents=True)
    (base / "src/file").write_bytes(b"text")
    (base / "src/sub/deep").write_bytes(b"deep")
    (base / "src/link").symlink_to("file")
    (base / "there").mkdir()
    return Copier(api, base)


TREE = {"file": b"text", "link": ("link", "file"), "sub": None, "sub/deep": b"deep"}
# Both ways have the same rules: (source, target, what is below `there` then).
INTO = [
    ("src/file", "there", {"file": b"text"}),
    ("src/file", "there/", {"file": b"text"}),
    ("src/file", "there/new", {"new": b"text"}),
    ("src/link", "there/new", {"new": ("link", "file")}),
    ("src", "there", {"src": None, **{f"src/{name}": what for name, what in TREE.items()}}),
    ("src/", "there", {"src": None, **{f"src/{name}": what for name, what in TREE.items()}}),
    ("src", "there/new", {"new": None, **{f"new/{name}": what for name, what in TREE.items()}}),
    ("src", "there/new/", {"new": None, **{f"new/{name}": what for name, what in TREE.items()}}),
    ("src/.", "there", TREE),
    ("src/.", "there/new", {"new": None, **{f"new/{name}": what for name, what in TREE.items()}}),
]


@pytest.mark.parametrize("way", [("h:", "m:"), ("m:", "h:")], ids=["in", "out"])
@pytest.mark.parametrize("source, target, there", INTO)
def test_where_a_copy_goes(cp, way, source, target, there):
    assert cp.run(way[0] + source, way[1] + target) == (b"", "")
    assert cp.tree("there") == there


@pytest.mark.parametrize("way", [("h:", "m:"), ("m:", "h:")], ids=["in", "out"])
def test_links_are_followed_when_asked(cp, way):
    cp.run("-L", way[0] + "src/link", way[1] + "there/new")
    (cp.base / "src/elsewhere").symlink_to("./sub")
    cp.run("-L", way[0] + "src/elsewhere", way[1] + "there")
    assert cp.tree("there") == {"new": b"text", "elsewhere": None, "elsewhere/deep": b"deep"}


@pytest.mark.parametrize("way", [("h:", "m:"), ("m:", "h:")], ids=["in", "out"])
@pytest.mark.parametrize(
    "source, target, sentence",
    [
        ("src/none", "there", "none"),
        ("src/file/", "there", "irectory"),
        ("src/file/.", "there", "irectory"),
        ("src/file", "there/none/", "there is no directory"),
        ("src/file", "there/none/new", "there/none"),
        ("src", "src/file", "directory"),
        ("src/file", "src/file/", "irectory"),
    ],
)
def test_what_cannot_be_copied(cp, way, source, target, sentence):
    before = cp.tree(".")
    assert sentence in cp.fails(way[0] + source, way[1] + target)
    assert cp.tree(".") == before


def test_a_tree_merges_and_replaces_files(cp):
    cp.run("h:src", "m:there")
    (cp.base / "there/src/own").write_text("own")
    (cp.base / "there/src/file").write_text("other")
    cp.run("m:src", "h:there")
    assert cp.tree("there/src") == {**TREE, "own": b"own"}


def test_names_are_bytes(cp):
    names = [b"with space", b"new\nline", b"\xff\xfe", b"-dash", b"q?#&%2f", "é".encode(), b"a:b", b"x" * 255]
    odd = os.fsencode(cp.base / "src") + b"/" + names[2]
    os.mkdir(odd)
    for name in names:
        with open(os.path.join(odd, name), "wb") as file:
            file.write(name)
    for way in (("h:", "m:"), ("m:", "h:")):
        target = f"there/{way[0][0]}"
        cp.run(way[0] + "src/" + os.fsdecode(names[2]), way[1] + target)
        assert cp.tree(target) == {os.fsdecode(name): name for name in names}


def test_what_files_are_comes_along(cp):
    file = cp.base / "src/sparse"
    with file.open("wb") as out:
        out.write(b"begin")
        out.seek(32 * 1024 * 1024)
        out.write(b"end")
    file.chmod(0o604)
    os.link(file, cp.base / "src/twin")
    (cp.base / "src/sub").chmod(0o555)
    os.utime(file, ns=(10**18, 10**18 + 7))
    os.utime(cp.base / "src/sub", ns=(10**18, 10**18 + 9))
    for way, name in ((("h:", "m:"), "in"), (("m:", "h:"), "out")):
        cp.run(way[0] + "src", way[1] + "there/" + name)
        copy = cp.base / "there" / name
        st = (copy / "sparse").stat()
        assert stat.S_IMODE(st.st_mode) == 0o604
        assert st.st_size == 32 * 1024 * 1024 + 3 and st.st_blocks * 512 < 1024 * 1024
        assert st.st_mtime_ns == 10**18 + 7
        assert st.st_ino == (copy / "twin").stat().st_ino
        assert stat.S_IMODE((copy / "sub").stat().st_mode) == 0o555
        assert (copy / "sub").stat().st_mtime_ns == 10**18 + 9


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_owners(cp):
    os.chown(cp.base / "src/file", 1234, 567)
    for way in (("h:", "m:"), ("m:", "h:")):
        cp.run(way[0] + "src/file", way[1] + "there/mine")
        st = (cp.base / "there/mine").stat()
        assert (st.st_uid, st.st_gid) == (0, 0)
        cp.run("-a", way[0] + "src/file", way[1] + "there/kept")
        st = (cp.base / "there/kept").stat()
        assert (st.st_uid, st.st_gid) == (1234, 567)


def test_archives_on_standard_streams(cp):
    out, _ = cp.run("m:src", "-")
    with tarfile.open(fileobj=io.BytesIO(out)) as archive:
        assert sorted(archive.getnames()) == ["src", "src/file", "src/link", "src/sub", "src/sub/deep"]
    cp.run("-", "m:there", data=out)
    assert cp.tree("there/src") == TREE
    assert "irectory" in cp.fails("-", "m:src/file", data=out)
    assert "none" in cp.fails("-", "m:none", data=out)
    assert cp.fails("-", "m:there", data=b"no archive" * 100) != ""


def test_a_large_file_both_ways(cp):
    data = os.urandom(48 * 1024 * 1024)
    (cp.base / "src/large").write_bytes(data)
    cp.run("h:src/large", "m:there/one")
    cp.run("m:there/one", "h:there/two")
    assert (cp.base / "there/two").read_bytes() == data


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_copy_out_that_is_broken_off(cp, number):
    """The file that was there stays, and but for SIGKILL nothing else is left."""
    with (cp.base / "src/endless").open("wb") as file:
        file.truncate(1)
    (cp.base / "src/large").write_bytes(os.urandom(64 * 1024 * 1024))
    (cp.base / "there/large").write_bytes(b"old")
    process = cp.start("m:src/large", "h:there/large")
    until(lambda: process.poll() is not None or len(os.listdir(cp.base / "there")) > 1, "it has begun")
    process.send_signal(number)
    process.communicate(timeout=PATIENCE_S)
    if process.returncode != 0:  # it may have been fast
        assert process.returncode == -number
        assert (cp.base / "there/large").read_bytes() == b"old"
    if number != signal.SIGKILL:
        assert os.listdir(cp.base / "there") == ["large"]


def test_a_copy_in_that_is_broken_off(cp):
    (cp.base / "there/file").write_bytes(b"old")
    process = cp.start("-", "m:there")
    with tarfile.open(fileobj=process.stdin, mode="w|") as archive:
        info = tarfile.TarInfo("file")
        info.size = 8 * 1024 * 1024
        archive.addfile(info, io.BytesIO(b"n" * info.size))
        # The archive's end is never sent.
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)
        archive.fileobj = io.BytesIO()
        archive.closed = True
    assert process.returncode == -signal.SIGTERM
    process.stderr.close()
    process.stdout.close()
    until(lambda: os.listdir(cp.base / "there") == ["file"], "nothing else is left")


def test_a_server_that_dies_leaves_what_was_there(cp):
    (cp.base / "src/large").write_bytes(os.urandom(64 * 1024 * 1024))
    (cp.base / "there/large").write_bytes(b"old")
    process = cp.start("m:src/large", "h:there/large")
    until(lambda: process.poll() is not None or len(os.listdir(cp.base / "there")) > 1, "it has begun")
    cp.api.kill()
    _, err = process.communicate(timeout=PATIENCE_S)
    if process.returncode != 0:
        assert process.returncode == 1
        assert b"went away" in err
        assert (cp.base / "there/large").read_bytes() == b"old"
    assert os.listdir(cp.base / "there") == ["large"]
    cp.api.start()


def test_what_makes_no_sense(cp):
    cases = [
        (("h:src", "h:there"), "one of the two has to be in a machine"),
        (("m:src", "m:there"), "two steps"),
        (("m:src",), "something is missing"),
        (("h:src", "m:there", "x"), "one source and one target"),
        (("none:/etc/passwd", "h:there"), "there is no machine 'none'"),
        (("h:src", "none:/tmp"), "there is no machine 'none'"),
        (("h:src/file", "none:/no/such/"), "there is no machine 'none'"),
        (("m:src/..", "h:there"), "name the directory itself"),
    ]
    for arguments, sentence in cases:
        assert sentence in cp.fails(*arguments)


def test_a_machine_that_is_stopped(cp):
    cp.api.post(f"/v1/machines/{NAME}/stop", {"timeout_s": 0})
    for arguments in (("m:src", "h:there"), ("h:src", "m:there")):
        assert "stopped" in cp.fails(*arguments)
    assert cp.tree("there") == {}

#!/usr/bin/env python3
"""The guest's copier against a directory of this machine.

    test_copy.py COPY_TOOL
"""

import errno
import io
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

TOOL = ""
DEADLINE_S = 60
DONE, FAILED, NOT_FOUND, NOT_DIRECTORY, REFUSED, NO_SPACE, BROKEN = range(7)
IS_ROOT = os.geteuid() == 0


def member(name, data=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.uid, info.gid = os.geteuid(), os.getegid()
    for key, value in fields.items():
        setattr(info, key, value)
    return info, data


def directory(name, **fields):
    return member(name, type=tarfile.DIRTYPE, mode=fields.pop("mode", 0o755), **fields)


def symlink(name, target):
    return member(name, type=tarfile.SYMTYPE, linkname=target)


def hardlink(name, target):
    return member(name, type=tarfile.LNKTYPE, linkname=target)


def archive(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Case(unittest.TestCase):
    def setUp(self):
        self.top = Path(tempfile.mkdtemp(prefix="krun-copy-"))
        self.addCleanup(shutil.rmtree, self.top)
        self.target = self.top / "target"
        self.target.mkdir()
        self.outside = self.top / "outside"
        self.outside.mkdir()
        (self.outside / "secret").write_text("secret")

    def run_tool(self, what, path, data=b""):
        done = subprocess.run([TOOL, what, path], input=data, capture_output=True, timeout=DEADLINE_S)
        return done.returncode, done.stdout, os.fsdecode(done.stderr)

    def put(self, *members, code=DONE, to=None):
        got, _, said = self.run_tool("put", to or self.target, archive(*members))
        self.assertEqual(got, code, said)
        self.assertEqual([], [p for p in self.target.rglob(".krun.*")])
        self.assertEqual(["secret"], os.listdir(self.outside))
        self.assertEqual((self.outside / "secret").read_text(), "secret")
        return said

    def get(self, path, what="get", code=DONE):
        got, out, said = self.run_tool(what, path)
        self.assertEqual(got, code, said)
        if code != DONE:
            return said
        with tarfile.open(fileobj=io.BytesIO(out), errors="surrogateescape") as tar:
            return {info.name: (info, tar.extractfile(info).read() if info.isreg() else None) for info in tar}


class Put(Case):
    def test_every_kind_of_entry(self):
        self.put(
            directory("d", mode=0o2750, mtime=1000),
            member("d/file", b"hello", mode=0o4751, mtime=1234567890.5),
            symlink("d/link", "../nowhere"),
            hardlink("d/other", "d/file"),
            member("d/fifo", type=tarfile.FIFOTYPE, mode=0o640),
            directory("d/e", mode=0o555, mtime=2000),
            member("d/e/inner", b"x", mode=0o400),
            member("not/mentioned/parent", b"y"),
        )
        d = self.target / "d"
        self.assertEqual((d / "file").read_bytes(), b"hello")
        self.assertEqual(stat.S_IMODE((d / "file").stat().st_mode), 0o4751)
        self.assertEqual((d / "file").stat().st_mtime_ns, 1234567890500000000)
        self.assertEqual(os.readlink(d / "link"), "../nowhere")
        self.assertTrue(os.path.samefile(d / "file", d / "other"))
        self.assertTrue(stat.S_ISFIFO((d / "fifo").stat().st_mode))
        self.assertEqual(stat.S_IMODE(d.stat().st_mode), 0o2750)
        self.assertEqual((d.stat().st_mtime, (d / "e").stat().st_mtime), (1000, 2000))
        self.assertEqual(stat.S_IMODE((d / "e").stat().st_mode), 0o555)
        self.assertEqual((self.target / "not/mentioned/parent").read_bytes(), b"y")
        os.chmod(d / "e", 0o755)  # else an ordinary user cannot clean up

    def test_names_in_any_bytes(self):
        names = [b"\xff\xfe", b"new\nline", "grüße".encode(), b"a" * 255, b"/".join([b"d" * 200] * 8), b"c:\\x", b" "]
        self.put(*(member(os.fsdecode(name), name) for name in names))
        for name in names:
            self.assertEqual((self.target / os.fsdecode(name)).read_bytes(), name)

    def test_the_directory_itself_stays_as_it_is(self):
        before = self.target.stat()
        self.put(directory("./", mode=0o700, uid=12345, mtime=1), member("./f", b"x"))
        after = self.target.stat()
        self.assertEqual((before.st_mode, before.st_uid), (after.st_mode, after.st_uid))
        self.assertGreater(after.st_mtime, 1)
        self.assertEqual((self.target / "f").read_bytes(), b"x")

    def test_what_is_there_is_replaced_and_not_opened(self):
        os.mkfifo(self.target / "fifo")
        (self.target / "file").write_text("old")
        os.link(self.target / "file", self.target / "its-other-name")
        os.symlink(self.outside / "secret", self.target / "link")
        self.put(member("fifo", b"1"), member("file", b"2"), member("link", b"3"))
        for name, data in (("fifo", b"1"), ("file", b"2"), ("link", b"3")):
            self.assertEqual((self.target / name).read_bytes(), data)
            self.assertFalse((self.target / name).is_symlink())
        self.assertEqual((self.target / "its-other-name").read_text(), "old")

    def test_directories_are_merged_with(self):
        (self.target / "d").mkdir()
        (self.target / "d/old").write_text("old")
        os.symlink("d", self.target / "link")
        self.put(directory("d", mode=0o711), member("d/new", b"n"), directory("link"), member("link/third", b"t"))
        self.assertEqual(sorted(os.listdir(self.target / "d")), ["new", "old", "third"])
        self.assertTrue((self.target / "link").is_symlink())

    def test_a_file_does_not_become_a_directory_nor_the_other_way(self):
        (self.target / "file").write_text("x")
        (self.target / "d").mkdir()
        self.put(directory("file"), code=NOT_DIRECTORY)
        self.put(member("file/below", b""), code=NOT_DIRECTORY)
        self.put(member("d", b""), code=FAILED)
        self.assertEqual((self.target / "file").read_text(), "x")

    def test_nothing_leads_out(self):
        os.symlink(self.outside, self.target / "absolute")
        os.symlink("../outside", self.target / "relative")
        self.put(member("absolute/secret", b"!"), code=REFUSED)
        self.put(member("relative/secret", b"!"), code=REFUSED)
        self.put(directory("absolute", mode=0o700), code=REFUSED)
        self.put(symlink("own", str(self.outside)), member("own/secret", b"!"), code=REFUSED)
        self.put(symlink("a", "b/.."), directory("b"), member("a/../../outside/secret", b"!"), code=BROKEN)
        self.put(member("../outside/secret", b"!"), code=BROKEN)
        self.put(member("x/../../outside/secret", b"!"), code=BROKEN)
        self.put(hardlink("h", "../outside/secret"), code=BROKEN)
        self.put(hardlink("h", "absolute/secret"), code=REFUSED)
        self.put(hardlink("h", "nowhere"), code=BROKEN)
        self.put(directory("d"), symlink("d", str(self.outside)), code=FAILED)

    def test_absolute_names_are_below_the_directory(self):
        self.put(member("/etc/krun-copy-test", b"x"), member("//y", b"y"), hardlink("/z", "/y"))
        self.assertEqual((self.target / "etc/krun-copy-test").read_bytes(), b"x")
        self.assertEqual((self.target / "z").read_bytes(), b"y")
        self.assertFalse(Path("/etc/krun-copy-test").exists())

    def test_links_within_the_directory_are_followed(self):
        (self.target / "usr/bin").mkdir(parents=True)
        os.symlink("usr/bin", self.target / "bin")
        self.put(member("bin/tool", b"x"))
        self.assertEqual((self.target / "usr/bin/tool").read_bytes(), b"x")

    def test_sparse_files_keep_their_holes(self):
        source = self.top / "sparse"
        with open(source, "wb") as file:
            file.seek(8 << 20)
            file.write(b"end")
            file.truncate(16 << 20)
        got, out, _ = self.run_tool("get", source)
        self.assertEqual(got, DONE)
        self.assertLess(len(out), 100 << 10)
        got, _, said = self.run_tool("put", self.target, out)
        self.assertEqual(got, DONE, said)
        copy = self.target / "sparse"
        self.assertEqual(copy.read_bytes(), source.read_bytes())
        self.assertLess(copy.stat().st_blocks * 512, 100 << 10)

    def test_a_broken_transfer_leaves_nothing_half(self):
        data = archive(member("first", b"1" * 1000), member("second", b"2" * 100000), member("third", b"3"))
        (self.target / "second").write_text("old")
        for cut in (0x200, 3000, 50000, len(data) - 12000):
            got, _, said = self.run_tool("put", self.target, data[:cut])
            self.assertEqual(got, BROKEN, said)
            self.assertEqual((self.target / "second").read_text(), "old")
            self.assertLessEqual(set(os.listdir(self.target)), {"first", "second"})
        got, _, said = self.run_tool("put", self.target, data[:700] + b"garbage" * 1000)
        self.assertEqual(got, BROKEN)

    def test_a_signal_takes_away_what_is_not_whole(self):
        data = archive(member("big", b"x" * 100000))
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGKILL):
            process = subprocess.Popen([TOOL, "put", self.target], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
            process.stdin.write(data[:70000])
            process.stdin.flush()
            # It has read what fits into the pipe when there is room for as much again.
            process.stdin.write(data[70000:90000])
            process.stdin.flush()
            process.send_signal(number)
            self.assertNotEqual(process.wait(DEADLINE_S), 0)
            process.stdin.close()
            process.stderr.close()
            self.assertEqual(os.listdir(self.target), [])

    def test_the_directory_must_be_one(self):
        (self.target / "file").write_text("x")
        self.assertIn("No such file", self.put(member("x"), to=self.target / "nowhere", code=NOT_FOUND))
        self.put(member("x"), to=self.target / "file", code=NOT_DIRECTORY)
        os.mkfifo(self.target / "fifo")
        self.put(member("x"), to=self.target / "fifo", code=NOT_DIRECTORY)
        self.put(member("x"), to="relative", code=NOT_FOUND)

    def test_the_kernels_file_systems_take_no_files(self):
        self.put(member("x"), to="/proc", code=REFUSED)
        self.put(member("x"), to="/sys", code=REFUSED)

    def test_an_empty_archive_is_nothing(self):
        self.put()
        self.assertEqual(os.listdir(self.target), [])

    def test_a_sentence_is_one_line(self):
        said = self.put(member("../new\nline", b""), code=BROKEN)
        self.assertEqual(said.count("\n"), 1)
        self.assertIn("new?line", said)

    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_owners_and_devices(self):
        self.put(
            member("owned", b"x", uid=1234, gid=4321, mode=0o6755),
            member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
        )
        st = (self.target / "owned").stat()
        self.assertEqual((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)), (1234, 4321, 0o6755))
        self.assertEqual((self.target / "null").stat().st_rdev, os.makedev(1, 3))
        self.put(member("strange", b"", uid=0xFFFFFFFF), code=BROKEN)

    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_a_full_disk_keeps_the_old_file(self):
        try:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", self.target], check=True, timeout=30)
        except subprocess.CalledProcessError:
            self.skipTest("nothing can be mounted here")
        self.addCleanup(subprocess.run, ["umount", self.target], check=True, timeout=30)
        (self.target / "big").write_text("old")
        said = self.put(member("small", b"s"), member("big", b"x" * (4 << 20)), code=NO_SPACE)
        self.assertIn(os.strerror(errno.ENOSPC), said)
        self.assertEqual((self.target / "big").read_text(), "old")
        self.assertEqual(sorted(os.listdir(self.target)), ["big", "small"])
        self.assertGreater(os.statvfs(self.target).f_bavail * 4096, 900 << 10)

    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_a_read_only_file_system_refuses(self):
        try:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", self.target], check=True, timeout=30)
        except subprocess.CalledProcessError:
            self.skipTest("nothing can be mounted here")
        self.addCleanup(subprocess.run, ["umount", self.target], check=True, timeout=30)
        self.put(member("f", b""), code=REFUSED)

    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_a_file_that_is_mounted_keeps_its_place(self):
        volume = self.top / "volume"
        volume.write_text("a longer text than the new one")
        (self.target / "conf").touch()
        try:
            subprocess.run(["mount", "--bind", volume, self.target / "conf"], check=True, timeout=30)
        except subprocess.CalledProcessError:
            self.skipTest("nothing can be mounted here")
        self.addCleanup(subprocess.run, ["umount", self.target / "conf"], check=True, timeout=30)
        self.put(member("conf", b"new", mode=0o640, mtime=1000), member("other", b"x"))
        self.assertEqual((volume.read_text(), volume.stat().st_mtime), ("new", 1000))
        self.assertEqual(stat.S_IMODE(volume.stat().st_mode), 0o640)
        self.assertEqual(sorted(os.listdir(self.target)), ["conf", "other"])
        self.put(symlink("conf", "x"), code=FAILED)

    def test_attributes(self):
        headers = {"SCHILY.xattr.user.krun": "value", "SCHILY.xattr.trusted.overlay.opaque": "y"}
        self.put(member("f", b"", pax_headers=headers))
        self.assertEqual(os.getxattr(self.target / "f", "user.krun"), b"value")
        self.assertNotIn("trusted.overlay.opaque", os.listxattr(self.target / "f"))
        self.assertEqual(self.get(self.target / "f")["f"][0].pax_headers["SCHILY.xattr.user.krun"], "value")


class Get(Case):
    def make_tree(self):
        tree = self.top / "tree"
        tree.mkdir()
        (tree / "file").write_bytes(b"hello" * 100000)
        os.chmod(tree / "file", 0o4755)
        os.link(tree / "file", tree / "same")
        os.symlink("file", tree / "link")
        os.mkfifo(tree / "fifo")
        (tree / os.fsdecode(b"\xff")).write_bytes(b"raw")
        (tree / "deep/er").mkdir(parents=True)
        (tree / "deep/er/x").write_text("x")
        (tree / ("n" * 255)).write_text("long")
        return tree

    def test_a_tree_and_its_content(self):
        tree = self.make_tree()
        for path, name in ((tree, "tree"), (f"{tree}/", "tree"), (f"{tree}/.", "."), (f"{tree}/deep/..", ".")):
            got = self.get(path)
            names = {"", "/file", "/same", "/link", "/fifo", "/deep", "/deep/er", "/deep/er/x", "/" + "n" * 255}
            self.assertEqual(set(got), {name + n for n in names} | {name + os.fsdecode(b"/\xff")})
            files = [got[f"{name}/file"][0], got[f"{name}/same"][0]]
            self.assertEqual(sorted(info.type for info in files), [tarfile.REGTYPE, tarfile.LNKTYPE])
            first = next(info for info in files if info.isreg())
            self.assertEqual((got[first.name][1], first.mode), (b"hello" * 100000, 0o4755))
            self.assertEqual(next(info for info in files if not info.isreg()).linkname, first.name)
            self.assertEqual(got[f"{name}/link"][0].linkname, "file")
            self.assertTrue(got[f"{name}/fifo"][0].isfifo())

    def test_through_and_back(self):
        tree = self.make_tree()
        _, out, _ = self.run_tool("get", tree)
        code, _, said = self.run_tool("put", self.target, out)
        self.assertEqual(code, DONE, said)
        _, again, _ = self.run_tool("get", self.target / "tree")
        names = [tarfile.open(fileobj=io.BytesIO(data)) for data in (out, again)]
        key = lambda info: info.name  # noqa: E731
        for one, two in zip(sorted(names[0], key=key), sorted(names[1], key=key), strict=True):
            fields = ("name", "mode", "uid", "gid", "mtime")
            self.assertEqual([getattr(one, f) for f in fields], [getattr(two, f) for f in fields])

    def test_a_single_file_and_a_link(self):
        tree = self.make_tree()
        self.assertEqual(self.get(tree / "deep/er/x")["x"][1], b"x")
        self.assertTrue(self.get(tree / "link")["link"][0].issym())
        os.symlink("deep", tree / "to-deep")
        self.assertEqual(set(self.get(f"{tree}/to-deep/.")), {".", "./er", "./er/x"})

    def get_while(self, change):
        """A file of 2 MiB, which changes while nobody reads what the copier writes."""
        path = self.top / "big"
        path.write_bytes(b"x" * (2 << 20))
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0}
        with subprocess.Popen([TOOL, "get", path], **pipes) as process:
            first = process.stdout.read(1000)
            change(path)
            out, said = process.communicate(timeout=DEADLINE_S)
        self.assertEqual(process.returncode, DONE)
        with tarfile.open(fileobj=io.BytesIO(first + out)) as tar:
            self.assertEqual(tar.getnames(), ["big"])
            return tar.extractfile("big").read(), said.decode()

    def test_a_file_that_becomes_shorter_is_filled_up(self):
        data, said = self.get_while(lambda path: os.truncate(path, 0))
        self.assertEqual((len(data), data[:1000], data[-1000:]), (2 << 20, b"x" * 1000, bytes(1000)))
        self.assertIn("big became shorter", said)

    def test_a_file_that_becomes_longer_is_cut(self):
        data, said = self.get_while(lambda path: path.write_bytes(b"x" * (3 << 20)))
        self.assertEqual((data == b"x" * (2 << 20), said), (True, ""))

    def test_files_that_do_not_know_their_size(self):
        self.assertEqual(self.get("/proc/version")["version"][1], Path("/proc/version").read_bytes())
        self.assertEqual(self.get("/sys/kernel/uevent_seqnum")["uevent_seqnum"][1][-1:], b"\n")
        self.assertGreater(self.get("/proc/self/maps")["maps"][0].size, 1000)

    def test_the_entry_alone(self):
        tree = self.make_tree()
        self.assertEqual(self.get(tree / "file", "entry")["file"][0].size, 0)
        self.assertEqual(list(self.get(tree, "entry")), ["tree"])
        self.assertEqual(list(self.get(f"{tree}/.", "entry")), ["."])
        self.get(f"{tree}/file/.", "entry", code=NOT_DIRECTORY)
        self.get(f"{tree}/file/", "entry", code=NOT_DIRECTORY)
        self.get(f"{tree}/nowhere/.", "entry", code=NOT_FOUND)

    def test_what_is_not_there(self):
        self.assertIn("nowhere", self.get(self.top / "nowhere", code=NOT_FOUND))
        self.assertIn("nowhere", self.get(self.top / "nowhere/else", code=NOT_FOUND))
        self.get(self.outside / "secret/below", code=NOT_DIRECTORY)

    def test_sockets_are_left_out_and_said(self):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(self.outside / "socket"))
            code, out, said = self.run_tool("get", self.outside)
            self.assertEqual(code, DONE)
            self.assertIn("outside/socket is a socket", said)
            with tarfile.open(fileobj=io.BytesIO(out)) as tar:
                self.assertEqual(sorted(tar.getnames()), ["outside", "outside/secret"])
            self.get(self.outside / "socket", code=REFUSED)

    def test_too_deep_is_said_and_not_endless(self):
        path = self.top / "deep"
        path.mkdir()
        fd = os.open(path, os.O_RDONLY)
        for _ in range(300):
            os.mkdir("d", dir_fd=fd)
            inner = os.open("d", os.O_RDONLY, dir_fd=fd)
            os.close(fd)
            fd = inner
        os.close(fd)
        self.assertIn("nested", self.get(path, code=FAILED))

    def test_the_root_has_no_last_name(self):
        self.assertEqual(list(self.get("/", "entry")), ["."])

    @unittest.skipUnless(IS_ROOT, "needs root")
    def test_a_mount_below_is_an_empty_directory(self):
        tree = self.make_tree()
        try:
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tree / "deep"], check=True, timeout=30)
        except subprocess.CalledProcessError:
            self.skipTest("nothing can be mounted here")
        self.addCleanup(subprocess.run, ["umount", tree / "deep"], check=True, timeout=30)
        (tree / "deep/volume").write_text("v")
        self.assertNotIn("tree/deep/volume", self.get(tree))
        self.assertIn("tree/deep", self.get(tree))
        self.assertIn("deep/volume", self.get(tree / "deep"))


if __name__ == "__main__":
    TOOL = sys.argv.pop()
    unittest.main()

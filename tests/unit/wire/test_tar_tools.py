#!/usr/bin/env python3
"""Tar files of other programs, read by ours; and ours, read by them.

    test_tar_tools.py TAR_TOOL
"""

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

TOOL = ""
STEPS = (1, 511, 512, 4096, 1 << 20)
GNU_TAR = shutil.which("gtar") or shutil.which("tar")


def is_gnu_tar():
    said = subprocess.run([GNU_TAR, "--version"], capture_output=True, text=True, timeout=30).stdout if GNU_TAR else ""
    return "GNU tar" in said


def tool(what, data, step=1 << 16):
    done = subprocess.run([TOOL, what, str(step)], input=data, capture_output=True, timeout=60)
    if done.returncode != 0:
        raise AssertionError(done.stderr.decode(errors="replace"))
    return done.stdout


def listed(data, step=1 << 16):
    lines = tool("list", data, step).decode().splitlines()
    entries = {}
    for line in lines:
        kind, path, target, size, mode, uid, gid, mtime, major, minor, *rest = line.split(" ")
        entries[os.fsdecode(bytes.fromhex(path))] = {
            "kind": int(kind), "target": os.fsdecode(bytes.fromhex(target[1:])), "size": int(size),
            "mode": int(mode, 8), "uid": int(uid), "gid": int(gid), "mtime": mtime,
            "device": (int(major), int(minor)), "xattrs": rest[:-1], "hash": rest[-1],
        }  # fmt: skip
    return entries


def hash_of(data):
    return f"{sum(byte * (2 * i + 1) for i, byte in enumerate(data) if byte) % (1 << 64):016x}"


class Python(unittest.TestCase):
    """Python's tarfile writes."""

    def made(self, form, members):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=form, errors="surrogateescape") as archive:
            for member, data in members:
                archive.addfile(member, io.BytesIO(data))
        return out.getvalue()

    def member(self, name, **fields):
        member = tarfile.TarInfo(name)
        for key, value in fields.items():
            setattr(member, key, value)
        return member

    def members(self):
        long = "/".join(["directory-with-a-name"] * 12) + "/file"
        yield self.member("plain", size=5, mode=0o4755, uid=1000, gid=1001, mtime=1700000000), b"hello"
        yield self.member(long, size=3), b"abc"
        yield self.member("d/", type=tarfile.DIRTYPE, mode=0o1777), b""
        yield self.member("s", type=tarfile.SYMTYPE, linkname="x" * 300), b""
        yield self.member("h", type=tarfile.LNKTYPE, linkname=long), b""
        yield self.member("fifo", type=tarfile.FIFOTYPE), b""
        yield self.member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3), b""
        yield self.member(os.fsdecode(b"latin-\xe9"), size=1), b"x"
        yield self.member("grüße", size=0), b""
        yield self.member("rich", uid=4000000000, gid=3000000, size=0), b""

    def test_every_form_says_the_same(self):
        members = list(self.members())
        for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
            data = self.made(form, members)
            for step in STEPS:
                with self.subTest(form=form, step=step):
                    self.check(listed(data, step), members)

    def check(self, entries, members):
        self.assertEqual([m.name.rstrip("/") for m, _ in members], [name.rstrip("/") for name in entries])
        for (member, data), entry in zip(members, entries.values()):
            self.assertEqual(entry["size"], len(data))
            self.assertEqual(entry["hash"], hash_of(data))
            self.assertEqual((entry["uid"], entry["gid"], entry["mode"]), (member.uid, member.gid, member.mode))
            self.assertEqual(entry["target"], member.linkname)
            self.assertEqual(entry["device"], (member.devmajor, member.devminor))

    def test_what_we_write_python_reads(self):
        members = list(self.members())
        again = tool("copy", self.made(tarfile.PAX_FORMAT, members))
        self.check(listed(again), members)
        with tarfile.open(fileobj=io.BytesIO(again), errors="surrogateescape") as archive:
            for (member, data), got in zip(members, archive, strict=True):
                self.assertEqual(got.name.rstrip("/"), member.name.rstrip("/"))
                self.assertEqual((got.type, got.linkname), (member.type, member.linkname))
                self.assertEqual((got.uid, got.gid, got.mode), (member.uid, member.gid, member.mode))
                self.assertEqual((got.devmajor, got.devminor), (member.devmajor, member.devminor))
                if got.isreg():
                    self.assertEqual(archive.extractfile(got).read(), data)

    def test_times_and_attributes(self):
        for mtime in ("1700000000.123456789", "-1.5", "-2", "0.000000001", "99999999999.5"):
            with self.subTest(mtime=mtime):
                headers = {"mtime": mtime, "SCHILY.xattr.user.k": "v=\n", "SCHILY.xattr.user.l": "x" * 1000}
                data = self.made(tarfile.PAX_FORMAT, [(self.member("f", pax_headers=headers), b"")])
                entry = listed(data)["f"]
                self.assertEqual(entry["xattrs"], ["user.k:763d0a", "user.l:" + "78" * 1000])
                self.assertEqual(listed(tool("copy", data))["f"], entry)
                with tarfile.open(fileobj=io.BytesIO(tool("copy", data))) as archive:
                    self.assertAlmostEqual(archive.getmember("f").mtime, float(mtime), places=5)

    def test_a_cut_archive_is_broken(self):
        data = self.made(tarfile.PAX_FORMAT, list(self.members()))
        end = len(data.rstrip(b"\0")) // 512 * 512
        for cut in range(1, end, 97):
            if cut % 512:
                with self.subTest(cut=cut), self.assertRaises(AssertionError):
                    tool("list", data[:cut])


@unittest.skipUnless(is_gnu_tar(), "GNU tar is not here")
class Gnu(unittest.TestCase):
    """GNU tar writes, and reads."""

    def setUp(self):
        self.directory = Path(tempfile.mkdtemp(prefix="tar-tools-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.tree = self.directory / "tree"
        self.tree.mkdir()
        (self.tree / "a").write_bytes(b"hello")
        os.link(self.tree / "a", self.tree / "b")
        os.symlink("a", self.tree / "s")
        (self.tree / ("n" * 200)).write_bytes(b"long")
        os.mkfifo(self.tree / "fifo")
        with open(self.tree / "sparse", "wb") as file:
            for i in range(60):
                file.seek(i << 14)
                file.write(b"part %d" % i)
            file.truncate(1 << 20)
        with open(self.tree / "hole", "wb") as file:
            file.truncate(256 << 10)

    def tar(self, *argv, data=None):
        done = subprocess.run([GNU_TAR, *argv], input=data, capture_output=True, timeout=60, cwd=self.directory)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def check_sparse(self, entries):
        for name in ("sparse", "hole", "n" * 200):
            data = (self.tree / name).read_bytes()
            self.assertEqual(entries[f"tree/{name}"]["size"], len(data))
            self.assertEqual(entries[f"tree/{name}"]["hash"], hash_of(data))

    def test_all_forms_of_sparse_files(self):
        forms = [["--format=gnu"]]
        forms += [["--format=posix", f"--sparse-version={version}"] for version in ("0.0", "0.1", "1.0")]
        for form in forms:
            data = self.tar("-c", "-S", "--hole-detection=raw", *form, "tree")
            self.assertLess(len(data), 400 << 10)
            for step in (7, 512, 100000):
                with self.subTest(form=form, step=step):
                    self.check_sparse(listed(data, step))

    def test_what_we_write_gnu_tar_extracts(self):
        data = tool("copy", self.tar("-c", "-S", "--format=posix", "tree"))
        out = self.directory / "out"
        out.mkdir()
        self.tar("-x", "-C", str(out), data=data)
        for path in self.tree.iterdir():
            again = out / "tree" / path.name
            self.assertEqual(again.lstat().st_mode, path.lstat().st_mode)
            self.assertEqual(again.lstat().st_mtime_ns, path.lstat().st_mtime_ns)
            if path.is_symlink():
                self.assertEqual(os.readlink(again), os.readlink(path))
            elif path.is_file():
                self.assertEqual(
                    hashlib.sha256(again.read_bytes()).digest(), hashlib.sha256(path.read_bytes()).digest()
                )
        self.assertTrue(os.path.samefile(out / "tree/a", out / "tree/b"))
        self.assertLess((out / "tree/hole").stat().st_blocks, 16)

    def test_all_plain_formats(self):
        for form in ("v7", "oldgnu", "gnu", "ustar", "posix"):
            with self.subTest(form=form):
                entries = listed(self.tar("-c", f"--format={form}", "tree/a", "tree/b", "tree/s"))
                self.assertEqual(list(entries), ["tree/a", "tree/b", "tree/s"])
                self.assertEqual(entries["tree/b"]["target"], "tree/a")


if __name__ == "__main__":
    TOOL = sys.argv.pop()
    unittest.main()

"""A small docker archive, made here: busybox, a web page, and bytes as asked for."""

import hashlib
import io
import json
import shutil
import tarfile

APPLETS = ("sh", "cat", "echo", "env", "false", "head", "httpd", "hostname", "id", "ip", "kill", "ls", "mount", "nc", "sleep",
           "touch", "true", "wc", "wget", "yes", "dd", "seq", "stat")


def _add(archive, name, data, mode=0o644, kind=tarfile.REGTYPE, link=""):
    entry = tarfile.TarInfo(name)
    entry.mode, entry.type, entry.linkname, entry.size = mode, kind, link, len(data)
    archive.addfile(entry, io.BytesIO(data))


def make_layer(*extra):
    """An uncompressed layer. `extra` are names and bytes to go in as well, with their modes."""
    with open(shutil.which("busybox"), "rb") as file:
        busybox = file.read()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in ("bin", "etc", "tmp", "www"):
            _add(archive, name, b"", 0o1777 if name == "tmp" else 0o755, tarfile.DIRTYPE)
        _add(archive, "bin/busybox", busybox, 0o755)
        for applet in APPLETS:
            _add(archive, f"bin/{applet}", b"", 0o777, tarfile.SYMTYPE, "busybox")
        _add(archive, "etc/passwd", b"root:x:0:0::/:/bin/sh\nweb:x:1000:1000::/:/bin/sh\n")
        _add(archive, "etc/group", b"root:x:0:\nweb:x:1000:\n")
        _add(archive, "www/index.html", b"a page from the guest\n")
        for file in extra:
            _add(archive, *file)
    return stream.getvalue()


def write_archive(path, reference, command, layer=None):
    """Write a `docker save` archive with one layer."""
    layer = layer or make_layer()
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": command, "Env": ["PATH=/bin", "FROM_IMAGE=yes"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
    }).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": name, "RepoTags": [reference], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(path, "w") as archive:
        _add(archive, name, config)
        _add(archive, "layer.tar", layer)
        _add(archive, "manifest.json", manifest)
    return path

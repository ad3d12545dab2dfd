"""Images for the guests, made without a builder: a docker archive with a static busybox in it."""

import hashlib
import io
import json
import shutil
import subprocess
import tarfile
from pathlib import Path


def busybox():
    """Path of a static busybox."""
    path = shutil.which("busybox")
    assert path, "busybox is not installed: tools/bootstrap check installs it"
    return path


def applets():
    listed = subprocess.run([busybox(), "--list"], capture_output=True, text=True, check=True, timeout=10)
    return [name for name in listed.stdout.split() if name != "busybox"]


def _add(archive, name, data=None, mode=0o755, link=None, kind=None):
    entry = tarfile.TarInfo(name)
    entry.mode = mode
    if kind:
        entry.type = kind
    elif link:
        entry.type = tarfile.SYMTYPE
        entry.linkname = link
    else:
        entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data) if data is not None else None)


def layer(extra=None):
    """The bytes of a layer: busybox with all its names, /tmp, /etc, and what `extra` says as {name: bytes}."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for directory, mode in (("bin", 0o755), ("tmp", 0o1777), ("etc", 0o755), ("www", 0o755)):
            _add(archive, directory, mode=mode, kind=tarfile.DIRTYPE)
        _add(archive, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\nguest:x:1000:1000::/:/bin/sh\n", 0o644)
        _add(archive, "www/index.html", b"a page from the guest\n", 0o644)
        _add(archive, "bin/busybox", Path(busybox()).read_bytes())
        for name in applets():
            _add(archive, f"bin/{name}", link="busybox")
        for name, data in (extra or {}).items():
            _add(archive, name, data, 0o644)
    return out.getvalue()


def write_image(path, reference, extra=None):
    """Writes what `docker save` would for an image of one layer."""
    content = layer(extra)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/bin", "FROM_IMAGE=yes"], "Cmd": ["/bin/sh", "-c", "echo its own command"]},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(content).hexdigest()]},
        }
    ).encode()
    name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": name, "RepoTags": [reference], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(path, "w") as archive:
        _add(archive, name, config, 0o644)
        _add(archive, "layer.tar", content, 0o644)
        _add(archive, "manifest.json", manifest, 0o644)


def write_directory(path):
    """The same root as a directory on the host."""
    (path / "bin").mkdir(parents=True)
    for name in ("tmp", "etc", "proc", "sys", "dev"):
        (path / name).mkdir()
    shutil.copy(busybox(), path / "bin" / "busybox")
    for name in applets():
        (path / "bin" / name).symlink_to("busybox")

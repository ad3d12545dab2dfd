#!/usr/bin/env python3
"""An outer guest with a working /dev/kvm, on a machine that has none.

QEMU's software emulation of x86_64 includes AMD's SVM, and the kernel of libkrunfw includes KVM. So that kernel, booted
under QEMU, is a machine on which the real libkrun runs. Its root is one ext4 file made without privileges by
`mke2fs -d`: busybox, the programs asked for with the shared objects they need, and a script, which is its workload.

    outer = Outer(libkrunfw)
    outer.add("/usr/bin/some-program")
    result = outer.run("some-program --version", timeout_s=60)
    result.exit_code, result.output, result.file("name")     # what the script left in /out

Ways out of the guest: what the script prints goes to one virtio-serial port as it comes, and /out goes to a second one
as a tar at the end. Everything is written to files; QEMU is killed by its pid at the deadline and on every other way out.
"""

import argparse
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import kernel  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
ICOUNT_TSC_KHZ = 1_000_000  # with -icount shift=0 one instruction is one nanosecond
STDOUT_BYTES_MAX = 64 << 20

# The first program of the outer guest. The ports are announced one by one: their names may come late.
INIT = r"""#!/bin/busybox sh
export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/root TERM=dumb LC_ALL=C
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mount -t cgroup2 cgroup /sys/fs/cgroup
mkdir -p /tmp /out
chmod 1777 /tmp /out
ln -s /proc/self/fd /dev/fd
chmod 666 /dev/kvm
ifconfig lo up
ulimit -n 65536

port() {
	left=200
	while [ $left -gt 0 ]; do
		for entry in /sys/class/virtio-ports/*; do
			[ "$(cat "$entry/name" 2>/dev/null)" = "$1" ] && { echo "/dev/${entry##*/}"; return; }
		done
		left=$((left - 1))
		usleep 10000
	done
	echo "outer guest: no port $1" >/dev/hvc0
	reboot -f
}

output=$(port outer.output)
files=$(port outer.files)
cd /root
sh /script >"$output" 2>&1 </dev/null
echo $? >/out/.exit
tar -C /out -c . >"$files"
sync
reboot -f
"""


class OuterError(Exception):
    """The outer guest could not be made, did not end in time, or ended without its script's exit code."""

    def __init__(self, sentence, output=""):
        super().__init__(sentence)
        self.output = output  # what the script had printed


class OuterSilent(OuterError):
    """Nothing came for too long. Now and then QEMU's emulated SVM leaves the inner guest's kernel at a lock for ever."""


class Result:
    """What came out of a run. `files` maps names below /out to bytes."""

    def __init__(self, exit_code, output, files, console, seconds):
        self.exit_code = exit_code
        self.output = output
        self.files = files
        self.console = console
        self.seconds = seconds

    def file(self, name):
        return self.files[name].decode(errors="replace")


def find_library(name):
    """Find libkrun or libkrunfw: named by the environment, below the build tree, or on the system."""
    stem = name.split(".")[0]
    asked = os.environ.get(f"KRUN_TEST_{stem.upper()}")
    if asked:
        return Path(asked)
    below = [
        REPOSITORY / "build/deps/libkrun",
        *sorted((REPOSITORY / "build/deps/root").glob("usr/lib/*-linux-gnu")),
        *(Path(d) for d in ("/usr/local/lib64", "/usr/local/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu")),
    ]
    for directory in below:
        if (directory / name).exists():
            return directory / name
    return None


def tsc_khz():
    """The rate of this machine's time stamp counter, which the emulated processor passes on."""
    found = re.search(r"^cpu MHz\s*:\s*([0-9.]+)", Path("/proc/cpuinfo").read_text(), re.M)
    if not found:
        raise OuterError("/proc/cpuinfo names no 'cpu MHz'")
    return int(float(found[1]) * 1000)


def shared_objects(program):
    """The shared objects that a program or library needs, as absolute paths."""
    ran = subprocess.run(["ldd", str(program)], capture_output=True, text=True, timeout=60)
    if ran.returncode != 0:  # static, or a script
        return []
    missing = re.findall(r"(\S+) => not found", ran.stdout)
    if missing:
        raise OuterError(f"{program} needs {', '.join(missing)}, which is not on this machine")
    return re.findall(r"(/\S+) \(0x", ran.stdout)


class Outer:
    def __init__(self, libkrunfw=None, memory_mib=2048, icount=False, disk_mib=1024):
        self.libkrunfw = libkrunfw or find_library("libkrunfw.so.5")
        if not self.libkrunfw:
            raise OuterError("no libkrunfw.so.5: run tools/bootstrap")
        for tool in ("qemu-system-x86_64", "mke2fs", "busybox"):
            if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
                raise OuterError(f"{tool} is not installed")
        self.memory_mib = memory_mib
        self.disk_mib = disk_mib
        self.icount = icount
        self.work = Path(tempfile.mkdtemp(prefix="krun-outer-"))
        self.root = self.work / "root"
        for directory in ("bin", "proc", "sys", "dev", "run", "root", "etc", "usr/bin", "usr/lib", "usr/local/bin"):
            (self.root / directory).mkdir(parents=True)
        for link, to in (("lib", "usr/lib"), ("lib64", "usr/lib64"), ("sbin", "bin")):
            (self.root / link).symlink_to(to)
        (self.root / "usr/lib64").mkdir()
        self.add(shutil.which("busybox"), "/bin/busybox")
        self.add_text("/init", INIT, 0o755)
        self.add_text("/etc/passwd", "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")
        self.add_text("/etc/group", "root:x:0:\nuser:x:1000:\n")
        self.add_text("/etc/hosts", "127.0.0.1 localhost\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        shutil.rmtree(self.work, ignore_errors=True)

    def _place(self, destination):
        path = self.root / destination.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def add(self, source, destination=None):
        """Copy a file or directory; of programs and libraries also the shared objects they need."""
        source = Path(source)
        if source.is_dir():
            shutil.copytree(source, self._place(destination or str(source)), symlinks=True, dirs_exist_ok=True)
            return
        place = self._place(destination or f"/usr/bin/{source.name}")
        shutil.copy(source, place)
        for needed in shared_objects(source):
            place = self._place(needed)
            if not place.exists():
                shutil.copy(needed, place)

    def add_text(self, destination, text, mode=0o644):
        place = self._place(destination)
        place.write_text(text)
        place.chmod(mode)

    def _make_disk(self):
        disk = self.work / "root.ext4"
        with disk.open("wb") as file:
            file.truncate(self.disk_mib << 20)
        ran = subprocess.run(
            [shutil.which("mke2fs", path="/usr/sbin:/sbin:/usr/bin"), "-q", "-F", "-t", "ext4", "-O", "^has_journal",
             "-E", "root_owner=0:0,lazy_itable_init=1", "-d", str(self.root), str(disk)],
            capture_output=True, text=True, timeout=120,
        )
        if ran.returncode != 0:
            raise OuterError(f"mke2fs: {ran.stderr.strip()}")
        return disk

    def _command(self, elf, disk):
        khz = ICOUNT_TSC_KHZ if self.icount else tsc_khz()
        # Without tsc_early_khz the kernel's calibration can fail under emulation, and KVM inside never runs its guest.
        append = (f"quiet console=hvc0 reboot=t panic=-1 root=/dev/vda rootfstype=ext4 rw init=/init "
                  f"tsc_early_khz={khz} tsc=reliable")
        command = [
            "qemu-system-x86_64", "-M", "microvm,acpi=off,isa-serial=off", "-accel", "tcg,thread=single",
            "-cpu", "max", "-smp", "1", "-m", str(self.memory_mib), "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-kernel", str(elf), "-append", append,
            "-device", "virtio-serial-device,max_ports=4",
            # Files, not stdio: with standard input at its end QEMU's console can make the guest spin for ever.
            "-chardev", f"file,id=console,path={self.work}/console.log", "-device", "virtconsole,chardev=console",
            "-chardev", f"file,id=output,path={self.work}/output.log",
            "-device", "virtserialport,chardev=output,name=outer.output",
            "-chardev", f"file,id=files,path={self.work}/files.tar",
            "-device", "virtserialport,chardev=files,name=outer.files",
            "-drive", f"id=d0,file={disk},format=raw,if=none,cache=unsafe",
            "-device", "virtio-blk-device,drive=d0",
        ]
        return command + (["-icount", "shift=0,sleep=off"] if self.icount else [])

    def run(self, script, timeout_s=120, on_output=None, silence_s=None):
        """Boot, run the script, power off. `on_output` is given the text as it comes. OuterSilent after `silence_s`."""
        self.add_text("/script", script)
        elf = kernel.write_elf(self.libkrunfw, self.work / "kernel.elf")
        command = self._command(elf, self._make_disk())
        for name in ("console.log", "output.log", "files.tar"):
            (self.work / name).write_bytes(b"")
        started = time.monotonic()
        with (self.work / "qemu.log").open("wb") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                ended = self._watch(process, started + timeout_s, on_output, silence_s)
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                process.wait(timeout=30)
        return self._collect(process.returncode, ended, time.monotonic() - started)

    def _watch(self, process, deadline, on_output, silence_s):
        heard = time.monotonic()
        with (self.work / "output.log").open("rb") as output:
            while True:
                try:
                    process.wait(timeout=0.1)
                except subprocess.TimeoutExpired:
                    pass
                text = output.read(STDOUT_BYTES_MAX)
                heard = time.monotonic() if text else heard
                if silence_s is not None and process.returncode is None and time.monotonic() > heard + silence_s:
                    raise OuterSilent(f"the outer guest said nothing for {silence_s} s", self._read("output.log"))
                if on_output and text:
                    on_output(text.decode(errors="replace"))
                if process.returncode is not None:
                    return True
                if time.monotonic() > deadline or output.tell() > STDOUT_BYTES_MAX:
                    return False

    def _read(self, name):
        return (self.work / name).read_bytes().decode(errors="replace").replace("\r\n", "\n")

    def _collect(self, code, ended, seconds):
        tail = lambda name: "\n".join(self._read(name).splitlines()[-40:])  # noqa: E731
        told = f"console:\n{tail('console.log')}\noutput:\n{tail('output.log')}\nqemu:\n{tail('qemu.log')}"
        if not ended:
            raise OuterError(f"the outer guest did not end within {seconds:.0f} s\n{told}", self._read("output.log"))
        files = {}
        try:
            with tarfile.open(fileobj=io.BytesIO((self.work / "files.tar").read_bytes())) as archive:
                for member in archive.getmembers():
                    if member.isfile():
                        files[member.name.removeprefix("./")] = archive.extractfile(member).read()
        except tarfile.TarError:
            pass
        if ".exit" not in files:
            raise OuterError(f"the outer guest ended (QEMU's status {code}) without its script's exit code\n{told}",
                             self._read("output.log"))
        exit_code = int(files.pop(".exit"))
        return Result(exit_code, self._read("output.log"), files, self._read("console.log"), seconds)


def add_libkrun(outer):
    """Put libkrun and libkrunfw where the dynamic linker of the outer guest finds them by name."""
    for name in ("libkrun.so.1", "libkrunfw.so.5"):
        path = find_library(name)
        if not path:
            raise OuterError(f"no {name}: run tools/bootstrap and make libkrun")
        outer.add(path, f"/usr/lib/{name}")


# The programs of a build where `make install` puts them: krun-api finds its helpers by their place.
INSTALLED = {
    "/usr/bin": ("src/api/krun-api", "src/vmm/krun-vmm", "src/cli/krunctl"),
    "/usr/libexec/krun-api": ("src/net/krun-net", "src/image/krun-image", "src/image/vminit-boot.ext4", "src/guest/vminit"),
}


def add_product(outer, build):
    """Install what the build directory holds."""
    for directory, programs in INSTALLED.items():
        for program in programs:
            outer.add(build / program, f"{directory}/{Path(program).name}")
    (outer.root / "usr/libexec/krun-api/vminit-boot.ext4").chmod(0o644)  # as it is installed
    (outer.root / "usr/bin/krun-run").symlink_to("krunctl")


def main():
    parser = argparse.ArgumentParser(description="Run a shell script in a guest that has a working /dev/kvm.")
    parser.add_argument("--run", required=True, metavar="SCRIPT", help="file with the script, or - for standard input")
    parser.add_argument("--with", dest="files", action="append", default=[], metavar="FILE[:DEST]")
    parser.add_argument("--libkrun", action="store_true", help="add libkrun and libkrunfw")
    parser.add_argument("--icount", action="store_true", help="let the clock count instructions")
    parser.add_argument("--memory", type=int, default=2048, metavar="MIB")
    parser.add_argument("--timeout", type=float, default=120, metavar="S")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write what the script leaves in /out here")
    arguments = parser.parse_args()
    script = sys.stdin.read() if arguments.run == "-" else Path(arguments.run).read_text()

    def show(text):
        sys.stdout.write(text)
        sys.stdout.flush()

    try:
        with Outer(memory_mib=arguments.memory, icount=arguments.icount) as outer:
            if arguments.libkrun:
                add_libkrun(outer)
            for item in arguments.files:
                source, _, destination = item.partition(":")
                outer.add(source, destination or None)
            result = outer.run(script, arguments.timeout, show)
    except OuterError as error:
        sys.exit(f"outer: {error}")
    for name, content in result.files.items() if arguments.out else ():
        place = arguments.out / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    sys.exit(result.exit_code)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Bare QEMU: the kernel, disks and devices of the qemu backend and nothing else, timed to the first instruction of PID 1.

As a command it prints the milliseconds of each run; bench/run takes the same function and compares.
"""

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/kvm"))
import kernel  # noqa: E402
from outer import find_library  # noqa: E402

SESSION_PORTS = 16  # as the qemu backend has
BOOT_TIMEOUT_S = 60


def make_boot_disk(init, directory):
    """An ext4 with PID 1 and the mount points that the kernel and vminit want."""
    root = Path(directory) / "boot"
    for name in ("dev", "proc", "sys", "newroot"):
        (root / name).mkdir(parents=True)
    shutil.copy(init, root / "vminit")
    disk = Path(directory) / "boot.ext4"
    with disk.open("wb") as file:
        file.truncate(2 << 20)
    subprocess.run(
        [shutil.which("mke2fs", path="/usr/sbin:/sbin:/usr/bin"), "-q", "-F", "-t", "ext4", "-O", "^has_journal",
         "-d", str(root), str(disk)],
        check=True, timeout=60,
    )
    return disk


def make_disk(directory, name, mib):
    disk = Path(directory) / name
    with disk.open("wb") as file:
        file.truncate(mib << 20)
    return disk


def command(elf, disks, ports, net_fd, debug_fd, memory_mib, accel):
    """QEMU's command line. `ports` are descriptors, the first of them the console's."""
    arguments = [
        "qemu-system-x86_64", "-M", "microvm,acpi=off,isa-serial=off", "-accel", accel, "-cpu", "max", "-smp", "1",
        "-m", str(memory_mib), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-kernel", str(elf),
        "-append", "quiet console=hvc0 reboot=t panic=-1 root=/dev/vda rootfstype=ext4 ro init=/vminit",
        "-device", f"virtio-serial-device,max_ports={len(ports) + 1}",
        "-chardev", f"socket,id=p0,fd={ports[0]}", "-device", "virtconsole,chardev=p0",
    ]
    names = ["krun.control", *(f"krun.session.{i}" for i in range(SESSION_PORTS))]
    for index, (name, fd) in enumerate(zip(names, ports[1:]), 1):
        arguments += ["-chardev", f"socket,id=p{index},fd={fd}",
                      "-device", f"virtserialport,chardev=p{index},name={name}"]
    for index, (disk, read_only) in enumerate(disks):
        arguments += ["-drive", f"id=d{index},file={disk},format=raw,if=none,readonly={'on' if read_only else 'off'}",
                      "-device", f"virtio-blk-device,drive=d{index}"]
    arguments += ["-netdev", f"stream,id=n0,server=off,addr.type=fd,addr.str={net_fd}",
                  "-device", "virtio-net-device,netdev=n0,mac=52:54:00:12:34:56"]
    return arguments + ["-chardev", f"socket,id=debug,fd={debug_fd}", "-device", "isa-debugcon,iobase=0xe9,chardev=debug"]


def boot_ms(elf, disks, memory_mib=256, accel="tcg,thread=single"):
    """One boot: from just before QEMU is started until PID 1 has spoken."""
    pairs = [socket.socketpair() for _ in range(SESSION_PORTS + 4)]
    theirs = [pair[1].fileno() for pair in pairs]
    ours = pairs[0][0]
    arguments = command(elf, disks, theirs[2:], theirs[1], theirs[0], memory_mib, accel)
    started = time.monotonic()
    process = subprocess.Popen(arguments, pass_fds=theirs, stdin=subprocess.DEVNULL)
    try:
        for pair in pairs:
            pair[1].close()
        ours.settimeout(BOOT_TIMEOUT_S)
        if ours.recv(1) != b"R":
            raise RuntimeError("bare QEMU ended before PID 1 ran")
        return (time.monotonic() - started) * 1e3
    finally:
        process.kill()
        process.wait(timeout=30)
        for pair in pairs:
            pair[0].close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--init", required=True, help="bare_boot, built")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--memory", type=int, default=256, metavar="MIB")
    parser.add_argument("--accel", default="tcg,thread=single")
    arguments = parser.parse_args()
    library = find_library("libkrunfw.so.5")
    if not library:
        sys.exit("no libkrunfw.so.5: run tools/bootstrap")
    with tempfile.TemporaryDirectory(prefix="krun-bench-") as directory:
        elf = kernel.write_elf(library, Path(directory) / "kernel.elf")
        disks = [(make_boot_disk(arguments.init, directory), True), (make_disk(directory, "image.ext4", 64), True),
                 (make_disk(directory, "disk.ext4", 64), False)]
        for _ in range(arguments.runs):
            print(f"{boot_ms(elf, disks, arguments.memory, arguments.accel):.0f}", flush=True)


if __name__ == "__main__":
    main()

"""A guest under QEMU with nothing of krun-api but vminit: what vminit does is seen from outside.

    with Guest("aarch64", vminit, root=directory) as guest:
        guest.configure(process={"argv": ["/hello"]})
        guest.until_ready()
"""

import json
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kvm"))
import kernel  # noqa: E402
import wire  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
SESSION_PORTS = 4
LATE_PORT = SESSION_PORTS  # not there before plug_late_port()

MACHINES = {
    "x86_64": ["qemu-system-x86_64", "-M", "microvm,acpi=off,isa-serial=off"],
    "aarch64": ["qemu-system-aarch64", "-M", "virt", "-global", "virtio-mmio.force-legacy=false"],
}
ADDRESS, GATEWAY = "192.168.127.2", "192.168.127.1"
ADDRESS6, GATEWAY6 = "fd00:127::2", "fd00:127::1"
GATEWAY_MAC = bytes.fromhex("5a94ef000001")
MAC = "02:00:00:00:00:07"


def find_firmware(arch):
    deps = REPOSITORY / "build/deps"
    places = [deps / ("root" if arch == "x86_64" else "root-arm64"), Path("/")]
    for place in places:
        for found in place.glob(f"usr/lib/{arch}-linux-gnu/libkrunfw.so.5"):
            return found
    return None


def write_image(library, path):
    """The arm64 kernel inside libkrunfw: an Image, whose header (Documentation/arch/arm64/booting.rst) has its size."""
    data = Path(library).read_bytes()
    magic = data.index(b"ARMd")
    start = magic - 0x38
    size = struct.unpack_from("<Q", data, start + 0x10)[0]
    Path(path).write_bytes(data[start:start + size])
    return Path(path)


def tool(name):
    return shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/bin")


def make_disk(path, mib, root=None):
    with path.open("wb") as file:
        file.truncate(mib << 20)
    command = [tool("mke2fs"), "-q", "-F", "-t", "ext4", "-E", "root_owner=0:0", *(["-d", str(root)] if root else []), str(path)]
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)
    return path


class Gateway(threading.Thread):
    """The other end of eth0: answers ARP and neighbour solicitations, and sends each UDP datagram back."""

    def __init__(self, sock):
        super().__init__(daemon=True)
        self.sock = sock
        self.frames = []
        self.start()

    def run(self):
        data = b""
        while got := self.receive():
            data += got
            while len(data) >= 4 and len(data) >= 4 + struct.unpack_from(">I", data)[0]:
                length = struct.unpack_from(">I", data)[0]
                received, data = data[4:4 + length], data[4 + length:]
                self.frames.append(received)
                answer = self.answer(received)
                if answer:
                    self.sock.sendall(struct.pack(">I", len(answer)) + answer)

    def receive(self):
        try:
            return self.sock.recv(1 << 17)
        except OSError:
            return b""

    def answer(self, received):
        kind = received[12:14]
        ethernet = received[6:12] + GATEWAY_MAC + kind
        if kind == b"\x08\x06" and received[20:22] == b"\0\1" and received[38:42] == socket.inet_aton(GATEWAY):
            return ethernet + received[14:20] + b"\0\2" + GATEWAY_MAC + received[38:42] + received[22:32]
        if kind == b"\x08\x00" and received[23] == 17:
            ip, udp = received[14:34], received[34:42]
            # Swapping addresses and ports leaves both checksums as they are.
            return ethernet + ip[:12] + ip[16:20] + ip[12:16] + udp[2:4] + udp[0:2] + udp[4:8] + received[42:]
        return None


class Guest:
    def __init__(self, arch, vminit, root, network=True, memory_mib=256, disk_mib=64, disk=None, volumes=()):
        self.arch = arch
        self.work = Path(tempfile.mkdtemp(prefix="krun-guest-"))
        self.process = None
        self.sockets = []
        self.gateway = None
        try:
            self.volumes = list(volumes)
            self.boot(vminit, root, network, memory_mib, disk_mib, disk)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def pair(self):
        ours, theirs = socket.socketpair()
        ours.settimeout(wire.STEP_TIMEOUT_S)
        self.sockets += [ours, theirs]
        return ours, theirs

    def boot(self, vminit, root, network, memory_mib, disk_mib, disk):
        boot = self.work / "boot"
        for name in ("dev", "proc", "sys", "newroot"):
            (boot / name).mkdir(parents=True)
        shutil.copy(vminit, boot / "vminit")
        (boot / "vminit").chmod(0o755)
        boot_disk = make_disk(self.work / "boot.ext4", 8, boot)
        image = make_disk(self.work / "image.ext4", 64, root)
        if disk is None:
            upper = self.work / "upper"
            for name in ("upper", "work"):
                (upper / name).mkdir(parents=True)
            disk = make_disk(self.work / "disk.ext4", disk_mib, upper)
        self.disk = disk
        library = find_firmware(self.arch)
        write = kernel.write_elf if self.arch == "x86_64" else write_image
        self.console = self.work / "console.log"
        command = [
            *MACHINES[self.arch], "-accel", "tcg,thread=single", "-cpu", "max", "-smp", "1", "-m", str(memory_mib),
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", str(write(library, self.work / "kernel")),
            "-append", "quiet console=hvc0 reboot=t panic=-1 root=/dev/vda rootfstype=ext4 ro init=/vminit",
            "-device", f"virtio-serial-device,max_ports={SESSION_PORTS + 3}",
            "-chardev", f"file,id=console,path={self.console}", "-device", "virtconsole,chardev=console",
        ]
        fds = []
        names = ["krun.control", *(f"krun.session.{i}" for i in range(SESSION_PORTS + 1))]
        peers = []
        for index, name in enumerate(names):
            ours, theirs = self.pair()
            fds.append(theirs.fileno())
            peers.append(wire.Peer(ours))
            command += ["-chardev", f"socket,id=p{index},fd={theirs.fileno()}"]
            if index <= SESSION_PORTS:
                command += ["-device", f"virtserialport,chardev=p{index},name={name}"]
        self.control, self.ports, self.late_port = peers[0], peers[1:-1], peers[-1]
        self.monitor, theirs = self.pair()
        fds.append(theirs.fileno())
        command += ["-chardev", f"socket,id=monitor,fd={theirs.fileno()}", "-mon", "chardev=monitor,mode=control"]
        disks = [(boot_disk, "on"), (image, "on"), (disk, "off"), *((path, "off") for path in self.volumes)]
        # On "virt" the device named first gets the last slot, and the kernel counts slots.
        if self.arch == "aarch64":
            disks.reverse()
        for index, (path, read_only) in enumerate(disks):
            command += ["-drive", f"id=d{index},file={path},format=raw,if=none,readonly={read_only}", "-device", f"virtio-blk-device,drive=d{index}"]
        if network:
            ours, theirs = self.pair()
            ours.settimeout(None)
            fds.append(theirs.fileno())
            self.gateway = Gateway(ours)
            command += ["-netdev", f"stream,id=n0,server=off,addr.type=fd,addr.str={theirs.fileno()}", "-device", f"virtio-net-device,netdev=n0,mac={MAC}"]
        self.started = time.monotonic()
        self.process = subprocess.Popen(command, pass_fds=fds, stdin=subprocess.DEVNULL)
        for fd in self.sockets[1::2]:
            fd.close()

    def configure(self, process, **changes):
        """HELLO both ways, then CONFIG. Returns vminit's HELLO."""
        hello = self.control.until(wire.HELLO)[-1][2]
        self.hello_s = time.monotonic() - self.started
        self.control.send(wire.HELLO, version=1, role=4, machine_id="guest", generation=1)
        config = {
            "root_kind": 1, "lower_device": "/dev/vdb", "upper_device": "/dev/vdc", "hostname": "guest",
            "realtime_ns": time.time_ns(), "session_ports": SESSION_PORTS, "process": process, **changes,
        }
        if self.gateway:
            config |= {"address": f"{ADDRESS}/24", "gateway": GATEWAY, "address6": f"{ADDRESS6}/64", "gateway6": GATEWAY6,
                       "dns": [GATEWAY], "mtu": 65520}
        self.control.send(wire.CONFIG, **config)
        return hello

    def until_ready(self):
        ready = self.control.until(wire.READY)[-1][2]
        self.ready_s = time.monotonic() - self.started
        return ready

    def plug_late_port(self):
        """A session port more, in the running machine."""
        lines = self.monitor.makefile("r")
        assert "QMP" in json.loads(lines.readline())
        port = {"driver": "virtserialport", "chardev": f"p{LATE_PORT + 1}", "name": f"krun.session.{LATE_PORT}"}
        for name, arguments in (("qmp_capabilities", {}), ("device_add", port)):
            self.monitor.sendall(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
            answer = {}
            while "return" not in answer:
                answer = json.loads(lines.readline())
                assert "error" not in answer, answer

    def until_exited(self):
        """What the workload printed from now on, and EXITED."""
        frames = self.control.until(wire.EXITED)
        output = b"".join(payload[8:] for kind, stream, payload in frames if kind == wire.OUTPUT and stream == 1)
        errors = b"".join(payload[8:] for kind, stream, payload in frames if kind == wire.OUTPUT and stream == 2)
        self.warnings = [payload["text"] for kind, _, payload in frames if kind == wire.WARNING]
        return output.decode(errors="replace"), errors.decode(errors="replace"), frames[-1][2]

    def execute(self, port, session, argv, stdin=b"", **process):
        """An exec to its end: (stdout, EXIT or FAIL)."""
        output, _, ended = self.run_session(port, session, stdin, process={"argv": argv, **process})
        return output.decode(errors="replace"), ended

    def run_session(self, port, session, stdin=b"", **opening):
        """A session to its end: (stdout, stderr, EXIT or FAIL)."""
        self.control.send(wire.OPEN, session=session, port=port, **{"process": {}, **opening})
        peer = self.ports[port]
        hello = peer.next()
        assert hello[0] == wire.HELLO and hello[2]["session"] == session
        peer.send(wire.CREDIT, 1, bytes=wire.WINDOW)
        peer.send(wire.CREDIT, 2, bytes=wire.WINDOW)
        stdin, allowed, ended = memoryview(stdin), 0, False
        output = {wire.STDOUT: b"", wire.STDERR: b""}
        while True:
            while stdin and allowed:
                piece, stdin = stdin[:min(allowed, 50000)], stdin[min(allowed, 50000):]
                allowed -= len(piece)
                peer.send(wire.STDIN, payload=piece)
            if not stdin and not ended:
                peer.send(wire.END, 0)
                ended = True
            kind, stream, payload = peer.next()
            if kind in output:
                output[kind] += payload
                peer.send(wire.CREDIT, stream, bytes=len(payload))
            if kind == wire.CREDIT:
                allowed += payload["bytes"]
            if kind in (wire.EXIT, wire.FAIL):
                peer.send(wire.END, wire.ALL)
                return output[wire.STDOUT], output[wire.STDERR].decode(errors="replace"), payload

    def wait(self):
        """The end of QEMU: 0 after the guest's reboot. EXITED has been read, which the guest waits to hear."""
        try:
            self.control.send(wire.END, wire.ALL)
        except OSError:
            pass  # the host has gone away, as the test wanted
        return self.process.wait(timeout=wire.STEP_TIMEOUT_S)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=30)
        for sock in self.sockets:
            sock.close()
        shutil.rmtree(self.work, ignore_errors=True)

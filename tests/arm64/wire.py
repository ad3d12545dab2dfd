"""The guest channel's bytes, written from src/wire/frame.h and message.h a second time, so that C and Python check each other."""

import struct
import time

HELLO, READY, OUTPUT, EXITED, WARNING, STATS = 0x01, 0x10, 0x11, 0x12, 0x13, 0x14
CONFIG, OPEN, SIGNAL, SHUTDOWN, CLOCK, STATS_ASK = 0x20, 0x21, 0x22, 0x23, 0x24, 0x25
STDIN, STDOUT, STDERR, CREDIT, RESIZE, END, EXIT, FAIL, HANGUP = 0x30, 0x31, 0x32, 0x33, 0x34, 0x36, 0x37, 0x38, 0x39
ALL = 255
PUT, GET = 1, 2  # kinds of sessions; an exec is 0
WINDOW = 256 << 10

U32, U64, TEXT, TEXTS, NESTED, NESTEDS = range(6)

PROCESS = {"argv": (1, TEXTS), "env": (2, TEXTS), "workdir": (3, TEXT), "user": (4, TEXT), "tty": (5, U32), "rows": (6, U32), "columns": (7, U32)}
VOLUME = {"virtiofs_tag": (1, TEXT), "guest_path": (2, TEXT), "read_only": (3, U32), "device": (4, TEXT), "source": (5, TEXT)}
MESSAGES = {
    HELLO: {"version": (1, U32), "role": (2, U32), "session": (3, U32), "uptime_us": (4, U64), "kernel": (5, TEXT), "machine_id": (6, TEXT), "generation": (7, U32)},
    READY: {"root_us": (1, U32), "network_us": (2, U32), "start_us": (3, U32)},
    EXITED: {"code": (1, U32), "signal": (2, U32), "oom_killed": (3, U32), "reason": (4, TEXT)},
    WARNING: {"text": (1, TEXT)},
    STATS: {"cpu_us": (1, U64), "memory_total_bytes": (2, U64), "memory_available_bytes": (3, U64), "disk_read_bytes": (4, U64), "disk_written_bytes": (5, U64), "root_total_bytes": (6, U64), "root_available_bytes": (7, U64)},
    CONFIG: {
        "root_kind": (1, U32), "lower_device": (2, TEXT), "upper_device": (3, TEXT), "root_tag": (4, TEXT),
        "volumes": (5, NESTEDS, VOLUME), "hostname": (6, TEXT), "address": (7, TEXT), "gateway": (8, TEXT),
        "address6": (9, TEXT), "gateway6": (10, TEXT), "dns": (11, TEXTS), "mtu": (12, U32), "realtime_ns": (13, U64),
        "session_ports": (14, U32), "process": (15, NESTED, PROCESS),
    },
    OPEN: {"session": (1, U32), "port": (2, U32), "process": (3, NESTED, PROCESS), "kind": (4, U32), "path": (5, TEXT), "entry_only": (6, U32)},
    SIGNAL: {"signal": (1, U32)},
    SHUTDOWN: {"signal": (1, U32), "timeout_ms": (2, U32)},
    CLOCK: {"realtime_ns": (1, U64)},
    CREDIT: {"bytes": (1, U32)},
    RESIZE: {"rows": (1, U32), "columns": (2, U32)},
    FAIL: {"code": (1, U32), "text": (2, TEXT)},
}
MESSAGES[EXIT] = MESSAGES[EXITED]


def field(tag, data):
    return struct.pack("<HI", tag, len(data)) + data


def text(value):
    return (value if isinstance(value, bytes) else value.encode()) + b"\0"


def pack_message(fields, values):
    out = b""
    for name, value in values.items():
        tag, kind, *inner = fields[name]
        if kind == U32:
            out += field(tag, struct.pack("<I", value))
        elif kind == U64:
            out += field(tag, struct.pack("<Q", value))
        elif kind == TEXT:
            out += field(tag, text(value))
        elif kind == TEXTS:
            out += b"".join(field(tag, text(item)) for item in value)
        else:
            items = [value] if kind == NESTED else value
            out += b"".join(field(tag, pack_message(inner[0], item)) for item in items)
    return out


def unpack_message(fields, payload):
    by_tag = {entry[0]: (name, entry[1]) for name, entry in fields.items()}
    values = dict.fromkeys(fields)
    while payload:
        tag, length = struct.unpack_from("<HI", payload)
        data, payload = payload[6:6 + length], payload[6 + length:]
        name, kind = by_tag.get(tag, (None, None))
        if kind in (U32, U64):
            values[name] = int.from_bytes(data, "little")
        elif kind == TEXT:
            values[name] = data[:-1].decode(errors="replace")
    return {name: value if value is not None else (0 if fields[name][1] in (U32, U64) else None) for name, value in values.items()}


def frame(kind, stream, payload):
    return struct.pack("<IBBH", 4 + len(payload), kind, stream, 0) + payload


STEP_TIMEOUT_S = 60  # an emulated machine on a busy one


class Peer:
    """One connection, blocking. Each frame, and each wait for one of some types, has a deadline."""

    def __init__(self, sock):
        self.sock = sock
        self.data = b""

    def send(self, kind, /, stream=0, payload=b"", **values):
        self.sock.sendall(frame(kind, stream, pack_message(MESSAGES[kind], values) if values else payload))

    def next(self):
        """(type, stream, payload or message), None at the end."""
        while len(self.data) < 4 or len(self.data) < 4 + struct.unpack_from("<I", self.data)[0]:
            got = self.sock.recv(1 << 20)
            if not got:
                assert not self.data, "the guest ended within a frame"
                return None
            self.data += got
        length, kind, stream = struct.unpack_from("<IBB", self.data)
        payload, self.data = self.data[8:4 + length], self.data[4 + length:]
        if kind in MESSAGES:
            payload = unpack_message(MESSAGES[kind], payload)
        return kind, stream, payload

    def until(self, *kinds):
        """The frames up to the first one of these types, which is the last of them."""
        seen = []
        deadline = time.monotonic() + STEP_TIMEOUT_S
        while not seen or seen[-1][0] not in kinds:
            assert time.monotonic() < deadline, f"nothing of type {kinds} came; until then: {seen}"
            got = self.next()
            assert got, f"the guest ended; until then: {seen}"
            seen.append(got)
        return seen

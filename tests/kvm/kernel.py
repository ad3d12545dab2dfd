"""The kernel inside libkrunfw, wrapped so that QEMU's -kernel takes it.

libkrunfw carries a flattened x86_64 vmlinux. QEMU boots an ELF file only through the PVH entry point named in its
PT_NOTE, so the file made here has two segments: the whole blob, and the 24-byte note found inside it.
"""

import ctypes
import struct
from pathlib import Path

# Elf64_Nhdr{namesz 4, descsz 8, type XEN_ELFNOTE_PHYS32_ENTRY} and the owner's name.
PVH_NOTE = struct.pack("<III", 4, 8, 18) + b"Xen\0"
NOTE_SIZE = len(PVH_NOTE) + 8
BLOB_OFFSET = 0x1000


def read_blob(library):
    """Return the kernel and its physical load address."""
    firmware = ctypes.CDLL(str(library))
    get_kernel = firmware.krunfw_get_kernel
    get_kernel.restype = ctypes.c_void_p
    load, entry, size = (ctypes.c_uint64() for _ in range(3))
    address = get_kernel(ctypes.byref(load), ctypes.byref(entry), ctypes.byref(size))
    return ctypes.string_at(address, size.value), load.value


def write_elf(library, path):
    """Write the kernel of a libkrunfw as an ELF file that QEMU boots, and return its path."""
    blob, load = read_blob(library)
    note = blob.find(PVH_NOTE)
    if note < 0 or blob.find(PVH_NOTE, note + 1) >= 0:
        raise ValueError(f"{library}: expected exactly one PVH note in the kernel")
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, load, 64, 0, 0, 64, 56, 2, 0, 0, 0
    )
    segments = struct.pack("<IIQQQQQQ", 1, 7, BLOB_OFFSET, load, load, len(blob), len(blob), 0x1000)
    segments += struct.pack(
        "<IIQQQQQQ", 4, 4, BLOB_OFFSET + note, load + note, load + note, NOTE_SIZE, NOTE_SIZE, 4
    )
    Path(path).write_bytes((header + segments).ljust(BLOB_OFFSET, b"\0") + blob)
    return Path(path)

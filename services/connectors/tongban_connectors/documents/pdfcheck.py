"""Examine foreign documents in a sandboxed process of its own; `Inspector` feeds its stdin.

A hostile document may burn time and memory without end. Here that costs one process, which its
parent kills; the process has no secrets, can open no file and start no process, and ends by itself
when its parent does.
"""

from __future__ import annotations

import codecs
import ctypes
import io
import json
import os
import resource
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tongban_connectors.documents.pdfactive import active_part

MEMORY = 1 << 30
"""Bytes of address space."""
SECONDS = 15
"""Processor time for one document; the limit holds after the death of the parent, too."""
MOST_PAGES = 200
READY = "ready\n"
"""Written once, before the first document: the start takes longer than most documents."""
_CODECS = ("ascii", "charmap", "latin-1", "utf-8", "utf-16", "utf-16be", "utf-16le")
"""Codecs by which pypdf decodes strings."""
LENGTH = struct.Struct(">I")
_NOBODY = 65534
_SET_DUMPABLE, _SET_NO_NEW_PRIVILEGES = 4, 38
"""Options of prctl(2)."""


def look_into(data: bytes) -> dict[str, int | str]:
    """Return `{"pages": n}`, or `{"error": text}` if the document cannot be printed."""
    from pypdf import PdfReader  # noqa: PLC0415 - the parent reads no PDF, and imports this module

    if not data.startswith(b"%PDF-"):
        return {"error": "not a PDF"}
    try:
        return _examine(PdfReader(io.BytesIO(data)), data)
    except MemoryError:
        return {"error": "takes too much memory"}
    except Exception as error:  # a parser may raise anything on hostile input
        return {"error": f"cannot be read: {type(error).__name__}"}


def _examine(reader: Any, data: bytes) -> dict[str, int | str]:
    if reader.is_encrypted:
        return {"error": "encrypted"}
    pages = len(reader.pages)
    sizes = [page.mediabox for page in reader.pages] if pages <= MOST_PAGES else []
    if not sizes or any(size.width <= 0 or size.height <= 0 for size in sizes):
        return {"error": f"{pages} pages, or one without a size"}
    active = active_part(reader, data)
    return {"pages": pages} if active is None else {"error": f"has an active part: {active}"}


def confine() -> None:
    """Drop every right that reading a PDF does not need; loaded modules stay usable.

    From here on the process can open no file (not even /proc/PID/environ of the parent), write
    none, start no process, gain no privilege and leave no core; if it was root, it becomes nobody.
    """
    if os.getuid() == 0:  # root may raise any limit again
        with suppress(OSError):
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        libc.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    nothing = [resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NPROC]
    for limit in (*nothing, resource.RLIMIT_NOFILE):
        resource.setrlimit(limit, (0, 0))


def _load() -> None:
    """Load every module that reading needs, since no file can be opened afterwards.

    A codec is a module, too. Where one is missing, pypdf cannot read a trailer with such a string,
    and repairs the file into another document than a viewer shows.
    """
    from pypdf import PdfWriter  # noqa: PLC0415 - as above

    for codec in _CODECS:
        codecs.lookup(codec)
    for secret in (None, "x"):
        writer, sample = PdfWriter(), io.BytesIO()
        writer.add_blank_page(1, 1)
        if secret:
            writer.encrypt(secret, algorithm="RC4-128")
        writer.write(sample)
        look_into(sample.getvalue())


def main() -> None:
    """Read documents from stdin, each behind its length; answer each with a line of JSON."""
    with suppress(OSError):  # if memory is short, the kernel kills this process before its parent
        Path("/proc/self/oom_score_adj").write_text("1000")
    _load()
    confine()
    source, sink = sys.stdin.buffer, sys.stdout
    sink.write(READY)
    sink.flush()
    while len(head := source.read(LENGTH.size)) == LENGTH.size:
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime) + SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        (length,) = LENGTH.unpack(head)
        data = source.read(length)
        if len(data) < length:
            return
        sink.write(json.dumps(look_into(data)) + "\n")
        sink.flush()


if __name__ == "__main__":
    main()

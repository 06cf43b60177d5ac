"""A process of its own that looks into documents of strangers: run by `Inspector`, fed on stdin.

What it reads may be made to burn time and memory without end. Here that costs one process, which
its parent ends; it has no secrets, and ends by itself when its parent does.
"""

from __future__ import annotations

import io
import json
import resource
import struct
import sys

MEMORY = 1 << 30
"""Bytes of address space."""
SECONDS = 15
"""Of processor time for one document, which holds where the parent has died, too."""
MOST_PAGES = 200
READY = "ready\n"
"""Said once, before the first document: starting takes longer than most documents do."""
LENGTH = struct.Struct(">I")


def look_into(data: bytes) -> dict[str, int | str]:
    """`{"pages": n}`, or `{"error": what}` where it cannot be printed."""
    from pypdf import PdfReader  # noqa: PLC0415 - the parent reads no PDF, and imports this module

    if not data.startswith(b"%PDF-"):
        return {"error": "not a PDF"}
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted:
            return {"error": "encrypted"}
        pages = len(reader.pages)
        sizes = [page.mediabox for page in reader.pages] if pages <= MOST_PAGES else []
    except MemoryError:
        return {"error": "takes too much memory"}
    except Exception as error:  # whatever a parser may raise on whatever it is fed
        return {"error": f"cannot be read: {type(error).__name__}"}
    if not sizes or any(size.width <= 0 or size.height <= 0 for size in sizes):
        return {"error": f"{pages} pages, or one without a size"}
    return {"pages": pages}


def main() -> None:
    """Read documents, each behind its length; answer each with a line of JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    source, sink = sys.stdin.buffer, sys.stdout
    look_into(b"")  # so that all it needs is loaded
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

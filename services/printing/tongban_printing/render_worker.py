"""A process of its own that sets sheets: run by `Renderer`, fed on stdin.

A result within all bounds may still take minutes to set, or more memory than there is. Here that
costs one process, which ends by its own limits, or with its parent. It has no secrets.
"""

from __future__ import annotations

import json
import resource
import struct
import sys
from typing import Any

MEMORY = 2 << 30
"""Bytes of address space; Typst and the fonts need a quarter of a GiB."""
READY = b"ready\n"
"""Written once, before the first sheet: starting takes longer than most sheets do."""
LENGTH = struct.Struct(">I")


def answer(job: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """`{"pages": n}` and the PDF, or `{"error": kind, "what": text}` and nothing."""
    from tongban_printing.typesetting import (  # noqa: PLC0415 - the parent imports this module
        SheetTooLongError,
        TypesettingError,
        set_sheet,
    )

    try:
        sheet = set_sheet(job["template"], job["data"], job["timestamp"])
    except SheetTooLongError as error:
        return {"error": "too_long", "what": str(error)}, b""
    except TypesettingError as error:
        return {"error": "cannot_set", "what": str(error)}, b""
    except MemoryError:
        return {"error": "too_much", "what": "takes too much memory"}, b""
    except Exception as error:  # whatever a template may raise on whatever it is fed
        return {"error": "cannot_set", "what": type(error).__name__}, b""
    return {"pages": sheet.pages}, sheet.pdf


def main() -> None:
    """Read jobs, each JSON behind its length; answer each with JSON and a PDF behind theirs."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from tongban_printing.typesetting import fonts  # noqa: PLC0415

    source, sink = sys.stdin.buffer, sys.stdout.buffer
    fonts()  # so that the first sheet need not wait for them
    sink.write(READY)
    sink.flush()
    while len(head := source.read(LENGTH.size)) == LENGTH.size:
        (length,) = LENGTH.unpack(head)
        text = source.read(length)
        if len(text) < length:
            return
        job = json.loads(text)
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime) + job["seconds"]
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        told, pdf = answer(job)
        said = json.dumps(told).encode()
        sink.write(LENGTH.pack(len(said)) + said + LENGTH.pack(len(pdf)) + pdf)
        sink.flush()


if __name__ == "__main__":
    main()

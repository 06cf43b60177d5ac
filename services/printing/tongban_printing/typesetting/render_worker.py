"""The child process that typesets sheets: `Renderer` starts it and writes jobs to its stdin.

A result within all bounds may still take minutes to typeset, or more memory than the machine has.
That costs only this process, which ends by its own limits, or with its parent. It has no secrets.
"""

from __future__ import annotations

import json
import resource
import struct
import sys
from typing import Any

MEMORY = 2 << 30
"""Limit of the address space in bytes; Typst and the fonts need a quarter of a GiB."""
READY = b"ready\n"
"""Written to stdout once, when the process can typeset: starting takes longer than most sheets."""
LENGTH = struct.Struct(">I")


def answer(job: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return `{"pages": n}` and the PDF, or `{"error": kind, "what": text}` and no bytes."""
    from tongban_printing.typesetting.sheets import (  # noqa: PLC0415 - the parent imports this module
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
    except Exception as error:  # a template may raise anything on unexpected data
        return {"error": "cannot_set", "what": type(error).__name__}, b""
    return {"pages": sheet.pages}, sheet.pdf


def main() -> None:
    """Read jobs, each JSON after its length; answer each with JSON and a PDF after their
    lengths."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from tongban_printing.typesetting.sheets import fonts  # noqa: PLC0415

    source, sink = sys.stdin.buffer, sys.stdout.buffer
    fonts()  # load them before the first sheet
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
        header, pdf = answer(job)
        text = json.dumps(header).encode()
        sink.write(LENGTH.pack(len(text)) + text + LENGTH.pack(len(pdf)) + pdf)
        sink.flush()


if __name__ == "__main__":
    main()

"""PDFs that act by themselves, and what the process that reads them may do."""

from __future__ import annotations

import asyncio
import io
import os
import random
import re
import subprocess
import sys
import time
import zlib
from typing import Any

import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    NameObject,
    NumberObject,
    TextStringObject,
)

from tests.integration.devstack.simulation_kit import pdf
from tongban_common import children
from tongban_connectors.documents import inspector as inspector_module
from tongban_connectors.documents.inspector import Inspector, NotAPdfError
from tongban_connectors.documents.pdfcheck import look_into
from tongban_kafka import Retry

NOTHING = {"EXTRA": b"", "CATALOG": b"", "PAGE": b""}


def built(parts: dict[str, bytes], *, in_stream: bool = False, listed: bool = True) -> bytes:
    """A PDF of one page, by hand. `parts`: what stands in its catalogue, its page, and as object 5.

    in_stream: object 5 and the page lie in a compressed object stream. listed: the tables name 5.
    """
    parts = {**NOTHING, **parts}
    objects = {
        1: b"<</Type /Catalog /Pages 2 0 R " + parts["CATALOG"] + b">>",
        2: b"<</Type /Pages /Count 1 /Kids [3 0 R]>>",
        3: b"<</Type /Page /Parent 2 0 R /MediaBox [0 0 99 99] " + parts["PAGE"] + b">>",
        5: parts["EXTRA"] or b"<</Nothing true>>",
    }
    packed = [3, 5] if in_stream else []
    body, places = b"%PDF-1.7\n", {}
    for number, each in objects.items():
        if number not in packed:
            places[number] = len(body)
            body += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    if packed:
        first, at = b"", 0
        for number in packed:
            first += b"%d %d " % (number, at)
            at += len(objects[number]) + 1
        content = zlib.compress(first + b"\n".join(objects[number] for number in packed))
        places[6] = len(body)
        body += (
            b"6 0 obj\n<</Type /ObjStm /N %d /First %d /Filter /FlateDecode /Length %d>>\nstream\n"
            % (len(packed), len(first), len(content))
            + content + b"\nendstream\nendobj\n"
        )  # fmt: skip
    places[7] = len(body)
    rows = []
    for number in range(8):
        if number in packed and (listed or number != 5):
            rows.append(b"\x02" + (6).to_bytes(4, "big") + bytes([packed.index(number)]))
        elif number in places and (listed or number != 5):
            rows.append(b"\x01" + places[number].to_bytes(4, "big") + b"\0")
        else:
            rows.append(b"\0" * 6)
    table = zlib.compress(b"".join(rows))
    body += (
        b"7 0 obj\n<</Type /XRef /Size 8 /Root 1 0 R /W [1 4 1] /Filter /FlateDecode /Length %d>>"
        b"\nstream\n" % len(table) + table + b"\nendstream\nendobj\n"
    )
    return body + b"startxref\n%d\n%%%%EOF" % places[7]


HARMFUL = [
    b"/S /JavaScript /JS (app.alert\\(1\\))",
    b"/S /Java#53cript /#4a#53 (app.alert\\(1\\))",
    b"/S /Launch /F (cmd.exe)",
    b"/S /URI /URI (https://example.org)",
    b"/S /GoToR /F (other.pdf) /D [0 /Fit]",
    b"/S /GoToE /D [0 /Fit]",
    b"/S /SubmitForm /F (https://example.org)",
    b"/S /ImportData /F (x.fdf)",
    b"/S /Named /N /Print",
    b"/S /GoTo /D [0 /Fit] /Next <</S /Launch /F (x)>>",
    b"/AA <</O 5 0 R>>",
    b"/XFA (x)",
    b"/Type /Filespec /F (x) /EF <</F 5 0 R>>",
    b"/Type /Filespec /F (https://example.org/x)",
    b"/Subtype /RichMedia",
    b"/Subtype /FileAttachment /FS 5 0 R",
    b"/Subtype /Screen",
    b"/Names <</EmbeddedFiles <</Names []>>>>",
    b"/Collection <</View /T>>",
    b"/Subtype /Form /Ref <</F (other.pdf) /Page 0>>",
]
PLACES = {
    "catalogue": lambda harm: {"CATALOG": b"/Extensions [[<<" + harm + b">>]]"},
    "open action": lambda harm: {"CATALOG": b"/OpenAction <<" + harm + b">>"},
    "annotation": lambda harm: {
        "PAGE": b"/Annots [<</Type /Annot /Subtype /Link /Rect [0 0 9 9] /A <<" + harm + b">>>>]"
    },
    "an object of its own": lambda harm: {
        "PAGE": b"/Annots [5 0 R]", "EXTRA": b"<<" + harm + b">>"
    },
    "nothing refers to it": lambda harm: {"EXTRA": b"<<" + harm + b">>"},
    "deep": lambda harm: {
        "EXTRA": b"<</K " + b"[" * 20 + b"<<" + harm + b">>" + b"]" * 20 + b">>"
    },
}  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    harm=st.sampled_from(HARMFUL), place=st.sampled_from(sorted(PLACES)), in_stream=st.booleans()
)
def test_active_pdf_is_refused_wherever_its_action_lies(
    harm: bytes, place: str, in_stream: bool
) -> None:
    said = look_into(built(PLACES[place](harm), in_stream=in_stream))
    assert "active part" in str(said.get("error")), said


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"CATALOG": b"/OpenAction [3 0 R /Fit]"},
        {"CATALOG": b"/OpenAction <</S /GoTo /D [3 0 R /Fit]>>"},
        {"PAGE": b"/Annots [<</Subtype /Link /Rect [0 0 9 9] /F 4 /A <</S /GoTo /D (there)>>>>]"},
        {"PAGE": b"/Annots [<</Subtype /Link /Rect [0 0 9 9] /Dest [3 0 R /Fit]>>]"},
        {"PAGE": b"/Annots [<</Subtype /Widget /FT /Sig /F 132 /V 5 0 R>>]"},
        {"PAGE": b"/Group <</S /Transparency>>"},
        {"CATALOG": b"/StructTreeRoot <</K <</S /Table /A <</O /Layout /F 1>>>>>>"},
        {"CATALOG": b"/OutputIntents [<</S /GTS_PDFA1>>] /AcroForm <</Fields [] /SigFlags 3>>"},
        {"EXTRA": b"<</URIs (https://example.org) /Title (JavaScript, Launch)>>"},
    ],
)
@pytest.mark.parametrize("in_stream", [False, True])
def test_pdf_without_active_parts_is_taken(parts: dict[str, bytes], in_stream: bool) -> None:
    assert look_into(built(parts, in_stream=in_stream)) == {"pages": 1}


@pytest.mark.parametrize(
    "action",
    [b"<</S /Launch>>", b"[<</S /GoTo>> <</S /Foo>>]", b"/Name", b"<</S /Unheard>>", b"5 0 R"],
)
def test_open_action_other_than_a_jump_is_refused(action: bytes) -> None:
    parts = {"CATALOG": b"/OpenAction " + action, "EXTRA": b"<</S /Unheard>>"}
    assert "active part" in str(look_into(built(parts)).get("error"))


def made(change: Any) -> bytes:
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf()))
    change(writer)
    written = io.BytesIO()
    writer.write(written)
    return written.getvalue()


def _link(writer: pypdf.PdfWriter) -> None:
    action = DictionaryObject(
        {NameObject("/S"): NameObject("/URI"), NameObject("/URI"): TextStringObject("x:y")}
    )
    link = DictionaryObject({
        NameObject("/Subtype"): NameObject("/Link"),
        NameObject("/Rect"): ArrayObject([NumberObject(0)] * 4),
        NameObject("/A"): writer._add_object(action),
    })  # fmt: skip
    writer.pages[0][NameObject("/Annots")] = ArrayObject([writer._add_object(link)])


@pytest.mark.parametrize(
    "change",
    [lambda writer: writer.add_attachment("a.exe", b"MZ"), _link],
    ids=["attachment", "link"],
)
def test_active_pdf_of_a_library_is_refused(change: Any) -> None:
    assert "active part" in str(look_into(made(change)).get("error"))


def test_script_of_an_object_that_no_table_names_is_refused() -> None:
    data = built({"EXTRA": b"<</S /JavaScript /JS (x)>>"}, listed=False)
    assert "active part" in str(look_into(data).get("error"))


def test_nesting_and_loops_end_soon() -> None:
    began = time.monotonic()
    deep = {"EXTRA": b"<</K " + b"[" * 150 + b"]" * 150 + b">>"}
    assert "error" in look_into(built(deep))
    loop = {"EXTRA": b"<</K 5 0 R /A 5 0 R>>", "CATALOG": b"/OpenAction 5 0 R"}
    assert "error" in look_into(built(loop))
    assert time.monotonic() - began < 30  # without the bounds, neither would ever end


def test_damaged_bytes_never_raise() -> None:
    draw = random.Random(7)
    whole = built(PLACES["annotation"](HARMFUL[0]), in_stream=True)
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(draw.randrange(1, 8)):
            damaged[draw.randrange(9, len(damaged))] = draw.randrange(256)
        assert set(look_into(bytes(damaged))) & {"pages", "error"}


# --- the process


CONFINED = """
import os, socket, sys
from tongban_connectors.documents import pdfcheck
pdfcheck._load()
pdfcheck.confine()
def tried(what, deed):
    try:
        deed()
    except (OSError, ValueError) as error:
        print(what, "refused", type(error).__name__)
    else:
        print(what, "DONE")
import resource
tried("environ", lambda: open(f"/proc/{os.getppid()}/environ", "rb").read())
tried("file", lambda: open("/etc/passwd"))
tried("after close", lambda: (os.close(2), os.open("/etc/passwd", 0)))
tried("raise", lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9)))
tried("socket", lambda: socket.socket())
tried("fork", os.fork)
"""


def test_reader_of_strangers_opens_no_file_and_starts_no_process() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", CONFINED], stdout=subprocess.PIPE, check=True, timeout=60
    )
    told = ended.stdout.decode().splitlines()
    assert len(told) == 6
    assert all("refused" in line for line in told), told


async def test_confined_reader_reads_documents_as_an_unconfined_one() -> None:
    async with Inspector() as inspector:
        assert await inspector.pages(pdf(3)) == 3
        assert await inspector.pages(built({}, in_stream=True)) == 1
        with pytest.raises(NotAPdfError, match="active part: /S /Launch"):
            await inspector.pages(built({"EXTRA": HARMFUL[2].join([b"<<", b">>"])}))
        for algorithm in ("RC4-128", "AES-256"):
            encrypted = made(lambda writer, a=algorithm: writer.encrypt("x", algorithm=a))
            with pytest.raises(NotAPdfError, match="encrypted"):
                await inspector.pages(encrypted)


@pytest.mark.parametrize("start", ["2a00", "feff", "fffe", "efbbbf"])
async def test_confined_reader_decodes_strings_as_an_unconfined_one_does(start: str) -> None:
    encrypted = made(lambda writer: writer.encrypt("x", algorithm="RC4-128"))
    identifier = start.ljust(32, "0").encode()
    changed, count = re.subn(rb"/ID \[ <[0-9a-f]{32}>", rb"/ID [ <" + identifier + rb">", encrypted)
    assert count == 1
    assert look_into(changed) == {"error": "encrypted"}
    async with Inspector() as inspector:
        with pytest.raises(NotAPdfError, match="encrypted"):
            await inspector.pages(changed)


async def test_reader_that_cannot_be_started_is_no_fault_of_the_document(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refused(*_: Any, **__: Any) -> None:
        raise OSError(24, "Too many open files")

    async with Inspector() as inspector:
        monkeypatch.setattr(asyncio, "create_subprocess_exec", refused)
        with pytest.raises(Retry, match="OSError"):
            await inspector.pages(pdf())
        monkeypatch.undo()
        assert await inspector.pages(pdf()) == 1


async def test_reader_that_the_machine_has_killed_is_no_fault_of_the_document() -> None:
    async with Inspector() as inspector:
        await inspector.pages(pdf())
        (process,) = inspector._idle
        os.kill(process.pid, 9)
        with pytest.raises(Retry, match="machine"):
            await inspector.pages(pdf(2) + b"\n" * 5_000_000)
        assert await inspector.pages(pdf(2)) == 2


async def test_reader_that_ends_unnoticed_is_no_fault_of_the_document(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The machine is so busy that the exit code of a killed reader comes late."""

    class Late:
        returncode: int | None = None

        def __init__(self) -> None:
            self.killed = asyncio.Event()

        async def wait(self) -> int | None:
            await self.killed.wait()
            self.returncode = -9
            return self.returncode

        def kill(self) -> None:
            self.killed.set()

    monkeypatch.setattr(children, "END_S", 0.01)
    late: Any = Late()
    with pytest.raises(Retry, match="machine"):
        await inspector_module._raise_if_killed(late)
    assert late.killed.is_set()

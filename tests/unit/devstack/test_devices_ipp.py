"""IPP as bytes, read and written beside pyipp, and what jobs say of themselves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyipp.enums import IppOperation
from pyipp.parser import parse
from pyipp.serializer import encode_dict

from tongban_devstack.devices.attributes import PrinterAddress, job_group, job_state, printer_group
from tongban_devstack.devices.faults import Condition
from tongban_devstack.devices.ipp.codec import (
    Group,
    IppMessage,
    IppSyntaxError,
    Value,
    decode,
    encode,
)
from tongban_devstack.devices.ipp.vocabulary import GroupTag, IppJobState, ValueTag
from tongban_devstack.devices.job_store import Job, JobKey, Stage, Ticket

NAMES = st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1, max_size=20)
VALUES: st.SearchStrategy[tuple[ValueTag, list[Value]]] = st.one_of(
    *(
        st.tuples(st.just(tag), st.lists(values, min_size=1, max_size=3))
        for tag, values in (
            (ValueTag.INTEGER, st.integers(-(2**31), 2**31 - 1)),
            (ValueTag.ENUM, st.integers(0, 2**31 - 1)),
            (ValueTag.BOOLEAN, st.booleans()),
            (ValueTag.NAME, st.text(max_size=50)),
            (ValueTag.KEYWORD, NAMES),
            (ValueTag.OCTETS, st.binary(max_size=50)),
            (ValueTag.RANGE, st.tuples(st.integers(0, 9), st.integers(10, 99))),
        )
    )
)


@st.composite
def messages(draw: st.DrawFn) -> IppMessage:
    groups = []
    for tag in draw(st.lists(st.sampled_from([GroupTag.OPERATION, GroupTag.JOB]), max_size=4)):
        group = Group(tag)
        for name, (value_tag, values) in draw(st.dictionaries(NAMES, VALUES, max_size=4)).items():
            group.add(name, value_tag, *values)
        groups.append(group)
    code, number = draw(st.integers(0, 0x5FF)), draw(st.integers(1, 2**31 - 1))
    return IppMessage((2, 0), code, number, groups, draw(st.binary(max_size=100)))


@given(messages())
def test_encoded_message_is_decoded_unchanged(message: IppMessage) -> None:
    assert decode(encode(message)) == message


@given(messages(), st.data())
def test_truncated_message_is_a_syntax_error(message: IppMessage, data: st.DataObject) -> None:
    message.data = b""
    raw = encode(message)
    cut = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(IppSyntaxError):
        decode(raw[:cut])


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_a_message_or_a_syntax_error(noise: bytes, with_header: bool) -> None:
    """Nothing but `IppSyntaxError` is raised."""
    header = b"\x02\x00\x00\x0b\x00\x00\x00\x01\x01" if with_header else b""
    try:
        decode(header + noise)
    except IppSyntaxError:
        return


def test_a_client_is_understood() -> None:
    raw = encode_dict(
        {
            "version": (2, 0),
            "operation": IppOperation.SEND_DOCUMENT,
            "request-id": 7,
            "operation-attributes-tag": {
                "attributes-charset": "utf-8",
                "job-name": "订单/办件/证明/1",
                "job-id": 12,
                "last-document": True,
                "requested-attributes": ["job-id", "job-state"],
            },
            "job-attributes-tag": {"copies": 2},
            "data": b"%PDF-1.7 \x03\x00 and more",
        }
    )
    message = decode(raw)
    assert (message.code, message.request_id) == (IppOperation.SEND_DOCUMENT, 7)
    assert message.text(GroupTag.OPERATION, "job-name") == "订单/办件/证明/1"
    assert message.value(GroupTag.OPERATION, "job-id") == 12
    assert message.value(GroupTag.OPERATION, "last-document") is True
    requested = message.group(GroupTag.OPERATION).attributes["requested-attributes"]
    assert requested.values == ("job-id", "job-state")
    assert message.value(GroupTag.JOB, "copies") == 2
    assert message.data == b"%PDF-1.7 \x03\x00 and more"


def test_a_collection_is_read_over() -> None:
    def value(tag: int, name: bytes, content: bytes) -> bytes:
        lengths = [len(part).to_bytes(2) + part for part in (name, content)]
        return bytes([tag]) + b"".join(lengths)

    raw = (
        b"\x02\x00\x00\x05\x00\x00\x00\x01\x01"
        + value(0x34, b"media-col", b"")
        + value(0x4A, b"", b"media-size")
        + value(0x34, b"", b"")
        + value(0x4A, b"", b"x-dimension")
        + value(0x21, b"", (21000).to_bytes(4))
        + value(0x37, b"", b"")
        + value(0x37, b"", b"")
        + value(0x42, b"job-name", b"after")
        + b"\x03"
    )
    assert decode(raw).text(GroupTag.OPERATION, "job-name") == "after"


def test_name_with_language_is_decoded_without_it() -> None:
    content = (5).to_bytes(2) + b"zh-cn" + (6).to_bytes(2) + "证明".encode()
    raw = (
        b"\x02\x00\x00\x05\x00\x00\x00\x01\x01\x36"
        + (8).to_bytes(2) + b"job-name" + len(content).to_bytes(2) + content + b"\x03"
    )  # fmt: skip
    assert decode(raw).text(GroupTag.OPERATION, "job-name") == "证明"


# --- jobs

ORIGIN = PrinterAddress("k-1", "127.0.0.1:631")


def job(stage: Stage, **changes: Any) -> Job:
    values: dict[str, Any] = {
        "key": JobKey("k-1", 4),
        "name": "o/r/d/1",
        "user": "printing",
        "copies": 1,
        "stage": stage,
        "created_at": 0.0,
        "ended_at": None,
        "documents": 1,
        "pages": 2,
        "octets": 3000,
    }
    return Job(**{**values, **changes})


@pytest.mark.parametrize(
    ("stage", "condition", "is_current", "state", "reason"),
    [
        (Stage.INCOMING, Condition.OK, False, IppJobState.PENDING, "job-incoming"),
        (Stage.INCOMING, Condition.JAM, False, IppJobState.PENDING, "job-incoming"),
        (Stage.QUEUED, Condition.OK, False, IppJobState.PENDING, "job-queued"),
        (Stage.QUEUED, Condition.OK, True, IppJobState.PROCESSING, "job-printing"),
        (Stage.QUEUED, Condition.JAM, True, IppJobState.PROCESSING_STOPPED, "printer-stopped"),
        (Stage.QUEUED, Condition.PAPER_OUT, False, IppJobState.PENDING, "printer-stopped"),
        (
            Stage.COMPLETED,
            Condition.JAM,
            False,
            IppJobState.COMPLETED,
            "job-completed-successfully",
        ),
        (Stage.CANCELED, Condition.OK, False, IppJobState.CANCELED, "job-canceled-by-user"),
    ],
)
def test_job_reports_its_state(
    stage: Stage, condition: Condition, is_current: bool, state: IppJobState, reason: str
) -> None:
    assert job_state(job(stage), condition, is_current) == (state, (reason,))


def test_every_group_is_readable_for_a_client() -> None:
    groups = [
        Group(GroupTag.OPERATION).add("attributes-charset", ValueTag.CHARSET, "utf-8"),
        job_group(
            ORIGIN, job(Stage.QUEUED), condition=Condition.JAM, is_current=True, impressions=1
        ),
        job_group(
            ORIGIN,
            job(Stage.COMPLETED, ended_at=9.0),
            condition=Condition.OK,
            is_current=False,
            impressions=0,
        ),
        printer_group(
            ORIGIN, condition=Condition.PAPER_OUT, printing=True, queued=3, pages_per_minute=400
        ),
    ]
    read = parse(encode(IppMessage((2, 0), 0, 1, groups)))
    stopped, done = read["jobs"]
    assert stopped["job-uri"] == "ipp://127.0.0.1:631/ipp/print/k-1/4"
    assert (stopped["job-state"], stopped["job-impressions-completed"]) == (6, 1)
    assert stopped["job-printer-state-reasons"] == "media-jam"
    assert stopped["job-k-octets"] == 3
    assert (done["job-state"], done["job-impressions-completed"]) == (9, 2)
    (printer,) = read["printers"]
    assert (printer["printer-state"], printer["printer-state-reasons"]) == (5, "media-empty")
    assert printer["printer-is-accepting-jobs"] is True
    assert printer["queued-job-count"] == 3
    assert IppOperation.SEND_DOCUMENT in printer["operations-supported"]


@pytest.mark.parametrize(
    ("name", "ticket"),
    [
        ("o/r/d/2", Ticket("o", "r", "d", 2)),
        ("o/r/d", Ticket("o/r/d", "", "", 1)),
        ("o//d/1", Ticket("o//d/1", "", "", 1)),
        ("o/r/d/二", Ticket("o/r/d/二", "", "", 1)),
        ("Test page", Ticket("Test page", "", "", 1)),
    ],
)
def test_job_name_is_parsed_into_its_ticket(name: str, ticket: Ticket) -> None:
    assert Ticket.of(name) == ticket

"""Languages, problem documents, limits: what needs no broker."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tongban_common.domain.verification import file_code, grouped, normal, sheet_code
from tongban_intake.catalogue_index import CatalogueIndex
from tongban_intake.http.body import canonical, parse_object
from tongban_intake.http.limits import KioskRates, Slots
from tongban_intake.live.hub import Hub
from tongban_intake.problems import FieldError, Kind, ProblemError
from tongban_intake.submission.checks import Checker
from tongban_intake.submission.repeats import Recent, Seen
from tongban_intake.submission.wording import pointer
from tongban_intake.text import Text, preferred
from tongban_kafka import Record


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "zh"),
        ("", "zh"),
        ("en", "en"),
        ("en-US,en;q=0.9", "en"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("fr, en;q=0.3, zh;q=0.2", "en"),
        ("en;q=0", "zh"),
        ("fr", "zh"),
        ("*", "zh"),
        ("en;q=nonsense", "zh"),
    ],
)
def test_the_language_that_is_wanted(header: str | None, language: str) -> None:
    assert preferred(header) == language


def test_a_problem_is_rfc_9457() -> None:
    problem = ProblemError(
        Kind.INVALID, Text("甲", "one"), errors=[FieldError("/a~1b", Text("乙", "two"))]
    )
    answer = problem.response("en")
    assert answer.media_type == "application/problem+json"
    assert json.loads(bytes(answer.body)) == {
        "type": "urn:tongban:problem:invalid",
        "title": "Something is not filled in right",
        "status": 422,
        "detail": "one",
        "errors": [{"pointer": "/a~1b", "message": "two"}],
    }
    retry = ProblemError(Kind.UNAVAILABLE, retry_after=7).response("zh")
    assert retry.headers["Retry-After"] == "7"
    assert ProblemError(Kind.UNAUTHENTICATED).response("zh").headers["WWW-Authenticate"]


def test_pointers_escape() -> None:
    assert pointer(["a/b", 0, "c~d"], under="/form") == "/form/a~1b/0/c~0d"


def test_all_faults_of_a_body_are_reported_at_once_with_the_valid_form() -> None:
    body = {
        "item_code": "1",
        "channel": "phone",
        "assistant": "no one!",
        "applicant": {
            "type": "company",
            "name": " ",
            "uscc": "91310000MA1FL0000X",
            "agent": {
                "name": "张三",
                "id_type": "resident_id",
                "id_number": "31010119900307867X",
                "phone": "123",
                "email": "nowhere",
            },
        },
        "form": {},
    }
    with pytest.raises(ProblemError) as caught:
        Checker(CatalogueIndex()).check(body, today=date(2026, 3, 2))
    told = {error.pointer: error.message for error in caught.value.errors}
    agent = "/applicant/agent"
    assert set(told) == {
        "/channel", "/assistant", "/applicant/name", "/applicant/uscc",
        f"{agent}/id_number", f"{agent}/phone", f"{agent}/email",
    }  # fmt: skip
    assert "self_service" in told["/channel"].zh
    assert " or " not in told["/channel"].zh
    assert "13800001234" in told[f"{agent}/phone"].en
    assert "@" in told[f"{agent}/email"].en
    with pytest.raises(ProblemError) as caught:
        Checker(CatalogueIndex()).check(
            {**body, "applicant": {"type": "robot"}}, today=date(2026, 3, 2)
        )
    told = {error.pointer: error.message for error in caught.value.errors}
    assert "company" in told["/applicant/type"].zh


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=15,
)


@given(st.dictionaries(st.text(max_size=5), JSON))
def test_equal_bodies_have_one_spelling(body: dict[str, object]) -> None:
    shuffled = dict(reversed(body.items()))
    spaced = json.dumps(shuffled, indent=2, ensure_ascii=True).encode()
    assert canonical(parse_object(spaced)) == canonical(body)


def test_nesting_that_cannot_be_written_is_refused() -> None:
    deep = b'{"a":' * 300 + b"1" + b"}" * 300
    with pytest.raises(ProblemError) as caught:
        canonical(parse_object(deep))
    assert caught.value.kind is Kind.MALFORMED


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def taken(take: Callable[[], None]) -> bool:
    try:
        take()
    except ProblemError:
        return False
    return True


def test_a_bucket_fills_again() -> None:
    clock = Clock()
    rates = KioskRates(2.0, 3, monotonic=clock)
    assert [taken(lambda: rates.take("k")) for _ in range(4)] == [True, True, True, False]
    assert taken(lambda: rates.take("other"))
    clock.now = 0.5
    assert [taken(lambda: rates.take("k")) for _ in range(2)] == [True, False]
    clock.now = 100.0
    assert [taken(lambda: rates.take("k")) for _ in range(4)] == [True, True, True, False]


def test_kiosks_that_rest_are_forgotten() -> None:
    rates = KioskRates(1.0, 1, remembered=2)
    for kiosk in ("a", "b", "c"):
        rates.take(kiosk)
    assert taken(lambda: rates.take("a"))
    assert not taken(lambda: rates.take("c"))


def test_slots_are_given_back_after_failures() -> None:
    slots = Slots(1)
    for _ in range(3):
        with pytest.raises(RuntimeError), slots:
            with pytest.raises(ProblemError) as full, slots:
                pass
            assert full.value.kind is Kind.UNAVAILABLE
            raise RuntimeError
    assert slots.taken == 0


def test_the_first_body_under_an_id_stays() -> None:
    recent = Recent(2)
    recent.put("a", Seen("1"))
    recent.put("a", Seen("2"))
    recent.put("b", Seen("1"))
    assert recent.get("a") == Seen("1")
    recent.put("c", Seen("1"))
    assert recent.get("b") is None
    assert recent.get("a") == Seen("1")


def record(key: str, number: int, size: int = 10) -> Record:
    return Record("requests.status", 0, number, 0, key.encode(), b"x" * size, (), False, 0.0)


async def test_hub_delivers_recent_and_new_records() -> None:
    hub = Hub(kept_records=3, kept_bytes=1000)
    for number in range(5):
        hub.on_record(record("a" if number % 2 else "b", number))
    with hub.watch("a") as watcher:
        hub.on_record(record("a", 9))
        hub.on_record(record("b", 10))
        assert [each.offset for each in await watcher.wait(0)] == [3, 9]
        assert await watcher.wait(0.001) == []
    assert hub.open == 0


async def test_a_watcher_that_is_too_slow_is_closed() -> None:
    hub = Hub()
    with hub.watch("a") as slow, hub.watch("a") as quick:
        for number in range(300):
            hub.on_record(record("a", number))
            await quick.wait(0)
        assert slow.closed
        assert not quick.closed
        assert len(await slow.wait(0)) <= 256


async def test_hub_keeps_a_bounded_number_of_records() -> None:
    hub = Hub(kept_records=1000, kept_bytes=5000)
    for number in range(100):
        hub.on_record(record(f"k{number}", number, size=1000))
    kept = [n for n in range(100) if await _kept(hub, f"k{n}")]
    assert kept == list(range(95, 100))


async def _kept(hub: Hub, key: str) -> bool:
    with hub.watch(key) as watcher:
        return bool(await watcher.wait(0))


@given(st.text(min_size=1, max_size=40))
def test_the_code_is_the_one_on_the_sheet(document_id: str) -> None:
    printed = grouped(sheet_code(document_id))
    for typed in (
        printed,
        printed.lower(),
        printed.replace("0", "O").replace("1", "l"),
        _wide(printed),
    ):
        assert normal(typed) == sheet_code(document_id)


def test_verification_code_is_normalised_or_refused() -> None:
    assert normal("") is None
    assert normal("x" * 500) is None
    assert normal("0123-4567-89ab-cde") is None
    assert normal(file_code("AB" * 32)) == "AB" * 8


def _wide(text: str) -> str:
    """The text as a Chinese input method gives it."""
    return "".join(chr(ord(each) + 0xFEE0) for each in text)

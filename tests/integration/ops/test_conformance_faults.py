"""A gateway with one thing wrong fails the checks that are about it, and no others."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.integration.ops.broken_gateway import (
    PROVINCE,
    SECRET,
    THROTTLE,
    BrokenGateway,
    Fault,
    served,
)
from tests.integration.ops.broken_receipts import BrokenReceipts, CallbackFault
from tests.integration.ops.broken_soap import BrokenSoap, SoapFault
from tongban_ops.conformance.checks import selected
from tongban_ops.conformance.options import NOBODY, Example, Options
from tongban_ops.conformance.runner import GatewayUnreachableError, examine
from tongban_ops.conformance.verdicts import ConformanceReport, Outcome

pytestmark = pytest.mark.long

FAILING: dict[Fault, set[str]] = {
    Fault.NONE: set(),
    Fault.UNSIGNED_ANSWERS: {"answers-signed"},
    Fault.OLD_NONCE: {"answers-signed"},
    Fault.HTML: {"answers-signed"},
    Fault.BARE_404: {"unknown"},
    Fault.FORGETS: {"look-up"},
    Fault.WRONG_ID: {"submit"},
    Fault.BELIEVES_ANYONE: {
        "unsigned", "wrong-key", "stale", "altered-body", "altered-target", "replay",
    },
    Fault.PLATFORM_SIGNATURE_ONLY: {"altered-body", "altered-target"},
    Fault.NO_CLOCK: {"stale"},
    Fault.REPLAYS: {"replay"},
    Fault.TWICE_IN_SILENCE: {"repeat"},
    Fault.RACES: {"concurrent"},
    Fault.IGNORES_ACT_BEFORE: {"too-late"},
    Fault.ACTS_LATE: {"cut-off"},
    Fault.MANGLES: {"unicode"},
    Fault.SMALL_BODIES: {"large-form"},
    Fault.ANY_SIZE: {"too-large"},
    Fault.TAKES_ANY_SUPPLEMENT: {"supplement-not-awaited"},
    Fault.WITHDRAWS_NOTHING: {"withdraw-pending"},
    Fault.WITHDRAWS_FINAL: {"withdraw-final"},
    Fault.MAKES_UP: {"withdraw-unknown"},
    Fault.NO_POINTER: {"bad-request"},
    Fault.UNKNOWN_EVERYWHERE: {"no-such-route"},
    Fault.NO_RESULT: {"result"},
    Fault.OTHER_DOCUMENT: {"document"},
    Fault.BEHIND: {"clock"},
    Fault.SLOW: {"in-time"},
    Fault.ENDS_IDLE: {"idle-connection"},
    Fault.NO_RETRY_AFTER: {"throttling"},
}  # fmt: skip
CALLBACKS_FAILING: dict[CallbackFault, set[str]] = {
    CallbackFault.NONE: set(),
    CallbackFault.SAYS_ALL: {"submit"},
    CallbackFault.OTHER_RECEIPT: {"receipt", "callback"},
    CallbackFault.SILENT: {"callback"},
    CallbackFault.FORGED: {"callback"},
    CallbackFault.WRONG_CALLER: {"callback"},
    CallbackFault.GIVES_UP: {"callback-repeated"},
    CallbackFault.SAME_NONCE: {"callback-repeated"},
    CallbackFault.NEW_NOTICE: {"callback-repeated"},
}
SOAP_FAILING: dict[tuple[SoapFault, Fault], set[str]] = {
    (SoapFault.NONE, Fault.NONE): set(),
    (SoapFault.UNSIGNED_ANSWERS, Fault.NONE): {"answers-signed"},
    (SoapFault.CONFIRMS_ANOTHER, Fault.NONE): {"answers-signed"},
    (SoapFault.HTML, Fault.NONE): {"answers-signed"},
    (SoapFault.TOKEN_ALONE, Fault.NONE): {"unsigned", "altered-body"},
    (SoapFault.REPLAYS, Fault.NONE): {"replay"},
    (SoapFault.NONE, Fault.FORGETS): {"look-up"},
    (SoapFault.NONE, Fault.WRONG_ID): {"submit"},
    (SoapFault.NONE, Fault.IGNORES_ACT_BEFORE): {"too-late"},
    (SoapFault.NONE, Fault.TWICE_IN_SILENCE): {"repeat"},
    (SoapFault.NONE, Fault.WITHDRAWS_FINAL): {"withdraw-final"},
    (SoapFault.NONE, Fault.OTHER_DOCUMENT): {"document"},
}
OPTIONS = Options(
    url="",
    protocol="rest",
    province=PROVINCE,
    secret=SECRET,
    examples=(
        Example("1", "社保卡临时挂失", "handle", NOBODY, {}),
        Example("2", "社保缴费证明", "print", NOBODY, {}),
        Example("3", "医保账户查询", "query", NOBODY, {}),
    ),
    parallel=4,
    idle_s=1.0,
)


def _options(fault: Fault) -> Options:
    match fault:
        case Fault.SLOW:
            return replace(OPTIONS, timeout_s=0.05)
        case Fault.NONE | Fault.NO_RETRY_AFTER:
            return replace(OPTIONS, rate_limit=2 * THROTTLE)
        case _:
            return OPTIONS


async def _examined(fault: Fault) -> tuple[ConformanceReport, BrokenGateway]:
    gateway = BrokenGateway(fault)
    async with served(gateway) as url:
        return await examine(replace(_options(fault), url=url), selected("rest")), gateway


async def _called_back(fault: CallbackFault) -> ConformanceReport:
    patience = 15 if fault in (CallbackFault.NONE, CallbackFault.NEW_NOTICE) else 1.5
    options = replace(OPTIONS, protocol="rest_callback", wait_s=patience)
    checks = selected("rest_callback", ["receipt", "callback-repeated"])
    async with served(BrokenReceipts(fault)) as url:
        return await examine(replace(options, url=url), checks)


@pytest.fixture(scope="module")
async def examined() -> dict[Fault, tuple[ConformanceReport, BrokenGateway]]:
    """All at the same time: most of a run is waiting."""
    results = await asyncio.gather(*map(_examined, Fault))
    return dict(zip(Fault, results, strict=True))


@pytest.mark.parametrize("fault", Fault)
async def test_faulty_gateway_fails_exactly_the_checks_of_its_fault(
    examined: dict[Fault, tuple[ConformanceReport, BrokenGateway]], fault: Fault
) -> None:
    report, _ = examined[fault]
    notes = {verdict.name: verdict.note for verdict in report.verdicts}
    assert set(report.of(Outcome.FAILS)) == FAILING[fault], notes
    assert report.ok == (fault is Fault.NONE)


@pytest.fixture(scope="module")
async def called_back() -> dict[CallbackFault, ConformanceReport]:
    """All at the same time."""
    results = await asyncio.gather(*map(_called_back, CallbackFault))
    return dict(zip(CallbackFault, results, strict=True))


@pytest.mark.parametrize("fault", CallbackFault)
async def test_faulty_callbacks_fail_exactly_the_checks_of_their_fault(
    called_back: dict[CallbackFault, ConformanceReport], fault: CallbackFault
) -> None:
    report = called_back[fault]
    notes = {verdict.name: verdict.note for verdict in report.verdicts}
    assert set(report.of(Outcome.FAILS)) == CALLBACKS_FAILING[fault], notes
    if fault is CallbackFault.NONE:
        assert report.of(Outcome.SKIPPED) == []


async def _spoken_to_in_soap(wrong: SoapFault, fault: Fault) -> ConformanceReport:
    options = replace(_options(fault), protocol="soap")
    async with served(BrokenSoap(wrong, fault)) as url:
        return await examine(replace(options, url=f"{url}/soap"), selected("soap"))


@pytest.fixture(scope="module")
async def in_soap() -> dict[tuple[SoapFault, Fault], ConformanceReport]:
    """All at the same time."""
    results = await asyncio.gather(*(_spoken_to_in_soap(*each) for each in SOAP_FAILING))
    return dict(zip(SOAP_FAILING, results, strict=True))


@pytest.mark.parametrize("wrong", SOAP_FAILING)
async def test_faulty_soap_gateway_fails_exactly_the_checks_of_its_fault(
    in_soap: dict[tuple[SoapFault, Fault], ConformanceReport], wrong: tuple[SoapFault, Fault]
) -> None:
    report = in_soap[wrong]
    notes = {verdict.name: verdict.note for verdict in report.verdicts}
    assert set(report.of(Outcome.FAILS)) == SOAP_FAILING[wrong], notes
    if wrong == (SoapFault.NONE, Fault.NONE):
        assert report.of(Outcome.SKIPPED) == []


async def test_a_gateway_that_is_right_passes_every_check_and_is_left_clean(
    examined: dict[Fault, tuple[ConformanceReport, BrokenGateway]],
) -> None:
    report, gateway = examined[Fault.NONE]
    assert report.of(Outcome.HOLDS) == [check.name for check in selected("rest")]
    assert gateway.applications, "there was something to clear away"
    for request_id, known in gateway.applications.items():
        assert request_id.startswith(report.run)
        assert known["withdrawn"] or known["state"] == "completed"
    assert report.clean_up.left == []


async def test_check_is_skipped_when_one_it_needs_fails(
    examined: dict[Fault, tuple[ConformanceReport, BrokenGateway]],
) -> None:
    report, _ = examined[Fault.FORGETS]
    repeat = next(verdict for verdict in report.verdicts if verdict.name == "repeat")
    assert repeat.outcome is Outcome.SKIPPED
    assert "look-up" in repeat.note


async def test_application_that_cannot_be_withdrawn_is_reported(
    examined: dict[Fault, tuple[ConformanceReport, BrokenGateway]],
) -> None:
    report, gateway = examined[Fault.UNSIGNED_ANSWERS]
    assert set(gateway.applications) <= set(report.clean_up.left)


async def test_selected_check_runs_with_the_checks_it_needs() -> None:
    async with served(BrokenGateway(Fault.NONE)) as url:
        report = await examine(replace(OPTIONS, url=url), selected("rest", ["repeat"]))
    held = report.of(Outcome.HOLDS)
    assert held == ["answers-signed", "submit", "look-up", "repeat"]


async def test_unreachable_gateway_raises_an_error_of_its_own() -> None:
    with pytest.raises(GatewayUnreachableError):
        await examine(replace(OPTIONS, url="http://127.0.0.1:1/p/340000"), selected("rest"))

"""Proving to be the applicant of a request, and what becomes of guesses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.intake.kit import KEYS, kiosk
from tongban_intake.access.applicant_proof import ApplicantProof
from tongban_intake.access.lockout import Lockout
from tongban_intake.http.limits import KioskRates
from tongban_intake.problems import Kind, ProblemError
from tongban_intake.readmodel.record import RequestRecord

PERSON = {
    "type": "person",
    "name": "张三",
    "id_number": "31010119900307867X",
    "phone": "13800001234",
}
COMPANY = {"type": "company", "name": "某公司", "uscc": "9131", "agent": PERSON}


class Records:
    """A read model in which every request is this applicant's."""

    def __init__(self, applicant: dict[str, Any] | None = None) -> None:
        self.applicant = applicant or PERSON
        self.projected = True

    async def get(self, request_id: str) -> RequestRecord | None:
        if not self.projected:
            return None
        sealed = KEYS.seal(request_id, {"applicant": self.applicant})
        timeline = {"000001": {"seq": 1}}
        return RequestRecord(
            {"_id": request_id, "timeline": timeline, "sealed": sealed.model_dump()}
        )


class Bench:
    def __init__(self, records: Records | None = None, *, burst: int = 1000) -> None:
        self.now = 0.0
        self.proof = ApplicantProof(
            records or Records(),  # type: ignore[arg-type]
            KEYS,
            lockout=Lockout(
                free=3, first_s=300, longest_s=86_400, remembered=5, monotonic=lambda: self.now
            ),
            rates=KioskRates(1 / 60, burst, monotonic=lambda: self.now),
        )

    async def tries(
        self, request_id: str = "r-1", number: str = "867X", phone: str = "1234"
    ) -> tuple[Kind | None, int | None]:
        """Return what is wrong with the proof (None: nothing), and when to come again."""
        try:
            await self.proof.check(kiosk(), request_id, number=number, phone=phone)
        except ProblemError as problem:
            return problem.kind, problem.retry_after
        return None, None


@pytest.mark.parametrize("applicant", [PERSON, COMPANY], ids=["person", "company"])
@pytest.mark.parametrize("number", ["867X", "867x", " ８67x"])
async def test_ends_of_number_and_phone_prove_the_applicant(
    applicant: dict[str, Any], number: str
) -> None:
    assert await Bench(Records(applicant)).tries(number=number) == (None, None)


@pytest.mark.parametrize(
    ("number", "phone"),
    [("", ""), ("867X", ""), ("", "1234"), ("867X", "1235"), ("8671", "1234"),
     ("31010119900307867X", "1234"), ("867X1234", ""), ("é", "1234")],
)  # fmt: skip
async def test_one_wrong_end_proves_nothing(number: str, phone: str) -> None:
    assert (await Bench().tries(number=number, phone=phone))[0] is Kind.FORBIDDEN


async def test_request_is_locked_after_three_wrong_tries_and_longer_each_time() -> None:
    bench = Bench()
    for _ in range(3):
        assert (await bench.tries(phone="0000"))[0] is Kind.FORBIDDEN
    assert await bench.tries() == (Kind.TOO_MANY, 300)
    bench.now += 300
    assert (await bench.tries(phone="0000"))[0] is Kind.FORBIDDEN
    assert await bench.tries() == (Kind.TOO_MANY, 600)
    assert await bench.tries("r-2") == (None, None)
    bench.now += 600
    assert await bench.tries() == (None, None)


async def test_lock_is_not_forgotten_for_guesses_at_other_requests() -> None:
    bench = Bench()
    for _ in range(3):
        await bench.tries(phone="0000")
    for number in range(50):
        await bench.tries(f"r-other-{number}", phone="0000")
    assert (await bench.tries())[0] is Kind.TOO_MANY


async def test_kiosk_has_ten_tries_for_all_requests_together() -> None:
    bench = Bench(burst=10)
    kinds = [(await bench.tries(f"r-{number}", phone="0000"))[0] for number in range(12)]
    assert kinds == [Kind.FORBIDDEN] * 10 + [Kind.TOO_MANY] * 2


async def test_request_that_is_not_projected_is_no_wrong_try() -> None:
    records = Records()
    records.projected = False
    bench = Bench(records)
    for _ in range(5):
        assert (await bench.tries())[0] is Kind.UNAVAILABLE
    records.projected = True
    assert await bench.tries() == (None, None)

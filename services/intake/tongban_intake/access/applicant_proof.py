"""Check that a person is the applicant of a request: the last characters of document number and
phone."""

from __future__ import annotations

from hmac import compare_digest

from tongban_common.envelope import KeyRing
from tongban_intake.access.lockout import Lockout
from tongban_intake.access.tokens import Kiosk
from tongban_intake.applicants import comparable
from tongban_intake.http.limits import KioskRates
from tongban_intake.problems import Kind, ProblemError, envelope_problems
from tongban_intake.readmodel.reader import ReadModel
from tongban_intake.text import Text

TAIL = 4
"""Characters that a person types of each: 10^8 pairs, against a handful of tries a day."""
_FREE_TRIES = 3
_FIRST_LOCK_S, _LONGEST_LOCK_S = 300.0, 24 * 3600.0
_KIOSK_RATE, _KIOSK_BURST = 1 / 60, 10


class ApplicantProof:
    """Compares what a person types with the applicant in the request's envelope.

    Each request allows three wrong tries; then it is locked, for longer each time. Each kiosk has
    ten tries and one more a minute, for all requests together. A signed-in lobby manager needs no
    proof, also while a request is locked.
    """

    def __init__(
        self,
        read_model: ReadModel,
        keys: KeyRing,
        *,
        lockout: Lockout | None = None,
        rates: KioskRates | None = None,
    ) -> None:
        self._read_model = read_model
        self._keys = keys
        self._lockout = lockout or Lockout(
            free=_FREE_TRIES, first_s=_FIRST_LOCK_S, longest_s=_LONGEST_LOCK_S
        )
        self._rates = rates or KioskRates(_KIOSK_RATE, _KIOSK_BURST)

    async def check(self, kiosk: Kiosk, request_id: str, *, number: str, phone: str) -> None:
        """Return if both are the ends of the applicant's (of a company: its agent's) document
        number and phone.

        Raises:
            ProblemError: 403, one of them is wrong; 410, the key was destroyed; 429, too many
                tries; 503, the request is not in the read model yet, or its key not on this
                replica.
            StoreUnavailableError
        """
        self._lockout.check(request_id)
        self._rates.take(kiosk.kiosk_id)
        ends = await self._ends(request_id)
        self._lockout.check(request_id)  # a concurrent try may have locked the request meanwhile
        self._lockout.begin(request_id)
        typed = (comparable(number), comparable(phone))
        if not compare_digest("\x1f".join(typed).encode(), "\x1f".join(ends).encode()):
            raise ProblemError(
                Kind.FORBIDDEN,
                Text("与申请人登记的信息不一致", "Not what the applicant has on record"),
            )
        self._lockout.right(request_id)

    async def _ends(self, request_id: str) -> tuple[str, str]:
        record = await self._read_model.get(request_id)
        if record is None or not record.projected:
            raise ProblemError(
                Kind.UNAVAILABLE,
                Text("办件正在登记，请稍后再试", "Not on record yet; try again"),
                retry_after=2,
            )
        with envelope_problems():
            applicant = self._keys.open(request_id, record.sealed, "applicant")
        person = applicant.get("agent", applicant)
        return tuple(comparable(person[name])[-TAIL:] for name in ("id_number", "phone"))  # type: ignore[return-value]

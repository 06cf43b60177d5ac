"""Decide how the text of `--reason` may be published (ADR 0019).

One rule for every command: a reason from the command's own list is published in clear, any other
text is sealed, and a command without the key ring withholds the text and warns. The decision itself
is carried out in every case.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tongban_common.envelope import KeyRing, UnreadableEnvelopeError
from tongban_common.events.models import Sealed
from tongban_common.private_texts import REASON, seal
from tongban_common.settings import CommonSettings

RESUMED = "工作人员已处理，继续办理"
ENDED = "工作人员已终止办理"
REQUEST_REASONS = frozenset({
    RESUMED, ENDED, "已修复", "请到窗口办理", "重复提交", "应申请人要求", "省级平台无法办理",
})  # fmt: skip
"""Reasons of `request resume`, `request fail` and `dlt replay`; applicants read them."""
DISCARD_REASONS = frozenset({"nobody's request", "test data", "duplicate", "done otherwise"})
"""Reasons of `dlt discard`."""
REVOKE_REASONS = frozenset({"stolen", "lost", "replaced", "retired", "key exposed"})
"""Reasons of `kiosk revoke`."""
WITHHELD = (
    "the words of --reason were not published: they can only be sealed, and TONGBAN_KEYRING does "
    "not hold the key. In clear go only: "
)


@dataclass(frozen=True, slots=True)
class OperatorReason:
    """A reason as it may be published: in clear, sealed, or `withheld`."""

    clear: str | None = None
    sealed: Sealed | None = None
    withheld: bool = False


def key_ring_of(settings: CommonSettings) -> KeyRing | None:
    """Return the key ring that TONGBAN_KEYRING names; None if the variable is not set, because the
    default key is public.

    Raises:
        ValueError, OSError: the value is no key ring, or cannot be read.
    """
    if "keyring" not in settings.model_fields_set:
        return None
    return KeyRing.parse(settings.keyring.get_secret_value())


def about_request(
    words: str,
    keys: KeyRing | None,
    request_id: str,
    sealed: Sealed | None,
    known: Collection[str] = REQUEST_REASONS,
) -> OperatorReason:
    """Return a reason for a request's timeline, sealed under the data key of `sealed`; without an
    event of the request `sealed` is None and the reason is withheld."""
    if words in known:
        return OperatorReason(clear=words)
    if keys is None or sealed is None:
        return OperatorReason(withheld=True)
    try:
        return OperatorReason(sealed=seal(keys, request_id, sealed, reason=words))
    except UnreadableEnvelopeError:
        return OperatorReason(withheld=True)


def about_record(
    words: str, keys: KeyRing | None, bound_to: str, known: Collection[str]
) -> OperatorReason:
    """Return a reason for a record of a control topic, in its own envelope that is bound to
    `bound_to`."""
    if not words or words in known:
        return OperatorReason(clear=words or None)
    if keys is None:
        return OperatorReason(withheld=True)
    return OperatorReason(sealed=keys.seal(bound_to, {REASON: words}))

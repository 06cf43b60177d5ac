"""Check assisted submissions: by a signed-in lobby manager, or one that the kiosk names."""

from __future__ import annotations

from collections.abc import Iterator

from tongban_intake.access.tokens import Kiosk
from tongban_intake.problems import FieldError, Kind, ProblemError
from tongban_intake.submission.models import Submission
from tongban_intake.text import Text


def problems(submission: Submission, signed_in: str | None) -> Iterator[FieldError]:
    """Yield what is wrong with `channel` and `assistant` of a submission."""
    named = submission.assistant
    if submission.channel == "self_service":
        if named is not None:
            yield FieldError(
                "/assistant",
                Text("自助办理时不应填写", "Must be absent where the channel is self_service"),
            )
    elif named is None and signed_in is None:
        yield FieldError(
            "/assistant",
            Text(
                "由大堂经理协助办理时，请填写其工号",
                "Required where the channel is assisted and nobody has signed in",
            ),
        )
    elif None not in (named, signed_in) and named != signed_in:
        yield FieldError(
            "/assistant",
            Text("与登录的大堂经理不一致", "Another lobby manager has signed in at this kiosk"),
        )


def must_be_allowed(submission: Submission, kiosk: Kiosk, *, sign_in: bool) -> None:
    """Raise ProblemError 403 if assisting needs a lobby manager's sign-in and there is none."""
    if sign_in and submission.channel == "assisted" and kiosk.assistant is None:
        raise ProblemError(
            Kind.FORBIDDEN,
            Text("协助办理前，请大堂经理先登录", "A lobby manager has to sign in before assisting"),
        )


def who(submission: Submission, kiosk: Kiosk) -> tuple[str | None, bool]:
    """Return the lobby manager for the record, and True if a sign-in proves it."""
    if submission.channel == "self_service":
        return None, False
    if kiosk.assistant is not None:
        return kiosk.assistant, True
    return submission.assistant, False

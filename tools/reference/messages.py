"""Generate docs/reference/messages.md: every message as it is sent."""

from __future__ import annotations

from tongban_notify.domain.texts import EACH_OF_SEVERAL, ONE_PART, Audience, MessageTexts
from tongban_ops.cli.notify import Preview, previews
from tongban_ops.event_documents.markdown import table
from tools.reference.code import NOTE

_ITEM, _REASON = "社会保险缴费证明打印", "缺少本人签名"
_WHOM = {Audience.PERSON: "To a person", Audience.COMPANY: "To the agent of a company"}

_ABOUT = """
The texts that notify sends, for the item {item} and, where a text has a reason, with the
reason {reason}. They stand in `services/notify/tongban_notify/domain/texts.toml`.
`TONGBAN_MESSAGE_TEXTS` names another file, which is checked when the service starts and by
`tongban notify preview --texts FILE`.

A message holds {alone} characters, or {each} where several are sent as one (UCS-2, 3GPP TS 23.040).
A text takes two at most, however long item and reason are: both are cut.
"""


def messages_page() -> str:
    """Return the page."""
    made = previews(MessageTexts.load(), item=_ITEM, reason=_REASON)
    parts = [
        "# Messages",
        NOTE.strip(),
        _ABOUT.format(item=_ITEM, reason=_REASON, alone=ONE_PART, each=EACH_OF_SEVERAL).strip(),
    ]
    for to, title in _WHOM.items():
        rows = [_row(each) for each in made if each.audience is to]
        parts += [f"## {title}", table(["event", "text", "characters", "messages"], rows).strip()]
    return "\n\n".join(parts) + "\n"


def _row(each: Preview) -> tuple[str, str, str, str]:
    return f"`{each.event}`", each.text, str(each.units), str(each.parts)

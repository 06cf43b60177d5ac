"""Make the texts of messages from a file of texts, one for each event and audience.

A text contains no ID number, and only the first character of the person's name, because other
people see a phone and phones change hands.
"""

from __future__ import annotations

import re
import string
import tomllib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

from tongban_notify.domain.messages import MessageApplicant, MessageTemplate
from tongban_notify.errors import NotifyError

ONE_PART, EACH_OF_SEVERAL = 70, 67
"""UTF-16 code units of a message in UCS-2, alone and as one of several that are concatenated
(3GPP TS 23.040, 9.2.3.24.1)."""
MOST_PARTS = 2
LONGEST = MOST_PARTS * EACH_OF_SEVERAL
ITEM_LONGEST = 30
"""Most code units of an item's name in a text."""
_NAME_LONGEST = "𠀀**"
_LEAST_REASON = 12
"""Code units that a text must leave for a reason and its colon."""
_SIGNATURE = re.compile(r"【[^【】]{2,12}】")
_DIGITS = "0-9０-９一二三四五六七八九零〇○幺壹贰叁肆伍陆柒捌玖"
_NUMBERS = re.compile(
    rf"[{_DIGITS}A-Za-zＡ-Ｚａ-ｚ]{{11,}}|[{_DIGITS}](?:[ 　-]?[{_DIGITS}Xx]){{10,}}"
)
"""ID, phone and account numbers in any spelling. All have eleven characters or more, and no number
that a reason needs is that long."""


class TextsError(NotifyError):
    """A file of texts is not as it has to be; the text names every problem."""


class Audience(StrEnum):
    """Names whom a text addresses. A company is notified through its agent."""

    PERSON = "person"
    COMPANY = "company"

    @classmethod
    def of(cls, applicant: MessageApplicant) -> Audience:
        """Return the audience that an applicant belongs to."""
        return cls.COMPANY if applicant.type == "company" else cls.PERSON


class TextEvent(StrEnum):
    """Names what a text tells. A completion has one text for paper and one for the screen."""

    COMPLETED_ON_PAPER = "completed_on_paper"
    COMPLETED_ON_SCREEN = "completed_on_screen"
    NEEDS_SUPPLEMENT = "needs_supplement"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    FAILED = "failed"
    NOT_PRINTED = "not_printed"

    @classmethod
    def of(cls, template: MessageTemplate, *, on_paper: bool) -> TextEvent:
        """Return the event of a template. A text mentions the kiosk's paper without promising it:
        the printer may be empty, and a document may turn out to be unprintable."""
        if template is MessageTemplate.COMPLETED:
            return cls.COMPLETED_ON_PAPER if on_paper else cls.COMPLETED_ON_SCREEN
        return cls(template)

    @property
    def has_reason(self) -> bool:
        """Return True if a text of this event may have a reason."""
        return self not in (TextEvent.COMPLETED_ON_PAPER, TextEvent.COMPLETED_ON_SCREEN)


class MessageTexts:
    """Holds the texts of all events and audiences."""

    def __init__(self, texts: Mapping[tuple[TextEvent, Audience], str]) -> None:
        self._texts = dict(texts)

    @classmethod
    def load(cls, file: Path | None = None) -> MessageTexts:
        """Read a file of texts; without one the texts that come with the service.

        Raises:
            TextsError: the file cannot be read, a text is missing, not known, or too long for two
                messages, lacks its signature or the item, or has another field.
        """
        try:
            raw = (
                resources.files(__package__).joinpath("texts.toml").read_bytes()
                if file is None
                else file.read_bytes()
            )
            found = tomllib.loads(raw.decode())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise TextsError(f"it cannot be read: {error}") from error
        if problems := list(_problems(found)):
            raise TextsError("; ".join(problems))
        return cls({(event, to): found[event][to] for event in TextEvent for to in Audience})

    def __getitem__(self, which: tuple[TextEvent, Audience]) -> str:
        return self._texts[which]

    def text(
        self, event: TextEvent, applicant: MessageApplicant, item: str, reason: str | None = None
    ) -> str:
        """Return the text for an applicant, in at most `LONGEST` code units."""
        contact = applicant.contact
        pattern = self._texts[event, Audience.of(applicant)]
        fields = {"name": contact.masked if contact else "", "item": _cut(item, ITEM_LONGEST)}
        why = _discreet(reason or "", applicant).strip("。，；：:;,. ")
        room = LONGEST - units(pattern.format(**fields, reason="")) - 1
        return pattern.format(**fields, reason=f"：{_cut(why, room)}" if why and room > 0 else "")


def units(text: str) -> int:
    """Return the number of UTF-16 code units of a text."""
    return len(text.encode("utf-16-be")) // 2


def sms_parts(text: str) -> int:
    """Return how many messages in UCS-2 a text takes."""
    length = units(text)
    return 1 if length <= ONE_PART else -(-length // EACH_OF_SEVERAL)


def _problems(found: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(found.keys() - set(TextEvent)):
        yield f"[{name}] is no event; there are {', '.join(TextEvent)}"
    for event in TextEvent:
        texts = found.get(event)
        if not isinstance(texts, dict):
            yield f"[{event}] is missing"
            continue
        for name in sorted(texts.keys() - set(Audience)):
            yield f"{event}.{name} is no audience; there are {', '.join(Audience)}"
        for to in Audience:
            text = texts.get(to)
            if not isinstance(text, str) or not text:
                yield f"{event}.{to} is missing"
            else:
                yield from (f"{event}.{to} {problem}" for problem in _problems_of(event, text))


def _problems_of(event: TextEvent, text: str) -> Iterator[str]:
    allowed = {"name", "item", *(["reason"] if event.has_reason else [])}
    try:
        fields = [
            f"{{{name}{'!' + how if how else ''}{':' + spec if spec else ''}}}"
            for _, name, spec, how in string.Formatter().parse(text)
            if name is not None
        ]
    except ValueError as error:
        yield f"has a brace that belongs to no field: {error}"
        return
    known = [f"{{{name}}}" for name in sorted(allowed)]
    if others := sorted(set(fields) - set(known)):
        yield f"has {', '.join(others)}; fields are {', '.join(known)}"
        return
    if fields.count("{item}") != 1:
        yield "must have {item} once"
    if fields.count("{reason}") > 1:
        yield "may have {reason} once"
    if not _SIGNATURE.match(text):
        yield "must begin with a signature in 【】: carriers send no message without one"
    whole = text.format(name=_NAME_LONGEST, item="字" * ITEM_LONGEST, reason="")
    room = LONGEST - units(whole) - (_LEAST_REASON if "{reason}" in fields else 0)
    if room < 0:
        yield f"is {-room} characters too long for {MOST_PARTS} messages of {EACH_OF_SEVERAL}"


def _discreet(reason: str, applicant: MessageApplicant) -> str:
    """Return the text of a province or an operator without numbers and the applicant's names."""
    contact = applicant.contact
    for name in (applicant.name, contact.name if contact else ""):
        if len(name) > 1:
            spelt = r"\s*".join(map(re.escape, name))
            reason = re.sub(spelt, f"{name[:1]}**".replace("\\", r"\\"), reason)
    return _NUMBERS.sub("****", reason)


def _cut(text: str, longest: int) -> str:
    """Return at most `longest` UTF-16 code units, including an ellipsis, of whole characters."""
    if units(text) <= longest:
        return text
    while text and units(text) + 1 > longest:
        text = text[:-1]
    return text + "…"

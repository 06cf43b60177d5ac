"""Check every value of a body: normalise texts, refuse what cannot be seen, bound numbers.

Every character of a text must be visible and fit for every protocol.
People read a name on screens and paper, and provinces compare it. An invisible character (a
direction override, a zero-width space, a filler) makes two different names look alike, and a
character outside XML 1.0 cannot be sent to a province over SOAP. Every accepted text can be written
in XML 1.0, in JSON, and in a typeset document.

The rule follows the Unicode properties General_Category and Default_Ignorable_Code_Point, with
exceptions where a script needs an invisible character between letters: joiners in Arabic, Indic and
Mongolian script, variation selectors behind a Chinese character, a symbol or a Mongolian letter.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tongban_common.domain.identity import ValueProblem
from tongban_intake.problems import FieldError
from tongban_intake.submission.wording import pointer
from tongban_intake.text import Text

_MOST_MARKS = 8
"""Most combining marks on one letter. Tibetan and Arabic need up to five; more would cover the
neighbouring lines."""
_SEEN = (
    "!-~\xa1-\xac\xae-\u02ff\u2022\u3001-\u3011\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff5e"
)
_ORDINARY = re.compile(f" *[{_SEEN}][{_SEEN} ]*")
"""Matches most typed texts (Latin letters, Chinese characters, Hangul), which `_TextScan` then need
not read. Measured gain: a submission costs 1.12 times the CPU without it (measured as in
`http/_fast.py`)."""
_LINE = frozenset("\t\n\r")
_NEVER = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_FILLERS = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufffc\ufffd\U00016fe4\U0001d159"
)
"""Letters, marks and symbols without a visible shape, and the two replacement characters."""


def _set(*ranges: tuple[int, int]) -> frozenset[str]:
    return frozenset(chr(code) for first, last in ranges for code in range(first, last + 1))


_HAN = _set(
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2FFFD), (0x30000, 0x3FFFD)
)  # fmt: skip
_NEW_HAN = _set((0x20000, 0x2FFFD), (0x30000, 0x3FFFD))
"""Planes that Unicode reserves for Chinese characters. Household registration needs new ones for
names before this Python's tables have them."""
_MONGOLIAN = _set((0x1800, 0x180A), (0x1810, 0x18AF), (0x11660, 0x1167F))
_JOINING = _MONGOLIAN | _set(
    (0x0600, 0x07FF), (0x0840, 0x08FF), (0x0900, 0x0DFF), (0x1000, 0x109F), (0x1780, 0x17FF),
    (0xA840, 0xA87F), (0xFB50, 0xFDFF), (0xFE70, 0xFEFC),
)  # fmt: skip
"""Scripts in which a joiner changes how a letter looks."""
_JOINERS = frozenset("\u200c\u200d")
_SELECTORS = _set((0xFE00, 0xFE0F))
_HAN_SELECTORS = _set((0xE0100, 0xE01EF))
_MONGOLIAN_SELECTORS = frozenset("\u180b\u180c\u180d\u180e\u180f")
_CONTEXT = _JOINERS | _SELECTORS | _HAN_SELECTORS | _MONGOLIAN_SELECTORS
"""Invisible characters that some scripts need, accepted only in the right place."""

_BLANK = ValueProblem("不能为空白，请填写看得见的文字", "Must have a character that can be seen")
_ONE_LINE = ValueProblem(
    "只能填写一行，不能有换行或制表符", "One line only: no line break and no tab"
)


def normalise_text(text: str) -> str:
    """Return the text in Unicode's normalisation form C (UAX 15), with `\\n` for every line end.

    Idempotent. Equal-looking names that keyboards spell differently become equal.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def text_problem(text: str, *, lines: bool = False) -> ValueProblem | None:
    """Return what is wrong with a text that a person typed, None if nothing is.

    Args:
        text: normalised. An empty text has no problem; another rule decides if it may be empty.
        lines: accept line breaks and tabs.
    """
    if _ORDINARY.fullmatch(text) or not text:
        return None
    return _TextScan(text, lines).problem()


@dataclass(slots=True)
class _TextScan:
    """One pass over a text, from its first character to its last."""

    text: str
    lines: bool
    base: str = ""
    """The visible character to which a mark or selector would attach; empty after a space."""
    marks: int = 0
    """Number of marks and selectors after `base`."""
    visible: bool = False

    def problem(self) -> ValueProblem | None:
        for at, character in enumerate(self.text):
            found = self._read(at, character)
            if found is not None:
                return found
        return None if self.visible else _BLANK

    def _read(self, at: int, character: str) -> ValueProblem | None:
        if character in _LINE:
            self.base = ""
            return None if self.lines else _ONE_LINE
        category = unicodedata.category(character)
        if character in _CONTEXT:
            self.marks += 1
            fits = self._attaches(at, character)
            return None if fits else _refused(at, character, category)
        if category == "Zs":
            self.base = ""
        elif character in _FILLERS or (category in _NEVER and not _new_han(character, category)):
            return _refused(at, character, category)
        elif category[0] == "M":
            self.marks += 1
            if not self.base or self.marks > _MOST_MARKS:
                return _refused_mark(at, character)
        else:
            self.base, self.marks, self.visible = character, 0, True
        return None

    def _attaches(self, at: int, character: str) -> bool:
        """Return True if a script needs this character of `_CONTEXT` in this place."""
        if character in _JOINERS:
            following = self.text[at + 1 : at + 2]
            ends_a_letter = character == "\u200d" and self.base in _MONGOLIAN
            return self.base in _JOINING and (following in _JOINING or ends_a_letter)
        if self.marks > 1:
            return False
        if character in _SELECTORS:
            return self.base in _HAN or unicodedata.category(self.base or " ") in ("So", "Sm")
        if character in _HAN_SELECTORS:
            return self.base in _HAN
        return character in _MONGOLIAN_SELECTORS and self.base in _MONGOLIAN


def _new_han(character: str, category: str) -> bool:
    return category == "Cn" and character in _NEW_HAN


def _refused(at: int, character: str, category: str) -> ValueProblem:
    place = (
        f"第{at + 1}个字符（U+{ord(character):04X}）",
        f"Character {at + 1} (U+{ord(character):04X})",
    )
    if category == "Co":
        return ValueProblem(
            f"{place[0]}是自造字，其他系统无法识别，请改用国家标准编码的字",
            f"{place[1]} is a private-use character, which no other system can read",
        )
    return ValueProblem(
        f"{place[0]}看不见或不能使用，请删除后重新填写",
        f"{place[1]} cannot be seen or cannot be used: remove it",
    )


def _refused_mark(at: int, character: str) -> ValueProblem:
    return ValueProblem(
        f"第{at + 1}个字符（U+{ord(character):04X}）是组合符号，须跟在文字之后，且不能叠加过多",
        f"Character {at + 1} (U+{ord(character):04X}) is a combining mark: it must follow a "
        f"letter, with at most {_MOST_MARKS} marks on one",
    )


Path = tuple[str | int, ...]
_LARGEST = 2**53 - 1
"""The largest integer that every JSON parser reads exactly (RFC 7493, 2.2)."""
_LONGEST = 4000
"""Most characters of one text. The fields of docs/contract.md are shorter; a province's may not
be."""
_TOO_LARGE = Text("数值过大", "The number is too large")
_TOO_LONG = Text(f"最多{_LONGEST}个字", f"At most {_LONGEST} characters")
_BAD_NAME = Text(
    "其中一项的名称含有不能使用的字符", "The name of a field has an unusable character"
)


def read_values(
    value: Any, *, under: str = "", lines: Callable[[Path], bool] = lambda _: False
) -> tuple[Any, list[FieldError]]:
    """Return a JSON value with its texts normalised, and what is wrong with its texts and numbers.

    Args:
        value: as parsed, at most 254 levels deep.
        under: the JSON Pointer of `value` in the body.
        lines: returns True if the text at a path below `value` may have line breaks.
    """
    errors: list[FieldError] = []

    def refuse(path: Path, message: Text) -> None:
        errors.append(FieldError(pointer(path, under=under), message))

    def read(value: Any, path: Path) -> Any:
        if isinstance(value, str):
            if len(value) > _LONGEST:
                refuse(path, _TOO_LONG)
                return value
            text = normalise_text(value)
            problem = text_problem(text, lines=lines(path))
            if problem is not None:
                refuse(path, Text(*problem))
            return text
        if isinstance(value, float):
            if not math.isfinite(value) or abs(value) > _LARGEST:
                refuse(path, _TOO_LARGE)
            return value or 0.0  # JSON libraries disagree on -0.0: make it 0.0
        if isinstance(value, int) and abs(value) > _LARGEST:
            refuse(path, _TOO_LARGE)
        if isinstance(value, dict):
            fit = {name: each for name, each in value.items() if _fit(name)}
            if len(fit) < len(value):
                refuse(path, _BAD_NAME)
            return {name: read(each, (*path, name)) for name, each in fit.items()}
        if isinstance(value, list):
            return [read(each, (*path, at)) for at, each in enumerate(value)]
        return value

    return read(value, ()), errors


def _fit(name: str) -> bool:
    return len(name) <= _LONGEST and text_problem(normalise_text(name)) is None

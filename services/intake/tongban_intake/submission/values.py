"""Check every value of a body: normalise texts, bound numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tongban_intake.problems import FieldError
from tongban_intake.submission.wording import pointer
from tongban_intake.text import Text
from tongban_intake.typed_text import normalise_text, text_problem

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

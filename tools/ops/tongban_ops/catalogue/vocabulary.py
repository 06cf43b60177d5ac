"""Compute search keywords and pinyin readings of names when the files are loaded; the items keep
them.

Only this module loads the pinyin dictionary, and only on first use: it costs a third of a second
and 56 MB, which a process that serves searches must not pay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any


class Vocabulary:
    """Apply `synonyms.yaml` to names; results are cached.

    Args:
        synonyms: everyday words, with the parts of names that they stand for.
        exceptions: words that the dictionary reads wrongly (长三角), with their syllables.
    """

    def __init__(
        self, synonyms: Mapping[str, Sequence[str]], exceptions: Mapping[str, str]
    ) -> None:
        self._synonyms = synonyms
        self._exceptions = exceptions
        words = "|".join(map(re.escape, exceptions))
        self._split = re.compile(f"({words})" if words else r"(?!)")
        self._keywords: dict[str, tuple[str, ...]] = {}
        self._readings: dict[str, str] = {}

    def keywords(self, name: str) -> tuple[str, ...]:
        """Return the everyday words that mean this name and are not part of it."""
        known = self._keywords.get(name)
        if known is None:
            known = self._keywords[name] = tuple(
                word
                for word, parts in self._synonyms.items()
                if word not in name and any(part in name for part in parts)
            )
        return known

    def read(self, text: str) -> str:
        """Return pinyin without tones, one syllable for each character, separated by spaces: `she
        bao ka`.

        A character that is not Chinese is kept in lower case; ü becomes v.
        """
        known = self._readings.get(text)
        if known is None:
            parts = (self._part(part) for part in self._split.split(text) if part)
            known = self._readings[text] = " ".join(parts).casefold()
        return known

    def _part(self, part: str) -> str:
        exception = self._exceptions.get(part)
        if exception is not None:
            return exception
        from pypinyin import lazy_pinyin  # noqa: PLC0415 - see the module

        return " ".join(lazy_pinyin(part, errors=_apart))


def _apart(other: str) -> Any:
    """Split other text into characters; a space becomes `_`, since it would detach a character from
    its syllable.

    pypinyin accepts a list here, as it documents, although its annotations say str.
    """
    return ["_" if character.isspace() else character for character in other]

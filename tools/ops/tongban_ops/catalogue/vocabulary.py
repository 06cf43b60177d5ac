"""Everyday words for names, and how names are read: computed when the files are loaded, and kept in
the items.

Only this module needs the pinyin dictionary, and only when something is read: it costs a third of a
second and 56 MB, which no process that serves searches has to pay.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any


class Vocabulary:
    """What `synonyms.yaml` says, applied to names; every answer is computed once.

    Args:
        synonyms: an everyday word, and the parts of names that it stands for.
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
        """The everyday words that mean this name and are not part of it."""
        known = self._keywords.get(name)
        if known is None:
            known = self._keywords[name] = tuple(
                word
                for word, parts in self._synonyms.items()
                if word not in name and any(part in name for part in parts)
            )
        return known

    def read(self, text: str) -> str:
        """Syllables without tones, one for each character, separated by spaces: `she bao ka`.

        A character that is not Chinese stands for itself, in lower case; ü is v.
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
    """What is not Chinese, a character each. A space would tear a character from its syllable.

    pypinyin takes a list here, as it documents, though its annotations say str.
    """
    return ["_" if character.isspace() else character for character in other]

"""Hold texts for residents, in Chinese and English."""

from __future__ import annotations

from typing import Literal, NamedTuple

Language = Literal["zh", "en"]
DEFAULT_LANGUAGE: Language = "zh"


class Text(NamedTuple):
    """Holds one text in both languages."""

    zh: str
    en: str

    def in_(self, language: Language) -> str:
        return self.en if language == "en" else self.zh


def preferred(accept_language: str | None) -> Language:
    """Return the language for an Accept-Language header (RFC 9110, 12.5.4): English if the client
    prefers it to Chinese, else Chinese."""
    best: tuple[float, Language] = (0.0, DEFAULT_LANGUAGE)
    for part in (accept_language or "").split(","):
        tag, _, parameter = part.strip().partition(";")
        primary = tag.partition("-")[0].strip().lower()
        language: Language | None
        language = "en" if primary == "en" else "zh" if primary in ("zh", "*") else None
        if language is not None and (weight := _weight(parameter)) > best[0]:
            best = (weight, language)
    return best[1]


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0

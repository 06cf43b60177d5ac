"""Search items by what people type at a kiosk.

A query may be Chinese (社保卡), full pinyin (`shebaoka`), initials (`sbk`), any mixture of them
(`社保kgs`), an everyday word (`synonyms.yaml`), an English word or the beginning of a code; with
the name of a province before it or after it, in Chinese or pinyin. Several words must all be found.

Traditional characters find what simplified names say: 社會保險 is 社会保险.

Commas, brackets and other signs separate words like spaces. If no name contains a phrase, the index
drops polite words around it; then it searches the phrase's two halves in any order: people type
挂失社保卡, names have 社保卡挂失.

A query may skip words of a name: `sbkgs` finds 社保卡临时挂失. There is no dictionary of words,
so on both sides of a gap at least two neighbouring characters must match, since nearly all Chinese
words have two.

Everything that does not depend on the query is computed when an item is added. Items of one
category share a name, so a query is compared with some three hundred names instead of every item.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tongban_common.catalogue.models import Item
from tongban_common.catalogue.traditional import SIMPLIFIED as _SIMPLIFIED

LONGEST_QUERY = 40
"""Longest query in characters; the rest is ignored."""
_MOST_WORDS = 8
"""Most different words of a query; further ones are ignored."""
_HALVED = 4, 10
"""Least and most characters of a phrase that is searched in two halves; more is a sentence."""
_SHORTEST_ENGLISH = 3
_SHORTEST_CODE = 6
_KEYWORD_PENALTY = 3
_PROVINCE_PENALTY = 2
_PROVINCE_ALONE = 10
_CONTIGUOUS = ((110, 90, 85), (105, 80, 75), (70, 60, 55))
"""Scores of a match of the whole phrase, its beginning and its inside, by characters, full pinyin
and initials."""
_SPREAD, _PER_GAP = 48, 6
_TWO_LETTER_INITIALS = ("zh", "ch", "sh")
_OTHERWISE = {"内蒙古": ("内蒙",), "陕西": ("shaanxi",)}
_FILLERS = (
    "我想要", "我要", "我想", "帮我", "怎么样", "怎么办", "怎么", "如何", "在哪里", "在哪", "哪里",
    "一下", "需要", "办理", "办个", "申请", "查询", "打印", "查", "办", "要", "想", "的", "了",
    "吗", "呢",
)  # fmt: skip
"""Polite words around the name of an item; dropped if nothing was found with them."""


@dataclass(frozen=True, slots=True)
class _Phrase:
    """A name or everyday word in all its spellings."""

    text: str
    syllables: tuple[str, ...]
    full: str
    initials: str
    starts: frozenset[int]
    """Indexes in `full` at which a syllable begins."""
    letters: frozenset[str]
    """All characters that a matching query can have."""


def _phrase(text: str, reading: str) -> _Phrase:
    text = _normal(text)
    syllables = tuple(reading.split())
    if len(syllables) != len(text):
        # An item of another publisher without matching pinyin is found by its characters alone.
        syllables = tuple(text)
    starts, at = [], 0
    for syllable in syllables:
        starts.append(at)
        at += len(syllable)
    full = "".join(syllables)
    return _Phrase(
        text,
        syllables,
        full,
        "".join(syllable[:1] for syllable in syllables),
        frozenset(starts),
        frozenset(text) | frozenset(full),
    )


@dataclass(slots=True)
class _Named:
    """The items that share a name and everyday words."""

    name: _Phrase
    keywords: tuple[_Phrase, ...]
    english: str
    items: dict[str, Item] = field(default_factory=dict)
    letters: frozenset[str] = field(init=False)
    """All characters of the name and its everyday words. A query with another one cannot match,
    which excludes most names quickly."""

    def __post_init__(self) -> None:
        phrases = (self.name.letters, *(word.letters for word in self.keywords))
        self.letters = frozenset(self.english).union(*phrases)


_Fits = dict[tuple[str, str], int]
"""Scores of everyday words for words of this query, cached since many names share them."""


@dataclass(frozen=True, slots=True)
class _QueryReading:
    """One interpretation of a word of a query: the rest after removing a province's name."""

    rest: str
    province: str | None = None


class SearchIndex:
    """The search index of all items."""

    def __init__(self) -> None:
        self._named: dict[tuple[str, ...], _Named] = {}
        self._provinces: dict[str, set[str]] = {}
        """Province codes by each spelling of a name; `shanxi` is 山西 and 陕西."""

    def add(self, item: Item) -> None:
        """Add an item. The caller has discarded any item with the same code."""
        key = _key(item)
        named = self._named.get(key)
        if named is None:
            named = self._named[key] = _Named(
                _phrase(item.name, item.pinyin.get(item.name, "")),
                tuple(_phrase(word, item.pinyin.get(word, "")) for word in item.keywords),
                f" {item.name_en.casefold()}",
            )
        named.items[item.code] = item
        for alias in _aliases(item):
            self._provinces.setdefault(alias, set()).add(item.province)

    def discard(self, item: Item) -> None:
        """Remove an item."""
        key = _key(item)
        named = self._named[key]
        del named.items[item.code]
        if not named.items:
            del self._named[key]

    def find(self, query: str) -> list[tuple[int, Item]]:
        """Return the matching items with their scores, unordered; a higher score is better.

        An empty query finds nothing.
        """
        words = _words(query)
        found = self._all_of(words)
        if not found and (shorter := [bare for word in words if (bare := _bare(word))]) != words:
            found = self._all_of(words := shorter)
        if not found and len(words) == 1:
            found = self._in_halves(words[0])
        return found

    def _in_halves(self, word: str) -> list[tuple[int, Item]]:
        shortest, longest = _HALVED
        chinese = all("\u4e00" <= letter <= "\u9fff" for letter in word)
        if not (chinese and shortest <= len(word) <= longest):
            return []
        for at in range(2, len(word) - 1):
            if found := self._all_of([word[:at], word[at:]]):
                return found
        return []

    def _all_of(self, words: list[str]) -> list[tuple[int, Item]]:
        if not words:
            return []
        readings = [list(self._readings(word)) for word in words]
        keywords: _Fits = {}
        found: list[tuple[int, Item]] = []
        for named in self._named.values():
            scored: list[list[tuple[str | None, int]]] = []
            for word in readings:
                scores = [(reading.province, _score(named, reading, keywords)) for reading in word]
                if not any(score for _, score in scores):
                    break
                scored.append(scores)
            else:
                found += _together(named, scored)
        return found + list(self._by_code(words))

    def _readings(self, word: str) -> Iterator[_QueryReading]:
        yield _QueryReading(word)
        for alias, provinces in self._provinces.items():
            if word.startswith(alias):
                rest = word[len(alias) :]
            elif word.endswith(alias):
                rest = word[: -len(alias)]
            else:
                continue
            for province in provinces:
                yield _QueryReading(rest, province)

    def _by_code(self, words: list[str]) -> Iterator[tuple[int, Item]]:
        if len(words) == 1 and words[0].isdigit() and len(words[0]) >= _SHORTEST_CODE:
            for named in self._named.values():
                for code, item in named.items.items():
                    if code.startswith(words[0]):
                        yield 100, item


def _together(
    named: _Named, scored: list[list[tuple[str | None, int]]]
) -> Iterator[tuple[int, Item]]:
    """Yield the items that match every word of a query, with the mean score."""
    for item in named.items.values():
        best = [
            max(
                (score for province, score in word if province in (None, item.province)),
                default=0,
            )
            for word in scored
        ]
        if all(best):
            yield sum(best) // len(best), item


def _key(item: Item) -> tuple[str, ...]:
    return (item.name, item.name_en, *item.keywords)


def _normal(text: str) -> str:
    """Return the text with full-width letters narrowed, in lower case, in simplified
    characters."""
    return unicodedata.normalize("NFKC", text).casefold().translate(_SIMPLIFIED)


def _words(query: str) -> list[str]:
    """Return the distinct words between spaces and signs.

    Zero-width characters are removed; ü becomes v, as on pinyin keyboards.
    """
    text = "".join(
        letter if letter.isalnum() else " "
        for letter in _normal(query[:LONGEST_QUERY]).replace("ü", "v")
        if unicodedata.category(letter) != "Cf"
    )
    return list(dict.fromkeys(text.split()))[:_MOST_WORDS]


def _bare(word: str) -> str:
    for filler in _FILLERS:
        word = word.replace(filler, "")
    return word


def _aliases(item: Item) -> Iterator[str]:
    """Yield the spellings of an item's province: 安徽省, 安徽, `anhuisheng`, `anhui`.

    Only 内蒙古 and 黑龙江 have short names of three characters; 陕西 is also spelt `shaanxi`, to
    distinguish it from 山西.
    """
    name = item.province_name
    short = name[:3] if name[:3] in ("内蒙古", "黑龙江") else name[:2]
    yield name
    yield short
    yield from _OTHERWISE.get(short, ())
    syllables = item.pinyin.get(name, "").split()
    if len(syllables) == len(name):
        yield "".join(syllables)
        yield "".join(syllables[: len(short)])


def _score(named: _Named, reading: _QueryReading, keywords: _Fits) -> int:
    """Return the score of a word; 0 is no match."""
    rest = reading.rest
    if reading.province is not None:
        if not rest:
            return _PROVINCE_ALONE
        score = _fit(named, rest, keywords)
        return max(score - _PROVINCE_PENALTY, 1) if score else 0
    return _fit(named, rest, keywords)


def _fit(named: _Named, word: str, keywords: _Fits) -> int:
    if not named.letters.issuperset(word):
        return 0
    best = _fit_phrase(named.name, word)
    for keyword in named.keywords:
        fit = keywords.get((keyword.text, word))
        if fit is None:
            fit = keywords[keyword.text, word] = _fit_phrase(keyword, word)
        if not fit and keyword.text in word:
            # 驾照换领 for 驾驶证换领: the everyday word, then the rest of the name.
            fit = _fit_phrase(named.name, word.replace(keyword.text, "", 1)) // 2
        best = max(best, fit - _KEYWORD_PENALTY)
    if not best and len(word) >= _SHORTEST_ENGLISH and f" {word}" in named.english:
        best = 20
    return best


def _fit_phrase(phrase: _Phrase, word: str) -> int:
    if len(word) > len(phrase.full) or not phrase.letters.issuperset(word):
        return 0
    ways = (phrase.text, phrase.full, phrase.initials)
    for written, (whole, beginning, inside) in zip(ways, _CONTIGUOUS, strict=True):
        at = written.find(word)
        while at > 0 and written is phrase.full and at not in phrase.starts:
            at = written.find(word, at + 1)
        if at == 0:
            return whole if len(word) == len(written) else beginning
        if at > 0 and (len(word) > 1 or written is phrase.text):
            return inside
    gaps = _gaps(phrase, word)
    return 0 if gaps is None else max(_SPREAD - _PER_GAP * gaps, 25)


def _gaps(phrase: _Phrase, word: str) -> int | None:
    """Return the least number of gaps with which `word` spells parts of the phrase; None without
    match.

    It traverses the syllables once. For each it keeps the reachable positions in `word`, with the
    length of the present run (2 is two or more) and the number of gaps.
    """
    if len(word) < 2:
        return None
    fewest: int | None = None
    reached: dict[tuple[int, int], int] = {}
    resting: dict[int, int] = {0: 0}
    """Reachable positions after a closed run, with the number of gaps; the beginning is no gap."""
    for char, syllable in zip(phrase.text, phrase.syllables, strict=True):
        following: dict[tuple[int, int], int] = {}
        begin = [((at, 0), gaps) for at, gaps in resting.items()]
        for (at, run), gaps in (*reached.items(), *begin):
            for end in _ends(word, at, char, syllable):
                state = (end, min(run + 1, 2))
                if gaps < following.get(state, 99):
                    following[state] = gaps
        for (at, run), gaps in following.items():
            if run == 2:
                if at == len(word):
                    fewest = gaps if fewest is None else min(fewest, gaps)
                resting[at] = min(gaps + 1, resting.get(at, 99))
        reached = following
    return fewest


def _ends(word: str, at: int, char: str, syllable: str) -> Iterable[int]:
    """Yield the positions in `word` after a syllable that begins at `at`."""
    if at >= len(word):
        return
    if word[at] == char:
        yield at + 1
        return
    if word[at] != syllable[0]:
        return
    yield at + 1
    if len(syllable) > 1 and word.startswith(syllable, at):
        yield at + len(syllable)
    elif len(word) - at > 1 and syllable.startswith(word[at:]):
        yield len(word)
    if syllable[:2] in _TWO_LETTER_INITIALS and word.startswith(syllable[:2], at):
        yield at + 2

"""Check a catalogue for values that are well-formed but cannot be meant: a fee that is called free,
hours without opening times, more promised days than the law allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tongban_common.catalogue.models import Fee, Mode, TimeLimits, Zone
from tongban_common.catalogue.yamlfile import CatalogueProblem
from tongban_ops.catalogue import expand
from tongban_ops.catalogue.loader import Sources
from tongban_ops.catalogue.source import Category, FieldUse, Override, Terms

_FREE = Fee()
Finding = tuple[tuple[str | int, ...], str]
"""Path within a category or file, and the message of the problem."""


def _categories_plausible(sources: Sources) -> Iterator[CatalogueProblem]:
    for name, index, file, category in sources.categories():
        defaults = file.defaults.get(category.kind, Terms())
        for path, message in (
            *_named(category),
            *_offered(category, sources),
            *_fee(category),
            *_drawn(category, sources),
            *_overridden(category, defaults, sources),
        ):
            place = ("categories", index, *path)
            yield sources.problem(name, place, f"{category.id}: {message}")


def _named(named: Category | Override) -> Iterator[Finding]:
    if named.name is not None and not _chinese(named.name):
        yield ("name",), "a name is Chinese and has no spaces"
    if named.name_en is not None and not any(letter.isalpha() for letter in named.name_en):
        yield ("name_en",), "the English name is empty"


def _chinese(name: str) -> bool:
    return any("\u4e00" <= letter <= "\u9fff" for letter in name) and len(name.split()) == 1


def _offered(category: Category, sources: Sources) -> Iterator[Finding]:
    try:
        offering = expand.offers(category, sources.shared)
    except expand.UnknownReferenceError:
        return  # reported when it is expanded
    if not offering:
        yield ("provinces",), "no province offers it"


def _fee(terms: Terms) -> Iterator[Finding]:
    fee = terms.fee
    if fee and fee.amount_fen and (fee.text == _FREE.text or fee.text_en == _FREE.text_en):
        yield ("fee",), f"{fee.amount_fen} fen are no fee of {fee.text} ({fee.text_en})"


def _drawn(category: Category, sources: Sources) -> Iterator[Finding]:
    known = sources.shared.terms.templates
    if category.document and category.document.template not in known:
        message = f"nothing is printed from {category.document.template!r}: {', '.join(known)}"
        yield ("document", "template"), message


def _overridden(category: Category, defaults: Terms, sources: Sources) -> Iterator[Finding]:
    departments = sources.shared.terms.departments
    for short, override in category.overrides.items():
        mode = override.mode or category.mode or defaults.mode
        department = departments.get(override.department or "")
        fields = override.fields or ()
        wrong = [
            *_named(override),
            *_fee(override),
            *contradictions(category, limits=override.limits, mode=mode, fields=fields),
        ]
        if department and category.code[2:4] != department.digits:
            wrong.append((("department",), f"the code is of another than {department.digits}"))
        for path, message in wrong:
            yield ("overrides", short, *path), f"{short}: {message}"


def contradictions(
    category: Category, *, limits: TimeLimits | None, mode: Mode | None, fields: Sequence[FieldUse]
) -> Iterator[Finding]:
    """Yield what cannot be meant together in a category, or in what an override makes of it."""
    if limits and limits.promised_working_days > limits.legal_working_days:
        yield ("limits",), "more days are promised than the law gives"
    if (mode is Mode.JOINT) != (category.partner is not None):
        yield ("mode",), f"{Mode.JOINT} and a partner go together"
    used = [use.field for use in fields]
    for index, field in enumerate(used):
        if field in used[:index]:
            yield ("fields", index), f"field {field!r} stands twice"


def _defaults_plausible(sources: Sources) -> Iterator[CatalogueProblem]:
    for name, file in sources.files.items():
        for kind, terms in file.defaults.items():
            for path, message in _fee(terms):
                yield sources.problem(name, ("defaults", kind, *path), message)


def _all_files_read(sources: Sources) -> Iterator[CatalogueProblem]:
    for path in sorted((sources.directory / "zones").rglob("*")):
        name = path.relative_to(sources.directory).as_posix()
        hidden = any(part.startswith(".") for part in path.relative_to(sources.directory).parts)
        if path.is_file() and not hidden and name not in sources.files:
            yield CatalogueProblem(
                sources.shown(name), 1, "is not read: files of categories end in .yaml"
            )


def _cities_differ(sources: Sources) -> Iterator[CatalogueProblem]:
    for index, province in enumerate(sources.provinces):
        for at, city in enumerate(province.cities):
            if city in province.cities[:at]:
                place = ("provinces", index, "cities", at)
                yield sources.problem("provinces.yaml", place, f"{city!r} stands twice")


def _words_plausible(sources: Sources) -> Iterator[CatalogueProblem]:
    for word, parts in sources.synonyms.items():
        if not word.strip() or not parts or not all(parts):
            yield sources.problem(
                "synonyms.yaml", ("synonyms", word), f"{word}: stands for nothing"
            )
    for word, reading in sources.readings.items():
        syllables = reading.split()
        if len(syllables) != len(word) or not all(map(_syllable, syllables)):
            place = ("readings", word)
            message = f"{word}: a syllable of small letters for each character, not {reading!r}"
            yield sources.problem("synonyms.yaml", place, message)


def _syllable(text: str) -> bool:
    return text.isascii() and text.isalpha() and text.islower()


def _totals_given(sources: Sources) -> Iterator[CatalogueProblem]:
    if Zone.CROSS_PROVINCE not in sources.published.totals:
        yield sources.problem("published.yaml", ("totals",), f"no totals of {Zone.CROSS_PROVINCE}")


RULES: tuple[Callable[[Sources], Iterator[CatalogueProblem]], ...] = (
    _categories_plausible,
    _defaults_plausible,
    _all_files_read,
    _cities_differ,
    _words_plausible,
    _totals_given,
)

"""Check a catalogue and report each problem by file and line: totals, references, codes, schemas
and examples."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tongban_common.catalogue.catalogue import Catalogue, ZoneSummary
from tongban_common.catalogue.forms import Fault, FormRules, FormSchemaError
from tongban_common.catalogue.holidays import read_holidays
from tongban_common.catalogue.models import Item, ItemKind, ServiceWindow, Zone
from tongban_common.catalogue.yamlfile import CatalogueError, CatalogueProblem
from tongban_common.domain import identity
from tongban_ops.catalogue import code, plausibility
from tongban_ops.catalogue.loader import Sources
from tongban_ops.catalogue.source import CategoriesFile, Category, Terms

YANGTZE_DELTA = frozenset({"310000", "320000", "330000", "340000"})
LOCAL = frozenset({"310000"})
_ZONE_PROVINCES = {Zone.YANGTZE_DELTA: YANGTZE_DELTA, Zone.LOCAL: LOCAL}


@dataclass(frozen=True, slots=True)
class CatalogueReport:
    """Result of `check`; `summary` is None when the files cannot be expanded."""

    problems: list[CatalogueProblem]
    summary: dict[str, ZoneSummary] | None

    @property
    def ok(self) -> bool:
        """Return True if the catalogue can be published."""
        return not self.problems


def check(directory: Path) -> CatalogueReport:
    """Return every problem of the catalogue in `directory`, sorted by file and line.

    A file of the wrong shape hides the problems of later rules; they appear once its shape is
    right.
    """
    try:
        sources = Sources(directory)
    except CatalogueError as error:
        return CatalogueReport(error.problems, None)
    problems = [problem for rule in _SOURCE_RULES for problem in rule(sources)]
    try:
        catalogue = sources.catalogue()
    except CatalogueError as error:
        return CatalogueReport(sorted(problems + error.problems), None)
    problems += [problem for rule in _ITEM_RULES for problem in rule(sources, catalogue)]
    return CatalogueReport(sorted(problems), catalogue.summary())


@dataclass(frozen=True, slots=True)
class _Place:
    """One category with its file and its index in that file."""

    sources: Sources
    name: str
    index: int
    file: CategoriesFile
    category: Category

    def problem(self, message: str, *path: str | int) -> CatalogueProblem:
        place = ("categories", self.index, *path)
        return self.sources.problem(self.name, place, f"{self.category.id}: {message}")

    @property
    def defaults(self) -> Terms:
        return self.file.defaults.get(self.category.kind, Terms())


def _places(sources: Sources) -> Iterator[_Place]:
    for name, index, file, category in sources.categories():
        yield _Place(sources, name, index, file, category)


# --- rules about the files


def _provinces_differ(sources: Sources) -> Iterator[CatalogueProblem]:
    for attribute in ("code", "name", "short", "name_en"):
        values = [getattr(province, attribute) for province in sources.provinces]
        for index, value in _repeats(values):
            place = ("provinces", index, attribute)
            yield sources.problem("provinces.yaml", place, f"{attribute} {value!r} stands twice")
    for index, path in _repeats([province.gateway.path for province in sources.provinces]):
        place = ("provinces", index, "gateway")
        yield sources.problem("provinces.yaml", place, f"gateway path {path!r} stands twice")


def _categories_differ(sources: Sources) -> Iterator[CatalogueProblem]:
    places = list(_places(sources))
    told: tuple[tuple[str, Callable[[_Place], Hashable]], ...] = (
        ("id", lambda place: place.category.id),
        ("code", lambda place: place.category.code),
        ("name", lambda place: (place.category.name, place.file.zones)),
    )
    for attribute, value in told:
        for index, _ in _repeats([value(place) for place in places]):
            again = getattr(places[index].category, attribute)
            yield places[index].problem(f"{attribute} {again!r} is taken", attribute)


def _codes_fit(sources: Sources) -> Iterator[CatalogueProblem]:
    departments = sources.shared.terms.departments
    for place in _places(sources):
        category = place.category
        if category.code[:2] not in code.TYPES:
            known = ", ".join(code.TYPES)
            yield place.problem(f"code begins with a type of matter ({known})", "code")
        named = departments.get(category.department or place.defaults.department or "")
        if named is not None and category.code[2:4] != named.digits:
            yield place.problem(
                f"digits 3 and 4 of the code are the department's: {named.digits}", "code"
            )


def _terms_fit(sources: Sources) -> Iterator[CatalogueProblem]:
    for place in _places(sources):
        category = place.category
        if category.kind is ItemKind.PRINT and category.document is None:
            yield place.problem("kind print needs a document")
        for path, message in plausibility.contradictions(
            category,
            limits=category.limits or place.defaults.limits,
            mode=category.mode or place.defaults.mode,
            fields=category.fields,
        ):
            yield place.problem(message, *path)


def _hours_open(sources: Sources) -> Iterator[CatalogueProblem]:
    for name, hours in sources.shared.terms.hours.items():
        for index, window in enumerate(hours.windows):
            if _never_open(window):
                place = ("hours", name, "windows", index)
                yield sources.problem("terms.yaml", place, f"{name} closes before it opens")


def _gateways_open(sources: Sources) -> Iterator[CatalogueProblem]:
    for index, province in enumerate(sources.provinces):
        for window in province.gateway.hours.windows if province.gateway.hours else ():
            if _never_open(window):
                message = f"the gateway of {province.name} closes before it opens"
                where = ("provinces", index, "gateway")
                yield sources.problem("provinces.yaml", where, message)


def _never_open(window: ServiceWindow) -> bool:
    return window.opens >= window.closes or not window.days


def _holidays_hold(sources: Sources) -> Iterator[CatalogueProblem]:
    try:
        read_holidays(sources.directory)
    except CatalogueError as error:
        for problem in error.problems:
            yield replace(problem, file=sources.shown(problem.file))


def _fields_described(sources: Sources) -> Iterator[CatalogueProblem]:
    for name, schema in sources.shared.fields.items():
        for key in ("title", "description"):
            if not any("\u4e00" <= character <= "\u9fff" for character in schema.get(key, "")):
                yield sources.problem("fields.yaml", ("fields", name), f"{name}: no Chinese {key}")
        if not schema.get("x-title-en"):
            yield sources.problem("fields.yaml", ("fields", name), f"{name}: no x-title-en")
        for message in _wrong_examples(schema):
            yield sources.problem("fields.yaml", ("fields", name), f"{name}: {message}")


def _wrong_examples(schema: dict[str, Any]) -> Iterator[str]:
    bare = {key: value for key, value in schema.items() if key != "x-values"}
    try:
        rules = FormRules(bare)
    except FormSchemaError as error:
        yield f"no JSON Schema: {error}"
        return
    if "x-values" not in schema:
        for example in schema.get("examples", ()):
            for fault in rules.faults(example):
                yield f"example {example!r}: {_broken(fault)}"


def _broken(fault: Fault) -> str:
    """Describe the rule that an example breaks."""
    if fault.keyword == "pattern":
        return f"does not match {fault.expected!r}"
    return f"{fault.keyword} {fault.expected!r} is not met"


def _all_used(sources: Sources) -> Iterator[CatalogueProblem]:
    used: dict[str, set[str]] = {
        kind: set() for kind in ("fields", "materials", "departments", "hours")
    }
    for place in _places(sources):
        for terms in (place.category, *place.category.overrides.values(), place.defaults):
            used["materials"].update(terms.materials or ())
            used["departments"].add(terms.department or "")
            used["hours"].add(terms.hours or "")
            used["fields"].update(use.field for use in getattr(terms, "fields", None) or ())
    shared = sources.shared
    defined: tuple[tuple[str, str, Iterable[str]], ...] = (
        ("fields.yaml", "fields", shared.fields),
        ("terms.yaml", "materials", shared.terms.materials),
        ("terms.yaml", "departments", shared.terms.departments),
        ("terms.yaml", "hours", shared.terms.hours),
    )
    for file, kind, names in defined:
        for name in names:
            if name not in used[kind]:
                yield sources.problem(file, (kind, name), f"{name} is used by no category")


def _synonyms_lead_somewhere(sources: Sources) -> Iterator[CatalogueProblem]:
    names = [place.category.name for place in _places(sources)]
    for word, parts in sources.synonyms.items():
        for index, part in enumerate(parts):
            if not any(part in name for name in names):
                place = ("synonyms", word, index)
                yield sources.problem("synonyms.yaml", place, f"{word}: no name has {part!r}")


# --- rules about what comes of them


def _totals_hold(sources: Sources, catalogue: Catalogue) -> Iterator[CatalogueProblem]:
    summary = catalogue.summary()
    for zone, wanted in sources.published.totals.items():
        for key, number in wanted.model_dump().items():
            found = summary[zone][key]  # type: ignore[literal-required]
            if found != number:
                place = ("totals", zone, key)
                yield sources.problem(
                    "published.yaml", place, f"{zone}: {number} {key} are published, {found} here"
                )


def _cases_there(sources: Sources, catalogue: Catalogue) -> Iterator[CatalogueProblem]:
    offered = {(item.province, item.category): item for item in catalogue}
    provinces = sources.shared.provinces
    for index, case in enumerate(sources.published.cases):
        province = provinces.get(case.province)
        item = offered.get((province.code, case.category)) if province else None
        named = provinces.get(case.partner or "")
        partner = named.code if named else case.partner
        if item is None or item.kind is not case.kind or item.partner != partner:
            message = f"{case.province} does not offer {case.category} ({case.kind}) like this"
            yield sources.problem("published.yaml", ("cases", index), message)


def _provinces_offer(sources: Sources, catalogue: Catalogue) -> Iterator[CatalogueProblem]:
    offering = {item.province for item in catalogue.filter(zone=Zone.CROSS_PROVINCE)}
    for index, province in enumerate(sources.provinces):
        if province.code not in offering:
            message = f"{province.short} offers nothing across provinces"
            yield sources.problem("provinces.yaml", ("provinces", index), message)


def _zones_keep_to_themselves(sources: Sources, catalogue: Catalogue) -> Iterator[CatalogueProblem]:
    by_category: dict[str, set[str]] = {}
    for item in catalogue:
        by_category.setdefault(item.category, set()).add(item.province)
    for place in _places(sources):
        for zone in place.file.zones:
            allowed = _ZONE_PROVINCES.get(zone)
            if allowed and not by_category.get(place.category.id, set()) <= allowed:
                yield place.problem(f"zone {zone} has not all of these provinces", "provinces")


def _overrides_apply(sources: Sources, catalogue: Catalogue) -> Iterator[CatalogueProblem]:
    offered = {(item.category, item.province) for item in catalogue}
    for place in _places(sources):
        for short in place.category.overrides:
            province = sources.shared.provinces.get(short)
            if province is None or (place.category.id, province.code) not in offered:
                yield place.problem(f"{short} does not offer this", "overrides", short)


def _items_hold(sources: Sources, catalogue: Catalogue) -> Iterator[CatalogueProblem]:
    by_category: dict[str, list[Item]] = {}
    for item in catalogue:
        by_category.setdefault(item.category, []).append(item)
    sound: set[str] = set()
    for place in _places(sources):
        told: set[str] = set()
        for item in by_category.get(place.category.id, ()):
            # Report each message once for a category: most problems occur in every province.
            for message in set(_wrong_with(item, sound)) - told:
                told.add(message)
                yield place.problem(f"{item.province_name}: {message}")


def _schema_faults(form: dict[str, Any], sound: set[str]) -> Iterator[str]:
    """Check each property of a form by itself and add the valid ones to `sound`. The code here
    generates the rest of the form, and checking whole forms takes ten times as long."""
    for name, schema in form["properties"].items():
        written = json.dumps(schema, sort_keys=True)
        if written in sound:
            continue
        try:
            FormRules(schema)
        except FormSchemaError as error:
            yield f"{name} is no JSON Schema: {error}"
        else:
            sound.add(written)


def _wrong_with(item: Item, sound: set[str]) -> Iterator[str]:
    try:
        code.parse(item.code)
    except ValueError as error:
        yield str(error)
    faults = list(_schema_faults(item.form, sound))
    if faults:
        yield from faults
        return
    try:
        rules = FormRules(item.form)
    except FormSchemaError as error:
        yield f"the form is no JSON Schema: {error}"
        return
    for fault in rules.faults(item.example_form):
        yield f"example of {'/'.join(map(str, fault.path))}: {_broken(fault)}"
    applicant = item.example_applicant
    person = applicant.get("agent", applicant)
    problems = identity.id_number_problems(person["id_type"], person["id_number"])
    problems += identity.mobile_problems(person["phone"])
    if applicant["type"] == "company":
        problems += identity.credit_code_problems(applicant["uscc"])
    for problem in problems:
        yield f"example applicant: {problem.en}"
    if not item.audience.admits(applicant["type"]):
        yield "the example applicant may not apply"


def _repeats(values: Iterable[Hashable]) -> Iterator[tuple[int, Hashable]]:
    seen: set[Hashable] = set()
    for index, value in enumerate(values):
        if value in seen:
            yield index, value
        seen.add(value)


_SOURCE_RULES: tuple[Callable[[Sources], Iterator[CatalogueProblem]], ...] = (
    _provinces_differ,
    _categories_differ,
    _codes_fit,
    _terms_fit,
    _hours_open,
    _gateways_open,
    _holidays_hold,
    _fields_described,
    _all_used,
    _synonyms_lead_somewhere,
    *plausibility.RULES,
)
_ITEM_RULES: tuple[Callable[[Sources, Catalogue], Iterator[CatalogueProblem]], ...] = (
    _totals_hold,
    _cases_there,
    _provinces_offer,
    _zones_keep_to_themselves,
    _overrides_apply,
    _items_hold,
)

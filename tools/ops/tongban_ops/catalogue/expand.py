"""Expand each category into one item for every province that offers it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tongban_common.catalogue.models import (
    Audience,
    Fee,
    Item,
    Mode,
    Province,
    Zone,
)
from tongban_ops.catalogue import code, examples
from tongban_ops.catalogue.source import (
    Category,
    Except,
    FieldSchema,
    FieldUse,
    Override,
    Terms,
    TermsFile,
)
from tongban_ops.catalogue.vocabulary import Vocabulary
from tongban_ops.errors import OpsError

DIALECT = "https://json-schema.org/draft/2020-12/schema"
T = TypeVar("T")


class UnknownReferenceError(OpsError):
    """Raised when a name has no definition. `path` leads to the place within the category."""

    def __init__(self, message: str, *path: str | int) -> None:
        super().__init__(message)
        self.path = path


@dataclass(frozen=True, slots=True)
class Shared:
    """Definitions that categories refer to by name."""

    provinces: Mapping[str, Province]
    """Keyed by short name, as the files write it."""
    domains: frozenset[str]
    terms: TermsFile
    fields: Mapping[str, FieldSchema]
    vocabulary: Vocabulary


def offers(category: Category, shared: Shared) -> list[Province]:
    """Return the provinces that offer a category, in the order of GB/T 2260.

    Raises:
        UnknownReferenceError: a province is not in `provinces.yaml`, or is named twice.
    """
    listed = category.provinces
    if listed == "all":
        names: Iterable[str] = shared.provinces
    elif isinstance(listed, Except):
        _known(listed.all_except, shared, "provinces", "all_except")
        names = [name for name in shared.provinces if name not in listed.all_except]
    else:
        names = _known(tuple(listed), shared, "provinces")
    return sorted((shared.provinces[name] for name in names), key=lambda province: province.code)


def _known(names: tuple[str, ...], shared: Shared, *path: str) -> tuple[str, ...]:
    for index, name in enumerate(names):
        if name not in shared.provinces:
            raise UnknownReferenceError(f"{name!r} is no province of provinces.yaml", *path, index)
        if name in names[:index]:
            raise UnknownReferenceError(f"{name!r} is named twice", *path, index)
    return names


def item(
    category: Category,
    province: Province,
    *,
    zones: tuple[Zone, ...],
    domain: str | None,
    defaults: Terms,
    shared: Shared,
) -> Item:
    """Build one item from the province's override, the category and its file's defaults, in this
    order of precedence.

    Raises:
        UnknownReferenceError: a name has no definition, or no layer sets a required term.
    """
    override = category.overrides.get(province.short, Override())
    layers = (override, category, defaults)
    number = code.make(province.code, category.code)
    audience = _pick("audience", [layer.audience for layer in layers], Audience.PERSON)
    department = _pick("department", [layer.department for layer in layers])
    materials = _pick("materials", [layer.materials for layer in layers], ())
    hours = _pick("hours", [layer.hours for layer in layers])
    name = override.name or category.name
    keywords = shared.vocabulary.keywords(name)
    form = _form(name, override.fields or category.fields, province, shared)
    return Item(
        code=number,
        version=_pick("version", [layer.version for layer in layers], 1),
        category=category.id,
        name=name,
        name_en=override.name_en or category.name_en,
        province=province.code,
        province_name=province.name,
        department=_department(department, province, shared),
        domain=_domain(category.domain or domain, shared),
        kind=category.kind,
        zones=zones,
        audience=audience,
        mode=_pick("mode", [layer.mode for layer in layers], Mode.ONLINE),
        partner=_partner(category, province, shared),
        materials=tuple(
            _named(shared.terms.materials, material, "materials", index)
            for index, material in enumerate(materials)
        ),
        limits=_pick("limits", [layer.limits for layer in layers]),
        fee=_pick("fee", [layer.fee for layer in layers], Fee()),
        hours=_named(shared.terms.hours, hours, "hours"),
        form=form,
        example_form={name: schema["examples"][0] for name, schema in form["properties"].items()},
        example_applicant=examples.applicant(number, audience, province),
        document=category.document,
        usage=category.usage,
        keywords=keywords,
        pinyin={text: shared.vocabulary.read(text) for text in (name, province.name, *keywords)},
    )


def _pick(term: str, layers: Sequence[T | None], default: T | None = None) -> T:
    for value in (*layers, default):
        if value is not None:
            return value
    raise UnknownReferenceError(f"{term} is said neither here nor in the file's defaults")


def _named(known: Mapping[str, T], name: str, *path: str | int) -> T:
    try:
        return known[name]
    except KeyError:
        raise UnknownReferenceError(f"{name!r} is not in terms.yaml", *path) from None


def _department(name: str, province: Province, shared: Shared) -> str:
    department = _named(shared.terms.departments, name, "department")
    pattern = department.name
    if province.municipality and department.in_municipality:
        pattern = department.in_municipality
    return pattern.replace("{province}", province.name)


def _domain(name: str | None, shared: Shared) -> str:
    if name is None:
        raise UnknownReferenceError("domain is said neither here nor at the top of the file")
    if name not in shared.domains:
        raise UnknownReferenceError(f"{name!r} is no domain of domains.yaml", "domain")
    return name


def _partner(category: Category, province: Province, shared: Shared) -> str | None:
    if category.partner is None:
        return None
    _known((category.partner,), shared, "partner")
    partner = shared.provinces[category.partner].code
    return partner if partner != province.code else None


def _form(
    title: str, uses: Sequence[FieldUse], province: Province, shared: Shared
) -> dict[str, Any]:
    return {
        "$schema": DIALECT,
        "title": title,
        "type": "object",
        "properties": {
            use.field: _property(use, index, province, shared) for index, use in enumerate(uses)
        },
        "required": [use.field for use in uses if use.required],
        "additionalProperties": False,
    }


def _property(use: FieldUse, index: int, province: Province, shared: Shared) -> FieldSchema:
    if use.field not in shared.fields:
        raise UnknownReferenceError(f"{use.field!r} is not in fields.yaml", "fields", index)
    schema = {**shared.fields[use.field], **use.changes}
    if "x-values" in schema:
        values = _VALUES[schema.pop("x-values")](province, shared)
        if chosen := schema.get("enum"):
            values = [value for value in values if value in chosen]
        if not values:
            raise UnknownReferenceError(
                f"{use.field!r}: nothing to choose from in {province.short}", "fields", index
            )
        preferred = [example for example in schema.get("examples", ()) if example in values]
        schema.update(enum=values, examples=preferred or values[:1])
    if not schema.get("examples"):
        raise UnknownReferenceError(f"{use.field!r} has no examples", "fields", index)
    return schema


def _other_provinces(own: Province, shared: Shared) -> list[str]:
    return [province.name for province in shared.provinces.values() if province is not own]


_VALUES: dict[str, Callable[[Province, Shared], list[str]]] = {
    "cities": lambda own, _: list(own.cities),
    "own_province": lambda own, _: [own.name],
    "other_provinces": _other_provinces,
}
"""Functions that fill the enumeration of a field by its `x-values` (see `source.X_VALUES`)."""

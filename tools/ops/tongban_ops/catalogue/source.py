"""Define the models of the files under `catalogue/`, as editors write them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from tongban_common.catalogue.forms import FORMATS
from tongban_common.catalogue.models import (
    Audience,
    BasicCode,
    CatalogueModel,
    Fee,
    ItemDocument,
    ItemKind,
    Material,
    Mode,
    ServiceHours,
    Slug,
    TimeLimits,
    Zone,
)

X_VALUES = ("cities", "own_province", "other_provinces")
"""Values that `x-values` may have."""


def _can_be_used(schema: dict[str, Any]) -> dict[str, Any]:
    """Reject valid JSON Schema that the catalogue cannot use: pages show titles as text, the first
    example is used, an unknown format would accept everything, and a reference would lead out of
    the snippet."""
    for key in ("title", "description", "x-title-en"):
        if not isinstance(schema.get(key, ""), str):
            raise ValueError(f"{key} must be text, in quotes where it looks like something else")
    for key in ("examples", "enum"):
        if not isinstance(schema.get(key, []), list):
            raise ValueError(f"{key} is no list: [...]")
    if schema.get("x-values", X_VALUES[0]) not in X_VALUES:
        raise ValueError(f"x-values is one of {', '.join(X_VALUES)}, not {schema['x-values']!r}")
    for key, value in _keywords(schema):
        if key in ("$ref", "$dynamicRef"):
            raise ValueError(f"{key} leads nowhere: fields are shared by their names")
        if key == "format" and isinstance(value, str) and value not in FORMATS:
            raise ValueError(f"format is one of {', '.join(sorted(FORMATS))}")
    return schema


def _keywords(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in schema.items():
        yield key, value
        if key not in ("examples", "enum", "const", "default"):
            for inner in value if isinstance(value, list) else [value]:
                if isinstance(inner, dict):
                    yield from _keywords(inner)


FieldSchema = Annotated[dict[str, Any], AfterValidator(_can_be_used)]
"""JSON Schema snippet with `title`, `description` and `examples`; the catalogue uses the first
example. `x-values` (see `X_VALUES`) fills `enum` from `provinces.yaml`."""


class Domain(CatalogueModel):
    """One of the nine domains of services (领域)."""

    id: Slug
    name: str
    name_en: str


class DomainsFile(CatalogueModel):
    domains: tuple[Domain, ...]


class Department(CatalogueModel):
    """Department in charge; `{province}` in its name stands for the province's full name."""

    digits: str = Field(pattern=r"^[0-9]{2}$")
    name: str
    in_municipality: str | None = None
    """Name in a municipality, where it differs (局, not 厅)."""


class TermsFile(CatalogueModel):
    """Content of `terms.yaml`: definitions that several categories share by name."""

    departments: dict[Slug, Department]
    materials: dict[Slug, Material]
    hours: dict[Slug, ServiceHours]
    templates: tuple[Slug, ...] = ()
    """Templates from which the printing service renders documents."""


class FieldsFile(CatalogueModel):
    fields: dict[Slug, FieldSchema]


class SynonymsFile(CatalogueModel):
    """Content of `synonyms.yaml`: everyday words with the parts of names that they stand for, and
    pinyin readings that the dictionary gets wrong."""

    synonyms: dict[str, tuple[str, ...]]
    readings: dict[str, str] = Field(default_factory=dict)


class Totals(CatalogueModel):
    """Expected totals of a zone, as `ZoneSummary` counts them."""

    provinces: int
    categories: int
    items: int
    query: int
    handle: int
    print: int
    domains: int


class Case(CatalogueModel):
    """An item that the catalogue must offer."""

    province: str
    category: Slug
    kind: ItemKind
    partner: str | None = None


class PublishedFile(CatalogueModel):
    """Content of `published.yaml`: published figures and cases that the catalogue must match."""

    totals: dict[Zone, Totals]
    cases: tuple[Case, ...]


class FieldUse(CatalogueModel):
    """A field in a category's form: a name, `name?` if it is optional, or a mapping that also
    changes the shared snippet (`with`)."""

    field: Slug
    required: bool = True
    changes: FieldSchema = Field(default_factory=dict, alias="with")


def _field_use(value: Any) -> Any:
    if isinstance(value, str):
        return {"field": value.removesuffix("?"), "required": not value.endswith("?")}
    return value


class Except(CatalogueModel):
    """All provinces except the listed ones."""

    all_except: tuple[str, ...]


class Terms(CatalogueModel):
    """Terms that a category may leave to its file's defaults and that an override may change."""

    audience: Audience | None = None
    mode: Mode | None = None
    department: Slug | None = None
    materials: tuple[Slug, ...] | None = None
    limits: TimeLimits | None = None
    fee: Fee | None = None
    hours: Slug | None = None
    version: int | None = Field(None, ge=1, strict=True)


class Override(Terms):
    """Differences of one province from its category."""

    name: str | None = None
    name_en: str | None = None
    fields: tuple[Annotated[FieldUse, BeforeValidator(_field_use)], ...] | None = None


class Category(Terms):
    """The same service in several provinces (类); `code` is its basic code of ten digits."""

    id: Slug
    code: BasicCode
    name: str
    name_en: str
    kind: ItemKind
    domain: str | None = None
    usage: int = Field(0, ge=0, strict=True)
    fields: tuple[Annotated[FieldUse, BeforeValidator(_field_use)], ...] = ()
    document: ItemDocument | None = None
    partner: str | None = None
    provinces: Literal["all"] | Except | tuple[str, ...]
    overrides: dict[str, Override] = Field(default_factory=dict)


class CategoriesFile(CatalogueModel):
    """A file of categories of one zone. A category sets its own domain or inherits the file's."""

    zones: tuple[Zone, ...] = Field(min_length=1)
    domain: str | None = None
    defaults: dict[ItemKind, Terms] = Field(default_factory=dict)
    categories: tuple[Category, ...]

"""From a directory of YAML to a `Catalogue`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tongban_common.catalogue import expand
from tongban_common.catalogue.catalogue import Catalogue
from tongban_common.catalogue.models import Item, Province, Zone
from tongban_common.catalogue.source import (
    CategoriesFile,
    Category,
    DomainsFile,
    FieldsFile,
    ProvincesFile,
    PublishedFile,
    SynonymsFile,
    Terms,
    TermsFile,
)
from tongban_common.catalogue.vocabulary import Vocabulary
from tongban_common.catalogue.yamlfile import (
    CatalogueError,
    LocatedDict,
    Problem,
    line_of,
    read,
)

VARIABLE = "TONGBAN_CATALOGUE"
File = TypeVar("File", bound=BaseModel)


def find_directory(given: Path | None = None) -> Path:
    """The catalogue's directory: `given`, else `TONGBAN_CATALOGUE`, else `catalogue` in the current
    directory or the nearest one above that has it.

    Raises:
        FileNotFoundError: there is none, or the one that was named has no `provinces.yaml`.
    """
    named = given or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    if named is not None:
        if not (named / "provinces.yaml").is_file():
            raise FileNotFoundError(f"{named} is no catalogue: it has no provinces.yaml")
        return named
    here = Path.cwd()
    for directory in (here, *here.parents):
        if (directory / "catalogue" / "provinces.yaml").is_file():
            return directory / "catalogue"
    raise FileNotFoundError(f"no catalogue/ in {here} or above: name one by {VARIABLE}")


def load(directory: Path | None = None) -> Catalogue:
    """Read and expand the catalogue in `directory` (else as `find_directory` says).

    Raises:
        FileNotFoundError: see `find_directory`.
        CatalogueError: with every problem that was found, by file and line.
    """
    return Sources(find_directory(directory)).catalogue()


def load_items(directory: Path, file: Path | None = None) -> list[Item]:
    """The items of a catalogue, or of one of its files alone.

    Raises:
        CatalogueError: see `load`; also when `file` is none of the files under `zones/`.
    """
    sources = Sources(directory)
    if file is None:
        return sources.items()
    name = file.resolve().relative_to(directory.resolve()).as_posix()
    if name not in sources.files:
        raise CatalogueError([Problem(name, 1, "holds no categories: zones/ has those that do")])
    return sources.items(name)


def load_provinces(directory: Path | None = None) -> dict[str, Province]:
    """The provinces alone, by code: for processes that need gateways and no items.

    Raises:
        FileNotFoundError: see `find_directory`.
        CatalogueError: `provinces.yaml` is wrong.
    """
    name = "provinces.yaml"
    found = find_directory(directory)
    provinces = _typed(read(found / name, name), name, ProvincesFile).with_hours()
    return {province.code: province for province in provinces}


def _typed(content: LocatedDict, name: str, model: type[File]) -> File:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise CatalogueError(
            [
                Problem(name, line_of(content, each["loc"]), _explain(each["loc"], each["msg"]))
                for each in error.errors()
            ]
        ) from error


class Sources:
    """The files of a catalogue, read and typed but not yet expanded."""

    def __init__(self, directory: Path) -> None:
        """Raises CatalogueError when a file cannot be read or is not of its shape."""
        here = Path.cwd()
        self._shown = directory.relative_to(here) if directory.is_relative_to(here) else directory
        self.directory = directory
        self.problems: list[Problem] = []
        self._contents: dict[str, LocatedDict] = {}
        provinces = self._typed("provinces.yaml", ProvincesFile)
        domains = self._typed("domains.yaml", DomainsFile)
        terms = self._typed("terms.yaml", TermsFile)
        fields = self._typed("fields.yaml", FieldsFile)
        synonyms = self._typed("synonyms.yaml", SynonymsFile)
        published = self._typed("published.yaml", PublishedFile)
        files = [
            (name, typed)
            for path in sorted(directory.glob("zones/**/*.yaml"))
            if (
                typed := self._typed(name := path.relative_to(directory).as_posix(), CategoriesFile)
            )
        ]
        if not (provinces and domains and terms and fields and synonyms and published):
            raise CatalogueError(self.problems)
        if self.problems:
            raise CatalogueError(self.problems)
        self.provinces = provinces.with_hours()
        self.domains = domains.domains
        self.synonyms = synonyms.synonyms
        self.readings = synonyms.readings
        self.published = published
        self.files: dict[str, CategoriesFile] = dict(files)
        self.shared = expand.Shared(
            provinces={province.short: province for province in provinces.provinces},
            domains=frozenset(domain.name for domain in domains.domains),
            terms=terms,
            fields=fields.fields,
            vocabulary=Vocabulary(synonyms.synonyms, synonyms.readings),
        )

    def _typed(self, name: str, model: type[File]) -> File | None:
        """None when the file is wrong; why is in `problems` then."""
        shown = self.shown(name)
        try:
            content = self._contents[name] = read(self.directory / name, shown)
            return _typed(content, shown, model)
        except CatalogueError as error:
            self.problems.extend(error.problems)
        return None

    def shown(self, name: str) -> str:
        """How problems call file `name`: as an editor that was started here opens it."""
        return str(self._shown / name)

    def problem(self, name: str, location: tuple[str | int, ...], message: str) -> Problem:
        """A problem at the place in file `name` to which `location` leads."""
        line = line_of(self._contents[name], location)
        return Problem(self.shown(name), line, message)

    def categories(self) -> Iterator[tuple[str, int, CategoriesFile, Category]]:
        """Every category with its file's name and its index there."""
        for name, file in self.files.items():
            for index, category in enumerate(file.categories):
                yield name, index, file, category

    def catalogue(self) -> Catalogue:
        """All items, findable.

        Raises:
            CatalogueError: see `items`.
        """
        return Catalogue(self.items(), provinces=self.provinces)

    def published_cases(self) -> list[Item]:
        """The items of the uses that were reported by name, in the order of `published.yaml`.

        Raises:
            CatalogueError: see `items`.
        """
        offered = {(item.province, item.category): item for item in self.items()}
        codes = {short: province.code for short, province in self.shared.provinces.items()}
        wanted = ((codes.get(case.province), case.category) for case in self.published.cases)
        return [offered[key] for key in wanted if key in offered]

    def items(self, only: str | None = None) -> list[Item]:
        """Expand all categories, or those of the file `only`.

        Raises:
            CatalogueError: references that lead nowhere, by file and line.
        """
        items: list[Item] = []
        problems = [
            self.problem(name, ("domain",), f"{file.domain!r} is no domain of domains.yaml")
            for name, file in self.files.items()
            if file.domain not in (None, *self.shared.domains)
        ]
        if problems:
            raise CatalogueError(problems)
        for name, index, file, category in self.categories():
            if only not in (None, name):
                continue
            try:
                items += self._expanded(file, category)
            except expand.ReferenceProblem as error:
                place = ("categories", index, *error.path)
                problems.append(self.problem(name, place, f"{category.id}: {error}"))
        if problems:
            raise CatalogueError(problems)
        return items

    def _expanded(self, file: CategoriesFile, category: Category) -> Iterator[Item]:
        defaults = file.defaults.get(category.kind, Terms())
        zones: tuple[Zone, ...] = file.zones
        for province in expand.offers(category, self.shared):
            yield expand.item(
                category,
                province,
                zones=zones,
                domain=file.domain,
                defaults=defaults,
                shared=self.shared,
            )


def _explain(location: tuple[str | int, ...], message: str) -> str:
    return f"{'.'.join(map(str, location))}: {message.removeprefix('Value error, ')}"

"""From a directory of YAML to a `Catalogue`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tongban_common.catalogue import expand
from tongban_common.catalogue.catalogue import Catalogue
from tongban_common.catalogue.models import Item, Zone
from tongban_common.catalogue.source import (
    CategoriesFile,
    Category,
    DomainsFile,
    FieldsFile,
    ProvincesFile,
    SynonymsFile,
    Terms,
    TermsFile,
)
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


class Sources:
    """The files of a catalogue, read and typed but not yet expanded."""

    def __init__(self, directory: Path) -> None:
        """Raises CatalogueError when a file cannot be read or is not of its shape."""
        self.directory = directory
        self.problems: list[Problem] = []
        self._contents: dict[str, LocatedDict] = {}
        provinces = self._typed("provinces.yaml", ProvincesFile)
        domains = self._typed("domains.yaml", DomainsFile)
        terms = self._typed("terms.yaml", TermsFile)
        fields = self._typed("fields.yaml", FieldsFile)
        synonyms = self._typed("synonyms.yaml", SynonymsFile)
        files = [
            (name, typed)
            for path in sorted(directory.glob("zones/**/*.yaml"))
            if (
                typed := self._typed(name := path.relative_to(directory).as_posix(), CategoriesFile)
            )
        ]
        if not (provinces and domains and terms and fields and synonyms) or self.problems:
            raise CatalogueError(self.problems)
        self.domains = domains.domains
        self.synonyms = synonyms.synonyms
        self.files: dict[str, CategoriesFile] = dict(files)
        self.shared = expand.Shared(
            provinces={province.short: province for province in provinces.provinces},
            domains=frozenset(domain.name for domain in domains.domains),
            terms=terms,
            fields=fields.fields,
        )

    def _typed(self, name: str, model: type[File]) -> File | None:
        """None when the file is wrong; why is in `problems` then."""
        shown = f"{self.directory.name}/{name}"
        try:
            content = self._contents[name] = read(self.directory / name, shown)
            return model.model_validate(content)
        except CatalogueError as error:
            self.problems.extend(error.problems)
        except ValidationError as error:
            self.problems.extend(
                Problem(shown, line_of(content, each["loc"]), _explain(each["loc"], each["msg"]))
                for each in error.errors()
            )
        return None

    def problem(self, name: str, location: tuple[str | int, ...], message: str) -> Problem:
        """A problem at the place in file `name` to which `location` leads."""
        line = line_of(self._contents[name], location)
        return Problem(f"{self.directory.name}/{name}", line, message)

    def categories(self) -> Iterator[tuple[str, int, CategoriesFile, Category]]:
        """Every category with its file's name and its index there."""
        for name, file in self.files.items():
            for index, category in enumerate(file.categories):
                yield name, index, file, category

    def catalogue(self) -> Catalogue:
        """Expand all categories.

        Raises:
            CatalogueError: references that lead nowhere, by file and line.
        """
        items: list[Item] = []
        problems: list[Problem] = []
        for name, index, file, category in self.categories():
            try:
                items += self._items(file, category)
            except expand.ReferenceProblem as error:
                place = ("categories", index, *error.path)
                problems.append(self.problem(name, place, f"{category.id}: {error}"))
        if problems:
            raise CatalogueError(problems)
        return Catalogue(items, provinces=self.shared.provinces.values())

    def _items(self, file: CategoriesFile, category: Category) -> Iterator[Item]:
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
    return f"{'.'.join(map(str, location))}: {message}"

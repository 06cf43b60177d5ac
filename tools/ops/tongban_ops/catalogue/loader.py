"""Load a `Catalogue` from a directory of YAML files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tongban_common.catalogue.catalogue import Catalogue
from tongban_common.catalogue.models import Item, Zone
from tongban_common.catalogue.provinces import File, ProvincesFile, find_directory, typed
from tongban_common.catalogue.yamlfile import (
    CatalogueError,
    CatalogueProblem,
    LocatedDict,
    line_of,
    read,
)
from tongban_ops.catalogue import expand
from tongban_ops.catalogue.source import (
    CategoriesFile,
    Category,
    DomainsFile,
    FieldsFile,
    PublishedFile,
    SynonymsFile,
    Terms,
    TermsFile,
)
from tongban_ops.catalogue.vocabulary import Vocabulary


def load(directory: Path | None = None) -> Catalogue:
    """Read and expand the catalogue in `directory`, by default the one that `find_directory` finds.

    Raises:
        FileNotFoundError: see `find_directory`.
        CatalogueError: lists every problem by file and line.
    """
    return Sources(find_directory(directory)).catalogue()


def load_items(directory: Path, file: Path | None = None) -> list[Item]:
    """Return the items of a catalogue, or only those of one of its files.

    Raises:
        CatalogueError: see `load`; also when `file` is not one of the files under `zones/`.
    """
    sources = Sources(directory)
    if file is None:
        return sources.items()
    name = file.resolve().relative_to(directory.resolve()).as_posix()
    if name not in sources.files:
        raise CatalogueError(
            [CatalogueProblem(name, 1, "holds no categories: zones/ has those that do")]
        )
    return sources.items(name)


class Sources:
    """Files of a catalogue, parsed and validated but not yet expanded."""

    def __init__(self, directory: Path) -> None:
        """Read all files.

        Raises:
            CatalogueError: a file cannot be read or has the wrong shape.
        """
        here = Path.cwd()
        self._shown = directory.relative_to(here) if directory.is_relative_to(here) else directory
        self.directory = directory
        self.problems: list[CatalogueProblem] = []
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
        """Return the parsed file; on error add to `problems` and return None."""
        shown = self.shown(name)
        try:
            content = self._contents[name] = read(self.directory / name, shown)
            return typed(content, shown, model)
        except CatalogueError as error:
            self.problems.extend(error.problems)
        return None

    def shown(self, name: str) -> str:
        """Return the path of file `name` relative to the working directory, as problems print it,
        so that an editor started there opens it."""
        return str(self._shown / name)

    def problem(self, name: str, location: tuple[str | int, ...], message: str) -> CatalogueProblem:
        """Return a problem at the place in file `name` to which `location` leads."""
        line = line_of(self._contents[name], location)
        return CatalogueProblem(self.shown(name), line, message)

    def categories(self) -> Iterator[tuple[str, int, CategoriesFile, Category]]:
        """Yield every category with its file's name, its index and its file."""
        for name, file in self.files.items():
            for index, category in enumerate(file.categories):
                yield name, index, file, category

    def catalogue(self) -> Catalogue:
        """Return all items as a catalogue.

        Raises:
            CatalogueError: see `items`.
        """
        return Catalogue(self.items(), provinces=self.provinces)

    def published_cases(self) -> list[Item]:
        """Return the items of the cases in `published.yaml`, in its order.

        Raises:
            CatalogueError: see `items`.
        """
        offered = {(item.province, item.category): item for item in self.items()}
        codes = {short: province.code for short, province in self.shared.provinces.items()}
        wanted = ((codes.get(case.province), case.category) for case in self.published.cases)
        return [offered[key] for key in wanted if key in offered]

    def items(self, only: str | None = None) -> list[Item]:
        """Expand all categories, or only those of the file `only`.

        Raises:
            CatalogueError: lists undefined references by file and line.
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
            except expand.UnknownReferenceError as error:
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

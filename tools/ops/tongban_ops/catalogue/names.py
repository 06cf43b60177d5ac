"""Name the codes of facts in Chinese and English: provinces, domains and categories."""

from __future__ import annotations

from pathlib import Path

from tongban_ops.catalogue.loader import Sources


def bilingual_names(directory: Path) -> dict[tuple[str, str], tuple[str, str]]:
    """Return the names of all codes of the catalogue in `directory`, Chinese before English.

    Keys are the kind and the code, as `("province", "310000")`.

    Raises:
        CatalogueError: see `Sources`.
    """
    sources = Sources(directory)
    found = {
        ("province", province.code): (province.short, province.name_en)
        for province in sources.provinces
    }
    found |= {("domain", domain.name): (domain.name, domain.name_en) for domain in sources.domains}
    for _, _, _, category in sources.categories():
        found["category", category.id] = (category.name, category.name_en)
    return found

"""The catalogue: what a kiosk offers, read from the files under `catalogue/` or from the topic."""

from tongban_common.catalogue.catalogue import Catalogue, ZoneSummary
from tongban_common.catalogue.forms import Fault, FormRules
from tongban_common.catalogue.loader import find_directory, load, load_provinces
from tongban_common.catalogue.models import (
    Audience,
    Document,
    Fee,
    Gateway,
    Item,
    ItemKind,
    Limits,
    Material,
    Mode,
    Province,
    ServiceHours,
    Zone,
)
from tongban_common.catalogue.source import Category
from tongban_common.catalogue.yamlfile import CatalogueError, Problem

__all__ = [
    "Audience",
    "Catalogue",
    "CatalogueError",
    "Category",
    "Document",
    "Fault",
    "Fee",
    "FormRules",
    "Gateway",
    "Item",
    "ItemKind",
    "Limits",
    "Material",
    "Mode",
    "Problem",
    "Province",
    "ServiceHours",
    "Zone",
    "ZoneSummary",
    "find_directory",
    "load",
    "load_provinces",
]

"""The catalogue of items that kiosks offer, read from the files under `catalogue/` or the topic."""

from tongban_common.catalogue.catalogue import Catalogue, ZoneSummary
from tongban_common.catalogue.forms import Fault, FormRules
from tongban_common.catalogue.models import (
    Audience,
    Fee,
    GatewaySettings,
    Item,
    ItemDocument,
    ItemKind,
    Material,
    Mode,
    Province,
    ServiceHours,
    TimeLimits,
    Zone,
)
from tongban_common.catalogue.provinces import find_directory, load_provinces
from tongban_common.catalogue.yamlfile import CatalogueError, CatalogueProblem

__all__ = [
    "Audience",
    "Catalogue",
    "CatalogueError",
    "CatalogueProblem",
    "Fault",
    "Fee",
    "FormRules",
    "GatewaySettings",
    "Item",
    "ItemDocument",
    "ItemKind",
    "Material",
    "Mode",
    "Province",
    "ServiceHours",
    "TimeLimits",
    "Zone",
    "ZoneSummary",
    "find_directory",
    "load_provinces",
]

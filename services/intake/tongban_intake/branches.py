"""Hold the branches of the catalogue's `branches.yaml`, and find the nearest ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, model_validator

from tongban_common.catalogue.models import CatalogueModel
from tongban_common.catalogue.provinces import typed
from tongban_common.catalogue.yamlfile import read

FILE = "branches.yaml"
_EARTH_KM = 6371.0


class Branch(CatalogueModel):
    """A branch of the bank. Latitude and longitude are in degrees (WGS 84)."""

    id: str
    name: str
    name_en: str
    address: str
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)

    def km_to(self, other: Branch) -> float:
        """Return the distance along a great circle (haversine formula)."""
        one, two = math.radians(self.latitude), math.radians(other.latitude)
        north, east = two - one, math.radians(other.longitude - self.longitude)
        part = math.sin(north / 2) ** 2 + math.cos(one) * math.cos(two) * math.sin(east / 2) ** 2
        return 2 * _EARTH_KM * math.asin(math.sqrt(part))


class BranchesFile(CatalogueModel):
    """The content of `branches.yaml`."""

    branches: tuple[Branch, ...]

    @model_validator(mode="after")
    def _each_once(self) -> BranchesFile:
        ids = [branch.id for branch in self.branches]
        if len(set(ids)) != len(ids):
            raise ValueError("a branch is listed twice")
        return self


@dataclass(frozen=True, slots=True)
class Nearby:
    """A branch, how far away it is, and how many of its kiosks can print."""

    branch: Branch
    km: float
    kiosks: int


class Branches:
    """Knows where the branches are."""

    def __init__(self, branches: Iterable[Branch] = ()) -> None:
        self._branches = {branch.id: branch for branch in branches}

    def get(self, branch_id: str) -> Branch | None:
        """Return the branch; None if the file does not have it."""
        return self._branches.get(branch_id)

    def nearest(self, branch_id: str, kiosks: Callable[[str], int], *, most: int) -> list[Nearby]:
        """Return other branches where at least one kiosk can print, nearest first; none if the
        place of this branch is not known.

        Args:
            kiosks: returns the number of kiosks of a branch that can print.
            most: number of branches that are returned at most.
        """
        here = self._branches.get(branch_id)
        if here is None:
            return []
        others = [
            Nearby(branch, here.km_to(branch), working)
            for branch in self._branches.values()
            if branch.id != branch_id and (working := kiosks(branch.id))
        ]
        return sorted(others, key=lambda each: (each.km, each.branch.id))[:most]


def load_branches(directory: Path) -> Branches:
    """Return the branches of a catalogue's directory; none where it has no such file.

    Raises:
        CatalogueError: the file is wrong.
    """
    path = directory / FILE
    if not path.is_file():
        return Branches()
    return Branches(typed(read(path, FILE), FILE, BranchesFile).branches)

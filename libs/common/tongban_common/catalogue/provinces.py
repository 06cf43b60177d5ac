"""Read `provinces.yaml`, and find the catalogue's directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError, model_validator

from tongban_common.catalogue.models import CatalogueModel, Province, ProvinceCode, ServiceHours
from tongban_common.catalogue.yamlfile import (
    CatalogueError,
    CatalogueProblem,
    LocatedDict,
    line_of,
    read,
)

VARIABLE = "TONGBAN_CATALOGUE"
File = TypeVar("File", bound=BaseModel)


class GatewayHours(ServiceHours):
    """Named service hours that several gateways share."""

    provinces: tuple[ProvinceCode, ...]


class ProvincesFile(CatalogueModel):
    """The content of `provinces.yaml`."""

    gateway_hours: tuple[GatewayHours, ...] = ()
    provinces: tuple[Province, ...]

    @model_validator(mode="after")
    def _hours_given(self) -> ProvincesFile:
        given = [code for hours in self.gateway_hours for code in hours.provinces]
        known = {province.code for province in self.provinces}
        for code in given:
            if code not in known or given.count(code) > 1:
                raise ValueError(f"gateway_hours: {code} is no province, or has hours twice")
        return self

    def with_hours(self) -> tuple[Province, ...]:
        """Return the provinces with each gateway's hours; its own hours override shared ones."""
        shared = {
            code: ServiceHours.model_validate(hours.model_dump(exclude={"provinces"}))
            for hours in self.gateway_hours
            for code in hours.provinces
        }
        return tuple(
            province
            if province.gateway.hours or province.code not in shared
            else province.model_copy(
                update={
                    "gateway": province.gateway.model_copy(update={"hours": shared[province.code]})
                }
            )
            for province in self.provinces
        )


def find_directory(given: Path | None = None) -> Path:
    """Return the catalogue's directory.

    It is `given`, else `TONGBAN_CATALOGUE`, else `catalogue` in the current directory or the
    nearest parent that has it.

    Raises:
        FileNotFoundError: there is none, or the named one has no `provinces.yaml`.
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


def load_provinces(directory: Path | None = None) -> dict[str, Province]:
    """Return the provinces alone, by code, for processes that need gateways and no items.

    Raises:
        FileNotFoundError: see `find_directory`.
        CatalogueError: `provinces.yaml` is wrong.
    """
    name = "provinces.yaml"
    found = find_directory(directory)
    provinces = typed(read(found / name, name), name, ProvincesFile).with_hours()
    return {province.code: province for province in provinces}


def typed(content: LocatedDict, name: str, model: type[File]) -> File:
    """Return a file's content as its model.

    Raises:
        CatalogueError: the content does not fit the model; problems have line numbers.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise CatalogueError(
            [
                CatalogueProblem(
                    name, line_of(content, each["loc"]), _explain(each["loc"], each["msg"])
                )
                for each in error.errors()
            ]
        ) from error


def _explain(location: tuple[str | int, ...], message: str) -> str:
    place = f"{'.'.join(map(str, location))}: " if location else ""
    return place + message.removeprefix("Value error, ")

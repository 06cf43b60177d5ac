"""Read secrets from the files that `VARIABLE_FILE` names, for every secret of a settings class.

Kubernetes and Docker mount secrets as files. A variable shows up in `docker inspect`, in the
process's environment and in what it passes on to its children; a file does not.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, get_args

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from tongban_kafka import SettingFileError, read_secret_file

SUFFIX = "_FILE"


class UnusableSecret(NamedTuple):
    """Stands for a secret that could not be read, until validation reports its line."""

    line: str


def is_secret(annotation: Any) -> bool:
    """Return True if a field of this type holds a secret."""
    return annotation is SecretStr or any(is_secret(each) for each in get_args(annotation))


def secret_fields(model: type[BaseSettings]) -> list[str]:
    """Return the secrets of a settings class that this module reads from files, in the order of
    declaration. A secret with a `..._file` field of its own is left to that field."""
    fields = model.model_fields
    return [
        name
        for name, info in fields.items()
        if is_secret(info.annotation) and f"{name}_file" not in fields
    ]


class SecretFileSource(PydanticBaseSettingsSource):
    """Supplies the secrets of a settings class whose `VARIABLE_FILE` is set.

    The key ring is the exception that stays a reference (`@FILE`): its file is followed while the
    process runs.
    """

    FOLLOWED: ClassVar = frozenset({"keyring"})

    def __init__(
        self, settings_cls: type[BaseSettings], environment: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(settings_cls)
        self._environment = os.environ if environment is None else environment
        self._prefix = settings_cls.model_config.get("env_prefix", "")

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the value of one field, as pydantic-settings asks for it."""
        del field
        return self._value(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the values that are found, by field."""
        values = {name: self._value(name) for name in secret_fields(self.settings_cls)}
        return {name: value for name, value in values.items() if value is not None}

    def _value(self, field: str) -> str | UnusableSecret | None:
        variable = f"{self._prefix}{field.upper()}"
        named = f"{variable}{SUFFIX}"
        file = self._environment.get(named, "")
        if not file:
            return None
        if self._environment.get(variable, ""):
            return UnusableSecret(f"{named}: {variable} is set too; unset one of the two")
        try:
            text = read_secret_file(named, Path(file))
        except SettingFileError as error:
            return UnusableSecret(str(error))
        return f"@{file}" if field in self.FOLLOWED else text

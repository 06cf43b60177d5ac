"""Names settings and commands in the texts that operators read, in the words of the application.

The package itself knows settings by Kafka's property names. An application whose operators set
variables of other names replaces them once, by `use_operator_texts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Setting(Enum):
    """Enumerates the settings of Kafka clients. `str` returns the name that operators know."""

    SERVERS = "bootstrap.servers"
    PROTOCOL = "security.protocol"
    MECHANISM = "sasl.mechanism"
    USERNAME = "sasl.username"
    PASSWORD = "sasl.password"  # noqa: S105 - the name of a property
    PASSWORD_FILE = "sasl.password.file"  # noqa: S105 - the name of a property
    CA_FILE = "ssl.ca.location"
    CERTIFICATE_FILE = "ssl.certificate.location"
    KEY_FILE = "ssl.key.location"

    def __str__(self) -> str:
        return _names.get(self, self.value)


_names: dict[Setting, str] = {}
_hole_hint = ""


def use_operator_texts(*, setting_names: Mapping[str, str], hole_hint: str = "") -> None:
    """Set the words of error texts and log lines for this process; replaces those set before.

    Args:
        setting_names: the operators' name of each setting, by Kafka's property name (the values of
            `Setting`). A setting that is missing keeps Kafka's name.
        hole_hint: what an operator can do about a topic with a hole; `{topic}` is its name.

    Raises:
        ValueError: there is no such property.
    """
    global _hole_hint  # noqa: PLW0603 - one for the process, as the settings are
    names = {Setting(name): text for name, text in setting_names.items()}
    _names.clear()
    _names.update(names)
    _hole_hint = hole_hint


def describe_hole(topic: str, hole: object) -> str:
    """Return the text about a part of a topic that cannot be read."""
    hint = f": {_hole_hint.format(topic=topic)}" if _hole_hint else ""
    return f"{topic} cannot be read at {hole}{hint}"

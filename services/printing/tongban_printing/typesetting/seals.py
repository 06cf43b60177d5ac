"""The seals of issuing authorities, as vector pictures that are printed on sheets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tongban_common.topics import PROVINCES
from tongban_printing.errors import SealError

SPECIMEN = "specimen"
_MOST_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Seals:
    """The seal of each province; those without one have sheets without a seal."""

    pictures: Mapping[str, str] = field(default_factory=dict)
    """SVG by GB/T 2260 code."""
    specimen: bool = False
    """True to draw one for every issuer that says it is a specimen."""

    @classmethod
    def read(cls, setting: str | None) -> Seals:
        """Return the seals of a directory of `<province>.svg`, or specimens for `specimen`.

        Raises:
            SealError: a file is no picture of a seal, or its name is no province's.
        """
        if setting is None or setting == SPECIMEN:
            return cls(specimen=setting is not None)
        directory = Path(setting)
        if not directory.is_dir():
            raise SealError(f"{setting} is no directory, and not the word {SPECIMEN!r}")
        return cls({file.stem: _picture(file) for file in sorted(directory.glob("*.svg"))})

    def of(self, province: str) -> str | None:
        """Return what `contents` takes as `seal`."""
        return SPECIMEN if self.specimen else self.pictures.get(province)


def _picture(file: Path) -> str:
    if file.stem not in PROVINCES:
        raise SealError(f"{file}: {file.stem!r} is no code of a province, such as 310000.svg")
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SealError(f"{file} cannot be read: {error}") from None
    if len(text) > _MOST_BYTES or "<svg" not in text:
        raise SealError(f"{file} is no SVG of at most {_MOST_BYTES // 1024} KiB")
    return text

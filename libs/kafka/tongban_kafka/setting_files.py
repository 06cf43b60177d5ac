"""Reads files that settings name. Every error is one line that names the setting and quotes no
value."""

from __future__ import annotations

import os
from pathlib import Path

from tongban_kafka.errors import MessagingError


class SettingFileError(MessagingError, ValueError):
    """Raised for a file that cannot be used; the text is one line that names the setting."""


def read_setting_file(setting: str, file: Path) -> bytes:
    """Return the content of a file.

    Raises:
        SettingFileError: the file cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else type(error).__name__
        raise SettingFileError(f"{setting}: the file cannot be read: {why}") from None
    except ValueError:  # a NUL in its name
        raise SettingFileError(f"{setting}: the file cannot be read: no such name") from None


def read_secret_file(setting: str, file: Path) -> str:
    """Return the text of a file without the line ends at its end.

    Raises:
        SettingFileError: the file cannot be read, is empty or is not UTF-8.
    """
    try:
        text = read_setting_file(setting, file).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise SettingFileError(f"{setting}: the file is not UTF-8 text") from None
    if not text:
        raise SettingFileError(f"{setting}: the file is empty")
    return text

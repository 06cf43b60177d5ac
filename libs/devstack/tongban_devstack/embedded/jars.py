"""Fetch Apache Kafka's jars with jgo once, cache them per user, and verify them before every use.

`kafka-jars.json` pins each jar by Maven coordinates and SHA-256, so nothing is resolved at run
time: only what was committed runs.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from tongban_devstack.errors import DevstackError
from tongban_devstack.files import exclusive

if TYPE_CHECKING:
    from jgo.maven import MavenContext

PINNED = Path(__file__).with_name("kafka-jars.json")
_ATTEMPTS = 3
WAY_ROUND = (
    "To do without: start a Kafka broker of your own and set TONGBAN_KAFKA=HOST:PORT, or copy"
    " {cache} from a machine that has it."
)


class JarsUnavailableError(DevstackError):
    """Raised when the jars cannot be fetched or differ from their pins; says what to do."""


def pinned_jars() -> dict[str, str]:
    """Return the SHA-256 of each jar by Maven coordinates `group:artifact:version`."""
    pinned: dict[str, str] = json.loads(PINNED.read_text())
    return pinned


def broker_home(cache: Path) -> Path:
    """Return the cache directory for exactly these jars and what is derived from them."""
    return cache / f"kafka-{hashlib.sha256(PINNED.read_bytes()).hexdigest()[:12]}"


def jar_name(coordinates: str) -> str:
    """Return the file name of a jar in the cache."""
    _, artifact, version = coordinates.split(":")
    return f"{artifact}-{version}.jar"


def class_path(cache: Path, pinned: dict[str, str] | None = None) -> list[Path]:
    """Return the verified jars; fetch them if needed. Several processes may call this at once.

    Raises:
        JarsUnavailableError: they cannot be fetched, or one does not match its pin.
    """
    pinned = pinned_jars() if pinned is None else pinned
    return fetched_jars(broker_home(cache), pinned, title="Apache Kafka", way_round=WAY_ROUND)


def fetched_jars(home: Path, pinned: dict[str, str], *, title: str, way_round: str) -> list[Path]:
    """Return the verified jars below a cache directory; fetch them if needed.

    Args:
        title: what they are, for progress and errors.
        way_round: what to do without them, with `{cache}` for the directory.

    Raises:
        JarsUnavailableError: they cannot be fetched, or one does not match its pin.
    """
    directory = home / "jars"
    try:
        if not directory.exists():
            with exclusive(home / "fetch.lock", wait=True):
                if not directory.exists():  # another process may have fetched them meanwhile
                    _fetch(directory, pinned, title)
        _verify(directory, pinned, f"Remove {directory} to have the jars fetched again.")
    except JarsUnavailableError as error:
        raise JarsUnavailableError(f"{error} {way_round.format(cache=home)}") from error.__cause__
    return [directory / jar_name(coordinates) for coordinates in pinned]


def _fetch(directory: Path, pinned: dict[str, str], title: str) -> None:
    """Download into a temporary directory, verify, and rename it into place."""
    for abandoned in directory.parent.glob("fetching-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(dir=directory.parent, prefix="fetching-"))
    try:
        _download_all(pinned, staging, title)
        _verify(staging / "jars", pinned, "It was downloaded so; a proxy may have altered it.")
        (staging / "jars").rename(directory)
    except (RuntimeError, OSError) as error:  # requests' errors are OSErrors
        raise JarsUnavailableError(f"{title} cannot be downloaded: {error}.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _download_all(pinned: dict[str, str], staging: Path, title: str) -> None:
    """Download from Maven Central or the user's jgo repositories into `staging`/jars."""
    # Import late: it takes a quarter of a second, which later starts do not need.
    from jgo.config import GlobalSettings  # noqa: PLC0415
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    maven = MavenContext(
        repo_cache=staging / "repository",
        remote_repos={"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories},
    )
    (staging / "jars").mkdir()
    console = Console(stderr=True)
    console.print(f"Fetching {title} ({len(pinned)} jars) into {staging.parent} ...")
    bar = Progress(console=console, disable=not console.is_terminal, transient=True)
    with ThreadPoolExecutor(8) as pool, bar:
        try:
            jars = pool.map(lambda coordinates: _download(maven, coordinates), pinned)
            for jar in bar.track(jars, total=len(pinned), description="jars"):
                jar.rename(staging / "jars" / jar.name)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # without one jar the rest is useless
            raise


def _download(maven: MavenContext, coordinates: str) -> Path:
    group, artifact_id, version = coordinates.split(":")
    artifact = maven.project(group, artifact_id).at_version(version).artifact()
    for _ in range(_ATTEMPTS - 1):
        with suppress(OSError):
            return Path(artifact.resolve())
        # Delete the partial download: it lies where the whole jar would, and would be used as such.
        if partial := artifact.cached_path:
            partial.unlink(missing_ok=True)
    return Path(artifact.resolve())


def _verify(directory: Path, pinned: dict[str, str], remedy: str) -> None:
    """Hash every jar: 44 MB take 40 ms, less than any scheme to avoid it would cost."""
    for coordinates, expected in pinned.items():
        path = directory / jar_name(coordinates)
        try:
            with path.open("rb") as jar:
                actual = hashlib.file_digest(jar, "sha256").hexdigest()
        except FileNotFoundError:
            actual = "none: the file is missing"
        if actual != expected:
            raise JarsUnavailableError(
                f"{path} is not the jar that was pinned: its SHA-256 is {actual}, expected"
                f" {expected}. It will not be run. {remedy}"
            )

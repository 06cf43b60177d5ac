"""List the images, and what each is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "deploy/images/locks"
OUT = ROOT / "out/images"
LIMIT_MB = 250
"""Size that no image of the product may reach, in MB of 10^6 bytes, as `docker images` counts."""
_SHARED = ("libs/kafka", "libs/common")


@dataclass(frozen=True, slots=True)
class Image:
    """An image of one program."""

    name: str
    distributions: tuple[str, ...]
    """Directories in the order of installation; the last one's requirements are the image's."""
    program: str
    without: tuple[str, ...] = ()
    """Requirements of distributions that no module the program imports uses."""
    target: str = "service"
    """Stage of the Dockerfile: `tool` for a command that ends."""

    @property
    def lock(self) -> Path:
        return LOCKS / f"{self.name}.lock"

    @property
    def project(self) -> Path:
        """Return the pyproject.toml that says what the image needs."""
        return ROOT / self.distributions[-1] / "pyproject.toml"


def _service(name: str, *libraries: str) -> Image:
    return Image(name, (*_SHARED, *libraries, f"services/{name}"), f"tongban-{name}")


IMAGES = {
    image.name: image
    for image in (
        _service("intake"),
        _service("router"),
        _service("connectors", "libs/provinces"),
        _service("printing"),
        _service("notify"),
        Image(
            "ops",
            (
                *_SHARED,
                "libs/provinces",
                "services/intake",
                "services/connectors",
                "services/printing",
                "services/notify",
                "tools/ops",
            ),
            "tongban",
            # It changes print orders and sets no sheet.
            without=("typst", "noto-cjk-sans-otc", "fonttools", "pyipp"),
            target="tool",
        ),
        # The simulated outside: not for production.
        Image("outside", (*_SHARED, "libs/provinces", "libs/devstack"), "tongban-gateways"),
    )
}

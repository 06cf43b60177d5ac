"""docker-compose.yml bounds and confines every service, and takes its images from variables."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tongban_devstack.embedded.jars import pinned_jars
from tools.images.table import IMAGES, ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
_OWN = re.compile(r"^\$\{TONGBAN_IMAGES:-tongban\}/([a-z]+):\$\{TONGBAN_TAG:-dev\}$")
_PUBLIC = re.compile(r"^\$\{[A-Z_]+_IMAGE:-[a-z0-9/-]+:[a-z0-9.]+\}$")


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_bounded_and_its_image_is_a_variable(name: str) -> None:
    service = SERVICES[name]
    assert service["mem_limit"]
    assert "no-new-privileges:true" in service["security_opt"]
    own = _OWN.match(service["image"])
    assert own or _PUBLIC.match(service["image"])
    if own:
        assert own[1] in IMAGES
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
    for port in service.get("ports", ()):
        assert port.startswith("127.0.0.1:"), "published beyond this machine"


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_waits_for_can_become_healthy(name: str) -> None:
    for other, wait in SERVICES[name].get("depends_on", {}).items():
        if wait["condition"] == "service_healthy":
            own = _OWN.match(SERVICES[other]["image"])
            in_image = own is not None and IMAGES[own[1]].target == "service"
            assert in_image or SERVICES[other]["healthcheck"]["test"]
        else:
            assert (wait["condition"], other) == ("service_completed_successfully", "setup")


def test_every_image_of_a_program_is_in_the_file() -> None:
    used = {own[1] for each in SERVICES.values() if (own := _OWN.match(each["image"]))}
    assert used == set(IMAGES)


def test_public_broker_is_of_the_major_version_that_is_tested() -> None:
    (tested,) = (
        name.split(":")[2] for name in pinned_jars() if name.startswith("org.apache.kafka:kafka_")
    )
    (public,) = re.findall(r"apache/kafka:(\d+)\.", SERVICES["kafka"]["image"])
    assert tested.split(".")[0] == public


def test_files_that_compose_mounts_exist() -> None:
    mounts = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", ())
        if volume.startswith("./")
    }
    assert len(mounts) == 6
    assert {mount for mount in mounts if not (ROOT / mount).exists()} == set()


@pytest.mark.parametrize(("answers", "code"), [((69, 69, 0), 0), ((69, 1), 1)])
def test_setup_while_the_broker_does_not_answer_repeats_the_command(
    answers: tuple[int, ...], code: int, tmp_path: Path
) -> None:
    _fake_tongban(tmp_path, answers)
    call = "import setup; setup.PAUSE_S = 0.01; setup.tongban('topics', 'apply')"
    asked = subprocess.run(
        [sys.executable, "-c", call],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(ROOT / "deploy/compose")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert asked.returncode == code, asked.stderr
    assert len((tmp_path / "asked").read_text().split()) == len(answers)


def _fake_tongban(directory: Path, answers: tuple[int, ...]) -> None:
    """Make a command that ends with these exit codes, one after the other."""
    program = directory / "tongban"
    codes = " ".join(map(str, answers))
    next_code = f"set -- {codes}; shift $(($(wc -l <asked) - 1)); exit $1"
    program.write_text(f"#!/bin/sh\ncd {directory}\necho x >>asked\n{next_code}\n")
    program.chmod(0o755)

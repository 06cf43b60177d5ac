"""Colours of the report can be told apart with colour blindness, and seen on white paper."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from numpy.typing import NDArray

from tongban_report.answers import printing, waiting
from tongban_report.charts import palette

# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
SIMULATIONS = {
    "protanopia": [
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}  # fmt: skip
SETS = {
    "channels": palette.CHANNELS,
    "endings": palette.ENDINGS,
    "grades": palette.GRADES,
    "ages of what waits": waiting.AGES,
    "what is waited for": waiting.REASONS,
    "printing": printing.PARTS,
}
LEAST_DISTANCE = 12.0
"""CIE76 in CIELAB. A difference of 2.3 is just noticeable side by side."""


def _linear(colour: str) -> NDArray[np.float64]:
    channels = np.asarray([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def _lab(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    to_xyz = np.asarray(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    ratio = to_xyz @ np.clip(linear, 0, 1) / np.asarray([0.95047, 1.0, 1.08883])
    root = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.asarray([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def _contrast_with_white(colour: str) -> float:
    return float(1.05 / (_linear(colour) @ np.asarray([0.2126, 0.7152, 0.0722]) + 0.05))


@pytest.mark.parametrize("simulation", [None, *SIMULATIONS])
@pytest.mark.parametrize("name", SETS)
def test_colours_of_one_chart_stay_apart(name: str, simulation: str | None) -> None:
    matrix = np.asarray(SIMULATIONS[simulation]) if simulation else np.eye(3)
    seen = {colour: _lab(matrix @ _linear(colour)) for colour in SETS[name].values()}
    assert len(seen) == len(SETS[name])
    distances = {
        (one, other): round(float(np.linalg.norm(seen[one] - seen[other])), 1)
        for one, other in combinations(seen, 2)
    }
    assert min(distances.values()) >= LEAST_DISTANCE, distances


@pytest.mark.parametrize("name", SETS)
def test_colours_of_charts_contrast_with_white_by_three(name: str) -> None:
    contrasts = {colour: _contrast_with_white(colour) for colour in SETS[name].values()}
    assert min(contrasts.values()) >= 3.0, contrasts

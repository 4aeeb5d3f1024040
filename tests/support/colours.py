"""Colours as eyes see them: contrast, and how far apart two of them are with each colour blindness and in grey."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

Vision = Literal["normal", "protanopia", "deuteranopia", "tritanopia", "grey"]
VISIONS: tuple[Vision, ...] = get_args(Vision)
Linear = npt.NDArray[np.float64]
"""Red, green and blue from 0 to 1, in proportion to light."""

SIMULATED: dict[Vision, Linear] = {
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ),
}
"""Matrices for linear RGB at full severity.

Source: Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency",
IEEE Transactions on Visualization and Computer Graphics 15 (6), 2009.
"""
LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
WHITE = np.array([0.95047, 1.0, 1.08883])
"""sRGB to XYZ, and its white (IEC 61966-2-1)."""


def linear(colour: str) -> Linear:
    """``#RRGGBB`` or ``#RGB`` as light."""
    digits = colour.removeprefix("#")
    digits = digits if len(digits) == 6 else "".join(2 * digit for digit in digits)
    parts = np.array([int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def blend(colour: str, paper: str, alpha: float) -> str:
    """What a transparent colour looks like on paper."""
    top, below = (np.array([int(text[at : at + 2], 16) for at in (1, 3, 5)]) for text in (colour, paper))
    return "#" + "".join(f"{round(value):02X}" for value in alpha * top + (1 - alpha) * below)


def contrast(one: str, other: str) -> float:
    """WCAG's contrast, from 1 to 21."""
    low, high = sorted(float(linear(colour) @ LUMINANCE) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def distance(one: str, other: str, vision: Vision) -> float:
    """How different two colours look (CIE 1976); from about 20 on nobody takes one for the other."""
    return math.dist(_lab(_seen(linear(one), vision)), _lab(_seen(linear(other), vision)))


def _seen(light: Linear, vision: Vision) -> Linear:
    if vision == "grey":
        return np.full(3, light @ LUMINANCE)
    return np.clip(SIMULATED[vision] @ light, 0, 1) if vision in SIMULATED else light


def _lab(light: Linear) -> list[float]:
    x, y, z = (float(v) for v in TO_XYZ @ light / WHITE)
    fx, fy, fz = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return [116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)]

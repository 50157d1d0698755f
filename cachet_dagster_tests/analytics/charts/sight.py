"""How colours look to people: contrast (WCAG 2), differences (CIE 1976), and the three kinds of colour blindness
(Machado, Oliveira and Fernandes 2009, at full severity)."""

from __future__ import annotations

import numpy as np

KINDS = ("usual", "protanopia", "deuteranopia", "tritanopia")

_MATRICES = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])


def linear(colour: str) -> np.ndarray:
    """Return the linear red, green and blue, from 0 to 1, of a colour such as `#d9620b`."""
    values = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def seen(colour: str, kind: str) -> np.ndarray:
    """Return a colour as somebody sees it, linear."""
    return np.clip(_MATRICES[kind] @ linear(colour), 0, 1)


def lab(rgb: np.ndarray) -> np.ndarray:
    """Return a linear colour in CIE L*a*b*."""
    ratio = _XYZ @ rgb / _WHITE
    root = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Return how different two colours are; about 2 is just noticeable."""
    return float(np.linalg.norm(one - other))


def contrast(ink: str, paper: str) -> float:
    """Return the contrast of two colours, from 1 to 21."""
    bright, dark = sorted((float(linear(colour) @ _XYZ[1]) for colour in (ink, paper)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)

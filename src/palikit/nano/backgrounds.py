"""What the scenes stand on: gradients, clouds, stripes, checks and grain, never twice the same."""

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.float32]


def background(random: np.random.Generator, side: int) -> Pixels:
    """float32[side, side, 3], levels 0 .. 255, around one base colour with its tone and texture."""
    base = _base_colour(random)
    texture = _TEXTURES[random.integers(len(_TEXTURES))](random, side)
    other = np.clip(base + random.normal(0, 28, 3), 0, 255)
    pixels = base + texture[..., None] * (other - base)
    pixels += random.uniform(0, 14) * _clouds(random, side)[..., None]
    grain = random.uniform(0, 12) * random.standard_normal((side, side, 1), np.float32)
    out: Pixels = np.clip(pixels + grain, 0, 255).astype(np.float32)
    return out


def _base_colour(random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Greyish: objects are told from the background by saturated colours or by light."""
    level = random.uniform(40, 225)
    return np.clip(level + random.normal(0, 16, 3), 0, 255)


def smooth_noise(random: np.random.Generator, side: int, cells: int) -> Pixels:
    """float32[side, side], mean 0, smooth between `cells` x `cells` points."""
    grid = Image.fromarray(random.standard_normal((cells, cells), np.float32))
    return np.asarray(grid.resize((side, side), Image.Resampling.BICUBIC))


def _clouds(random: np.random.Generator, side: int) -> Pixels:
    return smooth_noise(random, side, int(random.integers(3, 24)))


def _gradient(random: np.random.Generator, side: int) -> Pixels:
    dx, dy = random.uniform(-1, 1, 2)
    line = np.linspace(-1, 1, side, dtype=np.float32)
    out: Pixels = (dx * line[None, :] + dy * line[:, None]).astype(np.float32)
    return out


def _waves(random: np.random.Generator, side: int) -> Pixels:
    """Stripes, hard or soft, in any direction."""
    angle, turns = random.uniform(0, np.pi), random.uniform(3, 16)
    line = np.linspace(0, np.pi * turns, side, dtype=np.float32)
    wave = np.sin(line[None, :] * np.cos(angle) + line[:, None] * np.sin(angle))
    hard = random.uniform(0, 1) < 0.4
    out: Pixels = (np.sign(wave) if hard else wave).astype(np.float32) * 0.5
    return out


def _checks(random: np.random.Generator, side: int) -> Pixels:
    cells = int(random.integers(3, 14))
    place = (np.arange(side) * cells // side) % 2
    out: Pixels = (place[None, :] ^ place[:, None]).astype(np.float32)
    return out


def _blocks(random: np.random.Generator, side: int) -> Pixels:
    cells = int(random.integers(2, 10))
    grid = Image.fromarray(random.random((cells, cells), np.float32))
    return np.asarray(grid.resize((side, side), Image.Resampling.NEAREST))


_TEXTURES = (_gradient, _clouds, _waves, _checks, _blocks)

"""Sources that are drawn: `photos` (crops), `signals` (1-D) and `volumes` (3-D)."""

import numpy as np

from maskjax.data.image.settings import ImageSettings
from maskjax.data.processor import Record
from maskjax.data.sources import Source, Splits, digest, refuse_argument, register
from maskjax.typing import Float, Int

WAVEFORMS = ("sine", "square", "triangle", "sawtooth", "pulse")
SOLIDS = ("ball", "box", "cylinder", "cone", "torus")

_PHOTOS_SEED = 0
_HELD_SHARE = 0.375  # lower part of each photograph, kept from training
_TRAIN, _VALIDATION, _TEST = 0, 1, 2


class PhotoCrops(Source):
    """Random crops of photographs; example i is always the same crop.

    Args:
        photos: uint8 images [H, W, 3] of one shape; example i is from photos[i % len(photos)].
        count: number of examples.
        size: (height, width): crops have its aspect ratio and are between 0.4 and 1 times as large
            as fits into `largest`; () makes crops of 64x64 pixels.
        largest: (height, width) that bounds the crops.
        split: enters the draw, so that splits differ.
    """

    in_memory = True

    def __init__(
        self,
        photos: list[np.ndarray],
        count: int,
        size: tuple[int, ...],
        largest: tuple[int, int],
        split: int,
    ):
        self._photos = photos
        self._count = count
        self._split = split
        self.shape = (None, None, 3) if size else (64, 64, 3)
        height, width = size or (64, 64)
        most = min(largest[0] / height, largest[1] / width)
        self._sides = (height, width)
        self._scales = (0.4 * most, most) if size else (1.0, 1.0)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Record:
        rng = np.random.default_rng((_PHOTOS_SEED, self._split, index))
        photo = self._photos[index % len(self._photos)]
        scale = rng.uniform(*self._scales)
        height, width = (max(1, int(side * scale)) for side in self._sides)
        top = rng.integers(photo.shape[0] - height + 1)
        left = rng.integers(photo.shape[1] - width + 1)
        return {"image": photo[top : top + height, left : left + width]}

    def fingerprint(self) -> str:
        drawn = (self._sides, self._scales, self._split)
        return digest(super().fingerprint(), *drawn, *self._photos)


@register("photos")
def photos(argument: str, settings: ImageSettings) -> Splits:
    """Cut crops from scikit-learn's two photographs: 8192 to train on, 512 of parts kept apart."""
    refuse_argument("photos", argument)
    if len(settings.size) not in (0, 2):
        raise ValueError(f"data.size={settings.size} must be (height, width) for 'photos'")
    from sklearn.datasets import load_sample_images  # slow to import

    whole = load_sample_images().images
    border = int(whole[0].shape[0] * (1 - _HELD_SHARE))
    upper, lower = [x[:border] for x in whole], [x[border:] for x in whole]
    largest = lower[0].shape[:2]
    return Splits(
        PhotoCrops(upper, 8192, settings.size, largest, _TRAIN),
        PhotoCrops(lower, 512, settings.size, largest, _VALIDATION),
    )


class Signals(Source):
    """Noisy waveforms of two channels, the second lagging behind the first; in [0, 1].

    Args:
        count: number of examples; example i has class i % 5.
        length: entries in time.
        seed: of the data set.
        split: enters the draw, so that splits differ.
    """

    num_classes = len(WAVEFORMS)
    class_names = WAVEFORMS
    value_range = (0.0, 1.0)
    in_memory = True

    def __init__(self, count: int, length: int, seed: int, split: int):
        self._count, self._length, self._seed, self._split = count, length, seed, split
        self.shape = (length, 2)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Record:
        rng = np.random.default_rng((self._seed, self._split, index))
        label = index % len(WAVEFORMS)
        cycles, start, lag = rng.uniform(2, 8), rng.uniform(), rng.uniform(0.1, 0.4)
        time = np.linspace(0, cycles, self._length, endpoint=False)[:, None]  # [T, 1]
        wave = waveform(label, (time + start - np.array([0, lag])) % 1)  # [T, 2]
        noise = rng.normal(0, 0.04, wave.shape)
        signal = 0.5 + rng.uniform(0.2, 0.4) * wave + noise
        return {"image": np.clip(signal, 0, 1).astype(np.float32), "label": label}

    def labels(self) -> Int[np.ndarray, "N"]:
        return (np.arange(self._count) % len(WAVEFORMS)).astype(np.int32)

    def fingerprint(self) -> str:
        return digest(super().fingerprint(), "signals", self._seed, self._split)


def waveform(label: int, phase: Float[np.ndarray, "T C"]) -> Float[np.ndarray, "T C"]:
    """Return the class's wave in [-1, 1] at a phase in [0, 1)."""
    if label == 0:
        return np.sin(2 * np.pi * phase)
    if label == 1:
        return np.where(phase < 0.5, 1.0, -1.0)
    if label == 2:
        return 1 - 4 * np.abs(phase - 0.5)
    if label == 3:
        return 2 * phase - 1
    return 2 * np.exp(-(((phase - 0.5) / 0.08) ** 2)) - 1


@register("signals")
def signals(argument: str, settings: ImageSettings) -> Splits:
    """Generate 1-D data: waveforms [T, 2] of 5 kinds; `signals:SEED` draws others.

    There are 4096 to train on, 1024 for validation and 1024 to test. T is `data.size` (256 where
    that is unset).
    """
    (length,) = _native_size(settings, (256,), "signals")
    seed = _parse_seed(argument, "signals")
    return Splits(
        Signals(4096, length, seed, _TRAIN),
        Signals(1024, length, seed, _VALIDATION),
        Signals(1024, length, seed, _TEST),
    )


class Volumes(Source):
    """Solids of varying place, size, orientation and brightness in noise; in [0, 1].

    Args:
        count: number of examples; example i has class i % 5.
        size: (depth, height, width).
        seed: of the data set.
        split: enters the draw, so that splits differ.
    """

    num_classes = len(SOLIDS)
    class_names = SOLIDS
    value_range = (0.0, 1.0)
    in_memory = True

    def __init__(self, count: int, size: tuple[int, ...], seed: int, split: int):
        self._count, self._size, self._seed, self._split = count, size, seed, split
        self.shape = (*size, 1)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Record:
        rng = np.random.default_rng((self._seed, self._split, index))
        label = index % len(SOLIDS)
        centre, radius = rng.uniform(-0.25, 0.25, 3), rng.uniform(0.4, 0.7)
        axes = [
            (np.linspace(-1, 1, side) - middle) / radius for side, middle in zip(self._size, centre)
        ]
        coordinates = list(np.meshgrid(*axes, indexing="ij", sparse=True))
        coordinates = [coordinates[axis] for axis in rng.permutation(3)]
        inside = is_inside(label, *coordinates)
        volume = 0.15 + rng.uniform(0.4, 0.8) * inside + rng.normal(0, 0.05, self._size)
        return {"image": np.clip(volume, 0, 1).astype(np.float32)[..., None], "label": label}

    def labels(self) -> Int[np.ndarray, "N"]:
        return (np.arange(self._count) % len(SOLIDS)).astype(np.int32)

    def fingerprint(self) -> str:
        return digest(super().fingerprint(), "volumes", self._seed, self._split)


def is_inside(label: int, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return where the class's solid is; it has about unit radius and its axis along z."""
    if label == 0:
        return x**2 + y**2 + z**2 < 1
    if label == 1:
        return np.maximum(np.maximum(np.abs(x), np.abs(y)), np.abs(z)) < 0.8
    if label == 2:
        return (x**2 + y**2 < 0.6) & (np.abs(z) < 0.9)
    if label == 3:
        return (x**2 + y**2 < ((z + 1) / 2) ** 2) & (np.abs(z) < 1)
    return (np.sqrt(x**2 + y**2) - 0.7) ** 2 + z**2 < 0.09


@register("volumes")
def volumes(argument: str, settings: ImageSettings) -> Splits:
    """Generate 3-D data: solids [D, H, W, 1] of 5 kinds; `volumes:SEED` draws others.

    There are 2048 to train on, 512 for validation and 512 to test. (D, H, W) is `data.size` ((16,
    16, 16) where that is unset).
    """
    size = _native_size(settings, (16, 16, 16), "volumes")
    seed = _parse_seed(argument, "volumes")
    return Splits(
        Volumes(2048, size, seed, _TRAIN),
        Volumes(512, size, seed, _VALIDATION),
        Volumes(512, size, seed, _TEST),
    )


def _native_size(settings: ImageSettings, default: tuple[int, ...], name: str) -> tuple[int, ...]:
    if settings.size and len(settings.size) != len(default):
        raise ValueError(f"data.size={settings.size} must have {len(default)} lengths for {name!r}")
    return settings.size or default


def _parse_seed(argument: str, name: str) -> int:
    if argument and not argument.isdecimal():
        raise ValueError(f"data source '{name}:{argument}': what follows the colon is a seed >= 0")
    return int(argument or 0)

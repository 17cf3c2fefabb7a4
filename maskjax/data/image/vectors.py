"""The source `vectors`: Gaussian vectors whose best possible prediction is known."""

import numpy as np

from maskjax.data.image.settings import ImageSettings
from maskjax.data.processor import Record
from maskjax.data.sources import Source, Splits, digest, register
from maskjax.typing import Float

_SEED = 0
_TRAIN, _VALIDATION, _TEST = 0, 1, 2
_LENGTH = 10
NUM_TRAIN, NUM_JUDGED = 1000, 10_000


class Vectors(Source):
    """Vectors [L, 1] of mean 0, standard deviation 1 and correlation rho^|i - j|.

    Such are the steps of a stationary autoregression, x_i = rho x_{i-1} + sqrt(1 - rho^2) e_i.

    Args:
        count: number of examples.
        length: L, entries.
        rho: correlation of neighbours, in (-1, 1); with 0 all entries are independent.
        split: enters the draw, so that splits differ.
    """

    value_range = (0.0, 1.0)
    in_memory = True

    def __init__(self, count: int, length: int, rho: float, split: int):
        self._rho, self._split = rho, split
        noise = np.random.default_rng((_SEED, split)).normal(size=(count, length))
        self._rows = noise @ np.linalg.cholesky(covariance(length, rho)).T
        self.shape = (length, 1)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Record:
        return {"image": self._rows[index].astype(np.float32)[:, None]}

    def fingerprint(self) -> str:
        return digest(super().fingerprint(), "vectors", self._rho, self._split)


def covariance(length: int, rho: float) -> Float[np.ndarray, "L L"]:
    """Return the covariance rho^|i - j| of vectors of this length."""
    return float(rho) ** np.abs(np.subtract.outer(np.arange(length), np.arange(length)))


def correlation(source: str) -> float | None:
    """Read rho from `config.data.source`.

    Args:
        source: `vectors` or `vectors:RHO`, or another source.

    Returns:
        rho, or None for another source.

    Raises:
        ValueError: what follows the colon is no correlation.

    Example:
        >>> correlation("vectors:0.9"), correlation("vectors"), correlation("digits")
        (0.9, 0.0, None)
    """
    kind, _, argument = source.partition(":")
    if kind != "vectors":
        return None
    try:
        rho = float(argument or 0)
    except ValueError:
        rho = 1.0
    if not -1 < rho < 1:
        raise ValueError(
            f"data source {source!r}: what follows the colon is the correlation of neighbours, "
            "above -1 and below 1, such as 0.9"
        )
    return rho


@register("vectors")
def vectors(argument: str, settings: ImageSettings) -> Splits:
    """Draw 1000 + 10,000 + 10,000 Gaussian vectors [L, 1]; `vectors:RHO` correlates the entries.

    L is `data.size` (10 where that is unset). The numbers are used as drawn with data.mean=(0,) and
    data.std=(1,).
    """
    if len(settings.size) > 1:
        raise ValueError(f"data.size={settings.size} must have one length for 'vectors'")
    (length,) = settings.size or (_LENGTH,)
    rho = correlation(f"vectors:{argument}")
    assert rho is not None
    return Splits(
        Vectors(NUM_TRAIN, length, rho, _TRAIN),
        validation=Vectors(NUM_JUDGED, length, rho, _VALIDATION),
        test=Vectors(NUM_JUDGED, length, rho, _TEST),
    )

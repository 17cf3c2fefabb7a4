"""Histories drawn from a Markov chain, whose next item's chances are known."""

import numpy as np

from maskjax.data.history.histories import Histories
from maskjax.typing import Float

NUM_USERS = 4096
NUM_ITEMS = 200
LENGTHS = (5, 40)  # of a history, both ends included
_TASTES = 6  # numbers that describe an item
_SHARPNESS = 2.0


class Chain:
    """Items follow each other with fixed chances: the next depends on the last alone.

    Each item lies somewhere among the others and points somewhere else; the chance of j after i
    falls with the distance of j from where i points. So there is a structure to learn that counts
    of single items do not show.

    Args:
        seed: of the chances and of the histories.
        num_items: V.

    Attributes:
        probabilities: [V, V], of item j (from 0) after item i in entry [i, j].
    """

    probabilities: Float[np.ndarray, "V V"]

    def __init__(self, seed: int, num_items: int = NUM_ITEMS):
        self._seed = seed
        rng = np.random.default_rng((seed, 0))
        places, goals = rng.normal(size=(2, num_items, _TASTES))
        logits = -_SHARPNESS * ((goals[:, None] - places[None]) ** 2).sum(-1) / 2
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        self.probabilities = weights / weights.sum(axis=1, keepdims=True)

    def draw(self, num_users: int = NUM_USERS) -> Histories:
        """Draw histories, whose first item is any and whose lengths are uniform in LENGTHS.

        Args:
            num_users: how many.

        Returns:
            The histories; items are named by their ids.
        """
        rng = np.random.default_rng((self._seed, 1))
        num_items = len(self.probabilities)
        cumulative = np.cumsum(self.probabilities, axis=1)
        lengths = rng.integers(LENGTHS[0], LENGTHS[1] + 1, num_users)
        paths = np.zeros((num_users, LENGTHS[1]), np.int64)
        paths[:, 0] = rng.integers(num_items, size=num_users)
        for step in range(1, LENGTHS[1]):
            draws = rng.random((num_users, 1))
            nearest = (cumulative[paths[:, step - 1]] < draws).sum(axis=1)
            paths[:, step] = np.minimum(nearest, num_items - 1)  # where the sum rounds below 1
        items = paths[np.arange(LENGTHS[1])[None] < lengths[:, None]]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        return Histories((items + 1).astype(np.int32), starts, np.arange(1, num_items + 1))

"""What masks of tokens and items may follow beside losses, labels and frequencies."""

import dataclasses
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from maskjax.masking.adaptive import amlm
from maskjax.tasks.followers import Follower, Seen
from maskjax.typing import Array, Float, Int, PyTree


@dataclasses.dataclass(frozen=True)
class Accuracies(Follower):
    """AMLM (Edman & Fraser 2025): what is guessed wrong is hidden more often.

    Attributes:
        rate: the mean weight, which the floor is compared with: the share that is hidden.
        every_steps: the weights change with every so manieth step.
        decay: share of the old weight that stays.
        floor: smallest weight.
    """

    rate: float = 0.15
    every_steps: int = 200
    decay: float = 0.2
    floor: float = 0.005

    def start(self) -> amlm.EntryWeights:
        """Weigh all alike."""
        return amlm.init(self.num_entries, rate=self.rate)

    def log_weights(self, state: Any, ids: Int[Array, "B L"] | None) -> Float[Array, "..."]:
        """Of the weights."""
        return amlm.log_weights(state, self._numbers(ids))

    def statistics(self, seen: Seen) -> amlm.AccuracyStatistics:
        """Count what was hidden and what of it was guessed."""
        if seen.is_right is None:
            raise ValueError(
                "mask.follows 'accuracies' needs guesses that are right or wrong, as of tokens: use"
                " mask.follows=losses"
            )
        ids = jnp.broadcast_to(self._numbers(seen.ids), seen.is_masked.shape)
        is_hidden = seen.is_masked & seen.is_counted
        return amlm.statistics(ids, seen.is_right, is_hidden, num_entries=self.num_entries)

    def remember(self, state: Any, statistics: Any) -> amlm.EntryWeights:
        """Add up, and now and then make weights of it."""
        options = {"every_steps": self.every_steps, "decay": self.decay, "floor": self.floor}
        return amlm.apply(state, statistics, rate=self.rate, **options)

    def _numbers(self, ids: Int[Array, "B L"] | None) -> Int[Array, "..."]:
        return jnp.arange(self.num_entries)[None] if ids is None or not self.by_id else ids


@dataclasses.dataclass(frozen=True)
class Kinds(Follower):
    """Given weights of kinds of words, which nothing changes.

    Attributes:
        weights: of words of no kind, then of each kind; 0 is never hidden.
    """

    weights: tuple[float, ...] = (1.0,)
    reads: ClassVar[str] = "kinds"

    def start(self) -> PyTree:
        """There is nothing to remember."""
        return ()

    def log_weights(self, state: Any, ids: Int[Array, "B L"] | None) -> Float[Array, "..."]:
        """Of the given weights."""
        with np.errstate(divide="ignore"):
            return jnp.asarray(np.log(np.array(self.weights, np.float32)))[ids]

    def statistics(self, seen: Seen) -> PyTree:
        """Nothing."""
        return ()

    def remember(self, state: Any, statistics: Any) -> PyTree:
        """Stay as it is."""
        return state

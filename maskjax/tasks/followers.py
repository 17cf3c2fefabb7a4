"""What masks follow: states that a run learns, which say where to hide more often.

A follower makes a state (`start`), turns it into weights of positions, sums up what a batch showed
(`statistics`) and takes that into the state (`remember`). The states are those of
maskjax/masking/adaptive.
"""

import abc
import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.masking.adaptive import labels, running, token_frequencies
from maskjax.typing import Array, Bool, Float, Int, PyTree


class Seen(NamedTuple):
    """What a batch showed of its positions.

    Attributes:
        losses: of each position; those of visible ones are not read.
        is_masked: True = hidden.
        is_counted: False for padding, and where nothing could be predicted; hidden or not.
        ids: the vocabulary's entry of each position; None where positions have none.
        is_positive: the label of each example; None without labels.
    """

    losses: Float[Array, "B L"]
    is_masked: Bool[Array, "B L"]
    is_counted: Bool[Array, "B L"]
    ids: Int[Array, "B L"] | None = None
    is_positive: Bool[Array, "B"] | None = None


@dataclasses.dataclass(frozen=True)
class Follower(abc.ABC):
    """A state for each of N entries: positions, or ids of a vocabulary.

    Attributes:
        num_entries: N.
        by_id: whether entries are ids.
    """

    num_entries: int
    by_id: bool

    @abc.abstractmethod
    def start(self) -> PyTree:
        """Make the state of step 0, by which all entries weigh the same or a given amount."""

    @abc.abstractmethod
    def log_weights(self, state: PyTree, ids: Int[Array, "B L"] | None) -> Float[Array, "..."]:
        """Logarithms of the weights: [B, L] by ids, [L] by positions."""

    @abc.abstractmethod
    def statistics(self, seen: Seen) -> PyTree:
        """Sums over a batch."""

    @abc.abstractmethod
    def remember(self, state: PyTree, statistics: Any) -> PyTree:
        """Make the next state."""

    def _entries(self, ids: Int[Array, "B L"] | None) -> dict[str, Any]:
        return {"ids": ids, "num_entries": self.num_entries} if self.by_id else {}


@dataclasses.dataclass(frozen=True)
class Losses(Follower):
    """Running losses: what is hard is hidden more often.

    Attributes:
        decay: share of the old value that stays.
        floor: smallest weight over the mean.
    """

    decay: float = 0.99
    floor: float = 0.01

    def start(self) -> running.RunningLosses:
        """Know nothing."""
        return running.init(self.num_entries)

    def log_weights(self, state: Any, ids: Int[Array, "B L"] | None) -> Float[Array, "..."]:
        """Of the running losses over their mean; an entry that was never hidden weighs the mean."""
        return running.log_weights(state, ids if self.by_id else None, floor=self.floor)

    def statistics(self, seen: Seen) -> running.LossStatistics:
        """Sum the losses of what was hidden."""
        is_hidden = seen.is_masked & seen.is_counted
        return running.statistics(seen.losses, is_hidden, **self._entries(seen.ids))

    def remember(self, state: Any, statistics: Any) -> running.RunningLosses:
        """Move each entry that was hidden towards its mean loss."""
        return running.apply(state, statistics, decay=self.decay)


@dataclasses.dataclass(frozen=True)
class Labels(Follower):
    """The label-driven rule: m rises with an entry's positive tokens and falls with negative ones.

    Attributes:
        alpha: step size.
        num_examples: |D|.
        start_from: "uniform" or "normal".
        seed: draws the first m.
    """

    alpha: float = 1.0
    num_examples: int = 1
    start_from: str = "uniform"
    seed: int = 0

    def start(self) -> labels.LabelRatios:
        """Draw m."""
        key = jax.random.key(self.seed, impl="threefry2x32")
        return labels.init(key, self.num_entries, start=self.start_from)

    def log_weights(self, state: Any, ids: Int[Array, "B L"] | None) -> Float[Array, "..."]:
        """Of m: hidden positions are drawn by it."""
        return labels.log_weights(state, ids if self.by_id else None)

    def gate(self, state: Any, ids: Int[Array, "B L"] | None) -> Float[Array, "..."]:
        """M itself, as what is let through: 1 = seen."""
        return labels.probabilities(state, ids if self.by_id else None)

    def statistics(self, seen: Seen) -> labels.LabelStatistics:
        """Count the positive and the negative tokens."""
        if seen.is_positive is None:
            raise ValueError(
                "mask.follows 'labels' needs data with labels: use mask.follows=losses"
            )
        is_positive = jnp.broadcast_to(seen.is_positive[:, None], seen.is_counted.shape)
        return labels.statistics(is_positive, seen.is_counted, **self._entries(seen.ids))

    def remember(self, state: Any, statistics: Any) -> labels.LabelRatios:
        """Move m by alpha / |D| a token."""
        return labels.apply(state, statistics, alpha=self.alpha, num_examples=self.num_examples)


@dataclasses.dataclass(frozen=True)
class Frequencies(Follower):
    """Counts of ids: rare ones are hidden more often, or frequent ones.

    Attributes:
        exponent: above 0 rare ones are hidden more often; weight = frequency^-exponent.
    """

    exponent: float = 0.5

    def start(self) -> token_frequencies.TokenCounts:
        """Know nothing."""
        return token_frequencies.init(self.num_entries)

    def log_weights(self, state: Any, ids: Int[Array, "B L"] | None) -> Float[Array, "..."]:
        """Of the frequencies to the power -exponent."""
        assert ids is not None  # there are no others to count
        return token_frequencies.log_weights(state, ids, exponent=self.exponent)

    def statistics(self, seen: Seen) -> token_frequencies.CountStatistics:
        """Count what occurred, hidden or not."""
        assert seen.ids is not None
        return token_frequencies.statistics(seen.ids, seen.is_counted, num_entries=self.num_entries)

    def remember(self, state: Any, statistics: Any) -> token_frequencies.TokenCounts:
        """Add the counts up."""
        return token_frequencies.apply(state, statistics)


def make_follower(config: Any, length: int, num_ids: int, data: Any) -> Follower:
    """Make what `mask.follows` names, with the options of its section.

    Args:
        config: the whole config; "mask" and "seed" are read.
        length: positions of an example.
        num_ids: size of the vocabulary; 0 where positions have no ids.
        data: `num_train` and `num_classes` are read, where it has them.

    Raises:
        ValueError: an option that does not fit; the message names the key.
    """
    mask = config.mask
    by_id = num_ids > 0 if not mask.entries else mask.entries == "ids"
    if num_ids == 0 and (by_id or mask.follows == "frequencies"):
        key = "mask.entries 'ids'" if by_id else "mask.follows 'frequencies'"
        raise ValueError(
            f"{key}: this data has no ids, such as items or tokens; "
            f"use mask.{'entries=positions' if by_id else 'follows=losses'}"
        )
    entries = {"num_entries": num_ids if by_id else length, "by_id": by_id}
    try:
        if mask.follows == "losses":
            made: Follower = Losses(**entries, **mask.losses)
        elif mask.follows == "frequencies":
            made = Frequencies(num_ids, True, mask.frequencies.exponent)
        else:
            _check_classes(mask.labels.positive, getattr(data, "num_classes", None))
            made = Labels(
                **entries,
                alpha=mask.labels.alpha,
                num_examples=max(getattr(data, "num_train", 1), 1),
                start_from=mask.labels.start,
                seed=config.seed,
            )
        _try_out(made, length)
        return made
    except ValueError as error:
        raise ValueError(f"mask.{mask.follows}: {error}") from error


def _check_classes(positive: Any, num_classes: int | None) -> None:
    """Refuse classes that no example can have; where there are no labels others say so."""
    most = math.inf if num_classes is None else num_classes
    are_classes = all(isinstance(x, int | np.integer) and 0 <= x < most for x in positive)
    if not (are_classes and len(positive) > 0):
        known = "from 0" if num_classes is None else f"from 0 to {num_classes - 1}"
        raise ValueError(f"positive {tuple(positive)} must hold classes {known}, at least one")


def _try_out(follower: Follower, length: int) -> None:
    """Once around, so that an option out of range shows before a run."""
    ids = jnp.zeros((1, length), jnp.int32)
    flags = jnp.ones((1, length), bool)
    seen = Seen(jnp.ones((1, length)), flags, flags, ids, jnp.ones(1, bool))
    state = jax.eval_shape(follower.start)

    def around(state: PyTree) -> Array:
        state = follower.remember(state, follower.statistics(seen))
        return follower.log_weights(state, ids)

    jax.eval_shape(around, state)

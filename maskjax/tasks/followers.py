"""What masks follow: states that a run learns, which say where to hide more often.

A follower makes a state (`start`), turns it into weights of positions, sums up what a batch showed
(`statistics`) and takes that into the state (`remember`). The states are those of
maskjax/masking/adaptive.
"""

import abc
import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

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
        is_right: whether the best guess is the truth; not read of visible positions. None where
            nothing is guessed.
    """

    losses: Float[Array, "B L"]
    is_masked: Bool[Array, "B L"]
    is_counted: Bool[Array, "B L"]
    ids: Int[Array, "B L"] | None = None
    is_positive: Bool[Array, "B"] | None = None
    is_right: Bool[Array, "B L"] | None = None


def padded(seen: Seen, length: int) -> Seen:
    """What rows of a bucket showed, which are short, at the positions of whole rows."""

    def whole(x: Array) -> Array:
        is_short = x.ndim == 2 and x.shape[1] < length
        return jnp.pad(x, ((0, 0), (0, length - x.shape[1]))) if is_short else x

    return jax.tree.map(whole, seen)


def of_rows(weights: Float[Array, "..."], num_rows: int, length: int) -> Float[Array, "B L"]:
    """Weights of positions, of which rows of a bucket have the first, or those of each row."""
    return jnp.broadcast_to(weights[..., :length], (num_rows, length))


@dataclasses.dataclass(frozen=True)
class Follower(abc.ABC):
    """A state for each of N entries: positions, or ids of a vocabulary.

    Attributes:
        num_entries: N.
        by_id: whether entries are ids.
        reads: what of a batch is the entry of each position, "" = the task's tokens, items ...
    """

    num_entries: int
    by_id: bool
    reads: ClassVar[str] = ""

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

    def entries(self, batch: Mapping[str, Any], ids: Array | None) -> Array | None:
        """What of each position is followed, of a batch and the ids that the task gives."""
        return jnp.asarray(batch[self.reads]) if self.reads else ids

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

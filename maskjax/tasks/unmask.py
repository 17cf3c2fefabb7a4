"""Holes of texts filled step by step, the surest first: how masked models fill in and write."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from maskjax import masking
from maskjax.masking.unmasking import (
    UNMASKING_SCHEDULES,
    Unmasking,
    unmask_step,
    unmasking_schedule,
)
from maskjax.models.tokens import MaskedTokens
from maskjax.tasks.options import check_choice
from maskjax.tasks.text_masks import Vocabulary
from maskjax.typing import Array, Batch, Bool, Float, Int, Key, Params

ORDERS = ("confidence", "random")
_NO_MATTER = 1e6  # noise beside which no confidence counts


@dataclasses.dataclass(frozen=True)
class How:
    """How holes are filled.

    Attributes:
        steps: in which they are, at most one a hole; 0 = so many.
        schedule: how many are filled in each step, see `unmasking_schedule`.
        order: which first: "confidence", those whose token is surest (Nie et al. 2025, LLaDA,
            section 2.4), or "random" (its remasking at random; the sampler of Sahoo et al. 2024).
        temperature: tokens are drawn from softmax(logits / temperature), at 0 the likeliest.
        top_k: alternatives that are named.
        seed: of all that is drawn.

    Raises:
        ValueError: a value that does not fit; the message names it.
    """

    steps: int = 0
    schedule: str = "even"
    order: str = "confidence"
    temperature: float = 0.0
    top_k: int = 5
    seed: int = 0

    def __post_init__(self):
        check_choice("schedule", self.schedule, UNMASKING_SCHEDULES)
        check_choice("order", self.order, ORDERS)
        for name, least, most in (("steps", 0, 2**15), ("top_k", 1, 1000), ("seed", 0, 2**31 - 1)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} {getattr(self, name)} must be from {least} to {most}")
        if not 0 <= self.temperature <= 1000:
            raise ValueError(f"temperature {self.temperature} must be from 0 to 1000")


ONE_BY_ONE = How()
WRITING = How(order="random", temperature=0.8)  # texts of more than a few tokens


class Written(NamedTuple):
    """Texts without holes.

    Attributes:
        tokens: of the whole rows.
        guesses: the likeliest tokens of each hole when it was filled, the likeliest first; zeros
            elsewhere.
        probabilities: of the guesses.
    """

    tokens: Int[Array, "B L"]
    guesses: Int[Array, "B L N"]
    probabilities: Float[Array, "B L N"]


@dataclasses.dataclass(frozen=True)
class Writer:
    """A model that fills holes.

    Attributes:
        model: scores all tokens at chosen positions.
        vocabulary: of which special tokens are never written.
    """

    model: MaskedTokens
    vocabulary: Vocabulary

    def __call__(
        self,
        params: Params,
        batch: Batch,
        is_hole: Bool[np.ndarray, "B L"],
        keys: Key[Array, "B"],
        how: How = ONE_BY_ONE,
    ) -> Written:
        """Fill holes; the same keys and seed give the same texts, whatever stands beside them.

        Args:
            params: of the model.
            batch: "tokens", "segment_ids", "positions", and "token_types" of pairs.
            is_hole: what is to be filled, whatever stands there.
            keys: one a row.
            how: see there.
        """
        is_hole = np.asarray(is_hole)
        numbers, length = is_hole.sum(1), is_hole.shape[1]
        most = max(1, int(numbers.max(initial=0)))
        # Programs are made for 8, 16, 32 ... holes; what is counted in them may be anything.
        room = min(length, max(8, 1 << (most - 1).bit_length()))
        counts = np.zeros((room, len(is_hole)), np.int32)
        for row, number in enumerate(numbers.tolist()):
            steps = max(1, min(how.steps or number, number))
            counts[:steps, row] = unmasking_schedule(how.schedule, number, steps)
        steps = int(np.flatnonzero(counts.sum(1)).max(initial=-1)) + 1
        given = {name: batch[name] for name in _READ if name in batch}
        keys = jax.vmap(jax.random.fold_in, (0, None))(keys, how.seed)
        own = (how.temperature, how.order == "random", self._num_guesses(how.top_k))
        return self._program(params, given, jnp.asarray(is_hole), counts, steps, keys, *own)

    def _num_guesses(self, top_k: int) -> int:
        return min(top_k, self.vocabulary.size - len(self.vocabulary.special))

    @functools.cached_property
    def _program(self) -> Callable[..., Written]:
        return jax.jit(self._write, static_argnums=(6, 7, 8))

    def _write(
        self,
        params: Params,
        batch: Batch,
        is_hole: Bool[Array, "B L"],
        counts: Int[Array, "S B"],
        steps: Int[Array, ""],
        keys: Key[Array, "B"],
        temperature: float,
        is_random: bool,
        num_guesses: int,
    ) -> Written:
        ids = masking.fill_token(jnp.asarray(batch["tokens"]), is_hole, self.vocabulary.mask)
        is_asked, places = jax.lax.top_k(is_hole.astype(jnp.int32), counts.shape[0])
        rows = jnp.arange(ids.shape[0])[:, None]

        def step(number: Array, carry: Any) -> Any:
            state, guesses, chances = carry
            logits = self._logits(params, batch, ids.at[rows, places].set(state.tokens), places)
            likeliest = jax.lax.top_k(jax.nn.softmax(logits), num_guesses)
            new = unmask_step(
                state,
                logits,
                jax.vmap(jax.random.fold_in, (0, None))(keys, number),
                counts[number],
                token_temperature=temperature,
                choice_temperature=_NO_MATTER if is_random else 0,
            )
            is_new = (state.is_masked & ~new.is_masked)[..., None]
            guesses = jnp.where(is_new, likeliest[1], guesses)
            return new, guesses, jnp.where(is_new, likeliest[0], chances)

        none = jnp.zeros((*places.shape, num_guesses))
        start = Unmasking(jnp.take_along_axis(ids, places, axis=1), is_asked > 0)
        carry = (start, none.astype(jnp.int32), none)
        state, guesses, chances = jax.lax.fori_loop(0, steps, step, carry)
        whole = jnp.zeros((*ids.shape, num_guesses))
        return Written(
            ids.at[rows, places].set(state.tokens),
            whole.astype(jnp.int32).at[rows, places].set(guesses),
            whole.at[rows, places].set(chances),
        )

    def _logits(
        self, params: Params, batch: Batch, ids: Int[Array, "B L"], places: Int[Array, "B K"]
    ) -> Float[Array, "B K V"]:
        """Scores of tokens; special ones are never written."""
        given = (ids, batch["segment_ids"], places, batch["positions"])
        logits: Any = self.model.apply({"params": params}, *given, batch.get("token_types"))
        special = jnp.array(self.vocabulary.special, jnp.int32)
        return logits.at[..., special].set(-jnp.inf)


_READ = ("tokens", "segment_ids", "positions", "token_types")

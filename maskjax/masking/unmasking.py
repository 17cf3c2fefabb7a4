"""Iterative unmasking: how many positions each step reveals, and one step of it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from maskjax.masking.checks import (
    as_array,
    as_counts,
    as_flags,
    as_integers,
    as_wide,
    check_keys,
    check_number,
    check_shapes,
    is_number,
    known,
)
from maskjax.masking.core import cut_counts
from maskjax.masking.unmasking_schedules import (
    UNMASKING_SCHEDULES,
    unmasking_counts,
    unmasking_schedule,
)
from maskjax.typing import Array, Bool, Float, Int, Key

__all__ = [
    "UNMASKING_SCHEDULES", "Unmasking", "most_confident", "noisy_confidence", "unmask_step",
    "unmasking_counts", "unmasking_schedule",
]  # fmt: skip


class Unmasking(NamedTuple):
    """Where iterative unmasking stands; the carry of a lax.scan.

    Attributes:
        tokens: ids, with the mask token where hidden.
        is_masked: True = still hidden.
    """

    tokens: Int[Array, "B L"]
    is_masked: Bool[Array, "B L"]


def unmask_step(
    state: Unmasking,
    logits: Float[Array, "B L V"],
    keys: Key[Array, "B"],
    num_unmasked: int | Int[Array, ""] | Int[Array, "B"],
    *,
    token_temperature: int | float = 0,
    choice_temperature: int | float | Float[Array, ""] = 0,
) -> Unmasking:
    """Draws a token for each hidden position, keeps the most confident ones and remasks the rest.

    With both temperatures 0 this is the low-confidence remasking of Nie et al. 2025 (LLaDA, section
    2.4 and the released code, which draws in float64 where this draws in float32).
    `token_temperature=1` and `choice_temperature=4.5 * (1 - r)` at progress r = (step + 1) / steps
    is Chang et al. 2022 (MaskGIT, section 3.2). Confidence is that of the drawn token without
    temperature, in both. What was visible or revealed before is never hidden again.

    Args:
        state: tokens and flags before the step.
        logits: the model's, for `state.tokens`, raised to float32 where they are below: bfloat16
            cannot tell likely tokens apart, and its noise is coarse. Set those of the mask token
            to -inf where the model may predict it.
        keys: one key per example, fresh for each step.
        num_unmasked: positions to reveal, one count or one per example; more than are hidden means
            all of them.
        token_temperature: static; tokens are drawn from softmax(logits / temperature), at 0 the
            likeliest.
        choice_temperature: of the Gumbel noise on the confidence, see `noisy_confidence`.

    Returns:
        The state after the step.

    Raises:
        ValueError: a temperature below 0 or a traced one for tokens; flags that are not boolean;
            logits, keys or counts that do not match the tokens.

    Examples:
        >>> state = Unmasking(jnp.array([[9, 9, 2]]), jnp.array([[True, True, False]]))
        >>> logits = jnp.log(jnp.array([[[0.6, 0.4], [0.1, 0.9], [0.5, 0.5]]]))
        >>> keys = jax.random.split(jax.random.key(0), 1)
        >>> state = unmask_step(state, logits, keys, 1)
        >>> state.tokens.tolist(), state.is_masked.astype(int).tolist()
        ([[9, 1, 2]], [[1, 0, 0]])
    """
    if isinstance(token_temperature, Tracer):
        raise ValueError("token_temperature is traced: give a number that is known at compile time")
    token_temperature = check_number("token_temperature", token_temperature)
    if token_temperature < 0:
        raise ValueError(f"token_temperature {token_temperature} must be at least 0")
    tokens, is_masked = state
    state = Unmasking(as_integers("tokens", tokens), as_flags("is_masked", is_masked))
    logits = as_wide("logits", logits)
    check_shapes("tokens", state.tokens.shape, is_masked=state.is_masked)
    if logits.ndim != 3 or logits.shape[:2] != state.tokens.shape:
        raise ValueError(
            f"logits of shape {logits.shape} for tokens of shape {state.tokens.shape}: give [B L V]"
        )
    check_keys(keys, len(logits))
    token_keys, choice_keys = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    if token_temperature > 0:
        gumbel = jax.vmap(lambda key: jax.random.gumbel(key, logits.shape[1:], logits.dtype))
        drawn = jnp.argmax(logits + token_temperature * gumbel(token_keys), axis=-1)
    else:
        drawn = jnp.argmax(logits, axis=-1)
    log_probs = jnp.take_along_axis(jax.nn.log_softmax(logits), drawn[..., None], axis=-1)[..., 0]
    confidence = noisy_confidence(log_probs, choice_keys, temperature=choice_temperature)
    is_revealed = most_confident(confidence, state.is_masked, num_unmasked)
    tokens = jnp.where(is_revealed, drawn.astype(state.tokens.dtype), state.tokens)
    return Unmasking(tokens, state.is_masked & ~is_revealed)


def noisy_confidence(
    log_probs: Float[Array, "B L"],
    keys: Key[Array, "B"],
    *,
    temperature: int | float | Float[Array, ""],
) -> Float[Array, "B L"]:
    """Confidence with Gumbel noise: `log p + temperature * Gumbel`.

    Chang et al. 2022 (MaskGIT, section 3.2 and the released code), whose temperature falls as
    4.5 * (1 - r) with the progress r; at 0 the most confident positions are revealed, and the
    higher it is, the more random ones.

    Args:
        log_probs: log-probabilities of the drawn tokens, raised to float32 where they are below.
        keys: one key per example.
        temperature: at least 0; may be traced.

    Returns:
        The confidence of each position, float32 at least.

    Raises:
        ValueError: a temperature below 0, or keys that are not one per example.

    Examples:
        >>> keys = jax.random.split(jax.random.key(0), 1)
        >>> noisy_confidence(jnp.array([[-1.0, -2.0]]), keys, temperature=0).tolist()
        [[-1.0, -2.0]]
    """
    if not isinstance(temperature, Tracer):
        temperature = check_number("temperature", temperature)
    if is_number(temperature) and known(temperature) < 0:
        raise ValueError(f"temperature {temperature} must be at least 0")
    log_probs = as_wide("log_probs", log_probs)
    check_keys(keys, len(log_probs))
    length, dtype = log_probs.shape[1], log_probs.dtype
    return log_probs + temperature * jax.vmap(
        lambda key: jax.random.gumbel(key, (length,), dtype)
    )(keys)  # fmt: skip


def most_confident(
    confidence: Float[Array, "B L"],
    is_masked: Bool[Array, "B L"],
    num_unmasked: int | Int[Array, ""] | Int[Array, "B"],
) -> Bool[Array, "B L"]:
    """The hidden positions that a step reveals: score, then cut, the other way round.

    Args:
        confidence: of each position; what it is at visible ones does not matter. -inf and NaN are
            revealed last.
        is_masked: True = hidden.
        num_unmasked: positions to reveal, one count or one per example; more than are hidden means
            all of them, fewer than 0 none.

    Returns:
        True where a position is revealed; among equals the later ones.

    Raises:
        ValueError: flags that are not boolean, or not one for each confidence; counts that are no
            whole numbers, or not one for all or for each example.

    Examples:
        >>> is_masked = jnp.array([[True, False, True, True]])
        >>> most_confident(jnp.array([[-3.0, 0.0, -1.0, -2.0]]), is_masked, 2).astype(int).tolist()
        [[0, 0, 1, 1]]
    """
    confidence, is_masked = as_array("confidence", confidence), as_flags("is_masked", is_masked)
    check_shapes("confidence", confidence.shape, is_masked=is_masked)
    # A hidden position of confidence -inf or NaN can still be revealed, after all others.
    lowest = jnp.finfo(confidence.dtype).min
    confidence = jnp.where(confidence > lowest, confidence, lowest)
    counts = as_counts(num_unmasked, confidence.shape[1], name="num_unmasked", is_bounded=False)
    if np.shape(counts) not in ((), confidence.shape[:1]):
        raise ValueError(
            f"num_unmasked of shape {np.shape(counts)} for {len(confidence)} examples: give one "
            "count, or one per example"
        )
    counts = jnp.broadcast_to(jnp.asarray(counts), confidence.shape[:1])
    return cut_counts(jnp.where(is_masked, confidence, -jnp.inf), counts)

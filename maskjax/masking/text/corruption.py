"""What hidden tokens become (80/10/10 and the like), and keys for static and dynamic masking."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.masking.checks import (
    as_flags,
    as_integers,
    check_keys,
    check_rows,
    check_shapes,
    check_whole,
)
from maskjax.masking.core import example_keys
from maskjax.masking.text.words import run_firsts, run_starts
from maskjax.typing import Array, Bool, Int, Key

# Folded into keys, so that a rule given the same keys draws its noise from other bits.
_FOLD = 0xC0440


def corrupt_tokens(
    tokens: Int[Array, "B L"],
    is_masked: Bool[Array, "B L"],
    keys: Key[Array, "B"],
    *,
    mask_token_id: int,
    vocab_size: int,
    split: Sequence[int | float] = (0.8, 0.1, 0.1),
    excluded_ids: Sequence[int] = (),
    unit_ids: Int[Array, "B L"] | None = None,
) -> Int[Array, "B L"]:
    """Replaces hidden tokens by the mask token or a random one, or leaves them as they are.

    Devlin et al. 2019 (BERT, section 3.1): 80%, 10% and 10%, drawn for each token, also where whole
    words are hidden. With `unit_ids=run_ids(is_masked)` the draw is one for a span, as in Joshi et
    al. 2020 (SpanBERT, section 3.1); each token of a random span is random by itself. A random
    token may be the one that was there, as in BERT. The loss covers all hidden positions, whatever
    they became.

    Args:
        tokens: ids of the text.
        is_masked: True = hidden; other positions are never touched.
        keys: one key per example; may be those that drew the masks.
        mask_token_id: what `split[0]` of the hidden positions become; an id of the vocabulary.
        vocab_size: random ids are uniform on 0 ... vocab_size - 1 without `excluded_ids`.
        split: shares of mask token, random token and no change; they sum to 1.
        excluded_ids: never drawn as random tokens. BERT excludes none, RoBERTa the special ones.
        unit_ids: a run of the same id shares one draw (word ids, unit ids, `run_ids`).

    Returns:
        Tokens, of the dtype given.

    Raises:
        ValueError: shares that are negative or do not sum to 1, ids outside the vocabulary, a
            vocabulary that is excluded whole, or flags, unit ids or keys that do not match tokens.

    Examples:
        >>> tokens, is_masked = jnp.array([[5, 6, 7]]), jnp.array([[False, True, True]])
        >>> keys = jax.random.split(jax.random.key(0), 1)
        >>> options = {"mask_token_id": 3, "vocab_size": 9, "split": (1.0, 0.0, 0.0)}
        >>> corrupt_tokens(tokens, is_masked, keys, **options).tolist()
        [[5, 3, 3]]
    """
    if np.shape(split) != (3,) or min(split) < 0 or abs(sum(split) - 1) > 1e-6:
        raise ValueError(f"split {split} must be 3 shares from 0 to 1 that sum to 1: 0.8, 0.1, 0.1")
    check_whole("vocab_size", vocab_size)
    check_whole("mask_token_id", mask_token_id, least=None, hint=": an id of the vocabulary")
    if not 0 <= mask_token_id < vocab_size:
        raise ValueError(
            f"mask_token_id {mask_token_id} lies outside the vocabulary of {vocab_size}"
        )
    tokens, is_masked = as_integers("tokens", tokens), as_flags("is_masked", is_masked)
    check_rows("tokens", tokens)
    if unit_ids is not None:
        unit_ids = as_integers("unit_ids", unit_ids, none=-1)
    check_shapes("tokens", tokens.shape, is_masked=is_masked, unit_ids=unit_ids)
    check_keys(keys, len(tokens))
    length, holes = tokens.shape[1], _holes(excluded_ids, vocab_size)

    def draw(key):
        choice_key, token_key = jax.random.split(jax.random.fold_in(key, _FOLD))
        # The r-th id that is not excluded is r plus the number of excluded ids below it.
        ids = jax.random.randint(token_key, (length,), 0, vocab_size - len(holes))
        ids += jnp.searchsorted(jnp.asarray(holes, ids.dtype), ids, side="right").astype(ids.dtype)
        return jax.random.uniform(choice_key, (length,)), ids

    choices, random_ids = jax.vmap(draw)(keys)
    if unit_ids is not None:
        choices = jnp.take_along_axis(choices, run_firsts(run_starts(unit_ids)), axis=1)
    becomes_random = choices < split[0] + split[1] if split[2] else True
    corrupted = jnp.where(becomes_random, random_ids.astype(tokens.dtype), tokens)
    becomes_mask = choices < split[0]
    corrupted = jnp.where(becomes_mask, jnp.asarray(mask_token_id, tokens.dtype), corrupted)
    return jnp.where(is_masked, corrupted, tokens)


def _holes(excluded_ids: Sequence[int], vocab_size: int) -> np.ndarray:
    """For each excluded id, in order, how many ids below it are not excluded."""
    if np.ndim(excluded_ids) == 0 and not isinstance(excluded_ids, set | frozenset):
        raise ValueError(f"excluded_ids {excluded_ids!r}: give a tuple of ids, (0,) for one")
    excluded = np.array(sorted({int(i) for i in excluded_ids}), np.int64)
    outside = [int(i) for i in excluded if not 0 <= i < vocab_size]
    if outside:
        raise ValueError(f"excluded_ids {outside} lie outside the vocabulary of {vocab_size}")
    if len(excluded) >= vocab_size:
        raise ValueError(
            f"{len(excluded)} excluded_ids leave nothing to draw from a vocabulary of {vocab_size}"
        )
    return excluded - np.arange(len(excluded))


def dynamic_keys(
    key: Key[Array, ""], document_ids: Int[Array, "B"], epoch: int | Int[Array, ""]
) -> Key[Array, "B"]:
    """Keys for dynamic masking: a fresh one for each document in each epoch.

    Liu et al. 2019 (RoBERTa, section 4.1). A function of (key, epoch, document) alone: neither the
    worker that reads a document nor a cache of the data can repeat a mask.

    Args:
        key: root key, kept apart from those of other uses.
        document_ids: places of the documents in the data set.
        epoch: passes over the data so far, from 0.

    Returns:
        A key for each document.

    Examples:
        >>> keys = dynamic_keys(jax.random.key(0), jnp.array([7, 8]), epoch=3)
        >>> bool((keys == dynamic_keys(jax.random.key(0), jnp.array([7, 8]), epoch=4)).any())
        False
    """
    return example_keys(key, epoch, document_ids)


def static_keys(
    key: Key[Array, ""],
    document_ids: Int[Array, "B"],
    epoch: int | Int[Array, ""],
    *,
    num_copies: int,
) -> Key[Array, "B"]:
    """Keys for static masking: `num_copies` fixed ones for each document, in turn.

    Devlin et al. 2019 (BERT's data preparation) mask each of `dupe_factor` copies of the corpus
    once: 5 in the README, 10 in the code, and 10 in Liu et al. 2019 (RoBERTa, section 4.1), where
    40 epochs see each mask four times. Here epoch e uses copy e % num_copies, so that static and
    dynamic runs differ in nothing but the keys, and not before epoch `num_copies`.

    Args:
        key: root key, kept apart from those of other uses.
        document_ids: places of the documents in the data set.
        epoch: passes over the data so far, from 0.
        num_copies: masks a document, at least 1.

    Returns:
        A key for each document: `dynamic_keys` of epoch % num_copies.

    Raises:
        ValueError: fewer copies than 1.

    Examples:
        >>> keys = static_keys(jax.random.key(0), jnp.array([7, 8]), epoch=13, num_copies=10)
        >>> bool((keys == dynamic_keys(jax.random.key(0), jnp.array([7, 8]), epoch=3)).all())
        True
    """
    check_whole("num_copies", num_copies, hint="; BERT uses 5 or 10")
    return dynamic_keys(key, document_ids, epoch % num_copies)

"""Attention masks that list their edges: random ones, those of the highest scores, given ones."""

import jax
import jax.numpy as jnp
import numpy as np

from maskjax.masking.attention.mask import AttentionMask, Ids, register_attention
from maskjax.masking.checks import as_array, as_flags, check_key, check_keys, check_whole
from maskjax.masking.core import cut
from maskjax.typing import Array, Bool, Float, Key

# What a mask of floats is likely to be.
ADDITIVE = (
    "numbers that are added to the logits are `bias` of attend, and where 1 means that a query may "
    "attend, give attention_mask == 1"
)
# Queries whose scores exist at the same time while random edges are drawn.
_ROWS = 256


@register_attention("random_edges")
def random_edges(
    *, key: Key[Array, "*B"], num_queries: int, num_keys: int, num_edges: int
) -> AttentionMask:
    """Each query may attend to exactly `num_edges` keys, drawn uniformly without replacement.

    Zaheer et al. 2020 (BigBird, section 2, random attention), whose implementation draws blocks of
    tokens; here single ones, through the same cut as every mask. For edges among some of the keys
    alone, give `dynamic_edges` noise that is -inf elsewhere.

    Args:
        key: one for all examples or one each. The edges of query i are a function of it and of i.
        num_queries: Q, at least 1.
        num_keys: S, at least 1.
        num_edges: keys of each query, from 1 to S. The list of edges takes O(Q num_edges) memory.

    Returns:
        The mask.

    Raises:
        ValueError: `num_edges` outside 1 ... S, sizes that are traced, or a key that is not typed.

    Examples:
        >>> edges = random_edges(key=jax.random.key(0), num_queries=4, num_keys=9, num_edges=3)
        >>> edges.dense(4, 9).sum(axis=-1).tolist()
        [[[3, 3, 3, 3]]]
    """
    check_keys(key) if np.ndim(key) else check_key(key)
    check_whole("num_queries", num_queries)
    _check_edges(num_edges, num_keys)

    def edges_of(key: Array, query: Array) -> Array:
        noise = jax.random.uniform(jax.random.fold_in(key, query), (num_keys,))
        return jnp.sort(cut(noise, num_edges).ids_masked)

    def draw(key: Array) -> Array:
        rows = min(_ROWS, num_queries)
        queries = jnp.arange(num_queries)
        return jax.lax.map(lambda query: edges_of(key, query), queries, batch_size=rows)

    edges = jax.vmap(draw)(key) if key.ndim else draw(key)
    return AttentionMask(_listed, {"edges": edges}, (), num_queries, num_keys)


def _listed(ids: Ids, edges: Array) -> Array:
    """Edges [*B, Q, n], ascending in each row: one binary search per query and key."""
    edges = edges.reshape(-1, *edges.shape[-2:])
    queries = ids.query.reshape(ids.query.shape[0], -1)
    (batch,) = jnp.broadcast_shapes(edges.shape[:1], queries.shape[:1])
    queries = jnp.broadcast_to(queries, (batch, queries.shape[1]))
    edges = jnp.broadcast_to(edges, (batch, *edges.shape[1:]))
    keys = ids.key.reshape(-1)

    def contains(row: Array) -> Array:
        place = jnp.searchsorted(row, keys)
        return row.at[jnp.minimum(place, len(row) - 1)].get(mode="promise_in_bounds") == keys

    def of_example(edges: Array, queries: Array) -> Array:
        rows = edges if ids.all_queries else edges.at[queries].get(mode="fill", fill_value=-1)
        return jax.vmap(contains)(rows)

    return jax.vmap(of_example)(edges, queries)[:, None]


@register_attention("dynamic_edges")
def dynamic_edges(*, scores: Float[Array, "*BH Q S"], num_edges: int) -> AttentionMask:
    """Each query may attend to the `num_edges` keys of its highest scores.

    The selection of Zhao et al. 2019 (Explicit Sparse Transformer), where keys tied with
    the last one are attended to as well; here the count is exact, and of equal scores the later
    key is chosen, as in every cut.

    Args:
        scores: [Q S], [H Q S] or [B H Q S]; -inf is never attended to. They get no gradient.
        num_edges: keys of each query, from 1 to S.

    Returns:
        The mask. It holds flags of the scores' size: dense from the start.

    Raises:
        ValueError: `num_edges` outside 1 ... S, or scores of another rank.

    Examples:
        >>> scores = jnp.array([[0.1, 0.7, 0.5], [0.9, 0.2, -jnp.inf]])
        >>> dynamic_edges(scores=scores, num_edges=2).dense(2, 3).astype(int)[0, 0].tolist()
        [[0, 1, 1], [1, 1, 0]]
    """
    scores = as_array("scores", scores)
    if not 2 <= scores.ndim <= 4:
        raise ValueError(f"scores of shape {scores.shape}: give [Q S], [H Q S] or [B H Q S]")
    _check_edges(num_edges, scores.shape[-1])
    return given(attention_mask=cut(scores, num_edges).is_masked)


@register_attention("given")
def given(*, attention_mask: Bool[Array, "*BH Q S"]) -> AttentionMask:
    """A mask from flags that exist already, to be combined with the others.

    Args:
        attention_mask: broadcast to [B H Q S] as arrays are: [Q S], [H Q S] or [B H Q S], where B
            and H may be 1.

    Returns:
        The mask.

    Raises:
        ValueError: flags of another rank, or numbers: those that are added to the logits are
            `bias` of `attend`.

    Examples:
        >>> flags = jnp.array([[True, False], [True, True]])
        >>> (~given(attention_mask=flags)).dense(2, 2).astype(int)[0, 0].tolist()
        [[0, 1], [0, 0]]
    """
    flags = as_flags("attention_mask", attention_mask, floats=ADDITIVE)
    if not 2 <= flags.ndim <= 4:
        raise ValueError(f"flags of shape {flags.shape}: give [Q S], [H Q S] or [B H Q S]")
    if flags.ndim == 2:  # heads always have an axis, so that vmap over examples leaves no doubt
        flags = flags[None]
    return AttentionMask(_given, {"attention_mask": flags}, (), *flags.shape[-2:])


def _given(ids: Ids, attention_mask: Array) -> Array:
    flags = attention_mask.reshape(-1, *attention_mask.shape[-3:])  # [B or 1, H or 1, Q, S]
    if not ids.all_queries:
        queries = ids.query.reshape(ids.query.shape[0], -1)
        (batch,) = jnp.broadcast_shapes(flags.shape[:1], queries.shape[:1])
        flags = jnp.broadcast_to(flags, (batch, *flags.shape[1:]))
        queries = jnp.broadcast_to(queries, (batch, queries.shape[1]))
        take = lambda rows, ids: jnp.take(rows, ids, axis=1, mode="fill", fill_value=False)  # noqa: E731
        flags = jax.vmap(take)(flags, queries)
    if not ids.all_keys:
        keys = ids.key.reshape(-1)
        flags = jnp.take(flags, keys, axis=3, mode="fill", fill_value=False)
    return flags


def _check_edges(num_edges: int, num_keys: int) -> None:
    check_whole("num_keys", num_keys)
    check_whole("num_edges", num_edges)
    if num_edges > num_keys:
        raise ValueError(f"num_edges {num_edges} must be from 1 to the {num_keys} keys")

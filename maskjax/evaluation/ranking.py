"""Ranking of all items, one of which comes next: HR@k, NDCG@k, MRR, and baselines to beat.

All are over full rankings: measures over sampled negatives rank models in another order (Krichene &
Rendle 2020, On Sampled Metrics for Item Recommendation).
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import scipy.sparse

from maskjax.evaluation.metrics import Mean
from maskjax.typing import Array, Bool, Float, Int

CUTOFFS = (5, 10)
_ROWS = 512  # users that are ranked at a time


def ranks_of(
    scores: Float[Array, "B V"],
    targets: Int[Array, "B"],
    is_excluded: Bool[Array, "B V"] | None = None,
) -> Int[Array, "B"]:
    """Rank the target of each row among all items, from 1.

    A tie counts against the target: it stands behind all that score as much, so that a model which
    gives everything one score ranks nothing first. So does a score that is no number.

    Args:
        scores: one an item, the higher, the sooner it comes.
        targets: the item that came, from 0.
        is_excluded: True for items that are left out, such as those seen before; a target never is.

    Returns:
        int32 ranks.

    >>> ranks_of(jnp.array([[0.1, 0.5, 0.5, 0.9]] * 2), jnp.array([1, 3])).tolist()
    [3, 1]
    """
    own = jnp.take_along_axis(scores, targets[:, None], axis=1)
    is_ahead = ~(scores < own) & (jnp.arange(scores.shape[1])[None] != targets[:, None])
    if is_excluded is not None:
        is_ahead &= ~is_excluded
    return 1 + is_ahead.sum(axis=1, dtype=jnp.int32)


def rank_values(
    ranks: Int[Array, "*b"], cutoffs: Sequence[int] = CUTOFFS
) -> dict[str, Float[Array, "*b"]]:
    """What each rank is worth, in [0, 1].

    With one item to find a query, HR@k (which equals recall@k) is 1 up to rank k, and NDCG@k is
    1 / log2(1 + rank) up to there (Jarvelin & Kekalainen 2002; Sun et al. 2019, BERT4Rec, section
    4.2); MRR is 1 / rank, without a cutoff.

    Args:
        ranks: from 1.
        cutoffs: each k.

    Returns:
        float32 by name: "hr@k" and "ndcg@k" of each k, and "mrr".

    >>> {name: round(float(value), 3) for name, value in rank_values(jnp.array(3), [2, 10]).items()}
    {'hr@2': 0.0, 'ndcg@2': 0.0, 'hr@10': 1.0, 'ndcg@10': 0.5, 'mrr': 0.333}
    """
    rank = ranks.astype(jnp.float32)
    gain, values = 1 / jnp.log2(1 + rank), {}
    for k in cutoffs:
        is_hit = ranks <= k
        values[f"hr@{k}"] = is_hit.astype(jnp.float32)
        values[f"ndcg@{k}"] = jnp.where(is_hit, gain, 0.0)
    return values | {"mrr": 1 / rank}


def rank_means(
    ranks: Int[Array, "B"], weights: Float[Array, "B"], cutoffs: Sequence[int] = CUTOFFS
) -> dict[str, Mean]:
    """Sum up what ranks are worth.

    Args:
        ranks: from 1.
        weights: 1, or 0 for rows that only fill a batch.
        cutoffs: each k.

    Returns:
        One mean for each name of `rank_values`.
    """
    total = weights.sum()
    values = rank_values(ranks, cutoffs)
    return {name: Mean((weights * value).sum(), total) for name, value in values.items()}


def best_values(
    probabilities: Float[np.ndarray, "*b V"], cutoffs: Sequence[int] = CUTOFFS
) -> dict[str, Float[np.ndarray, "*b"]]:
    """Compute what the best ranking is worth, on average, where the true chances are known.

    It sorts items by their chance to come next: what a rank is worth falls with the rank, so by the
    rearrangement inequality no order does better.

    Args:
        probabilities: of each item to come next; rows sum to 1.
        cutoffs: each k.

    Returns:
        The expected value of each name of `rank_values`.

    >>> best = best_values(np.array([0.2, 0.5, 0.3]), [1, 2])
    >>> {name: round(float(value), 3) for name, value in best.items()}
    {'hr@1': 0.5, 'ndcg@1': 0.5, 'hr@2': 0.8, 'ndcg@2': 0.689, 'mrr': 0.717}
    """
    falling = -np.sort(-np.asarray(probabilities, np.float64), axis=-1)
    worth = rank_values(jnp.arange(1, 1 + falling.shape[-1]), cutoffs)
    return {
        name: np.asarray(falling @ np.asarray(value, np.float64)) for name, value in worth.items()
    }


def popularity(histories: Sequence[Int[np.ndarray, "_"]], num_items: int) -> Float[np.ndarray, "V"]:
    """Score each item by how often it was had, whoever asks.

    Args:
        histories: of each user, items from 0.
        num_items: V.

    Returns:
        Counts, for all users the same.
    """
    return np.bincount(np.concatenate(histories), minlength=num_items).astype(np.float64)


def item_neighbours(
    histories: Sequence[Int[np.ndarray, "_"]], num_items: int, k: int = 100
) -> scipy.sparse.csr_array:
    """Compute each item's k most similar ones.

    The cosine of two items' binary columns: the number of users who had both, over the root of the
    product of how many had each (Sarwar et al. 2001, Item-Based Collaborative Filtering, section
    3.1.1; Deshpande & Karypis 2004, Item-Based Top-N, section 4.1, on the binary matrix).

    Args:
        histories: of each user, items from 0; twice is once.
        num_items: V.
        k: neighbours to keep; of equals the lower numbers.

    Returns:
        [V, V], row j holds the neighbours of item j; an item is none of its own.
    """
    had = _had(histories, num_items)
    norms = np.sqrt(np.maximum(had.sum(axis=0), 1))
    together = (had.T @ had).tocsr()
    rows, columns, values = [], [], []
    for item in range(num_items):
        part = slice(together.indptr[item], together.indptr[item + 1])
        others, cosine = together.indices[part], together.data[part] / norms[item]
        cosine = np.where(others == item, 0, cosine / norms[others])
        nearest = np.lexsort((others, -cosine))[:k]
        nearest = nearest[cosine[nearest] > 0]
        rows.append(np.full(len(nearest), item))
        columns.append(others[nearest])
        values.append(cosine[nearest])
    places = (np.concatenate(rows), np.concatenate(columns))
    return scipy.sparse.csr_array((np.concatenate(values), places), (num_items, num_items))


def knn_scores(
    neighbours: scipy.sparse.csr_array, histories: Sequence[Int[np.ndarray, "_"]]
) -> Float[np.ndarray, "B V"]:
    """Score items by how similar they are to what a user had.

    Args:
        neighbours: from `item_neighbours`.
        histories: the items each user had, from 0; twice is once.

    Returns:
        For item j the sum of its similarities to those items of the history that are among its
        neighbours (Deshpande & Karypis 2004, section 4).
    """
    return (_had(histories, len(neighbours.indptr) - 1) @ neighbours.T).toarray()


def baselines(
    train: Sequence[Int[np.ndarray, "_"]],
    histories: Sequence[Int[np.ndarray, "_"]],
    targets: Int[np.ndarray, "N"],
    num_items: int,
    *,
    exclude_seen: bool,
    chances: Float[np.ndarray, "N V"] | None = None,
    cutoffs: Sequence[int] = CUTOFFS,
) -> dict[str, float]:
    """Judge what a model has to beat, and where it is known the best that there is.

    Args:
        train: histories to learn from, items from 0.
        histories: what each judged user had.
        targets: what came next.
        num_items: V.
        exclude_seen: whether a user's ranking leaves out what the user had; the target stays.
        chances: true chances of each item to come next.
        cutoffs: each k.

    Returns:
        The mean of each name of `rank_values`, as "popularity_NAME" and "item_knn_NAME", and
        "best_NAME", expected of the best ranking, where the chances are known and nothing is
        excluded.
    """
    counts, neighbours = popularity(train, num_items), item_neighbours(train, num_items)
    sums: dict[str, float] = {}
    for start in range(0, len(histories), _ROWS):
        rows = slice(start, start + _ROWS)
        had, wanted = histories[rows], jnp.asarray(targets[rows], jnp.int32)
        seen = jnp.asarray(_had(had, num_items).toarray() > 0) if exclude_seen else None
        scores = {
            "popularity": np.tile(counts, (len(had), 1)),
            "item_knn": knn_scores(neighbours, had),
        }
        values = {
            f"{method}_{name}": value
            for method, score in scores.items()
            for name, value in rank_values(
                ranks_of(jnp.asarray(score, jnp.float32), wanted, seen), cutoffs
            ).items()
        }
        if chances is not None and not exclude_seen:
            best = best_values(chances[rows], cutoffs)
            values |= {f"best_{name}": value for name, value in best.items()}
        sums = {name: sums.get(name, 0.0) + float(x.sum()) for name, x in values.items()}
    return {name: total / len(histories) for name, total in sums.items()}


def _had(histories: Sequence[Int[np.ndarray, "_"]], num_items: int) -> scipy.sparse.csr_array:
    """1 where a user had an item, [users, V]."""
    sets = [np.unique(history) for history in histories]
    starts = np.concatenate([[0], np.cumsum([len(each) for each in sets])])
    items = np.concatenate([*sets, np.zeros(0, np.int64)])
    return scipy.sparse.csr_array((np.ones(len(items)), items, starts), (len(sets), num_items))

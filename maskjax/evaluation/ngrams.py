"""Unigrams and bigrams: what a language model must beat, counted on the same training texts."""

from collections.abc import Iterable

import numpy as np

from maskjax.typing import Bool, Int


def baselines(
    train: Iterable[Int[np.ndarray, "_"]],
    judged: Iterable[Int[np.ndarray, "_"]],
    num_ids: int,
    is_special: Bool[np.ndarray, "V"],
) -> dict[str, float]:
    """Predict every token of some texts by how often it stands in others, and behind its neighbour.

    The unigram adds one to each count (Laplace). The bigram is shown the true left neighbour of
    every token, hidden or not, and is mixed with the unigram as Witten and Bell 1991 (method C):
    c of N counts behind a neighbour that T different tokens follow have (c + T p) / (N + T), p the
    unigram's. What begins a text follows an id of its own.

    Args:
        train: texts to count in, ids each.
        judged: texts to predict.
        num_ids: V.
        is_special: True for ids that are not predicted; as neighbours they count.

    Returns:
        "unigram_accuracy", "unigram_perplexity", "bigram_accuracy", "bigram_perplexity"; {} where
        nothing is judged.
    """
    left, right = _pairs(train, num_ids)
    known, asked = _pairs(judged, num_ids)
    keep = ~is_special[right]
    left, right = left[keep], right[keep]
    keep = ~is_special[asked]
    known, asked = known[keep], asked[keep]
    if not len(asked):
        return {}
    counts = np.bincount(right, minlength=num_ids)
    ids = np.flatnonzero(~is_special)
    chances = np.zeros(num_ids)
    chances[ids] = (counts[ids] + 1) / (counts.sum() + len(ids))
    commonest = int(ids[np.argmax(chances[ids])])
    pairs, times = np.unique(left * num_ids + right, return_counts=True)
    before = pairs // num_ids
    total = np.bincount(before, times, minlength=num_ids + 1)
    different = np.bincount(before, minlength=num_ids + 1)
    wanted = known * num_ids + asked
    at = np.minimum(np.searchsorted(pairs, wanted), max(len(pairs) - 1, 0))
    found = np.where(pairs[at] == wanted, times[at], 0) if len(pairs) else np.zeros(len(wanted))
    rest = different[known]
    mixed = (found + rest * chances[asked]) / np.maximum(total[known] + rest, 1)
    mixed = np.where(rest > 0, mixed, chances[asked])
    return {
        "unigram_accuracy": float((asked == commonest).mean()),
        "unigram_perplexity": float(np.exp(-np.log(chances[asked]).mean())),
        "bigram_accuracy": float(
            (asked == _likeliest(pairs, times, num_ids, commonest)[known]).mean()
        ),
        "bigram_perplexity": float(np.exp(-np.log(mixed).mean())),
    }


def _likeliest(
    pairs: Int[np.ndarray, "P"], times: Int[np.ndarray, "P"], num_ids: int, commonest: int
) -> Int[np.ndarray, "V_and_1"]:
    """The token that most often follows each; the commonest of all behind what was never seen."""
    best = np.full(num_ids + 1, commonest)
    order = np.argsort(times, kind="stable")  # the last one written is the most frequent
    best[pairs[order] // num_ids] = pairs[order] % num_ids
    return best


def _pairs(
    texts: Iterable[Int[np.ndarray, "_"]], num_ids: int
) -> tuple[Int[np.ndarray, "N"], Int[np.ndarray, "N"]]:
    """Each token's left neighbour, `num_ids` where a text begins, and the token."""
    held = [np.concatenate([[num_ids], text]).astype(np.int64) for text in texts]
    if not held:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    row = np.concatenate(held)
    is_token = row[1:] != num_ids
    return row[:-1][is_token], row[1:][is_token]

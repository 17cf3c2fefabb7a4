"""Collocations: words that stand together more often than chance has it, for masks to hide at once.

Levine et al. 2021 (PMI-Masking, section 3): n-grams of 2 to 5 words that occur more than 10 times
are ranked, each length by itself, by

    PMI(w1 ... wn) = min over ways to cut the n-gram of log(p(w1 ... wn) / product of p(part))

and of so many collocations half are bigrams, a quarter trigrams, an eighth each of 4 and 5 words. A
text is then taken apart: a collocation within a longer one gives way, of those that overlap chance
keeps one, and words that are left are units by themselves.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from maskjax.typing import Bool, Int, Shaped

LONGEST = 5
_LEAST = 11  # occurrences
_SHARES = {2: 0.5, 3: 0.25, 4: 0.125, 5: 0.125}
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SEED = 5


class Words(NamedTuple):
    """The words of some documents, one after the other.

    Attributes:
        begins: first token of each.
        hashes: of its tokens, 64 bits.
        documents: its document's number.
    """

    begins: Int[np.ndarray, "W"]
    hashes: Shaped[np.ndarray, "W"]
    documents: Int[np.ndarray, "W"]


def words_of(
    tokens: Shaped[np.ndarray, "N"], is_start: Bool[np.ndarray, "N"], offsets: Int[np.ndarray, "_"]
) -> Words:
    """Find the words of documents.

    Args:
        tokens: ids.
        is_start: True where one begins a word.
        offsets: where each document begins, and at the end how many tokens there are.
    """
    is_begin = np.array(is_start)
    is_begin[offsets[:-1][offsets[:-1] < offsets[1:]]] = True
    begins = np.flatnonzero(is_begin)
    if not len(begins):
        return Words(begins, np.zeros(0, np.uint64), begins)
    places = np.arange(len(tokens)) - np.repeat(begins, np.diff(begins, append=len(tokens)))
    mixed = _mixed(np.asarray(tokens).astype(np.uint64) * _FACTOR + places.astype(np.uint64))
    hashes = _mixed(np.add.reduceat(mixed, begins))
    return Words(begins, hashes, np.searchsorted(offsets, begins, side="right") - 1)


class Collocations(NamedTuple):
    """Collocations of one length.

    Attributes:
        hashes: of each, sorted.
        examples: words of the texts that they were learned from at which each begins, best first.
    """

    hashes: Shaped[np.ndarray, "K"]
    examples: Int[np.ndarray, "K"]


def learn(words: Words, size: int) -> dict[int, Collocations]:
    """Find the collocations of some texts, by their length in words.

    Args:
        words: of the texts.
        size: how many, at most.
    """
    logs, found = {}, {}
    for length, (places, hashes) in enumerate(_grams(words), 1):
        kinds, firsts, inverse, counts = np.unique(
            hashes, return_index=True, return_inverse=True, return_counts=True
        )
        # Of every n-gram by its place, so that the parts of a longer one are found at theirs.
        logs[length] = np.full(len(words.begins), -np.inf)
        logs[length][places] = np.log(counts / max(len(hashes), 1))[inverse]
        if length == 1:
            continue
        is_frequent = counts >= _LEAST
        kinds, at = kinds[is_frequent], places[firsts[is_frequent]]
        wanted = round(size * _SHARES[length])
        best = np.argsort(-_least_pmi(logs, at, length), kind="stable")[:wanted]
        found[length] = Collocations(np.sort(kinds[best]), at[best])
    return found


def _least_pmi(
    logs: dict[int, np.ndarray], at: Int[np.ndarray, "K"], length: int
) -> Shaped[np.ndarray, "K"]:
    """The PMI of n-grams at some places by the cut that explains them best."""
    whole = logs[length][at]
    best = [np.zeros(len(at))]  # log p of the best cut of the first so many words
    for end in range(1, length + 1):
        parts = [
            best[begin] + logs[end - begin][at + begin]
            for begin in range(end)
            if end - begin < length
        ]
        best.append(np.max(parts, axis=0))
    return whole - best[length]


def unit_starts(
    words: Words, collocations: Mapping[int, Collocations], num_tokens: int
) -> Bool[np.ndarray, "N"]:
    """Take texts apart into collocations and other words.

    Args:
        words: of the texts.
        collocations: from `learn`.
        num_tokens: N.

    Returns:
        True where a token begins a unit.
    """
    begins, ends = [], []
    for length, (places, hashes) in enumerate(_grams(words), 1):
        if length in collocations:
            here = places[np.isin(hashes, collocations[length].hashes)]
            begins.append(here)
            ends.append(here + length)
    first = np.concatenate(begins) if begins else np.zeros(0, int)
    last = np.concatenate(ends) if ends else first
    is_inner = np.zeros(len(words.begins), bool)  # words that begin no unit
    is_taken = np.zeros(len(words.begins), bool)
    outer = _not_within(first, last)
    first, last = first[outer], last[outer]
    order = np.random.default_rng(_SEED).permutation(len(first))
    for begin, end in zip(first[order].tolist(), last[order].tolist()):
        if not is_taken[begin:end].any():
            is_taken[begin:end] = True
            is_inner[begin + 1 : end] = True
    found = np.zeros(num_tokens, bool)
    found[words.begins[~is_inner]] = True
    return found


def _not_within(first: Int[np.ndarray, "K"], last: Int[np.ndarray, "K"]) -> Int[np.ndarray, "_"]:
    """Number the spans that lie in no longer one, in the order of their begins."""
    order = np.lexsort((-last, first))  # of one begin the longest comes first
    reach = np.maximum.accumulate(np.concatenate([[0], last[order]]))
    return order[last[order] > reach[:-1]]


def _grams(words: Words) -> Iterator[tuple[Int[np.ndarray, "_"], Shaped[np.ndarray, "_"]]]:
    """For 1 word to 5, where n-grams begin that lie in one document, and their hashes."""
    count = len(words.hashes)
    hashes, places = words.hashes, np.arange(count)
    for length in range(1, LONGEST + 1):
        if length > 1:
            places = places[places + length <= count]
            ends = places + length - 1
            is_within = words.documents[places] == words.documents[ends]
            hashes = hashes[: len(places)][is_within]
            places = places[is_within]
            hashes = _mixed(hashes * _FACTOR + words.hashes[places + length - 1])
        yield places, hashes


def _mixed(x: Shaped[np.ndarray, "_"]) -> Shaped[np.ndarray, "_"]:
    """Scatter 64 bits (Steele et al. 2014, SplitMix)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))

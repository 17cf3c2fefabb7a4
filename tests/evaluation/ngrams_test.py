"""Unigrams and bigrams against a slow loop over tokens."""

import math

import numpy as np
import pytest

from maskjax.evaluation.ngrams import baselines

V, SPECIAL = 6, 5
RNG = np.random.default_rng(0)


def by_loop(train, judged):
    """Laplace's unigram and Witten and Bell's bigram, one token after the other."""
    unigram, follow = {}, {}
    for text in train:
        left = "start"
        for token in text:
            if token != SPECIAL:
                unigram[token] = unigram.get(token, 0) + 1
                follow.setdefault(left, []).append(token)
            left = token
    total = sum(unigram.values())
    chance = {i: (unigram.get(i, 0) + 1) / (total + V - 1) for i in range(V) if i != SPECIAL}
    nats = {"unigram": [], "bigram": []}
    for text in judged:
        left = "start"
        for token in text:
            if token != SPECIAL:
                seen = follow.get(left, [])
                kinds, count = len(set(seen)), seen.count(token)
                mixed = (count + kinds * chance[token]) / (len(seen) + kinds) if seen else None
                nats["unigram"].append(-math.log(chance[token]))
                nats["bigram"].append(-math.log(mixed if seen else chance[token]))
            left = token
    return {f"{name}_perplexity": math.exp(np.mean(each)) for name, each in nats.items()}


def test_perplexities_are_those_of_the_definition():
    train, judged = ([RNG.integers(0, V, n) for n in (9, 1, 30, 0)] for _ in range(2))
    found = baselines(train, judged, V, np.arange(V) == SPECIAL)
    for name, number in by_loop(train, judged).items():
        assert found[name] == pytest.approx(number)


def test_accuracies_are_of_the_commonest_and_of_the_commonest_behind_the_neighbour():
    # 1 stands most often; behind 0 stands 2 twice and 1 once; nothing is known of 4.
    train = [np.array([1, 1, 1, 0, 2, 0, 2, 0, 1])]
    judged = [np.array([1, 0, 2, 4, 1])]
    found = baselines(train, judged, V, np.arange(V) == SPECIAL)
    assert found["unigram_accuracy"] == 2 / 5
    assert found["bigram_accuracy"] == 3 / 5  # wrong are 0 behind 1, and 4 behind 2

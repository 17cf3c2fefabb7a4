import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from maskjax.evaluation import ranking


def slow_rank(scores, target, excluded=()):
    """Sort the items, the target behind its equals, and look where it stands."""
    kept = [item for item in range(len(scores)) if item == target or item not in excluded]
    order = sorted(kept, key=lambda item: (-scores[item], item == target))
    return order.index(target) + 1


def test_ranks_equal_a_slow_sort_with_many_ties():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, (40, 30)).astype(np.float32)
    targets = rng.integers(0, 30, 40)
    excluded = rng.random((40, 30)) < 0.3
    expected = [slow_rank(row, target) for row, target in zip(scores, targets)]
    assert ranking.ranks_of(jnp.array(scores), jnp.array(targets)).tolist() == expected
    left = [
        slow_rank(row, target, set(np.flatnonzero(flags)))
        for row, target, flags in zip(scores, targets, excluded)
    ]
    assert left != expected
    found = ranking.ranks_of(jnp.array(scores), jnp.array(targets), jnp.array(excluded))
    assert found.tolist() == left


def test_one_score_for_all_items_ranks_last():
    assert ranking.ranks_of(jnp.zeros((1, 7)), jnp.array([2])).tolist() == [7]


def test_scores_that_are_no_numbers_win_nothing():
    with jax.debug_nans(False):
        scores = jnp.array([[jnp.nan, 1.0, 2.0], [1.0, jnp.nan, 0.0]])
        assert ranking.ranks_of(scores, jnp.array([0, 2])).tolist() == [3, 3]


# Ranks 1, 2, 3, 11 by hand: 1 / log2(1 + rank) is 1, 0.63093, 0.5, 0.27894.
TABLE = {
    "hr@1": 0.25,
    "ndcg@1": 0.25,
    "hr@2": 0.5,
    "ndcg@2": (1 + 0.63092975) / 4,
    "hr@10": 0.75,
    "ndcg@10": (1 + 0.63092975 + 0.5) / 4,
    "mrr": (1 + 1 / 2 + 1 / 3 + 1 / 11) / 4,
}


def test_numbers_equal_a_table_and_rows_without_weight_count_nothing():
    ranks, weights = jnp.array([1, 2, 3, 11, 1]), jnp.array([1.0, 1, 1, 1, 0])
    means = ranking.rank_means(ranks, weights, (1, 2, 10))
    numbers = {key: x for name, mean in means.items() for key, x in mean.numbers(name).items()}
    assert numbers == pytest.approx(TABLE, rel=1e-6)
    halves = [
        ranking.rank_means(ranks[part], weights[part], (1, 2, 10))
        for part in (slice(2), slice(2, 5))
    ]
    both = jax.tree.map(lambda a, b: a + b, *halves)
    assert both["mrr"].numbers("mrr") == pytest.approx(means["mrr"].numbers("mrr"))


def test_the_best_values_are_what_a_slow_sum_over_targets_gives():
    chances = np.random.default_rng(0).dirichlet(np.ones(12), 3)
    best = ranking.best_values(chances, (3,))
    for row, chance in enumerate(chances):
        ranks = [slow_rank(chance, item) for item in range(12)]
        hits = sum(p for p, rank in zip(chance, ranks) if rank <= 3)
        gains = sum(p / np.log2(1 + rank) for p, rank in zip(chance, ranks) if rank <= 3)
        assert best["hr@3"][row] == pytest.approx(hits)
        assert best["ndcg@3"][row] == pytest.approx(gains)
        mrr = sum(p / rank for p, rank in zip(chance, ranks))
        assert best["mrr"][row] == pytest.approx(mrr)


def test_popularity_counts_interactions():
    histories = [np.array([0, 2, 2]), np.array([2, 3])]
    assert ranking.popularity(histories, 5).tolist() == [1, 0, 3, 1, 0]


def some_histories(seed, num_users=25, num_items=15):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, num_items - 1, rng.integers(1, 9)) for _ in range(num_users)]


def test_neighbours_are_those_of_scikit_learns_cosine():
    histories, num_items = some_histories(0), 15
    had = np.zeros((len(histories), num_items))
    for user, items in enumerate(histories):
        had[user, items] = 1
    expected = cosine_similarity(had.T)
    np.fill_diagonal(expected, 0)
    found = ranking.item_neighbours(histories, num_items, num_items).toarray()
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert expected[14].sum() == 0  # nobody had item 14
    nearest = ranking.item_neighbours(histories, num_items, 3).toarray()
    for row, whole in zip(nearest, expected):
        kept = np.lexsort((np.arange(num_items), -whole))[:3]
        np.testing.assert_allclose(row[kept], whole[kept], atol=1e-12)
        assert (row > 0).sum() == (whole[kept] > 0).sum()


def test_knn_scores_equal_a_slow_sum_over_the_history():
    histories = some_histories(1)
    neighbours = ranking.item_neighbours(histories, 15, 4)
    table = neighbours.toarray()
    scores = ranking.knn_scores(neighbours, histories)
    for user, history in enumerate(histories):
        expected = [sum(table[item, other] for other in set(history)) for item in range(15)]
        np.testing.assert_allclose(scores[user], expected, atol=1e-12)


@pytest.mark.parametrize("exclude", [False, True])
def test_baselines_are_means_over_users(monkeypatch, exclude):
    monkeypatch.setattr(ranking, "_ROWS", 7)  # 25 users are no multiple
    train, histories = some_histories(2), some_histories(3)
    targets = np.random.default_rng(4).integers(0, 15, 25)
    chances = np.random.default_rng(5).dirichlet(np.ones(15), 25)
    found = ranking.baselines(
        train, histories, targets, 15, exclude_seen=exclude, chances=chances, cutoffs=(3,)
    )
    counts = ranking.popularity(train, 15)
    knn = ranking.knn_scores(ranking.item_neighbours(train, 15, 100), histories)
    for name, scores in (("popularity", np.tile(counts, (25, 1))), ("item_knn", knn)):
        seen = [set(history) if exclude else () for history in histories]
        ranks = [slow_rank(*row) for row in zip(scores.astype(np.float32), targets, seen)]
        assert found[f"{name}_hr@3"] == pytest.approx(np.mean([rank <= 3 for rank in ranks]))
        assert found[f"{name}_mrr"] == pytest.approx(np.mean([1 / rank for rank in ranks]))
    # Where seen items are left out the closed form is not that of the chain's own chances.
    assert ("best_hr@3" in found) == (not exclude)
    if not exclude:
        assert found["best_hr@3"] == pytest.approx(np.sort(chances)[:, -3:].sum(1).mean())

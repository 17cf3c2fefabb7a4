import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from maskjax.evaluation import knn, knn_accuracy


def clusters(seed, num_train=300, num_eval=120, width=12, num_classes=4, spread=1.5):
    """Overlapping Gaussian clusters with labels that do not start at 0."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((num_classes, width))
    labels = rng.integers(num_classes, size=num_train + num_eval)
    x = centres[labels] + spread * rng.standard_normal((len(labels), width))
    x, labels = x.astype(np.float32), 3 * labels + 7
    return x[:num_train], labels[:num_train], x[num_train:], labels[num_train:]


def slow_weighted_accuracy(train, train_labels, queries, labels, k, temperature):
    """The classifier of Wu et al. 2018, section 3.4, one query and one neighbour at a time."""
    num_correct = 0
    for query, label in zip(queries.astype(float), labels):
        similarities = [
            float(query @ t) / (np.linalg.norm(query) * np.linalg.norm(t))
            for t in train.astype(float)
        ]
        votes = {}
        for i in sorted(range(len(train)), key=lambda i: -similarities[i])[:k]:
            vote = np.exp(similarities[i] / temperature)
            votes[train_labels[i]] = votes.get(train_labels[i], 0.0) + vote
        num_correct += max(votes, key=votes.get) == label
    return num_correct / len(labels)


@pytest.mark.parametrize(("k", "temperature"), [(20, 0.07), (1, 0.07), (7, 1.0), (300, 0.2)])
def test_weighted_vote_equals_slow_loop(k, temperature):
    data = clusters(0)
    expected = slow_weighted_accuracy(*data, k, temperature)
    assert 0.3 < expected < 0.95
    assert knn_accuracy(*data, k=k, temperature=temperature) == expected


@pytest.mark.parametrize("k", [1, 5, 20])
def test_euclidean_majority_equals_scikit_learn(k):
    train, train_labels, queries, labels = clusters(1)
    classifier = KNeighborsClassifier(k).fit(train, train_labels)
    expected = classifier.score(queries, labels)
    assert knn_accuracy(train, train_labels, queries, labels, k=k, metric="euclidean") == expected


def test_cosine_majority_equals_scikit_learn():
    train, train_labels, queries, labels = clusters(2)
    classifier = KNeighborsClassifier(9, metric="cosine").fit(train, train_labels)
    expected = classifier.score(queries, labels)
    assert knn_accuracy(train, train_labels, queries, labels, k=9, weighting="uniform") == expected


def test_euclidean_neighbours_survive_a_large_common_offset():
    train, train_labels, queries, labels = clusters(3)
    expected = knn_accuracy(train, train_labels, queries, labels, k=5, metric="euclidean")
    moved = knn_accuracy(
        train + 2048, train_labels, queries + 2048, labels, k=5, metric="euclidean"
    )
    assert abs(moved - expected) <= 2 / len(labels)  # 2048 + x itself rounds x to 1e-4


def test_cosine_ignores_the_length_of_features():
    train, train_labels, queries, labels = clusters(4)
    lengths = np.random.default_rng(0).uniform(0.1, 10, (len(train), 1)).astype(np.float32)
    assert knn_accuracy(train * lengths, train_labels, queries, labels) == knn_accuracy(
        train, train_labels, queries, labels
    )


def test_a_close_neighbour_outvotes_a_distant_majority():
    train = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    query, label = np.array([[1.0, 0.1]]), np.array([0])
    assert knn_accuracy(train, np.array([0, 1, 1]), query, label, k=3) == 1.0
    assert knn_accuracy(train, np.array([0, 1, 1]), query, label, k=3, weighting="uniform") == 0.0


def test_a_tie_goes_to_the_smaller_label():
    train = np.array([[1.0], [-1.0]])
    query = np.array([[0.0]])
    for labels in ([4, 2], [2, 4]):
        accuracy = knn_accuracy(
            train, np.array(labels), query, np.array([2]), k=2, metric="euclidean"
        )
        assert accuracy == 1.0


def test_fewer_training_examples_than_k_all_vote():
    train, train_labels, queries, labels = clusters(5, num_train=8)
    assert knn_accuracy(train, train_labels, queries, labels, k=20) == knn_accuracy(
        train, train_labels, queries, labels, k=8
    )


def test_small_temperature_does_not_overflow():
    data = clusters(6)
    assert knn_accuracy(*data, temperature=1e-6) == knn_accuracy(*data, k=1)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_chunks_do_not_change_the_result(monkeypatch, metric):
    data = clusters(7)
    expected = knn_accuracy(*data, metric=metric)
    monkeypatch.setattr(knn, "_SCORES_PER_CHUNK", 7 * len(data[0]))  # 120 is no multiple of 7
    assert knn_accuracy(*data, metric=metric) == expected


def test_an_unseen_label_counts_as_an_error():
    train = np.eye(2, dtype=np.float32)
    assert knn_accuracy(train, np.array([0, 1]), train, np.array([0, 9]), k=1) == 0.5


def test_rows_of_zeros_are_classified_without_warning():
    train = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.1]])
    assert knn_accuracy(train, np.array([1, 0, 0]), np.zeros((1, 2)), np.array([0]), k=3) == 1.0


def test_jax_arrays_and_half_precision_are_taken():
    train, train_labels, queries, labels = clusters(8, spread=0.3)
    accuracy = knn_accuracy(
        jnp.asarray(train, jnp.bfloat16),
        jnp.asarray(train_labels),
        jnp.asarray(queries),
        jnp.asarray(labels),
    )
    assert accuracy == pytest.approx(knn_accuracy(train, train_labels, queries, labels), abs=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_features": np.ones((4, 2, 3))}, r"training features must be.*\(4, 2, 3\)"),
        ({"train_labels": np.array([0, 1, 0])}, r"training split.*\(4, 2\).*\(3,\)"),
        ({"labels": np.array([[0], [1]])}, r"evaluation split.*\(2, 2\).*\(2, 1\)"),
        ({"features": np.ones((2, 5))}, "2 numbers a row, evaluation features 5"),
        ({"features": np.ones((0, 2)), "labels": np.ones(0, int)}, r"evaluation split is empty"),
        ({"train_labels": np.array([0.0, 1, 0, 1])}, "training labels must be integers"),
        ({"train_labels": np.full(4, 6)}, "all 4 training labels are 6"),
        ({"features": np.array([[0, 1], [np.nan, 1]])}, "evaluation features .*1 of 2.*row 1"),
        ({"train_features": np.full((4, 2), 1e300)}, "training features .*4 of 4 rows.*row 0"),
        ({"k": 0}, "k must be at least 1, got 0"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"metric": "manhattan"}, "unknown metric 'manhattan'; known: cosine, euclidean"),
        ({"metric": "euclidean", "weighting": "exponential"}, "'exponential'.*known: uniform"),
    ],
)
def test_errors_name_what_does_not_fit(change, message):
    arguments = {
        "train_features": np.arange(8.0).reshape(4, 2),
        "train_labels": np.array([0, 1, 0, 1]),
        "features": np.ones((2, 2)),
        "labels": np.array([0, 1]),
    }
    with pytest.raises(ValueError, match=message):
        knn_accuracy(**{**arguments, **change})

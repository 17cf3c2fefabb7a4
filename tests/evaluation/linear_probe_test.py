import warnings

import numpy as np
import pytest
from scipy.optimize import brentq
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from maskjax.evaluation import fit_linear_probe, linear_accuracy, linear_probe, logistic


def clusters(seed, num_train=600, num_eval=400, width=10, num_classes=4, spread=1.3):
    """Overlapping Gaussian clusters, features of very different scale, labels 7, 10, 13, 16."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((num_classes, width))
    labels = rng.integers(num_classes, size=num_train + num_eval)
    x = centres[labels] + spread * rng.standard_normal((len(labels), width))
    x = 5 + x * np.geomspace(1e-2, 1e2, width)
    x, labels = x.astype(np.float32), 3 * labels + 7
    return x[:num_train], labels[:num_train], x[num_train:], labels[num_train:]


def scikit_learn(features, labels, l2):
    """The model solved to a tight tolerance in float64, and its scaler."""
    scaler = StandardScaler().fit(features.astype(float))
    model = LogisticRegression(C=1 / (l2 * len(features)), tol=1e-8, max_iter=5000)
    return scaler, model.fit(scaler.transform(features.astype(float)), labels)


@pytest.mark.parametrize("l2", [1e-1, 1e-2, 1e-3])
def test_weights_equal_scikit_learn(l2):
    train, train_labels, queries, labels = clusters(0)
    scaler, model = scikit_learn(train, train_labels, l2)
    probe = fit_linear_probe(train, train_labels, l2=l2)
    assert probe.l2 == l2
    np.testing.assert_array_equal(probe.classes, model.classes_)
    # The gradient tolerance of 3e-4 leaves weights this far from the optimum where it is flat.
    standardised = probe.weights * scaler.scale_[:, None]
    np.testing.assert_allclose(standardised, model.coef_.T, atol=0.02)
    expected = model.score(scaler.transform(queries.astype(float)), labels)
    assert 0.5 < expected < 0.98
    accuracy = linear_accuracy(train, train_labels, queries, labels, l2=l2)
    assert accuracy == pytest.approx(expected, abs=1 / len(labels))


def test_loss_is_the_minimum_that_scikit_learn_finds_on_correlated_features():
    rng = np.random.default_rng(1)
    mixing = rng.standard_normal((30, 30)) * np.geomspace(1, 1e-3, 30)[:, None]
    train = (rng.standard_normal((800, 30)) @ mixing).astype(np.float32)
    labels = (train @ rng.standard_normal((30, 3)) + rng.gumbel(size=(800, 3))).argmax(axis=1)
    l2 = 1e-4
    x = StandardScaler().fit_transform(train.astype(float))
    model = LogisticRegression(C=1 / (l2 * 800), tol=1e-8, max_iter=20000).fit(x, labels)

    def objective(weights, bias):
        scores = x @ weights + bias
        log_totals = np.log(np.exp(scores).sum(axis=1))
        cross_entropy = np.mean(log_totals - scores[np.arange(800), labels])
        return cross_entropy + l2 / 2 * np.square(weights).sum()

    probe = fit_linear_probe(train, labels, l2=l2)
    weights = probe.weights * train.std(axis=0, dtype=float)[:, None]
    bias = probe.bias + train.mean(axis=0, dtype=float) @ probe.weights
    best = objective(model.coef_.T, model.intercept_)
    assert best - 1e-6 <= objective(weights, bias) <= best + 1e-4


def test_two_points_have_the_closed_form_weight():
    # Features -1 and 1, one a class: by symmetry weights are (-w, w), and the objective
    # log(1 + exp(-2 w)) + l2 w^2 is least where -2 / (1 + exp(2 w)) + 2 l2 w = 0.
    l2 = 0.05
    expected = brentq(lambda w: l2 * w - 1 / (1 + np.exp(2 * w)), 0, 10)
    x = np.array([[-1.0], [1.0]] * 10, np.float32)
    probe = fit_linear_probe(x, np.array([0, 1] * 10), l2=l2)
    np.testing.assert_allclose(probe.weights, [[-expected, expected]], rtol=2e-3)
    np.testing.assert_allclose(probe.bias, 0, atol=1e-4)


def test_bias_alone_gives_the_class_frequencies():
    # A constant feature carries nothing, so the best scores are the log frequencies.
    labels = np.array([0] * 60 + [1] * 30 + [2] * 10)
    probe = fit_linear_probe(np.full((100, 1), 3.0), labels, l2=1.0)
    scores = 3.0 * probe.weights[0] + probe.bias
    probabilities = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(probabilities, [0.6, 0.3, 0.1], atol=2e-3)
    assert np.isfinite(probe.weights).all()


def test_separable_classes_are_separated():
    data = clusters(2, spread=0.05)
    assert linear_accuracy(*data) == 1.0


def test_features_that_say_nothing_give_chance_level():
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2600, 10)).astype(np.float32)
    labels = rng.permutation(np.arange(2600) % 4)
    accuracy = linear_accuracy(x[:600], labels[:600], x[600:], labels[600:])
    assert abs(accuracy - 0.25) < 0.04  # four standard deviations of 2000 draws


def test_scale_and_offset_of_features_do_not_matter():
    train, train_labels, queries, _ = clusters(4)
    scale, offset = 64.0, 3.0
    first = fit_linear_probe(train, train_labels, l2=1e-2)
    second = fit_linear_probe(train * scale + offset, train_labels, l2=1e-2)
    agreement = np.mean(first.predict(queries) == second.predict(queries * scale + offset))
    assert agreement >= 0.99


def test_same_seed_same_result_and_another_seed_another_holdout():
    train, train_labels, queries, labels = clusters(5)
    first, second = (fit_linear_probe(train, train_labels, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.weights, second.weights)
    assert first.l2 == second.l2
    assert linear_accuracy(train, train_labels, queries, labels, seed=3) == np.mean(
        first.predict(queries) == labels
    )


def test_choice_is_strong_where_a_weak_penalty_overfits():
    rng = np.random.default_rng(6)
    x = rng.standard_normal((400, 300)).astype(np.float32)
    labels = (x[:, 0] + x[:, 1] + rng.standard_normal(400) > 0).astype(int)
    assert fit_linear_probe(x, labels, candidates=(0.3, 1e-5)).l2 == 0.3


def test_choice_is_weak_where_a_strong_penalty_cannot_cancel_a_nuisance():
    rng = np.random.default_rng(7)
    signal, nuisance = rng.standard_normal((2, 400))
    x = np.stack([signal + 20 * nuisance, nuisance], axis=1).astype(np.float32)
    labels = (signal > 0).astype(int)
    assert fit_linear_probe(x, labels, candidates=(0.3, 1e-5)).l2 == 1e-5


def test_evaluation_split_never_reaches_the_fit(monkeypatch):
    train, train_labels, queries, labels = clusters(7)
    chosen = []
    original = fit_linear_probe

    def recorded(*args, **kwargs):
        chosen.append(original(*args, **kwargs))
        return chosen[-1]

    monkeypatch.setattr("maskjax.evaluation.linear_probe.fit_linear_probe", recorded)
    right = linear_accuracy(train, train_labels, queries, labels)
    linear_accuracy(train, train_labels, queries, np.roll(labels, 1))
    linear_accuracy(train, train_labels, queries * 0, labels)
    assert len({probe.l2 for probe in chosen}) == 1
    np.testing.assert_array_equal(chosen[0].weights, chosen[1].weights)
    np.testing.assert_array_equal(chosen[0].weights, chosen[2].weights)
    wrong = linear_accuracy(train, train_labels, queries, np.full_like(labels, 99))
    assert right > 0.5
    assert wrong == 0.0  # a label that training never shows


def test_given_penalty_needs_no_holdout():
    x, labels = np.array([[0.0], [1.0]]), np.array([0, 1])
    assert linear_accuracy(x, labels, x, labels, l2=0.1) == 1.0
    with pytest.raises(ValueError, match=r"2 training examples are too few .* takes l2="):
        linear_accuracy(x, labels, x, labels)


def test_holdout_is_a_tenth_of_every_class_and_never_its_only_row():
    indices = np.random.default_rng(8).permutation([0] * 100 + [1] * 50 + [2] * 10 + [3])
    drawn = []
    for seed in range(20):
        is_held_out = linear_probe._held_out(indices, seed)
        counts = np.bincount(indices[is_held_out], minlength=4)
        assert (np.abs(counts - [10, 5, 1, 0]) <= [1, 1, 1, 0]).all()
        drawn.append(is_held_out)
    share = np.mean(drawn, axis=0)[indices < 2]
    assert share.max() < 0.5  # no row is held out again and again


def test_unconverged_fits_say_so():
    train, train_labels, *_ = clusters(9)
    with pytest.warns(ConvergenceWarning, match="did not converge after 2 iterations"):
        fit_linear_probe(train, train_labels, l2=1e-4, max_iter=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_linear_probe(train, train_labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_features": np.ones(20)}, r"training features must be.*\(20,\)"),
        ({"labels": np.array([0, 1, 0])}, r"evaluation split.*\(2, 2\).*\(3,\)"),
        ({"features": np.ones((2, 5))}, "2 numbers a row, evaluation features 5"),
        ({"train_features": np.ones((0, 2)), "train_labels": np.ones(0, int)}, "split is empty"),
        ({"train_labels": np.full(20, 6)}, "all 20 training labels are 6"),
        ({"train_features": np.full((20, 2), np.inf)}, "training features are not finite"),
        ({"max_iter": 0}, "max_iter must be at least 1, got 0"),
        ({"l2": 0.0}, r"must be above 0, got \(0.0,\)"),
        ({"candidates": ()}, r"must be above 0, got \(\)"),
    ],
)
def test_errors_name_what_does_not_fit(change, message):
    arguments = {
        "train_features": np.arange(40.0).reshape(20, 2) % 7,
        "train_labels": np.array([0, 1] * 10),
        "features": np.ones((2, 2)),
        "labels": np.array([0, 1]),
    }
    with pytest.raises(ValueError, match=message):
        linear_accuracy(**{**arguments, **change})


def centred_scores(probe, queries):
    scores = queries @ probe.weights + probe.bias[None]
    return scores - scores.mean(axis=1, keepdims=True)


def test_with_fewer_rows_than_numbers_the_scores_are_those_of_scikit_learn(monkeypatch):
    # 60 rows in 300 numbers can be separated, which leaves the loss so flat that a gradient of
    # 3e-4 stops 7e-6 above its minimum with scores up to .05 away. Float32 has no part in that:
    # float64 throughout stops at the same scores to 1e-4. So the stop is tightened here.
    rng = np.random.default_rng(0)
    features, queries = rng.normal(size=(2, 60, 300)).astype(np.float32) + 2
    labels = features[:, :3].argmax(axis=1)
    scaler, model = scikit_learn(features, labels, 1e-2)
    expected = model.decision_function(scaler.transform(queries.astype(float)))
    assert np.abs(expected).max() > 3
    scores = centred_scores(fit_linear_probe(features, labels, l2=1e-2), queries)
    np.testing.assert_allclose(scores, expected, atol=0.06)
    monkeypatch.setattr(logistic, "_GRADIENT_TOLERANCE", 3e-6)
    monkeypatch.setattr(logistic, "_LOSS_TOLERANCE", 0.0)
    scores = centred_scores(fit_linear_probe(features, labels, l2=1e-2), queries)
    np.testing.assert_allclose(scores, expected, atol=3e-3)


@pytest.mark.parametrize("width", [50, 300])
def test_small_differences_beside_a_large_common_part_are_not_lost(width):
    # The labels lie along axes whose variance is 1e-7 of the first one's.
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, width))
    labels = features[:, :3].argmax(axis=1)
    features = (features + 300 * rng.normal(size=(60, 1))).astype(np.float32)
    scaler, model = scikit_learn(features, labels, 1e-5)
    x = scaler.transform(features.astype(float))
    expected = model.score(x, labels)
    assert expected > 0.9
    probe = fit_linear_probe(features, labels, l2=1e-5)
    assert np.mean(probe.predict(features) == labels) == pytest.approx(expected, abs=1 / 60)
    weights = probe.weights * scaler.scale_[:, None]
    np.testing.assert_allclose(weights, model.coef_.T, atol=0.01 * np.abs(model.coef_).max())

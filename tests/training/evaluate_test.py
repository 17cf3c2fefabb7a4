"""Evaluation: every example once, the same masks each time, probes beside raw inputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import evaluation
from maskjax.training import evaluate, parallel, run
from maskjax.training.step import eval_keys


def _evaluator(toy, num_devices=1, num_classes=2, **overrides):
    config = toy.config(num_devices=num_devices, **overrides)
    spread = parallel.Spread(num_devices)
    task = toy.Task()
    data = toy.Data(config.batch_size, num_classes=num_classes)
    state = spread.replicate(run.initial_state(task, config))
    return evaluate.Evaluator(task, data, config, spread), state, data, task, config


@pytest.mark.parametrize("num_devices", [1, 4])
def test_loss_and_probes_are_those_of_the_unpadded_split(toy, num_devices):
    # 21 examples in batches of 8, which 4 devices make of the 6 that are asked for.
    evaluator, state, data, task, config = _evaluator(
        toy, num_devices, eval__batch_size=8 if num_devices == 1 else 6
    )
    report = evaluator(state)

    rows = {
        split: next(data.eval_batches(split, n)) for split, n in (("train", 64), ("validation", 21))
    }
    x = rows["validation"]["inputs"].astype(np.float64)
    is_masked = np.asarray(task.is_masked(eval_keys(config.seed, jnp.arange(21))))
    kernel = np.asarray(state.params["kernel"], np.float64)
    error = np.where(is_masked, 0, x) @ kernel - x
    assert report["loss"] == pytest.approx((error**2)[is_masked].sum() / is_masked.sum(), rel=1e-5)

    labels = rows["train"]["label"], rows["validation"]["label"]
    inputs = rows["train"]["inputs"], rows["validation"]["inputs"]
    features = [part @ np.asarray(state.params["kernel"]) for part in inputs]
    for suffix, (train, other) in (("", features), ("_pixels", inputs)):
        expected = evaluation.knn_accuracy(train, labels[0], other, labels[1], k=3)
        assert report[f"knn_accuracy{suffix}"] == pytest.approx(expected)
        expected = evaluation.linear_accuracy(train, labels[0], other, labels[1])
        assert report[f"linear_accuracy{suffix}"] == pytest.approx(expected)
    largest = int((labels[0] == 1).sum() > (labels[0] == 0).sum())
    assert report["largest_class_accuracy"] == (labels[1] == largest).mean()
    assert "largest_class_accuracy_pixels" not in report


def test_evaluating_again_gives_the_same_and_computes_the_baseline_once(toy, monkeypatch):
    evaluator, state, *_ = _evaluator(toy)
    first = evaluator(state)
    calls = []
    real = evaluation.probes.knn_accuracy
    monkeypatch.setattr(
        evaluation.probes, "knn_accuracy", lambda *a, **k: calls.append(1) or real(*a, **k)
    )
    # Later steps of the same run see the same masks.
    assert evaluator(state.replace(step=state.step + 5)) == first
    assert len(calls) == 1


def test_without_labels_there_is_only_the_loss(toy):
    evaluator, state, *_ = _evaluator(toy, num_classes=None)
    assert evaluator(state).keys() == {"loss", "hidden_share"}


def test_labels_that_are_all_alike_leave_the_loss_and_a_warning(toy, monkeypatch, caplog):
    evaluator, state, data, *_ = _evaluator(toy)
    real = data.eval_batches
    monkeypatch.setattr(
        data,
        "eval_batches",
        lambda *a: (dict(batch, label=np.zeros_like(batch["label"])) for batch in real(*a)),
    )
    with caplog.at_level("WARNING"):
        assert evaluator(state).keys() == {"loss", "hidden_share"}
    assert "needs two classes" in caplog.text


def test_features_that_are_not_finite_are_an_error_and_no_warning(toy):
    evaluator, state, *_ = _evaluator(toy)
    broken = jax.tree.map(lambda x: x * jnp.nan, state.params)
    with pytest.raises(ValueError, match="training features are not finite"):
        evaluator(state.replace(params=broken))


def test_without_an_evaluation_split_there_is_nothing(toy, monkeypatch):
    evaluator, state, data, *_ = _evaluator(toy)
    monkeypatch.setattr(data, "eval_batches", lambda *_: iter(()))
    assert evaluator(state) == {}


def test_raw_inputs_too_large_for_memory_are_left_out(toy, monkeypatch):
    monkeypatch.setattr(evaluation.probes, "MAX_RAW_BYTES", 100)
    evaluator, state, *_ = _evaluator(toy)
    report = evaluator(state)
    assert "knn_accuracy" in report
    assert "knn_accuracy_pixels" not in report


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (("knn", "raw"), {"knn_accuracy", "knn_accuracy_pixels"}),
        (("largest_class",), {"largest_class_accuracy"}),
        ((), set()),
    ],
)
def test_only_the_probes_that_a_config_names_are_computed(toy, chosen, expected):
    evaluator, state, *_ = _evaluator(toy, eval__probes=chosen)
    names = evaluator.names(state)  # which are known before
    assert evaluator(state).keys() == names == {"loss", "hidden_share"} | expected


def test_an_unknown_probe_is_an_error_before_the_first_step(toy, tmp_path):
    with pytest.raises(ValueError, match=r"unknown probe 'kn' \(did you mean 'knn'\?\)"):
        toy.fit(tmp_path, toy.config(eval__probes=("kn",)))
    assert not list(tmp_path.glob("checkpoints/*"))


def test_the_moving_average_is_what_is_judged(toy):
    evaluator, state, *_ = _evaluator(toy)
    zeros = jax.tree.map(jnp.zeros_like, state.params)
    judged = evaluator(state.replace(ema_params=zeros))["loss"]
    assert judged == evaluator(state.replace(params=zeros))["loss"]
    assert judged != evaluator(state)["loss"]


@pytest.mark.parametrize("num_devices", [1, 4])
def test_logits_are_ranked_over_the_whole_unpadded_split(toy, num_devices):
    config = toy.config(num_devices=num_devices, eval__probes=("auroc",), eval__batch_size=8)
    spread, data = parallel.Spread(num_devices), toy.Data(config.batch_size)

    class Task(toy.Task):
        def outputs(self):
            return {"logits": lambda params, batch, context: batch["inputs"][:, :2]}

    task = Task()
    state = spread.replicate(run.initial_state(task, config))
    report = evaluate.Evaluator(task, data, config, spread)(state)
    rows = next(data.eval_batches("validation", 21))  # all of them
    scores, is_true = rows["inputs"][:, 1] - rows["inputs"][:, 0], rows["label"] == 1
    right = [a > b for a in scores[is_true] for b in scores[~is_true]]
    assert report["auroc"] == pytest.approx(np.mean(right))
    assert "knn_accuracy" not in report


def test_corrupted_examples_are_judged_as_clean_ones_and_averaged(toy, monkeypatch):
    evaluator, state, data, *_ = _evaluator(
        toy, eval__corruptions=("shift", "fade"), eval__max_corrupted_examples=12
    )
    real, asked = data.eval_batches, []

    def eval_batches(split, size, limit=None, corruption=None):
        batches = real(split, size, limit)
        if corruption is None:
            return batches
        asked.append((split, limit, corruption))
        factor = {"shift": 1.0, "fade": 0.0}[corruption[0]] * corruption[1]
        return (dict(batch, inputs=factor * batch["inputs"]) for batch in batches)

    monkeypatch.setattr(data, "eval_batches", eval_batches)
    report = evaluator(state)
    assert report.keys() == evaluator.names(state)
    whole = [(name, severity) for name in ("shift", "fade") for severity in range(1, 6)]
    assert asked == [("validation", 12, corruption) for corruption in whole]
    monkeypatch.setattr(data, "eval_batches", lambda split, size, *_: real(split, size, 12))
    clean = evaluator(state)["loss"]
    # The toy's error is linear in its input, so its square grows as the factor's.
    found = [report[f"loss_shift_{severity}"] for severity in range(1, 6)]
    assert found == pytest.approx([severity**2 * clean for severity in range(1, 6)], rel=1e-5)
    assert report["loss_shift"] == pytest.approx(11 * clean, rel=1e-5)
    assert report["loss_fade"] == report["loss_fade_5"] == 0
    assert report["loss_corrupted"] == pytest.approx(5.5 * clean, rel=1e-5)

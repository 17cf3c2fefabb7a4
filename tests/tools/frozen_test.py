"""What a finished run's encoder is worth: judged as it is, or by heads that learn on it."""

import shutil

import jax
import numpy as np
import pytest

from maskjax import data as data_layer
from maskjax import evaluation, tasks
from maskjax.tasks.task import Context
from maskjax.tools import dry_run as dry
from maskjax.tools.dry_run import dry_run
from maskjax.tools.saved import open_saved
from maskjax.training.loop import train
from maskjax.training.run import initial_state, load_state


def _features(config, folder, split):
    """Of all images of a split, by the run's own task."""
    data = data_layer.build(config.data, seed=0, batch_size=16)
    task, batch = tasks.build(config, data), data.examples(split, 300)
    context = Context(jax.random.split(jax.random.key(0), len(batch["id"])), train=False)
    params = load_state(task, config, folder).params
    features = jax.jit(task.outputs()["features"])(params, batch, context)
    return np.asarray(features), batch["label"]


@pytest.fixture
def knn_config(load_config, smoke_run):
    """Of the k-NN of the shared run."""
    return load_config("knn", "smoke", **{"init_from.path": str(smoke_run)})


def test_knn_of_a_run_needs_no_step(load_config, knn_config, smoke_run, smoke_config, tmp_path):
    summary = train(knn_config, tmp_path / "knn")
    train_rows, rows = (_features(smoke_config, smoke_run, x) for x in ("train", "validation"))
    assert summary["knn_accuracy"] == evaluation.knn_accuracy(*train_rows, *rows)
    assert 0 < summary["test_knn_accuracy_pixels"] <= 1
    assert train(knn_config, tmp_path / "knn") == summary
    assert not any("loss" in name for name in summary)  # nothing was lost
    config = load_config("knn", "smoke", **{"eval.corruptions": ("blur",)})
    with pytest.raises(ValueError, match=r"task 'frozen' has neither loss nor accuracy of its own"):
        train(config, tmp_path / "blurred")


def test_what_it_would_do_is_said_before(knn_config, tmp_path, smoke_run):
    lines = "\n".join(dry_run(knn_config, tmp_path))
    assert "0 steps: nothing is trained" in lines
    assert f"starts at step 0 of 0 from step 6 of {smoke_run} (params); left out: decoder" in lines


def test_without_a_run_an_untrained_encoder_is_judged_and_steps_or_no_labels_are_refused(
    load_config, tmp_path, caplog
):
    assert train(load_config("knn", "smoke"), tmp_path)["knn_accuracy"] > 0
    assert "untrained" in caplog.text
    with pytest.raises(ValueError, match="trains nothing, and total_steps is 3: set it to 0"):
        train(load_config("knn", "smoke", total_steps=3), tmp_path / "steps")
    config = load_config("knn", "photos_smoke", **{"data.source": "photos"})
    with pytest.raises(ValueError, match=r"needs labels of two classes or more, .* has none"):
        train(config, tmp_path / "photos")


def _probe_config(load_config, smoke_run, **changes):
    few = {"eval.probes": (), "figures.num_examples": 0, "optimizer.warmup_steps": 0}
    return load_config(
        "linear_probe", "smoke", **few, **{"init_from.path": str(smoke_run)} | changes
    )


def _params(config, folder):
    data = data_layer.build(config.data, seed=0, batch_size=16)
    return jax.device_get(load_state(tasks.build(config, data), config, folder).params)


@pytest.fixture(scope="module")
def probed(load_config, smoke_run, tmp_path_factory):
    """A linear probe of the shared run: its config, folder, summary and parameters."""
    config = _probe_config(load_config, smoke_run)
    folder = tmp_path_factory.mktemp("probed") / "run"
    return config, folder, train(config, folder), _params(config, folder)


def test_a_probe_normalises_by_the_training_features_and_trains_its_heads_alone(
    probed, smoke_run, smoke_config
):
    _, _, summary, params = probed
    features, _ = _features(smoke_config, smoke_run, "train")
    np.testing.assert_allclose(params["norm"]["mean"], features.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(params["norm"]["variance"], features.var(0), rtol=1e-3)
    whence = _params(smoke_config, smoke_run)["encoder"]
    jax.tree.map(np.testing.assert_array_equal, params["encoder"], whence)
    # The accuracy of the saved head, computed here.
    rows, labels = _features(smoke_config, smoke_run, "validation")
    rows = (rows - params["norm"]["mean"]) / np.sqrt(params["norm"]["variance"] + 1e-6)
    for name in ("x1", "x100"):
        answers = (rows @ params["head"][name]["kernel"] + params["head"][name]["bias"]).argmax(1)
        assert summary[f"accuracy_{name}"] == pytest.approx((answers == labels).mean(), abs=0.006)
    assert len(summary["test_per_class"]) == 10


def test_validation_chooses_the_head_that_test_judges_and_prediction_takes(
    probed, smoke_run, smoke_config
):
    _, folder, summary, params = probed
    validated = {name: x for name, x in summary.items() if name.startswith("accuracy_x")}
    assert len(validated) == 5
    (best,) = summary["test_heads"]
    assert summary["accuracy"] == summary[f"accuracy_{best}"] == max(validated.values())
    judged = [name for name in summary if name.startswith("test_accuracy_x")]
    assert judged == [f"test_accuracy_{best}"]
    rows, labels = _features(smoke_config, smoke_run, "test")
    rows = (rows - params["norm"]["mean"]) / np.sqrt(params["norm"]["variance"] + 1e-6)
    head = params["head"][best]
    logits = rows @ head["kernel"] + head["bias"]
    right = (logits.argmax(1) == labels).mean()
    assert summary["test_accuracy"] == pytest.approx(right, abs=0.006)
    opened = open_saved(folder, needs_examples=True)
    batch = opened.data.examples("test", 300)
    context = Context(jax.random.split(jax.random.key(0), len(labels)), train=False)
    given = jax.jit(opened.task.outputs()["logits"])(opened.state.params, batch, context)
    np.testing.assert_allclose(given, logits, atol=1e-4)


def test_what_it_would_take_is_that_of_features_and_not_of_images(probed):
    config = probed[0]
    data = data_layer.build(config.data, seed=0, batch_size=config.batch_size)
    task = tasks.build(config, data)
    state = jax.eval_shape(lambda: initial_state(task, config))
    batch = dry._first_batch(dry._feed(task, data, config, state))
    width = len(probed[3]["norm"]["mean"])
    assert batch["features"].shape == (config.batch_size, width)
    assert batch["label"].dtype == np.int32
    assert "inputs" not in batch


def test_a_probe_that_was_cut_short_ends_as_one_that_was_not(probed, tmp_path):
    config, folder, summary, _ = probed
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / "summary.json").unlink()
    shutil.rmtree(tmp_path / "run" / "checkpoints" / str(config.total_steps))
    assert train(config, tmp_path / "run")["params_sha256"] == summary["params_sha256"]


def test_features_that_are_computed_in_each_step_teach_a_head_of_its_own_the_same(
    probed, load_config, smoke_run, tmp_path, monkeypatch
):
    """Also: a head at ten times the rate is a run at ten times the rate."""
    monkeypatch.setattr(data_layer.Data, "with_rows", lambda self, *_: self)
    alone = {"model.probe_heads": (), "optimizer.rates": (), "optimizer.base_lr": 1.0}
    config = _probe_config(load_config, smoke_run, **alone)
    train(config, tmp_path)
    own, beside = _params(config, tmp_path)["head"], probed[3]["head"]["x10"]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6), own, beside)


def test_a_probe_that_would_train_its_encoder_is_refused(load_config, smoke_run, tmp_path):
    config = _probe_config(load_config, smoke_run, **{"optimizer.frozen": ("^norm/",)})
    with pytest.raises(ValueError, match=r"lets a probe train what it reads: set it to \('\^\(enc"):
        train(config, tmp_path)
    config = _probe_config(load_config, smoke_run, **{"model.probe_heads": ("a/b",)})
    with pytest.raises(ValueError, match=r"probe_heads .* must be different names of letters"):
        train(config, tmp_path)

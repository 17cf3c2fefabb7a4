"""What a finished run's encoder is worth: judged by runs of no steps."""

import jax
import numpy as np
import pytest

from maskjax import data as data_layer
from maskjax import evaluation, tasks
from maskjax.tasks.task import Context
from maskjax.tools.dry_run import dry_run
from maskjax.training.loop import train
from maskjax.training.run import load_state


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


def test_knn_of_a_run_needs_no_step(knn_config, smoke_run, smoke_config, tmp_path):
    summary = train(knn_config, tmp_path / "knn")
    train_rows, rows = (_features(smoke_config, smoke_run, x) for x in ("train", "validation"))
    assert summary["knn_accuracy"] == evaluation.knn_accuracy(*train_rows, *rows)
    assert 0 < summary["test_knn_accuracy_pixels"] <= 1
    assert train(knn_config, tmp_path / "knn") == summary


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
    with pytest.raises(ValueError, match=r"needs labels of two classes or more, .* has none"):
        train(load_config("knn", "photos_smoke"), tmp_path / "photos")

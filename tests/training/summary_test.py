"""The end of a run names what was measured of each class, and draws confusions."""

import json
import math
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.evaluation.classification import Confusion
from maskjax.training import loop


@pytest.fixture
def run_of_two_classes(toy, tmp_path):
    """A run whose task takes a row for the class of the larger one of its first two numbers."""

    class Task(toy.Task):
        def loss(self, params, batch, context):
            sums = super().loss(params, batch, context)
            if not context.train:
                answers = jnp.argmax(batch["inputs"][:, :2], 1)
                weights = batch["is_valid"].astype(jnp.float32)
                confusion = Confusion.of(batch["label"], answers, 2, weights)
                sums = sums._replace(metrics={**sums.metrics, "": confusion})
            return sums

    config = toy.config(total_steps=2, figures__num_examples=1, eval__probes=())
    data = toy.Data(config.batch_size)
    data.class_names = ("no", "yes")
    data.examples = lambda split, count: {}
    summary = loop.fit(Task(), data, config, tmp_path)
    return summary, data, tmp_path


def test_a_summary_has_numbers_of_each_class_and_the_confusion_is_drawn(run_of_two_classes):
    summary, data, folder = run_of_two_classes
    assert summary == json.loads((folder / "summary.json").read_text())
    counts = np.zeros((2, 2))
    for batch in data.eval_batches("validation", 1):
        counts[batch["label"][0], np.argmax(batch["inputs"][0, :2])] += 1
    assert summary["accuracy"] == np.trace(counts) / counts.sum()
    assert list(summary["per_class"]) == ["no", "yes"]
    assert summary["per_class"]["yes"]["support"] == counts[1].sum()
    assert summary["per_class"]["yes"]["recall"] == counts[1, 1] / counts[1].sum()
    assert "confusion" not in summary
    assert "figures/confusion.png" in summary["figures"]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        numbers = [x for name, x in line.items() if name != "split"]
        assert all(x is None or math.isfinite(x) for x in numbers)


def test_a_run_of_no_steps_judges_what_it_starts_from_and_can_be_started_from(toy, tmp_path):
    other = toy.fit(tmp_path / "other", toy.config(total_steps=1))
    chosen = {"total_steps": 0, "init_from__path": str(tmp_path / "other")}
    config = toy.config(**chosen, optimizer__frozen=(".",))
    summary = toy.fit(tmp_path / "run", config)
    assert summary["steps"] == 0
    assert summary["params_sha256"] == other["params_sha256"]
    judged = {name: x for name, x in summary.items() if "accuracy" in name}
    assert judged == {name: other[name] for name in judged}
    assert len(judged) > 5
    assert (summary["loss"], summary["test_loss"]) == (other["validation_loss"], other["test_loss"])
    assert summary["figures"] == []
    assert [line["split"] for line in toy.lines(tmp_path / "run")] == ["validation", "test"]
    # What a kill before the summary would have left.
    shutil.rmtree(tmp_path / "other")
    (tmp_path / "run" / "summary.json").unlink()
    again = toy.fit(tmp_path / "run", config)
    assert again | {"seconds": 0} == summary | {
        "seconds": 0,
        "peak_host_memory_bytes": again["peak_host_memory_bytes"],
    }
    assert len(toy.lines(tmp_path / "run")) == 2

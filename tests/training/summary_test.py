"""The end of a run names what was measured of each class, and draws confusions."""

import json
import math

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

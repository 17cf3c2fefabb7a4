"""The last lines of a run, whatever its task measures."""

import json

import numpy as np

from maskjax.evaluation.metrics import Table
from maskjax.tools.report import report
from maskjax.workdir.folder import METRICS
from maskjax.workdir.tables import write_tables


def _write(folder, *lines):
    text = "".join(json.dumps({"step": 5, "seconds": 1.0} | line) + "\n" for line in lines)
    (folder / METRICS).write_text(text)


def test_numbers_stand_by_split_and_name(tmp_path):
    _write(
        tmp_path,
        {"split": "train", "loss": 9.0},
        {"split": "train", "loss": 0.5, "grad_norm": 2.0},
        {"split": "validation", "loss": 0.25, "ndcg@10": 0.125},
        {"split": "test", "loss": None, "ndcg@10": 12345.678},
    )
    summary = {"steps": 5, "seconds": 61.2, "peak_host_memory_bytes": 2.04e9, "nonfinite_total": 3}
    summary["figures"] = ["figures/loss.png"]
    assert report(summary, tmp_path).splitlines() == [
        "finished 5 steps in 61 s; peak memory 2.0 GB",
        "  3 steps were skipped as not finite",
        "            train  validation     test",
        "  loss     0.5000      0.2500        -",
        "  ndcg@10       -      0.1250  12345.7",
        f"  {tmp_path}/figures/loss.png",
        f"  all of it in {tmp_path}",
    ]


def test_a_run_without_evaluation_tells_its_loss(tmp_path):
    _write(tmp_path, {"split": "train", "loss": 0.5, "grad_norm": 2.0})
    assert report({"steps": 5, "seconds": 1.0}, tmp_path).splitlines()[1:3] == [
        "         train",
        "  loss  0.5000",
    ]


def test_what_was_measured_of_each_class_stands_below_and_the_first_of_many(tmp_path):
    _write(tmp_path, {"split": "validation", "f1": 0.5}, {"split": "test", "f1": 0.25})
    table = Table(("a cat", "dog"), ("f1", "support"), np.array([[0.5, 12.0], [np.nan, 0.0]]))
    square = Table(("cat", "dog"), ("cat", "dog"), np.zeros((2, 2)))
    write_tables(tmp_path, "validation", 5, {"per_class": table})
    write_tables(tmp_path, "test", 5, {"per_class": table, "confusion": square})
    summary = {"steps": 5, "seconds": 1.0}
    assert report(summary, tmp_path).splitlines()[3:-1] == [
        "  per class, test      f1  support",
        "  a cat            0.5000       12",
        "  dog                   -        0",
    ]
    many = Table([str(n) for n in range(1000)], ("f1",), np.ones((1000, 1)))
    write_tables(tmp_path, "test", 5, {"per_class": many})
    assert report(summary, tmp_path).splitlines()[-2:-1] == ["  950 more in summary.json"]

"""The last lines of a run, whatever its task measures."""

import json

from maskjax.tools.report import report
from maskjax.workdir.folder import METRICS


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

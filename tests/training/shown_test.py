"""What a run says about itself: the labels of its pictures and the lines at its end."""

import json
import types

import numpy as np
import pytest

from maskjax import tasks
from maskjax.tools import report
from maskjax.training import draw, run, workdir

DATA = types.SimpleNamespace(
    shape=(16, 1),
    num_eval=2,
    examples=lambda split, count: {
        "inputs": np.random.default_rng(0).normal(size=(2, 16, 1)).astype("f"),
        "is_valid": np.ones(2, bool),
    },
    processor=types.SimpleNamespace(denormalise=lambda x: x),
)
SMALL = {
    "model.encoder": {"width": 8, "depth": 1, "heads": 1},
    "model.decoder": {"width": 8, "depth": 1, "heads": 1},
    "model.feature_blocks": 1,
    "model.patch_size": (4,),
    "figures.num_examples": 2,
}
SUMMARY = {
    "steps": 300,
    "seconds": 61.4,
    "peak_host_memory_bytes": 1_500_000_000,
    "loss": 0.31236,
    "eval_loss": 0.29994,
    "nonfinite_total": 0,
    "knn_accuracy": 0.9514,
    "linear_accuracy": 0.972,
    "knn_accuracy_pixels": 0.961,
    "linear_accuracy_pixels": 0.914,
    "largest_class_accuracy": 0.117,
    "figures": ["figures/loss.png", "figures/reconstructions.png"],
}


def _words(figure):
    """All that is written on a figure, on one line."""
    found = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return " ".join(" ".join(artist.get_text().split()) for artist in found)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (("norm_pix", "masked", "l2"), "mean square error, hidden patches, normalised patch"),
        (("pixels", "all", "l1"), "mean absolute error, all patches, normalised input"),
    ],
)
def test_pictures_say_what_is_predicted_and_what_the_loss_is(load_config, tmp_path, loss, expected):
    named = dict(zip(("loss.target", "loss.on", "loss.kind"), loss, strict=True))
    config = load_config("mae", "signal", **(SMALL | named))
    task = tasks.build(config, DATA)
    line = {"step": 1, "split": "train", "loss": 0.5}
    (tmp_path / workdir.METRICS).write_text(json.dumps(line) + "\n")
    state = run.initial_state(task, config)
    figures = draw.draw(task, state, DATA, config, tmp_path)
    assert figures.keys() == {"reconstructions", "loss"}
    is_said = "norm_pix" in _words(figures["reconstructions"])
    assert is_said == (named["loss.target"] == "norm_pix")
    assert expected in _words(figures["loss"])


def test_the_report_has_losses_probes_beside_raw_inputs_and_paths(tmp_path):
    assert report.report(SUMMARY, tmp_path).splitlines() == [
        "finished 300 steps in 61 s: loss 0.3124 in training, 0.2999 in evaluation; "
        "peak memory 1.5 GB",
        "  accuracy of                 k-NN  linear probe",
        "  frozen features            95.1%         97.2%",
        "  raw inputs                 96.1%         91.4%",
        "  always the largest class   11.7%",
        f"  {tmp_path}/figures/loss.png",
        f"  {tmp_path}/figures/reconstructions.png",
        f"  all of it in {tmp_path}",
    ]


def test_the_report_leaves_out_what_was_not_measured_and_names_what_was_skipped(tmp_path):
    unlabelled = {"steps": 6, "seconds": 2.0, "loss": 0.5, "nonfinite_total": 2}
    assert report.report(unlabelled, tmp_path).splitlines() == [
        "finished 6 steps in 2 s: loss 0.5000 in training, unknown in evaluation",
        "  2 steps were skipped as not finite",
        f"  all of it in {tmp_path}",
    ]
    without_pixels = {k: v for k, v in SUMMARY.items() if not k.endswith("_pixels")}
    said = report.report(without_pixels, tmp_path)
    assert "frozen features" in said
    assert "raw inputs" not in said

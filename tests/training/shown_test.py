"""What a run says about itself: the labels of its pictures."""

import json
import types

import numpy as np
import pytest

from maskjax import tasks, workdir
from maskjax.training import draw, run

DATA = types.SimpleNamespace(
    shape=(16, 1),
    num_validation=2,
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

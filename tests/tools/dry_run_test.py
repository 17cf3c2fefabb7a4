"""A dry run says what a run would do, and leaves no trace."""

import json
import re

import jax
import numpy as np
import pytest

from maskjax import workdir
from maskjax.tools import dry_run as dry

TINY = {
    "model.encoder.width": 16, "model.encoder.depth": 1, "model.encoder.heads": 2,
    "model.decoder.width": 8, "model.decoder.heads": 2, "num_devices": 1, "batch_size": 128,
}  # fmt: skip


@pytest.fixture(scope="module")
def lines(load_config, tmp_path_factory):
    """What is said of a small run, and the folder that it would have."""
    folder = tmp_path_factory.mktemp("dry") / "run"
    return dry.dry_run(load_config("mae", "smoke", **TINY), folder), folder


def test_data_model_steps_devices_and_files_are_told(lines):
    said, folder = lines
    assert said[0].startswith("task mae on digits: 256 training, 179 validation and 180 test")
    # A block of width D has 12 D^2 + 13 D numbers; 4 = numbers in a patch of 2x2.
    encoder = 12 * 16**2 + 13 * 16 + (4 + 1) * 16 + 16 + 2 * 16
    decoder = 12 * 8**2 + 13 * 8 + (16 + 1) * 8 + 8 + 2 * 8 + (8 + 1) * 4
    assert said[1] == (
        f"{encoder + decoder:,} parameters (decoder {decoder:,}, encoder {encoder:,})"
    )
    assert said[2] == "6 steps of 128 examples of 16 positions (3 epochs)"
    assert said[3] == f"on 1 x cpu; files go to {folder}, numbers to jsonl, tensorboard"
    assert said[-1] == "the run would begin from scratch"


def test_the_memory_of_a_step_holds_state_and_batch(lines):
    found = re.findall(r"([a-z ]+) ([\d.]+) (kB|MB)", lines[0][4])
    memory = {name.strip(): float(x) * {"kB": 1, "MB": 1e3}[unit] for name, x, unit in found}
    parameters = int(lines[0][1].split()[0].replace(",", "")) * 4e-3
    assert memory["parameters"] == pytest.approx(parameters, abs=0.06)
    assert memory["optimizer"] == pytest.approx(2 * parameters, abs=0.1)  # and a count
    assert memory["batch"] >= 128 * 64 * 4e-3
    # Among what the gradient needs are the decoder's MLPs, four widths at 17 positions.
    assert memory["activations and gradients"] > parameters + 128 * 17 * 4 * 8 * 4e-3


def test_nothing_is_left_behind(lines):
    assert not lines[1].exists()


def test_a_begun_and_a_finished_run_are_told_apart(
    smoke_config, smoke_run, load_config, tmp_path, monkeypatch
):
    monkeypatch.setattr(dry, "_memory_line", lambda *_: "memory")
    config = load_config("mae", "smoke", **{"init_from.path": str(smoke_run)})
    told = lambda: dry.dry_run(config, tmp_path)[-1]  # noqa: E731
    total = smoke_config.total_steps
    assert told().startswith(
        f"the run starts at step 0 of {config.total_steps} from step {total} of {smoke_run} (params"
    )
    (tmp_path / workdir.CONFIG).write_text(json.dumps({"config": config.to_dict()}))
    (tmp_path / workdir.SUMMARY).write_text("{}")
    assert told() == "the run is finished: the same command without --dry_run prints its result"
    assert {path.name for path in tmp_path.iterdir()} == {workdir.CONFIG, workdir.SUMMARY}


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("eval.probes", ("knnn",), r"unknown probe 'knnn' \(did you mean 'knn'"),
        ("init_from.path", "/nope", "'/nope' has no checkpoints: give the --workdir of a run"),
        ("init_from.skip", ("head",), "init_from.skip=.* set init_from.path"),
        ("stop.patience", 3, "set stop.metric"),
    ],
)
def test_what_training_refuses_is_refused(load_config, tmp_path, key, value, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        dry.dry_run(load_config("mae", "smoke", **TINY, **{key: value}), tmp_path / "run")


def test_shapes_are_those_of_what_is_split():
    batch = {"inputs": np.zeros((8, 3), np.float32), "label": np.zeros(8, np.int32)}
    for global_arrays in (False, True):
        spread = dry.parallel.Spread(4, global_arrays=global_arrays)
        expected = jax.tree.map(lambda x: (x.shape, x.dtype), spread.split(batch))
        assert jax.tree.map(lambda x: (x.shape, x.dtype), spread.shapes(batch)) == expected

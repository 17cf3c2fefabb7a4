"""Exports: what a process without maskjax makes of them, what is beside them, what is refused."""

import json
import os
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.evaluation.intervals import wilson
from maskjax.evaluation.metrics import Table
from maskjax.paths import atomic_folder
from maskjax.tools import export, model_card, programs, raw, saved
from maskjax.tools.exported import Exported
from maskjax.training.step import eval_context
from maskjax.workdir.leaves import params_sha256
from maskjax.workdir.tables import write_tables

# What somebody does with a folder who has one library alone.
_STRANGER = """
import sys


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("maskjax", "flax", "orbax", "optax", {others}):
            raise ImportError(name + " must not be imported")


sys.meta_path.insert(0, Refuse())
import json

import numpy as np

{opened}

folder, given, found = sys.argv[1:]
rows, batch = {{}}, dict(np.load(given))
for name, entry in json.load(open(folder + "/model.json"))["programs"].items():
    rows |= call(folder, name, {{key: batch[key] for key in entry["inputs"]}})
np.savez(found, **rows)
assert "maskjax" not in sys.modules
"""
_JAX = """
import jax
from jax import export


def call(folder, name, inputs):
    with open(f"{folder}/{name}.stablehlo", "rb") as file:
        program = export.deserialize(bytearray(file.read()))
    out = program.call(dict(np.load(folder + "/params.npz")), inputs)
    return out if isinstance(out, dict) else {name: out}
"""
_ONNX = """
import onnxruntime


def call(folder, name, inputs):
    session = onnxruntime.InferenceSession(f"{folder}/{name}.onnx")
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(None, inputs), strict=True))
"""
_TENSORFLOW = """
import tensorflow as tf


def call(folder, name, inputs):
    model = tf.saved_model.load(folder + "/1")
    out = model.signatures[name](**{key: tf.constant(x) for key, x in inputs.items()})
    return {key: x.numpy() for key, x in out.items()}
"""


@pytest.fixture(scope="module")
def batch():
    """Three examples as they are stored, of 0 to 16, and other masks for each."""
    images = np.random.default_rng(0).uniform(0, 16, (3, 8, 8, 1)).astype(np.float32)
    ratios = np.full(3, 0.75, np.float32)
    return {"inputs": images, "index": np.array([0, 5, 7], np.int32), "mask_ratio": ratios}


@pytest.fixture(scope="module")
def expected(smoke_run, batch):
    """What the run itself makes of them."""
    run = saved.open_saved(smoke_run, needs_examples=False)
    processor = run.data.processor
    inputs = processor.collate([processor({"image": image}) for image in batch["inputs"]])["inputs"]

    def outputs(params):
        rows = {"inputs": jnp.asarray(inputs)}
        context = eval_context(run.config, {"index": batch["index"]}, ())
        found = {name: f(params, rows, context) for name, f in run.task.outputs().items()}
        return found.pop("reconstructions") | found

    found = jax.tree.map(np.asarray, jax.jit(outputs)(run.state.eval_params))
    for name in ("seen", "prediction", "pasted"):
        found[name] = processor.denormalise(found[name])
    return found


def strange(folder, batch, scratch, opened, others=""):
    """What a process without maskjax makes of a batch."""
    np.savez(scratch / "in.npz", **batch)
    arguments = [str(folder), str(scratch / "in.npz"), str(scratch / "out.npz")]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    code = _STRANGER.format(opened=opened, others=others)
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, env=environment)
    with np.load(scratch / "out.npz") as found:
        return dict(found)


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, rows in expected.items():
        np.testing.assert_allclose(found[name], rows, atol=1e-5, rtol=1e-5, err_msg=name)


def test_a_process_without_maskjax_computes_the_same(exported, batch, expected, tmp_path):
    assert_same(strange(exported, batch, tmp_path, _JAX), expected)


def test_tensorflow_computes_the_same(smoke_run, batch, expected, untyped, tmp_path):
    pytest.importorskip("tensorflow")
    pytest.importorskip("orbax.export")
    with untyped():
        export.export(smoke_run, tmp_path / "model", format="savedmodel")
    assert_same(strange(tmp_path / "model", batch, tmp_path, _TENSORFLOW, '"jax"'), expected)


@pytest.fixture(scope="module")
def chosen(smoke_run, batch, expected):
    """The same batch for what has no keys: the masks that were drawn are given; and the answers.

    The error is then that of the one mask: of normalised patches, over those that are hidden.
    """
    patched = lambda x: x.reshape(3, 4, 2, 4, 2).swapaxes(2, 3).reshape(3, 16, 4)  # noqa: E731
    is_hidden = patched(expected["is_hidden"])[..., 0]
    true, guess = patched(batch["inputs"] / np.float32(16)), patched(expected["prediction"])
    (std,) = json.loads((smoke_run / "config.json").read_text())["data"]["std"]
    errors = (guess - true) ** 2 / (true.var(2, ddof=1, keepdims=True) + 1e-6 * std**2)
    error = (errors.mean(2) * is_hidden).sum(1) / is_hidden.sum(1)
    given = {"inputs": batch["inputs"], "mask_ratio": batch["mask_ratio"]}
    return {**given, "mask_noise": is_hidden.astype(np.float32)}, {**expected, "error": error}


def test_masks_that_are_given_are_those_that_are_hidden(smoke_run, chosen, untyped):
    rows, answers = chosen
    run = saved.open_saved(smoke_run, needs_examples=False)
    with untyped():
        made = programs.programs(run, has_keys=False)
    assert {name: sorted(each.inputs) for name, each in made.items()} == {
        "features": ["inputs"],
        "reconstructions": ["inputs", "mask_noise", "mask_ratio"],
        "error": ["inputs", "mask_noise"],
    }
    called = jax.jit(lambda *given: {name: each.call(*given) for name, each in made.items()})
    found = dict(called(programs.leaves_of(run), rows))
    assert_same(found | found.pop("reconstructions"), answers)


def test_onnxruntime_computes_the_same(smoke_run, chosen, untyped, tmp_path):
    pytest.importorskip("jax2onnx")
    pytest.importorskip("onnxruntime")
    with untyped():
        export.export(smoke_run, tmp_path / "model", format="onnx")
    rows, answers = chosen
    assert_same(strange(tmp_path / "model", rows, tmp_path, _ONNX, '"jax"'), answers)


def test_an_export_opened_here_computes_the_same_of_any_number(exported, batch, expected):
    opened = Exported(exported)
    assert opened.names == ("features", "reconstructions", "error")
    examples = [opened.processor({"image": image}) for image in batch["inputs"]]
    rows = opened.raw(examples[:2], index=batch["index"][:2])
    np.testing.assert_allclose(rows["inputs"], batch["inputs"][:2], rtol=1e-6)
    np.testing.assert_array_equal(rows["mask_ratio"], batch["mask_ratio"][:2])  # as the config has
    np.testing.assert_allclose(opened("error", rows), expected["error"][:2], rtol=1e-5)


def test_what_lies_beside_the_programs(exported, smoke_run):
    run = saved.open_saved(smoke_run, needs_examples=False)
    facts = json.loads((exported / "model.json").read_text())
    assert facts["inputs"]["inputs"] == {
        "shape": ["b", 8, 8, 1],
        "dtype": "float32",
        "meaning": "numbers as stored, 0 to 16 in training",
    }
    assert facts["programs"]["features"]["inputs"] == ["inputs"]  # nothing is hidden
    assert facts["programs"]["error"]["outputs"] == {"error": {"shape": ["b"], "dtype": "float32"}}
    assert facts["versions"]["jax"] == jax.__version__
    card = (exported / "README.md").read_text()
    summary = json.loads((smoke_run / "summary.json").read_text())
    share = summary["test_linear_accuracy"]
    low, high = wilson(share, 180)
    assert f"| test | linear_accuracy | {share:.4f} | {low:.4f} to {high:.4f} |" in card
    assert params_sha256(run.state.eval_params) in card
    assert "began from: random parameters" in card
    assert str(smoke_run) not in card


def test_intervals_are_those_of_shares_of_all_examples(tmp_path):
    shares = {
        "accuracy": 0.5,
        "accuracy_blur": 0.5,
        "accuracy_blur_1": 0.5,
        "accuracy_corrupted": 0.5,
    }
    line = {"step": 9, "split": "test", "best_step": 6, "loss": 0.5, **shares}
    (tmp_path / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    config = types.SimpleNamespace(eval=types.SimpleNamespace(corruptions=("blur",)))
    run = saved.Saved(tmp_path, config, data=None, task=None, state=None)
    rows = model_card._metrics(run, {"data": {"num_test": 100}})[0].splitlines()[2:]
    low, high = wilson(0.5, 100)
    ends = {"accuracy": f"{low:.4f} to {high:.4f}"}  # fewer examples are corrupted, several times
    assert rows == [f"| test | {x} | 0.5000 | {ends.get(x, '')} |" for x in ("loss", *shares)]
    told = Table(("loss",), ("value", "low", "high"), np.array([[0.5, 0.25, 0.75]]))
    write_tables(tmp_path, "test", 9, {"intervals": told})
    rows = model_card._metrics(run, {"data": {"num_test": 100}})[0].splitlines()[2:]
    assert rows[0] == "| test | loss | 0.5000 | 0.2500 to 0.7500 |"


def test_weights_of_others_have_a_licence_that_somebody_must_say(load_config):
    config = load_config("mae", "smoke", **{"init_from.path": "vit.safetensors"})
    record = {"init_from": {"sha256": "1234"}}
    origin = model_card._origin(config, record, "")
    assert origin[0].endswith("`vit.safetensors` sha256 1234")
    assert origin[1].endswith("not known: say it with --licence")
    assert model_card._origin(config, record, "MIT")[1].endswith(": MIT")


def test_pictures_go_in_as_bytes_and_are_normalised_as_the_processor_does(load_config):
    settings = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "shape": [4, 4, 3]}
    description = settings | {"num_train": 1, "num_validation": 0, "num_test": 0}
    config = load_config("mae", "photos_smoke")
    processor = saved.data_layer.restore(config.data, description).processor
    image = np.random.default_rng(0).integers(0, 256, (4, 4, 3), np.uint8)
    made = raw.raw_batch(processor, [{"inputs": image}, {"inputs": image / np.float32(255)}])
    np.testing.assert_array_equal(made["inputs"], np.stack([image, image]))
    found = raw.from_raw(processor, made)["inputs"]
    by_hand = (image / 255 - np.array([0.5, 0.4, 0.3])) / np.array([0.2, 0.3, 0.4])
    np.testing.assert_allclose(found[0], by_hand, atol=1e-5)


def test_a_missing_number_is_known_as_such_within_a_program(load_config):
    settings = {"mean": [0.5], "std": [0.25], "shape": [4, 1], "value_range": [0.0, 8.0]}
    description = settings | {"num_train": 1, "num_validation": 0, "num_test": 0}
    config = load_config("mae", "signal_smoke", **{"data.missing": "-99"})
    processor = saved.data_layer.restore(config.data, description).processor
    stored = np.array([[[8.0], [np.nan], [-99.0], [0.0]]], np.float32)
    batch = raw.from_raw(processor, {"inputs": jnp.asarray(stored)})
    assert batch["is_known"].reshape(-1).tolist() == [True, False, False, True]
    np.testing.assert_allclose(batch["inputs"].reshape(-1), [2, 0, 0, -2], atol=1e-6)


def test_what_cannot_be_exported_or_written_is_named(smoke_run, exported, tmp_path):
    with pytest.raises(ValueError, match=r"unknown --format=stablhlo \(did you mean 'stablehlo'"):
        export.export(smoke_run, tmp_path / "new", format="stablhlo")
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ValueError, match="holds something else: give a new folder"):
        export.export(smoke_run, tmp_path, format="stablehlo")
    with pytest.raises(ValueError, match="holds another export"):
        export.export(tmp_path, exported, format="stablehlo")
    with pytest.raises(FileNotFoundError, match="holds no run"):
        export.export(tmp_path, tmp_path / "new", format="stablehlo")
    with pytest.raises(FileNotFoundError, match="holds no exported programs"):
        Exported(smoke_run)
    assert not (tmp_path / "new").exists()


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    path = tmp_path / "out"

    def fail():
        with atomic_folder(path) as folder:
            (folder / "a").touch()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not list(tmp_path.iterdir())
    for name in ("a", "b"):
        with atomic_folder(path) as folder:
            (folder / name).touch()
        assert [each.name for each in path.iterdir()] == [name]
    assert [each.name for each in tmp_path.iterdir()] == ["out"]

"""Runs and published weights are exported for transformers and timm, whole or not at all."""

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from maskjax.interop.published import read
from maskjax.tools import export, export_weights, saved
from maskjax.workdir.leaves import named_leaves

GOLDEN = Path(__file__).parents[1] / "interop" / "golden"


def test_a_run_is_written_for_transformers_and_read_back(smoke_run, tmp_path):
    lines = export.export(smoke_run, tmp_path / "out", format="hf")
    assert "transformers.ViTMAEForPreTraining.from_pretrained" in lines[0]
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert (config["mask_ratio"], config["norm_pix_loss"]) == (0.75, True)
    again = read(tmp_path / "out")
    run = saved.open_saved(smoke_run, needs_examples=False)
    params = named_leaves(run.state.eval_params)
    computed = {"encoder/positions/table", "decoder/positions/table"}  # no parameters here
    assert again.params.keys() - computed == params.keys()
    for path, leaf in params.items():
        np.testing.assert_array_equal(again.params[path], leaf, err_msg=path)
    assert again.architecture.encoder == run.task.architecture.encoder
    assert again.architecture.decoder == run.task.architecture.decoder
    export.export(smoke_run, tmp_path / "out", format="hf")  # once more: the same export
    with pytest.raises(ValueError, match="holds another export: give a new folder"):
        export.export(smoke_run, tmp_path / "out", format="timm")
    lines = export.export(smoke_run, tmp_path / "timm", format="timm")
    assert lines[1].startswith("left out: decoder/embed, decoder/mask_token, ")
    assert read(tmp_path / "timm").format == "timm"


def test_a_pruned_run_is_written_without_its_zeros_and_read_again(smoke_run, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="--format=sparse makes none of these weights smaller"):
        export.export(smoke_run, tmp_path / "out", format="sparse")
    run = saved.open_saved(smoke_run, needs_examples=False)
    prune = lambda x: np.where(abs(x) < np.median(abs(x)), 0, x)  # noqa: E731
    params = jax.tree.map(prune, jax.device_get(run.state.eval_params))
    state = dataclasses.replace(run.state, params=params, ema_params=None)
    monkeypatch.setattr(export, "open_saved", lambda *_, **__: run._replace(state=state))
    lines = export.export(smoke_run, tmp_path / "out", format="sparse")
    assert lines[0].startswith("model.safetensors: ")
    found, wanted = read(tmp_path / "out"), named_leaves(params)
    assert (found.format, found.architecture) == ("sparse", run.task.architecture)
    assert found.params.keys() == wanted.keys()
    for path, leaf in wanted.items():
        np.testing.assert_array_equal(found.params[path], leaf, err_msg=path)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["data"] == json.loads((smoke_run / "config.json").read_text())["data"]
    assert f"- {lines[0]}\n" in (tmp_path / "out" / "README.md").read_text()
    export_weights.convert(tmp_path / "out", tmp_path / "hf", format="hf")
    again = read(tmp_path / "hf")
    np.testing.assert_array_equal(again.params[path], wanted[path])
    export.export(smoke_run, tmp_path / "part", format="sparse", part="encoder")
    assert {path.partition("/")[0] for path in read(tmp_path / "part").params} == {"encoder"}


def test_weights_are_turned_into_another_format(tmp_path):
    output = tmp_path / "out"
    lines = export_weights.convert(GOLDEN / "timm_token", output, format="hf", licence="MIT")
    assert lines[0].startswith("read as timm weights, SHA-256 ")
    ours, theirs = read(output), read(GOLDEN / "timm_token")
    assert (ours.format, ours.architecture.norm_eps) == ("hf", 1e-6)
    for path, array in theirs.params.items():
        np.testing.assert_array_equal(ours.params[path], array, err_msg=path)
    assert "- licence: MIT\n" in (output / "README.md").read_text()
    before = load_file(output / "model.safetensors")
    with pytest.raises(ValueError, match="holds another export"):
        export_weights.convert(GOLDEN / "hf_vit", output, format="hf")
    assert load_file(output / "model.safetensors").keys() == before.keys()


@pytest.mark.parametrize(
    ("weights", "format", "options", "message"),
    [
        ("timm_mean", "hf", {}, "reads the class token"),
        ("hf_vit", "timm", {}, "use --format=hf"),
        ("mae_full.pth", "hf", {}, "does not say its heads, and width 8 is of no published"),
        ("hf_vit", "stablehlo", {}, "can be written with --format=hf or timm; 'stablehlo' needs a"),
        ("none.pth", "hf", {}, "there are no weights"),
    ],
)
def test_nothing_is_half_written(tmp_path, weights, format, options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        export_weights.convert(GOLDEN / weights, tmp_path / "out", format=format, **options)
    assert not list(tmp_path.iterdir())


def test_a_run_or_weights_are_given_not_both(tmp_path):
    assert export_weights.is_of_file(None, tmp_path)
    assert not export_weights.is_of_file(tmp_path, None)
    for pair in ((None, None), (tmp_path, tmp_path)):
        with pytest.raises(ValueError, match="give one of --workdir=RUN and --weights=PATH"):
            export_weights.is_of_file(*pair)


def test_a_part_is_for_weights_alone(smoke_run, tmp_path):
    with pytest.raises(ValueError, match="--part=encoder is for --format=hf, timm, sparse"):
        export.export(smoke_run, tmp_path / "out", format="stablehlo", part="encoder")
    assert not (tmp_path / "out").exists()

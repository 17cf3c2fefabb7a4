"""What is written is what transformers and timm wrote: the same names, shapes and numbers."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from maskjax.interop import export
from maskjax.interop.published import read
from maskjax.models.sizes import Size

CLASS_ROWS = ("position_embeddings", "pos_embed", "cls_token")


def _written(it, tmp_path, format, **options):
    """Export what was read, and open it."""
    lines = export.write(tmp_path, format, it.params, it.architecture, **options)
    config = json.loads((tmp_path / "config.json").read_text())
    return load_file(tmp_path / "model.safetensors"), config, lines


@pytest.mark.parametrize(
    ("name", "format"), [("hf4_mae", "hf"), ("hf_vit", "hf"), ("timm_token", "timm")]
)
def test_tensors_come_out_as_they_went_in(published, golden, tmp_path, name, format):
    written, config, _ = _written(published[name], tmp_path, format)
    original = load_file(golden / name / "model.safetensors")
    assert written.keys() == original.keys()
    moved = ("decoder.mask_token", "decoder.decoder_embed.bias")  # take up the class token's place
    for key, array in original.items():
        assert written[key].shape == array.shape, key
        if key not in moved and not key.endswith(CLASS_ROWS):
            np.testing.assert_array_equal(written[key], array, err_msg=key)
    theirs = json.loads((golden / name / "config.json").read_text())
    if format == "hf":
        said = {key: theirs[key] for key in config if key in theirs}
        assert config == {key: said[key] for key in config}
    else:
        args = {key: x for key, x in config["model_args"].items() if key in theirs["model_args"]}
        args["patch_size"] = args["patch_size"][0]
        assert args == {key: theirs["model_args"][key] for key in args}


@pytest.mark.parametrize("name", ["hf4_mae", "hf_vit", "timm_token", "timm_mean", "mae_full.pth"])
def test_what_was_written_reads_as_the_same_parameters(published, tmp_path, name):
    it = published[name]
    format = "timm" if name.startswith("timm") else "hf"
    if name == "mae_full.pth":
        decoder = it.architecture.decoder._replace(num_heads=3)
        whole = dataclasses.replace(it.architecture, encoder=Size(8, 2, 2), decoder=decoder)
        it = it._replace(architecture=whole)
    _written(it, tmp_path, format)
    again = read(tmp_path)
    assert again.architecture == it.architecture
    assert again.params.keys() == it.params.keys()
    for path, array in it.params.items():
        np.testing.assert_array_equal(again.params[path], array, err_msg=path)


def test_what_a_format_has_no_place_for_is_said(published, tmp_path):
    it = published["hf4_mae"]
    written, config, lines = _written(it, tmp_path, "hf", part="encoder")
    assert config["architectures"] == ["ViTModel"]
    assert not any(name.startswith(("vit.", "decoder.")) for name in written)
    assert lines[1].startswith("left out: decoder/embed, decoder/mask_token, decoder/positions")
    assert "ViTModel.from_pretrained(FOLDER, add_pooling_layer=False)" in lines[0]
    simmim = it._replace(
        params={path: x for path, x in it.params.items() if path.startswith("encoder/")}
        | {"predict/kernel": np.zeros((8, 48)), "encoder/mask_token": np.zeros(8)},
        architecture=dataclasses.replace(it.architecture, decoder=None, norm_eps=1e-6),
    )
    (tmp_path / "timm").mkdir()
    _, config, lines = _written(simmim, tmp_path / "timm", "timm")
    assert lines[1] == "left out: encoder/mask_token, predict/kernel"
    assert config["num_classes"] == 0


def test_computed_positions_are_written_as_tables(published, tmp_path):
    """Sin-cos at the second column of a row, for width 8: sin 1, sin 0.01^.5, then cosines."""
    it = published["mae_encoder.pth"]
    params = dict(it.params)
    del params["encoder/positions/table"]
    whole = dataclasses.replace(it.architecture, encoder=Size(8, 2, 2), positions="sincos")
    export.write(tmp_path, "timm", params, whole)
    table = load_file(tmp_path / "model.safetensors")["pos_embed"]
    np.testing.assert_array_equal(table[0, 0], np.zeros(8))
    column = [np.sin(1), np.sin(0.01), np.cos(1), np.cos(0.01)]
    np.testing.assert_allclose(table[0, 2], [*column, 0, 0, 1, 1], atol=1e-6)


def test_what_is_known_of_inputs_and_classes_is_written(published, tmp_path):
    about = export.About(class_names=("a", "b", "c"), mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0))
    _, config, _ = _written(published["hf_vit"], tmp_path, "hf", about=about)
    assert config["id2label"] == {"0": "a", "1": "b", "2": "c"}
    inputs = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert (inputs["image_mean"], inputs["image_std"]) == ([0.1, 0.2, 0.3], [1.0, 2.0, 3.0])
    assert inputs["size"] == {"height": 8, "width": 12}
    (tmp_path / "timm").mkdir()
    _, config, _ = _written(published["timm_mean"], tmp_path / "timm", "timm", about=about)
    assert config["pretrained_cfg"]["mean"] == [0.1, 0.2, 0.3]
    assert config["label_names"] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("name", "format", "changes", "message"),
    [
        ("timm_mean", "hf", {}, "reads the class token .* use --format=timm"),
        ("hf_vit", "timm", {}, "epsilon of 1e-06, and this model's 0.001: use --format=hf"),
        ("hf4_mae", "hf", {"grid": (2, 8)}, "is for square images.*--part=encoder"),
        ("hf4_mae", "hf", {"grid": (16,), "patch_size": (4,)}, "inputs have 1 axes"),
        ("hf4_mae", "hf", {"hidden": 16}, "encoder/transformer are missing, unknown"),
    ],
)
def test_a_model_that_a_format_cannot_hold_is_refused(
    published, tmp_path, name, format, changes, message
):
    it = published[name]
    architecture = dataclasses.replace(it.architecture, **changes)
    with pytest.raises(ValueError, match=message):
        export.write(tmp_path, format, it.params, architecture)
    assert not list(tmp_path.iterdir())


def test_heads_of_published_sizes_are_known(published):
    it = published["mae_full.pth"].architecture
    with pytest.raises(ValueError, match="does not say its heads, and width 8 is of no published"):
        export.known_heads(it)
    vit_b = dataclasses.replace(it, encoder=Size(768, 12, 0), decoder=Size(512, 8, 0))
    found = export.known_heads(vit_b)
    assert (found.encoder.num_heads, found.decoder.num_heads) == (12, 16)

"""Files that other projects wrote are recognised, and read they do here what they do there."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from maskjax.interop import fit
from maskjax.interop.published import read
from maskjax.models.sizes import Size

FORMATS = {
    "hf4_mae": "hf",
    "hf5_mae": "hf",
    "hf_vit": "hf",
    "timm_token": "timm",
    "timm_mean": "timm",
    "mae_full.pth": "mae",
    "mae_encoder.pth": "mae",
}
MAES = {"hf4_mae": "hf_mae", "hf5_mae": "hf_mae", "mae_full.pth": "mae", "mae_encoder.pth": "mae"}


def _wanted(it):
    """All of the weights, in their shapes."""
    return {path: array.shape for path, array in it.params.items()}


def test_formats_and_architectures_are_recognised(published):
    assert {name: it.format for name, it in published.items()} == FORMATS
    found = {name: it.architecture for name, it in published.items()}
    assert {name: it.norm_eps for name, it in found.items()} == {
        "hf4_mae": 1e-12,
        "hf5_mae": 1e-12,
        "hf_vit": 1e-3,
        "timm_token": 1e-6,
        "timm_mean": 1e-6,
        "mae_full.pth": 1e-6,
        "mae_encoder.pth": 1e-6,
    }
    for name, it in found.items():
        heads = 0 if name in ("mae_full.pth", "mae_encoder.pth") else 2
        assert it.encoder == Size(8, 2, heads), name
        assert (it.patch_size, it.channels, it.hidden) == ((4, 4), 3, 32), name
        assert it.grid == ((4, 4) if name in MAES else (2, 3)), name
    assert found["hf5_mae"].decoder == Size(12, 1, 3)
    assert found["mae_full.pth"].decoder == Size(12, 1, 0)
    assert found["mae_encoder.pth"].decoder is None
    assert (found["timm_token"].pool, found["timm_mean"].pool) == ("class", "mean")


def test_the_same_tensors_are_the_same_parameters_in_every_format(published):
    first = published["hf4_mae"].params
    for name in ("hf5_mae", "mae_full.pth"):
        assert published[name].params.keys() == first.keys()
        for path, array in published[name].params.items():
            np.testing.assert_array_equal(array, first[path], err_msg=f"{name} {path}")
    assert published["mae_encoder.pth"].params.keys() == {
        path for path in first if path.startswith("encoder/")
    }


@pytest.mark.parametrize("name", list(MAES))
def test_tokens_equal_the_recorded_ones(published, outputs, encode, name):
    it = published[name]
    architecture = dataclasses.replace(it.architecture, encoder=Size(8, 2, 2))  # heads: unsaid
    tokens = encode(it.params, architecture, outputs["images/square"])
    np.testing.assert_allclose(tokens, outputs[f"{MAES[name]}/tokens"], atol=1e-5)


def test_logits_of_a_class_token_equal_the_recorded_ones(published, outputs, encode):
    for name in ("hf_vit", "timm_token"):
        it = published[name]
        tokens = np.asarray(encode(it.params, it.architecture, outputs["images/wide"]))
        logits = tokens[:, 0] @ it.params["head/kernel"] + it.params["head/bias"]
        np.testing.assert_allclose(logits, outputs[f"{name}/logits"], atol=1e-5, err_msg=name)


def test_tokens_of_images_of_another_size_equal_the_recorded_ones(published, outputs, encode):
    """Transformers and facebookresearch/mae resample alike, timm in its own way."""
    for name, recorded in (
        ("hf4_mae", "hf_mae/tokens/new"),
        ("timm_token", "timm_token/logits/new"),
    ):
        it = published[name]
        model = dataclasses.replace(it.architecture, grid=(3, 5))
        params, notes = fit.fitted(it, model, _wanted(it))
        found = np.asarray(encode(params, model, outputs["images/new"]))
        if "logits" in recorded:
            found = found[:, 0] @ params["head/kernel"] + params["head/bias"]
        np.testing.assert_allclose(found, outputs[recorded], atol=1e-5, err_msg=name)
        how = "antialiased, as timm" if name == "timm_token" else "bicubic, as MAE"
        assert how in notes[0]
        assert "to 3x5" in notes[0]


@pytest.mark.parametrize(("channels", "how"), [(1, "mean"), (5, "repeat")])
def test_other_channels_give_what_timm_gives(published, outputs, encode, channels, how):
    it = published["timm_token"]
    model = dataclasses.replace(it.architecture, channels=channels)
    params, notes = fit.fitted(it, model, _wanted(it), how)
    tokens = np.asarray(encode(params, model, outputs[f"images/{channels}"]))
    logits = tokens[:, 0] @ params["head/kernel"] + params["head/bias"]
    np.testing.assert_allclose(logits, outputs[f"timm_token/logits/{channels}"], atol=1e-5)
    assert notes == [f"3 channels made {channels} ({how})"]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("hf4_mae", "vit.encoder.layer.1.intermediate.dense.bias"),
        ("timm_token", "blocks.0.mlp.fc1.bias"),
    ],
)
def test_a_tensor_that_is_missing_or_misshapen_is_named(golden, tmp_path, name, first):
    folder = shutil.copytree(golden / name, tmp_path / name)
    tensors = load_file(folder / "model.safetensors")
    left = {key: array for key, array in tensors.items() if key != first}
    save_file(left, folder / "model.safetensors")
    with pytest.raises(ValueError, match=f"lacks {first}: fetch the whole file"):
        read(folder)
    save_file(tensors | {first: np.zeros(31, np.float32)}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"mlp/fc1/bias \[31\] where \[32\] belongs"):
        read(folder)


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("timm_token", "blocks.0.ls1.gamma", "has layer scale"),
        ("timm_token", "dist_token", "a distillation token"),
        ("timm_token", "reg_token", "register tokens"),
        ("timm_token", "norm_pre.weight", "a norm before the blocks"),
        ("timm_token", "attn_pool.latent", "pooling by attention"),
        ("hf_vit", "vit.embeddings.distillation_token", "a distillation token"),
    ],
)
def test_what_the_encoder_has_not_is_refused_by_name(golden, tmp_path, name, tensor, message):
    folder = shutil.copytree(golden / name, tmp_path / name)
    tensors = load_file(folder / "model.safetensors")
    save_file(tensors | {tensor: np.ones(8, np.float32)}, folder / "model.safetensors")
    with pytest.raises(ValueError, match=f"{message}.*{tensor}"):
        read(folder)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("hf_vit", {"hidden_size": 16}, "says hidden_size 16, and the tensors have 8"),
        ("hf_vit", {"hidden_act": "quick_gelu"}, "hidden_act 'quick_gelu'.*'gelu' alone"),
        ("hf_vit", {"model_type": "swin"}, "is a 'swin' of transformers"),
        ("hf_vit", {"image_size": 32}, r"6 positions .* says a grid of \(8, 8\)"),
        ("timm_token", {"architecture": "resnet50"}, "is timm's 'resnet50'"),
        ("timm_token", {"model_args": {"act_layer": "silu"}}, "model_args.act_layer 'silu'"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(golden, tmp_path, name, changes, message):
    folder = shutil.copytree(golden / name, tmp_path / name)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(ValueError, match=message):
        read(folder)


def test_files_that_cannot_be_read_are_refused(golden, tmp_path):
    with pytest.raises(FileNotFoundError, match="there are no weights"):
        read(tmp_path / "none.pth")
    with pytest.raises(FileNotFoundError, match="of other files of weights none"):
        read(tmp_path)
    lone = shutil.copy(golden / "hf_vit" / "model.safetensors", tmp_path / "lone.safetensors")
    with pytest.raises(ValueError, match=r"no config\.json .* give the folder"):
        read(tmp_path / "lone.safetensors")
    with pytest.raises(ValueError, match=r"names of 'hf', and init_from\.format is 'timm'"):
        read(golden / "hf_vit", "timm")
    whole = (golden / "hf_vit" / "model.safetensors").read_bytes()
    (tmp_path / "lone.safetensors").write_bytes(whole[:1000])
    with pytest.raises(ValueError, match=r"lone\.safetensors cannot be read"):
        read(tmp_path)
    save_file({"conv1.weight": np.zeros((2, 2), np.float32)}, lone)
    with pytest.raises(ValueError, match="no vision transformer with names of mae, hf or timm"):
        read(tmp_path)
    tensors = load_file(golden / "timm_token" / "model.safetensors")
    save_file(tensors | {"norm.bias": np.full(8, np.nan, np.float32)}, lone)
    with pytest.raises(ValueError, match=r"norm\.bias holds numbers that are not finite"):
        read(tmp_path)


def test_half_precision_a_prefix_and_several_files_are_read(golden, published, tmp_path):
    tensors = load_file(golden / "timm_token" / "model.safetensors")
    halves = {f"module.{name}": array.astype(np.float16) for name, array in tensors.items()}
    names = sorted(halves)
    index = {name: f"part-{i % 2}.safetensors" for i, name in enumerate(names)}
    for file in set(index.values()):
        part = {name: halves[name] for name in names if index[name] == file}
        save_file(part, tmp_path / file)
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": index}))
    shutil.copy(golden / "timm_token" / "config.json", tmp_path)
    found = read(tmp_path)
    for name, array in published["timm_token"].params.items():
        assert found.params[name].dtype == np.float32
        np.testing.assert_allclose(found.params[name], array, atol=2e-3, err_msg=name)
    (tmp_path / "part-1.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"lists part-1\.safetensors, which is not there"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        (
            {"encoder": Size(16, 3, 4)},
            {},
            r"width 8 there, 16 here \(model.encoder.width\), depth 2 there, 3 here .*heads 2 ",
        ),
        ({"patch_size": (2, 2)}, {}, r"patch size \(4, 4\) there, \(2, 2\) here"),
        ({"norm_eps": 1e-6}, {}, r"epsilon 0.001 there, 1e-06 here \(model.norm_eps\)"),
        ({"pool": "mean"}, {}, "a head on: the class there, mean here"),
        ({"channels": 1}, {}, "of 3 channels, and the data have 1: say by init_from.channels"),
        (
            {"positions": "sincos"},
            {"wanted": {"encoder/class_token": (1, 1, 8)}},
            "not the sin-cos table",
        ),
    ],
)
def test_another_architecture_is_named_with_both_numbers(published, changes, options, message):
    it = published["hf_vit"]
    model = dataclasses.replace(it.architecture, **changes)
    with pytest.raises(ValueError, match=message):
        fit.fitted(it, model, options.get("wanted", _wanted(it)))


def test_a_task_without_an_encoder_refuses_weights_of_one(published):
    with pytest.raises(ValueError, match="this config's task has none"):
        fit.fitted(published["hf_vit"], None, {})


def test_another_number_of_classes_is_named(published):
    it = published["hf_vit"]
    wanted = _wanted(it) | {"head/kernel": (8, 10)}
    with pytest.raises(ValueError, match=r"outputs of the head 3 there, 10 here .*skip=\^head/"):
        fit.fitted(it, it.architecture, wanted)
    del wanted["head/kernel"]  # as init_from.skip does
    fit.fitted(it, it.architecture, wanted)


def test_a_pooler_is_left_out_and_said(golden, published, tmp_path):
    """A ViTModel has no prefix, and a pooler in place of a classifier."""
    folder = shutil.copytree(golden / "hf_vit", tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    bare = {name.removeprefix("vit."): x for name, x in tensors.items() if "classifier" not in name}
    bare |= {"pooler.dense.weight": np.ones((8, 8), np.float32)}
    save_file(bare | {"pooler.dense.bias": np.ones(8, np.float32)}, folder / "model.safetensors")
    it = read(folder)
    params, notes = fit.fitted(it, it.architecture, {})
    assert notes == ["a pooler, which nothing here reads, is left out"]
    whole = published["hf_vit"].params
    assert params.keys() == {path for path in whole if path.startswith("encoder/")}
    for path, array in params.items():
        np.testing.assert_array_equal(array, whole[path])

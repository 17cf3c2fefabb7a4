"""Residual networks of torchvision and timm give here what they give there, or are refused."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from maskjax import tasks
from maskjax.interop import export, fit
from maskjax.interop.published import read
from maskjax.interop.resnet import read_resnet
from maskjax.models.resnet import ResNet
from maskjax.models.resnet_sizes import ResNetArchitecture
from maskjax.training import init_from, run
from maskjax.training.update import make_update

BASIC = ResNetArchitecture((1, 1), (8, 16), False, 7, "affine", channels=3)
FOUND = {
    "torchvision_basic.pth": BASIC,
    "torchvision_bottleneck.pth": dataclasses.replace(BASIC, is_bottleneck=True),
    "timm_bit": ResNetArchitecture((1, 1), (32, 32), True, 7, "group", 32, 3),
}


@pytest.fixture(scope="module")
def recorded(golden):
    with np.load(golden / "resnet.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.fixture(scope="module")
def files(golden):
    return {name: read(golden / name) for name in FOUND}


def _wanted(it):
    return {path: array.shape for path, array in it.params.items()}


def _fitted(it, model, channels=""):
    return fit.fitted(it, model, _wanted(it), channels)


@pytest.mark.parametrize("name", list(FOUND))
def test_logits_equal_the_recorded_ones(files, recorded, name):
    it = files[name]
    assert it.architecture == FOUND[name]
    assert it.format == name.partition("_")[0]
    params, notes = _fitted(it, FOUND[name])
    assert any("batch norm is folded" in note for note in notes) == (it.format == "torchvision")
    tree = traverse_util.unflatten_dict({k: jnp.asarray(v) for k, v in params.items()}, sep="/")
    features = jax.jit(ResNet(FOUND[name]).apply)({"params": tree["encoder"]}, recorded["images"])
    logits = features @ params["head/kernel"] + params["head/bias"][None]
    np.testing.assert_allclose(logits, recorded[name], rtol=1e-5, atol=1e-5)


def test_a_run_starts_from_them_with_another_head_and_frozen_norms(load_config, golden):
    sizes = {"model.size": "resnet18", "model.depths": (1, 1), "model.widths": (8, 16)}
    rules = {
        "model.norm": "affine",
        "model.patch_size": (8, 8),
        "init_from.path": str(golden / "torchvision_basic.pth"),
        "init_from.skip": ("^head/",),
        "init_from.channels": "mean",
        "optimizer.frozen": ("norm[1-3]?/",),
    }
    config = load_config("resnet", "smoke", **(sizes | rules))
    task = tasks.build(config, types.SimpleNamespace(shape=(32, 32, 1), num_classes=5))
    shapes = jax.eval_shape(lambda: run.initial_state(task, config))
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    fresh = jax.device_put(zeros, jax.devices()[0])
    state, record, _ = init_from.start(fresh, config, lambda step, factor: 0.1, task)
    assert record["begins anew"] == ["head/bias", "head/kernel"]
    assert record["notes"][0] == "batch norm is folded into scales and biases"
    raw = read(golden / "torchvision_basic.pth").params["encoder/stem/kernel"]
    stem = state.params["encoder"]["stem"]["kernel"]
    np.testing.assert_allclose(stem[..., 0, :], raw.sum(2), rtol=1e-5, atol=1e-6)
    norms = {path for path in _wanted(read(golden / "torchvision_basic.pth")) if "norm" in path}
    assert make_update(config, state.params).frozen == norms


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm": "group"}, r"norm affine there, group here \(model.norm\)"),
        ({"depths": (2, 2)}, r"blocks \(1, 1\) there, \(2, 2\) here \(model.size or model.d"),
        ({"widths": (8, 32)}, r"widths \(8, 16\) there, \(8, 32\) here"),
        ({"is_bottleneck": True}, r"bottlenecks False there, True here \(model.size\)"),
        ({"stem": 3}, r"a first convolution of side 7 there, 3 here"),
        ({"channels": 1}, "is of 3 channels, and the data have 1: say by init_from.channels"),
    ],
)  # fmt: skip
def test_another_architecture_is_refused_with_both_numbers(files, changes, message):
    with pytest.raises(ValueError, match=message):
        _fitted(files["torchvision_basic.pth"], dataclasses.replace(BASIC, **changes))


def test_groups_heads_and_channels_that_differ_are_refused(files, golden):
    bit = files["timm_bit"]
    with pytest.raises(ValueError, match=r"groups 32 there, 4 here \(model.groups\)"):
        _fitted(bit, dataclasses.replace(bit.architecture, groups=4))
    with pytest.raises(ValueError, match=r"weights of others .*: set data.channels=3"):
        _fitted(bit, dataclasses.replace(bit.architecture, channels=1), "mean")
    with pytest.raises(ValueError, match="outputs of the head 3 there, 7 here"):
        fit.fitted(bit, bit.architecture, {"head/kernel": (128, 7)})
    with pytest.raises(ValueError, match="a residual network, and this config's task has a vision"):
        fit.fitted(bit, read(golden / "timm_token").architecture, {})
    with pytest.raises(ValueError, match="this is a residual network: export its run by --format"):
        export.write(golden, "timm", bit.params, bit.architecture)


def _torchvision(golden):
    from maskjax.interop.torch_zip import read_torch

    return read_torch(golden / "torchvision_bottleneck.pth")[0]


BN = "layer1.0.bn1."


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({BN + "running_mean": None}, f"lacks {BN}running_mean: fetch the whole file"),
        ({"layer2.0.conv2.weight": None}, "lacks layer2.0.conv2.weight: fetch"),
        ({"fc.bias": None}, "lacks fc.bias: fetch"),
        ({"layer1.0.se.fc1.weight": (2, 32, 1, 1)}, "'layer1.0.se.fc1.weight', which maskjax's"),
        ({"layer1.0.conv2.weight": (8, 1, 3, 3)}, r"grouped convolutions \(ResNeXt\)"),
        ({"conv1.weight": (8, 3, 5, 5)}, "a convolution of 5 pixels, and not 3 or 7"),
        ({"conv1.weight": (8, 3)}, r"conv1 is no convolution of images, \[8, 3\]"),
        ({"conv1.weight": None, "conv1.0.weight": (8, 3, 3, 3)}, "which maskjax's ResNet has not"),
        ({"layer1.0.bn2.weight": (9,)}, r"block00/norm2/scale \[9\] where \[8\] belongs"),
        ({"layer1.0.conv2.weight": (16, 16, 3, 3)}, r"16 channels in blocks of 32 \(Wide ResNet\)"),
    ],
)
def test_other_residual_networks_are_refused_by_name(golden, changes, message):
    arrays = _torchvision(golden)
    for name, shape in changes.items():
        if shape is None:
            del arrays[name]
        else:
            arrays[name] = np.ones(shape, np.float32)
    if "bn2.weight" in "".join(changes):
        arrays["layer1.0.bn2.bias"] = np.ones(9, np.float32)
        arrays["layer1.0.bn2.running_mean"] = arrays["layer1.0.bn2.running_var"] = np.ones(9)
    with pytest.raises(ValueError, match=message):
        read_resnet(arrays, None, "FILE")
    group_norms = {k: v for k, v in arrays.items() if "running" not in k}
    with pytest.raises(ValueError, match="FILE has another norm than batch norm"):
        read_resnet(group_norms, None, "FILE")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"architecture": "resnetblur50"}, "is timm's 'resnetblur50': of residual networks"),
        ({"architecture": "resnet50", "model_args": {"aa": "blur"}}, "model_args.aa 'blur', which"),
    ],
)
def test_what_a_config_says_of_timms_is_read(golden, said, message):
    assert read_resnet(_torchvision(golden), {"architecture": "resnet50"}, "FILE")
    with pytest.raises(ValueError, match=message):
        read_resnet(_torchvision(golden), said, "FILE")

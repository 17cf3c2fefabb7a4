"""Residual networks and LeNet-5: published sizes and costs, and slow loops."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.models.lenet import LeNet, lenet_flops
from maskjax.models.resnet import ResNet, resnet_shapes
from maskjax.models.resnet_sizes import resnet_flops, resnet_sizes

# With a head of 1000 classes: parameters, and multiply-adds of 224 x 224 in thousand millions, as
# torchvision's table of weights says them.
PUBLISHED = {"resnet18": (11_689_512, 1.814), "resnet50": (25_557_032, 4.089)}


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_named_sizes_have_the_published_parameters_and_costs(name):
    it = dataclasses.replace(resnet_sizes[name], norm="affine")
    count, cost = PUBLISHED[name]
    mine = sum(int(np.prod(shape)) for shape in resnet_shapes(it).values())
    assert mine + it.width * 1000 + 1000 == count
    total = resnet_flops(it, (224, 224, 3)) / 2 + it.width * 1000
    assert total / 1e9 == pytest.approx(cost, abs=6e-4)


@pytest.mark.parametrize(("name", "millions"), [("resnet20", 0.27), ("resnet56", 0.85)])
def test_small_ones_have_the_parameters_of_the_paper(name, millions):
    """He et al. 2015, table 6."""
    it = resnet_sizes[name]
    blocks = sum(it.depths)
    assert 2 * blocks + 2 == int(name.removeprefix("resnet"))
    mine = sum(int(np.prod(shape)) for shape in resnet_shapes(it).values()) + it.width * 10 + 10
    assert mine / 1e6 == pytest.approx(millions, abs=0.006)


def test_inputs_may_have_any_number_of_axes_and_a_stage_halves_them():
    small = dataclasses.replace(resnet_sizes["resnet20"], depths=(1, 1), widths=(4, 8), groups=2)
    for axes in (1, 3):
        it = dataclasses.replace(small, num_axes=axes, channels=2)
        x = jnp.zeros((3, *(6,) * axes, 2))
        params = jax.eval_shape(ResNet(it).init, jax.random.key(0), x)
        assert jax.eval_shape(ResNet(it).apply, params, x).shape == (3, 8)
        side = 3**axes
        inner = 2 * (6**axes * side * (2 * 4 + 4 * 4 + 4 * 4))
        second = 2 * (3**axes * (side * (4 * 8 + 8 * 8) + 4 * 8))
        assert resnet_flops(it, (*(6,) * axes, 2)) == inner + second


def test_pools_name_their_sizes_for_jax2onnx_takes_no_others(monkeypatch):
    pool, sizes = nn.max_pool, []

    def by_name(x, *, window_shape, strides=None, padding="VALID"):  # as it is patched there
        sizes.append((window_shape, strides))
        return pool(x, window_shape, strides, padding)

    monkeypatch.setattr(nn, "max_pool", by_name)
    large = dataclasses.replace(resnet_sizes["resnet18"], depths=(1,), widths=(8,), groups=4)
    for model in (LeNet(), ResNet(large)):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    assert sizes == [((2, 2), (2, 2)), ((2, 2), (2, 2)), ((3, 3), (2, 2))]


def _slow_conv(x, kernel, bias):
    """Each output from the 5 x 5 inputs at and after its place; then ReLU and maxima over 2 x 2."""
    height, width = x.shape[0] - 4, x.shape[1] - 4
    found = np.empty((height, width, kernel.shape[-1]))
    for row in range(height):
        for column in range(width):
            seen = x[row : row + 5, column : column + 5]
            found[row, column] = np.tensordot(seen, kernel, 3) + bias
    found = np.maximum(found, 0)[: height // 2 * 2, : width // 2 * 2]
    return found.reshape(height // 2, 2, width // 2, 2, -1).max((1, 3))


def test_lenet_equals_a_slow_loop_and_begins_as_pytorch_does():
    x = np.random.default_rng(0).normal(size=(1, 17, 20, 3)).astype(np.float32)
    model = LeNet()
    params = jax.jit(model.init)(jax.random.key(0), x)
    leaves = {
        name: {k: np.asarray(v) for k, v in of.items()} for name, of in params["params"].items()
    }
    y = x[0].astype(np.float64)
    for name in ("conv1", "conv2"):
        y = _slow_conv(y, leaves[name]["kernel"], leaves[name]["bias"])
    y = y.reshape(-1)
    for name in ("dense1", "dense2"):
        y = np.maximum(y @ leaves[name]["kernel"] + leaves[name]["bias"], 0)
    np.testing.assert_allclose(jax.jit(model.apply)(params, x)[0], y, rtol=1e-4, atol=1e-6)
    for leaf, inputs in (("conv1", 75), ("conv2", 150), ("dense1", 32), ("dense2", 120)):
        for each in leaves[leaf].values():  # uniform within the bound, and near it where many
            assert np.abs(each).max() <= inputs**-0.5
        assert np.abs(leaves[leaf]["kernel"]).max() > 0.98 * inputs**-0.5
        assert np.std(leaves[leaf]["kernel"]) == pytest.approx((3 * inputs) ** -0.5, rel=0.1)


def test_the_tutorials_lenet_has_62006_parameters():
    x = jnp.zeros((1, 32, 32, 3))
    params = jax.eval_shape(LeNet().init, jax.random.key(0), x)
    count = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params)) + 84 * 10 + 10
    assert count == 62_006
    assert lenet_flops((32, 32, 3)) / 2 == 28 * 28 * 75 * 6 + 10 * 10 * 150 * 16 + 48_000 + 10_080

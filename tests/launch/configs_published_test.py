"""Variants named after published models are those models; nothing is allocated here."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import tasks
from maskjax.tasks import mae
from maskjax.tasks.task import Sums, Task
from maskjax.training import run

EPOCH = 1_281_167 / 4096  # steps


@pytest.fixture(autouse=True)
def untried(monkeypatch):
    """A task is not traced whole as it is built: of models so deep that takes longest."""
    monkeypatch.setattr(mae, "_try_out", lambda *_: jnp.zeros(()))


def _count(tree):
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


def _blocks(width, depth):
    """Parameters of transformer blocks: four attention maps, an MLP of four widths, two norms."""
    return depth * (12 * width**2 + 13 * width)


# Encoder: Dosovitskiy et al. 2021, table 1. Millions: the reference's own count of each model,
# which has both fixed tables of positions in it (111907840, 329541888 and 657074508 numbers).
@pytest.mark.parametrize(
    ("variant", "side", "width", "depth", "heads", "millions"),
    [
        ("imagenet_vit_b16", 16, 768, 12, 12, 111.908),
        ("imagenet_vit_l16", 16, 1024, 24, 16, 329.542),
        ("imagenet_vit_h14", 14, 1280, 32, 16, 657.075),
    ],
)
def test_sizes_are_the_published_ones(load_config, variant, side, width, depth, heads, millions):
    config = load_config("mae", variant)
    task = tasks.build(config, types.SimpleNamespace(shape=(*config.data.size, 3)))
    params = jax.eval_shape(task.init, jax.random.key(0))
    length, numbers = (224 // side) ** 2, 3 * side**2
    assert task.grid == (224 // side, 224 // side)
    assert (task.masker.length, task.patch_size) == (length, (side, side))
    encoder = task.model.encoder
    assert (encoder.width, encoder.transformer.depth) == (width, depth)
    assert encoder.transformer.num_heads == heads
    # He et al. 2022, section 4.1: 8 blocks, 512 wide; 16 heads in the reference.
    decoder = task.model.decoder
    assert (decoder.width, decoder.transformer.depth) == (512, 8)
    assert decoder.transformer.num_heads == 16

    expected = (numbers + 1) * width + width + _blocks(width, depth) + 2 * width
    assert _count(params["encoder"]) == expected
    expected = (width + 1) * 512 + 512 + _blocks(512, 8) + 2 * 512 + (512 + 1) * numbers
    assert _count(params["decoder"]) == expected
    total = _count(params) + (1 + length) * (width + 512)
    assert total / 1e6 == pytest.approx(millions, abs=5e-4)


@pytest.mark.parametrize("variant", ["imagenet_vit_b16", "imagenet_vit_l16", "imagenet_vit_h14"])
def test_pretraining_is_the_published_one(load_config, variant):
    """He et al. 2022, appendix A.1, table 8."""
    config = load_config("mae", variant)
    assert config.batch_size == 4096
    chosen = config.optimizer
    assert (chosen.base_lr, chosen.min_lr, chosen.weight_decay) == (1.5e-4, 0.0, 0.05)
    assert (chosen.b1, chosen.b2, chosen.clip_norm, chosen.accumulate_steps) == (0.9, 0.95, 0, 1)
    assert chosen.warmup_steps == pytest.approx(40 * EPOCH, abs=1)
    assert config.total_steps == pytest.approx(800 * EPOCH, abs=1)
    assert (config.mask.rule, config.mask.ratio, config.mask.schedule) == (
        "random", 0.75, "constant",
    )  # fmt: skip
    assert (config.loss.target, config.loss.on, config.loss.kind) == ("norm_pix", "masked", "l2")
    assert (config.model.name, config.model.positions, config.model.drop_path) == (
        "mae", "sincos", 0.0,
    )  # fmt: skip
    assert (config.data.crop_scale, config.data.flip) == ((0.2, 1.0), True)
    assert config.data.mean == (0.485, 0.456, 0.406)
    assert config.data.std == (0.229, 0.224, 0.225)


class OneNumber(Task):
    """One parameter, which is the loss."""

    def init(self, key):
        return {"w": jnp.float32(0)}

    def loss(self, params, batch, context):
        return Sums(params["w"] * 1.0, jnp.float32(1))


def test_the_rate_of_the_published_pretraining_reaches_its_peak_after_the_warm_up(load_config):
    """4096 / 256 times the base rate, which is 2.4e-3, at step 40 epochs; half of it midway."""
    config = load_config("mae", "imagenet_vit_b16")
    task = OneNumber()
    state = run.initial_state(task, config)
    step = jax.jit(run.make_step(task, config, None))
    warmup, total = config.optimizer.warmup_steps, config.total_steps
    rates = {0: 0.0, warmup // 2: 1.2e-3, warmup: 2.4e-3, (warmup + total) // 2: 1.2e-3, total: 0}
    for at, expected in rates.items():
        _, metrics = step(state.replace(step=jnp.int32(at)), {"inputs": jnp.zeros((1, 1))})
        assert float(metrics["learning_rate"]) == pytest.approx(expected, rel=1e-3, abs=1e-9)


def test_simmim_is_the_published_one(load_config):
    """Xie et al. 2022, section 4.1: mask tokens, 60 % hidden, l1 on raw pixels, a linear head."""
    config = load_config("simmim", "imagenet_vit_b16")
    assert (config.model.name, config.mask.fill, config.mask.ratio) == ("simmim", "token", 0.6)
    assert (config.loss.target, config.loss.on, config.loss.kind) == ("pixels", "masked", "l1")
    task = tasks.build(config, types.SimpleNamespace(shape=(224, 224, 3)))
    params = jax.eval_shape(task.init, jax.random.key(0))
    assert params["predict"]["kernel"].shape == (768, 768)
    assert _count(params["predict"]) + _count(params["encoder"]) == _count(params)
    assert params["encoder"]["mask_token"].shape == (768,)


@pytest.mark.parametrize(
    ("variant", "epochs", "rate", "decay", "drop"),
    [
        ("imagenet_vit_b16", 100, 5e-4, 0.65, 0.1),
        ("imagenet_vit_l16", 50, 1e-3, 0.75, 0.2),
        ("imagenet_vit_h14", 50, 1e-3, 0.75, 0.3),
    ],
)
def test_fine_tuning_is_the_published_one(load_config, variant, epochs, rate, decay, drop):
    """He et al. 2022, appendix A.1, table 9, and the reference's commands."""
    config = load_config("finetune", variant)
    chosen, epoch = config.optimizer, 1_281_167 / 1024
    assert config.batch_size == 1024
    assert config.total_steps == pytest.approx(epochs * epoch, abs=1)
    assert (chosen.base_lr, chosen.min_lr, chosen.layer_decay) == (rate, 1e-6, decay)
    assert (chosen.b1, chosen.b2, chosen.weight_decay) == (0.9, 0.999, 0.05)
    assert chosen.warmup_steps == pytest.approx(5 * epoch, abs=1)
    assert (config.mix.mixup, config.mix.cutmix, config.mix.switch) == (0.8, 1.0, 0.5)
    assert (config.loss.smoothing, config.model.drop_path, config.model.pool) == (0.1, drop, "mean")
    augmented = config.data.randaugment, config.data.randaugment_magnitude, config.data.erase
    assert augmented == (2, 9.0, 0.25)
    assert config.data.randaugment_deviation == 0.5
    assert (config.data.crop_scale, config.data.flip) == ((0.08, 1.0), True)


def test_a_fine_tuned_model_is_the_published_encoder_with_a_head(load_config):
    config = load_config("finetune", "imagenet_vit_b16")
    task = tasks.build(config, types.SimpleNamespace(shape=(224, 224, 3), num_classes=1000))
    params = jax.eval_shape(task.init, jax.random.key(0))
    assert params["encoder"]["positions"]["table"].shape == (1, 196, 768)
    # timm's vit_base_patch16_224 with global_pool="avg" has 86,567,656 parameters, among them the
    # position of a class token, which is zero here and fixed.
    assert _count(params) == 86_567_656 - 768

"""Every config: its smoke variant trains, evaluates, saves and draws; one resumes bit for bit."""

import ast
import math
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from maskjax import masking, workdir
from maskjax.models.patches import grid_shape
from maskjax.training.loop import train
from maskjax.workdir.lines import read_metrics
from maskjax.workdir.masks import read_masks

CONFIGS = Path(__file__).parents[2] / "configs"
VARIANTS = (
    "default", "photos", "fashion_mnist", "cifar10", "imagenet_vit_b16", "imagenet_vit_l16",
    "imagenet_vit_h14", "signal", "volume",
)  # fmt: skip

FEW = {"eval.max_train_examples": 64, "figures.num_examples": 2}
UNPROBED = {"eval.probes": (), "figures.num_examples": 0}  # probes are alike for all configs
SHALLOW = {"model.encoder.depth": 1}  # one block is traced in half the time of two
# An encoder of texts, of which 20 documents are read.
FEW_TEXTS = {
    "data.limit": 20, "data.tokenizer": "wordpiece:512",
    "model.width": 16, "model.depth": 1, "model.heads": 2,
}  # fmt: skip
DRAWN = ("signal", "volume")  # ranks that draw_test does not draw; to draw takes longest
RESUMED = "cifar10"  # photographs, cropped and flipped, in bfloat16
# What other tests of this file train, or what is the same small run as another.
ELSEWHERE = {"default", "photos", RESUMED, "imagenet_vit_l16", "imagenet_vit_h14"}


@pytest.mark.parametrize("variant", sorted({*VARIANTS} - ELSEWHERE))
def test_smoke_of_mae_trains_evaluates_saves_and_draws(load_config, tmp_path, variant):
    check_smoke(load_config, "mae", variant, tmp_path)


def test_smoke_of_simmim_trains_evaluates_and_saves(load_config, tmp_path):
    check_smoke(load_config, "simmim", "default", tmp_path)


def test_smoke_of_vectors_trains_evaluates_and_saves(load_config, tmp_path):
    check_smoke(load_config, "vectors", "default", tmp_path)


def test_smoke_of_mlm_trains_and_is_judged_beside_ngrams(load_config, tmp_path):
    few = FEW_TEXTS | {"data.index": str(tmp_path / "index")}
    _, summary = check_smoke(load_config, "mlm", "default", tmp_path / "run", **few)
    kinds = ("accuracy", "perplexity")
    names = {f"{model}_{kind}" for model in ("unigram", "bigram") for kind in kinds}
    assert {*kinds, *names, "test_accuracy", "test_bigram_perplexity"} <= set(summary)


def test_smoke_of_diffusion_lm_trains_while_heads_change(load_config, tmp_path):
    few = FEW_TEXTS | {
        "data.index": str(tmp_path / "index"),
        "mask.eval_draws": 1,
        "model.near_heads": 1,
        "model.drop_heads": 0.2,
    }
    _, summary = check_smoke(load_config, "diffusion_lm", "default", tmp_path / "run", **few)
    assert {"perplexity", "unigram_loss", "test_bigram_loss"} <= set(summary)


def test_smoke_of_finetune_trains_and_resumes_with_mixing_and_averages(load_config, tmp_path):
    config, straight = check_smoke(
        load_config, "finetune", "default", tmp_path / "run", **{"optimizer.ema_decay": 0.9}
    )
    assert {"accuracy", "test_accuracy", "f1_macro", "per_class"} <= set(straight)
    cut(tmp_path / "run", config)
    assert train(config, tmp_path / "run")["params_sha256"] == straight["params_sha256"]


def test_smoke_of_resnet_trains_evaluates_and_saves(load_config, tmp_path):
    _, summary = check_smoke(load_config, "resnet", "default", tmp_path)
    assert {"accuracy", "test_accuracy"} <= set(summary)


def test_smoke_of_lenet_trains_evaluates_and_saves(load_config, tmp_path):
    check_smoke(load_config, "lenet", "default", tmp_path)


def test_smokes_of_pruning_and_of_learned_masks_after_it(load_config, tmp_path):
    pruned, learned = tmp_path / "pruned", tmp_path / "learned"
    _, summary = check_smoke(load_config, "prune", "default", pruned)
    masks, by_layer = read_masks(str(pruned)), summary["sparsity_by_layer"]
    for path, mask in masks.items():  # 90 % of every leaf, halves up, by the fourth of six steps
        assert (~mask).sum() == int(0.9 * mask.size + 0.5)
        assert 1 - mask.mean() == pytest.approx(by_layer.pop(path))
    assert not by_layer
    of_it = {"init_from.path": str(pruned), "init_from.skip": ("^head/",)}
    _, summary = check_smoke(load_config, "mask_tune", "learned", learned, **of_it)
    assert summary["artefact_bytes"] == (learned / "artefact.npz").stat().st_size


def test_a_network_of_blocks_that_was_made_smaller_can_be_said_of_every_config(load_config):
    pairs = ((1, 5), (2, 7))
    for name in ("mae", "simmim", "finetune", "prune", "mask_tune"):
        config = load_config(name, "smoke")
        config.model.encoder.update({"kept": pairs, "hidden": 9})
    for name in ("text_classify", "mlm", "bert4rec"):
        load_config(name, "smoke").model.kept = pairs
    assert "kept" not in load_config("resnet", "smoke").model


def cut(folder, config):
    """Leaves what a kill between the checkpoint of the middle and the end would have left."""
    (folder / workdir.SUMMARY).unlink()
    shutil.rmtree(folder / workdir.CHECKPOINTS / str(config.total_steps))


def check_smoke(load_config, name, variant, folder, **overrides):
    few = FEW if variant in DRAWN else FEW | UNPROBED
    is_whole = name in ("diffusion_lm", "lenet", "mlm", "resnet", "vectors")
    shallow = {} if is_whole else SHALLOW
    config = load_config(name, f"{variant}_smoke", **(few | shallow | overrides))
    summary = train(config, folder)
    check_summary(config, summary, folder)
    drawn = {"figures/loss.png", "figures/reconstructions.png"} if variant in DRAWN else set()
    assert drawn <= set(summary["figures"])
    return config, summary


def check_summary(config, summary, folder):
    assert summary["steps"] == config.total_steps
    assert np.isfinite(summary["validation_loss"])
    assert (folder / workdir.CHECKPOINTS / str(config.total_steps)).is_dir()


def test_smoke_runs_of_all_published_sizes_are_the_same_but_for_the_patches(load_config):
    base, large, huge = (
        load_config("mae", f"imagenet_vit_{size}_smoke") for size in ("b16", "l16", "h14")
    )
    assert base == large
    assert base != huge
    huge.model.patch_size = base.model.patch_size
    assert base == huge


def test_a_smoke_run_resumes_to_the_same_numbers(load_config, tmp_path):
    config = load_config("mae", f"{RESUMED}_smoke", **UNPROBED, **SHALLOW)
    straight = train(config, tmp_path / "straight")
    check_summary(config, straight, tmp_path / "straight")
    resumed = tmp_path / "resumed"
    shutil.copytree(tmp_path / "straight", resumed)
    cut(resumed, config)
    assert train(config, resumed)["params_sha256"] == straight["params_sha256"]


def test_one_and_four_devices_train_alike_on_the_real_pipeline(load_config, tmp_path):
    losses = []
    for num_devices in (1, 4):
        config = load_config(
            "mae", "smoke", num_devices=num_devices, log_every_steps=1, **UNPROBED, **SHALLOW
        )  # fmt: skip
        folder = tmp_path / str(num_devices)
        check_summary(config, train(config, folder), folder)
        losses.append([line["loss"] for line in read_metrics(folder)])
    assert len(losses[0]) == 8  # six steps, validation and test
    np.testing.assert_allclose(*losses, rtol=1e-5)


@pytest.mark.parametrize(
    ("variant", "shape"),
    [
        ("default", (8, 8, 1)),
        ("fashion_mnist", (28, 28, 1)),
        ("imagenet_vit_b16", (224, 224, 3)),
        ("signal", (256, 2)),
        ("volume", (16, 16, 16, 1)),
    ],
)
@pytest.mark.parametrize("rule", ["block", "inverse_block"])
def test_boxes_fit_into_the_grid_of_every_variant(load_config, variant, shape, rule):
    options = load_config("mae", variant).mask
    grid = grid_shape(shape, tuple(load_config("mae", variant).model.patch_size))
    length = math.prod(grid)
    count = masking.num_masked_from_ratio(length, options.ratio)
    keys = jax.random.split(jax.random.key(0), 100)
    scores = masking.score(masking.make_rule(rule, **options[rule]), keys, grid, count)
    in_boxes = (scores >= 1 if rule == "block" else scores <= -1).sum(1)
    wanted = count if rule == "block" else length - count
    assert in_boxes.mean() > 0.8 * wanted


def test_simmims_squares_of_the_paper_are_whole(load_config):
    """Xie et al. 2022, section 4.1.2: 0.6 of 7 x 7 squares of 32 pixels, rounded up."""
    config = load_config("simmim", "imagenet_vit_b16")
    rule = masking.make_rule("hierarchical", **config.mask.hierarchical)
    keys = jax.random.split(jax.random.key(0), 20)
    count = masking.num_masked_from_ratio(196, 0.61)
    hidden = masking.draw(rule, keys, (14, 14), count).is_masked
    cells = hidden.reshape(20, 7, 2, 7, 2).sum((2, 4))
    assert set(np.unique(cells).tolist()) == {0, 4}
    assert ((cells == 4).sum((1, 2)) == math.ceil(0.6 * 49)).all()


@pytest.mark.parametrize(
    ("key", "value"),
    [("eval.batch_size", 0), ("eval.knn_k", 0), ("figures.num_examples", -1), ("total_steps", -1)],
)
def test_counts_that_make_no_sense_are_refused_before_training(load_config, tmp_path, key, value):
    with pytest.raises(ValueError, match=f"{key} is {value}: it must be at least"):
        train(load_config("mae", "smoke", **{key: value}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["mae", "simmim"])
def test_an_unknown_variant_lists_the_known_ones(load_config, name):
    with pytest.raises(ValueError, match=r"unknown variant 'cifar' \(did you mean 'cifar10'\?\)"):
        load_config(name, "cifar")


def test_an_unknown_key_names_the_nearest(load_config):
    with pytest.raises((AttributeError, KeyError), match="batch_size"):
        load_config("mae").batchsize = 3


def test_a_value_of_another_type_is_refused(load_config):
    with pytest.raises(TypeError):
        load_config("mae").batch_size = "many"


def test_every_variant_is_covered_here(load_config):
    with pytest.raises(ValueError, match="unknown variant") as error:
        load_config("mae", "?")
    listed = ast.literal_eval(str(error.value).split("use one of ")[1].split("]")[0] + "]")
    assert set(listed) == set(VARIANTS)


def test_every_config_is_covered_here():
    names = {path.stem for path in CONFIGS.glob("*.py")}
    called = {
        node.args[1].value
        for node in ast.walk(ast.parse(Path(__file__).read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "check_smoke"
    }
    elsewhere = {"bert4rec", "knn", "linear_probe", "text_classify", "token_labels"}
    # Of bert4rec_test, frozen_test, texts_test and head_pruning_test.
    assert names == called | elsewhere | {"head_pruning"}


def test_imagenet_configs_have_the_published_hyperparameters(load_config):
    """He et al. 2022, appendix A.1, table 8, and section 4.1 for the decoder."""
    config = load_config("mae", "imagenet_vit_l16")
    assert config.batch_size == 4096
    assert config.optimizer.base_lr == 1.5e-4
    assert (config.optimizer.b1, config.optimizer.b2) == (0.9, 0.95)
    assert config.optimizer.weight_decay == 0.05
    assert config.optimizer.warmup_steps == int(40 * 1281167 / 4096)
    assert config.total_steps == int(800 * 1281167 / 4096)
    assert config.mask.ratio == 0.75
    assert config.data.crop_scale == (0.2, 1.0)
    assert config.optimizer.clip_norm == 0
    assert config.loss.target == "norm_pix"

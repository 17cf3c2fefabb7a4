"""Every config: its smoke variant trains, evaluates, saves, draws, and resumes bit for bit."""

import ast
import shutil
from pathlib import Path

import pytest

from maskjax.training import workdir
from maskjax.training.loop import train

CONFIGS = Path(__file__).parents[2] / "configs"
VARIANTS = (
    "", "photos", "fashion_mnist", "cifar10", "imagenet_vit_b16", "imagenet_vit_l16",
    "imagenet_vit_h14", "signal", "volume",
)  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
def test_smoke_of_mae_trains_and_resumes_to_the_same_numbers(load_config, tmp_path, variant):
    check_smoke(load_config, "mae", variant, tmp_path)


@pytest.mark.parametrize("variant", ["", "signal"])
def test_smoke_of_simmim_trains_and_resumes_to_the_same_numbers(load_config, tmp_path, variant):
    check_smoke(load_config, "simmim", variant, tmp_path)


def check_smoke(load_config, name, variant, tmp_path):
    smoke = f"{variant}_smoke" if variant else "smoke"
    config = load_config(name, smoke, **{"eval.max_train_examples": 64})
    straight = train(config, tmp_path / "straight")
    assert straight["steps"] == config.total_steps
    assert {"figures/loss.png", "figures/reconstructions.png"} <= set(straight["figures"])
    # What a kill between the checkpoint of step 3 and the end would have left.
    resumed = tmp_path / "resumed"
    shutil.copytree(tmp_path / "straight", resumed)
    (resumed / workdir.SUMMARY).unlink()
    shutil.rmtree(resumed / workdir.CHECKPOINTS / str(config.total_steps))
    assert train(config, resumed)["params_sha256"] == straight["params_sha256"]


@pytest.mark.parametrize("name", ["mae", "simmim"])
def test_an_unknown_variant_lists_the_known_ones(load_config, name):
    with pytest.raises(ValueError, match=r"unknown variant 'cifar': use one of .*cifar10"):
        load_config(name, "cifar")


def test_an_unknown_key_names_the_nearest(load_config):
    with pytest.raises((AttributeError, KeyError), match="batch_size"):
        load_config("mae").batchsize = 3


def test_a_value_of_another_type_is_refused(load_config):
    with pytest.raises(TypeError):
        load_config("mae").batch_size = "many"


def test_every_config_is_covered_here():
    names = {path.stem for path in CONFIGS.glob("*.py")}
    called = {
        node.args[1].value
        for node in ast.walk(ast.parse(Path(__file__).read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "check_smoke"
    }
    assert names == called


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

"""Fine-tuning (He et al. 2022, "Masked Autoencoders Are Scalable Vision Learners", appendix A.1).

    python launch/train.py --config=configs/finetune.py[:VARIANT] \
        --config.init_from.path=RUN

RUN is the folder of a pretraining by the same variant of configs/mae.py, such as runs/mae-default.
Without it the same network is trained from scratch with the same budget.
"""

from ml_collections import ConfigDict

from maskjax.config import base, masks, variant_of


def get_config(variant: str = "") -> ConfigDict:
    """Builds the config of a variant."""
    config = base(task="classify")  # the trainer's keys: maskjax/keys.py
    _add_task(config)
    return variant_of(config, variant, VARIANTS, _smoke)


def _add_task(config: ConfigDict) -> None:
    """Adds the keys that the task reads, with the values of the digits run."""
    config.mask = masks(rule="none", fill="zero")  # what is hidden of the input
    config.mask.when = "training"  # or "always"

    config.model = ConfigDict()
    config.model.size = ""  # Ti, S, B, L, H; what the next sets wins over it
    config.model.encoder = ConfigDict({"width": 64, "depth": 4, "heads": 4})
    config.model.patch_size = (2, 2)
    config.model.positions = "sincos_learned"  # or "sincos", "learned"
    config.model.drop_path = 0.1
    config.model.norm_eps = 1e-6
    config.model.dtype = "float32"  # compute; parameters are always float32
    config.model.attention = "xla"  # or "blockwise", "cudnn"
    config.model.remat = False
    config.model.pool = "mean"  # of the patch tokens, or the "class" token

    config.loss = ConfigDict()
    config.loss.smoothing = 0.1  # of labels
    config.loss.class_weights = ()  # or a number a class

    config.mix = ConfigDict()
    config.mix.mixup = 0.8  # alpha of its Beta; 0 = off
    config.mix.cutmix = 1.0
    config.mix.switch = 0.5  # chance that it is CutMix, where both are on
    config.mix.probability = 1.0  # that an example is mixed

    config.optimizer.b2 = 0.999
    config.optimizer.min_lr = 1e-6
    config.optimizer.layer_decay = 0.75
    config.optimizer.no_decay = ("^encoder/(positions|class_token)",)
    config.eval.probes = ()


def _smoke(config: ConfigDict) -> None:
    """Shrinks a config to a few small steps, on embedded data of the same shape."""
    config.data.num_workers = 0
    config.data.limit = 256
    config.batch_size = 16
    config.total_steps = 6
    config.log_every_steps = 2
    config.save_every_steps = 3
    config.optimizer.warmup_steps = 2
    config.eval.batch_size = 64
    config.figures.num_examples = 4
    config.model.size = ""
    config.model.encoder = ConfigDict({"width": 32, "depth": 2, "heads": 4})


def _digits(config: ConfigDict) -> None:
    config.total_steps = 1000


VARIANTS = {"default": _digits}

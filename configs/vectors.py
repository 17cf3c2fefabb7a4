"""A masked autoencoder of plain vectors: a perceptron 10 - 7 - 7 - 10, as tutorials have it.

    python launch/train.py --config=configs/vectors.py[:VARIANT]

Half of the entries are replaced by noise, and the loss is on those. A run takes seconds. Gaussian
vectors are drawn for it, so the least possible error is known and stands beside the measured one,
as "best_loss", and that of always answering the mean as "constant_loss". Variants:

    default      neighbouring entries are correlated (0.9) and can be predicted from each other
    independent  entries are independent, and no network does better than the mean, an error of 1
    visible      nothing is hidden: a plain autoencoder, which the layers of 7 alone hold up
    smoke        the default for a few steps; also VARIANT_smoke

configs/studies/vectors.py compares them over seeds.
"""

from ml_collections import ConfigDict

from maskjax.config import base, masks, variant_of


def get_config(variant: str = "") -> ConfigDict:
    """Builds the config of a variant."""
    config = base(
        task="vectors",
        batch_size=1000,  # all of them
        total_steps=1000,
        log_every_steps=100,
        save_every_steps=1000,
        **{
            "data.source": "vectors:0.9",
            "data.mean": (0.0,),  # as drawn
            "data.std": (1.0,),
            "optimizer.base_lr": 1e-3 * 256 / 1000,  # a rate of 1e-3 in every step
            "optimizer.min_lr": 1e-3,
            "optimizer.warmup_steps": 0,
            "optimizer.b2": 0.999,
            "optimizer.weight_decay": 0.0,
            "eval.batch_size": 1000,
        },
    )
    # What is hidden: maskjax/keys.py; "none" is a rule too, "zero" another fill.
    config.mask = masks(ratio=0.5, fill="noise")
    config.model = ConfigDict()
    config.model.hidden = (7, 7)
    config.model.num_targets = 0  # predict the first so many entries; 0 = all
    config.loss = ConfigDict()
    config.loss.on = "masked"  # or "all"
    return variant_of(config, variant, VARIANTS, _smoke)


def _independent(config: ConfigDict) -> None:
    config.data.source = "vectors"


def _visible(config: ConfigDict) -> None:
    config.mask.rule = "none"
    config.loss.on = "all"


def _smoke(config: ConfigDict) -> None:
    config.batch_size = 16
    config.total_steps = 6
    config.log_every_steps = 2
    config.save_every_steps = 3
    config.optimizer.base_lr = 1e-3 * 256 / 16


VARIANTS = {"default": lambda config: None, "independent": _independent, "visible": _visible}

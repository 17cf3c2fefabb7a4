"""SimMIM (Xie et al. 2022, "SimMIM: A Simple Framework for Masked Image Modeling").

    python launch/train.py --config=configs/simmim.py[:VARIANT]

Mask tokens in the encoder's input, a linear head, raw pixels, mean absolute error on hidden
patches, 60 % hidden. Variants are those of configs/mae.py, whose data and budgets they share.
The variants hide single patches. The paper hides 32-pixel squares, 30 of 49: with 16-pixel patches
that is `--config.mask.rule=hierarchical --config.mask.ratio=0.61`, whose cells have two patches a
side; the ratio 0.6 would hide 118 patches and so split a cell.
"""

from ml_collections import ConfigDict

from maskjax.config import load


def get_config(variant: str = "") -> ConfigDict:
    """Builds the config of a variant: configs/mae.py's with SimMIM's model, target and loss."""
    config = load("mae.py", variant, beside=__file__)
    config.model.name = "simmim"
    config.mask.fill = "token"  # or "noise", "zero"
    config.mask.ratio = 0.6
    config.loss.target = "pixels"
    config.loss.kind = "l1"
    return config

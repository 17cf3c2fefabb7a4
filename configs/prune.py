"""Sparse networks: weights are hidden while a classifier trains, from scratch.

    python launch/train.py --config=configs/prune.py:VARIANT --config.param_masks.method=rigl

The method is one of maskjax/masking/parameters/README.md, "gradual" here where none is named
(magnitude, more and more of it: Zhu & Gupta 2018), and hides 90 % of all kernels but those that
read patches. All else is that of the config beneath: data, model, optimizer, number of steps.

    default, fashion_mnist, cifar10, imagenet_vit_b16 ...
                        a vision transformer, as configs/finetune.py has it
    resnet, resnet_fashion_mnist, resnet_cifar10 ...
                        a residual network, as configs/resnet.py has it; "resnet" is on digits
    VARIANT_smoke       any of them for a few small steps; "smoke" is default_smoke

    what is hidden      --config.param_masks.sparsity=0.95 --config.param_masks.scope=global, or
                        --config.param_masks.density=erk: the larger a leaf, the sparser
    of some leaves      --config.param_masks.include="('attn/',)"
                        --config.param_masks.sparsities="(('^head/', 0.5),)"
    hardware's 2:4      --config.param_masks.method=sr_ste --config.param_masks.sparsity=None
    heads               --config.param_masks.granularity=head --config.param_masks.num_heads=4
    from another run    its masks: --config.param_masks.method=random --config.param_masks.file=RUN
                        its weights: --config.init_from.path=RUN

On digits (one seed, 180 test images, so within 3 points either way; a few minutes on two busy CPU
cores) 90 % hidden reach 95.0 % with gradual, 96.1 % with random, 94.4 % with rigl, and nothing
hidden 97.2 %. The other variants were not run yet.

summary.json has "sparsity" and "sparsity_by_layer"; param_masks.npz the masks, a bit a weight.
"""

from ml_collections import ConfigDict

from maskjax.config import load


def get_config(variant: str = "") -> ConfigDict:
    """Builds the config of a variant."""
    is_resnet = variant.split("_")[0] == "resnet"
    beneath = variant.removeprefix("resnet").removeprefix("_") if is_resnet else variant
    config = load("resnet.py" if is_resnet else "finetune.py", beneath, beside=__file__)
    config.param_masks.method = "gradual"
    config.param_masks.sparsity = 0.9
    return config

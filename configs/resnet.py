"""Residual networks, from scratch.

    python launch/train.py --config=configs/resnet.py:VARIANT

Variants, with the data they need; no accuracy was measured yet but that of a small one, after 300
steps of Fashion-MNIST (configs/studies/sparsity.md):

    default             digits, 8x8, inside scikit-learn, ResNet-20
    smoke               the same for a few steps, made small: does everything work?
    fashion_mnist       IDX files in FASHION_MNIST below, or --config.data.source=idx:DIR,
                        ResNet-20; not run yet
    cifar10             TFDS, prepared before (see the README), ResNet-20; not run yet.
                        --config.model.size=resnet56 is the deeper one. He et al. 2015, table 6,
                        with batch norm: 91.25 % and 93.03 %
    imagenet_resnet50   TFDS or a folder; an 8-GPU machine for a day or so, not run yet
    VARIANT_smoke       any of them for a few small steps, such as imagenet_resnet50_smoke

model.norm is "group": the form of BiT (Kolesnikov et al. 2020), pre-activation, group norm and
standardised weights; or "affine": the form of published weights, post-activation, with batch norm's
statistics folded into a scale and a bias, which may be frozen
(--config.optimizer.frozen="('norm[1-3]?/',)") or trained like all else. There is no batch norm: a
loss here is a sum over rows.

Everything that configs/finetune.py does is done here: mixing, smoothing, averages, layer-wise rates
(blocks are numbered through all stages), frozen parts, adapters of any convolution
(--config.model.lora_rank=4 --config.optimizer.frozen="('^encoder/',)"), probes of the features that
the head reads. Patches of the input (model.patch_size) may be hidden by any rule:
--config.mask.rule=block --config.mask.ratio=0.25 --config.mask.fill=zero, noise, token or gate. To
drop them takes an encoder of patches.
"""

from ml_collections import ConfigDict

from maskjax.config import base, masks, variant_of

FASHION_MNIST = "idx:/usr/share/datasets/fashion-mnist"  # where Debian's package puts it


def get_config(variant: str = "") -> ConfigDict:
    """Builds the config of a variant."""
    config = base(task="classify")  # the trainer's keys: maskjax/keys.py
    _add_task(config)
    return variant_of(config, variant, VARIANTS, _smoke)


def _add_task(config: ConfigDict) -> None:
    """Adds the keys that the task reads, with the values of small images."""
    config.mask = masks(rule="none", fill="zero")  # what is hidden of the input
    config.mask.when = "training"  # or "always"

    config.model = ConfigDict()
    config.model.name = "resnet"
    config.model.size = "resnet20"  # or resnet56; for large images resnet18, 34, 50, 101, 152
    config.model.depths = ()  # blocks of each stage, in place of the size's
    config.model.widths = ()  # channels of each stage, likewise
    config.model.norm = "group"  # or "affine"
    config.model.groups = 4  # of group norm
    config.model.patch_size = (2, 2)  # of what masks hide
    config.model.drop_path = 0.0
    config.model.dtype = "float32"  # compute; parameters are always float32
    config.model.remat = False
    config.model.lora_rank = 0  # of adapters beside the kernels that lora_on finds; 0 = none
    config.model.lora_alpha = 16.0  # what they add weighs alpha / rank
    config.model.lora_on = (r"/conv\d/kernel$",)

    config.loss = ConfigDict()
    config.loss.smoothing = 0.1  # of labels
    config.loss.class_weights = ()  # or a number a class
    config.loss.kind = "l2"  # or "l1", of task=regress, as the next
    config.loss.centre = (0.0,)  # targets count as (target - centre) / scale: near their mean,
    config.loss.scale = (1.0,)  # and near their standard deviation; one for all, or one a target

    config.mix = ConfigDict()
    config.mix.mixup = 0.0  # alpha of its Beta; 0 = off
    config.mix.cutmix = 0.0
    config.mix.switch = 0.5  # chance that it is CutMix, where both are on
    config.mix.probability = 1.0  # that an example is mixed

    config.optimizer.name = "sgd"
    config.optimizer.b1 = 0.9  # momentum
    config.optimizer.base_lr = 0.2  # He et al. 2015, section 4.2: .1 for a batch of 128
    config.optimizer.weight_decay = 1e-4
    config.eval.probes = ()


def _smoke(config: ConfigDict) -> None:
    """Shrinks a config to a few small steps, on embedded data of the same shape."""
    if config.data.source.startswith(("tfds:", "idx:", "folder:")):
        config.data.source = "digits"
        config.data.size = config.data.size and (32, 32)
        config.model.patch_size = (8, 8) if config.data.size else (2, 2)
    config.data.num_workers = 0
    config.data.limit = 256
    config.batch_size = 16
    config.total_steps = 6
    config.log_every_steps = 2
    config.save_every_steps = 3
    config.optimizer.warmup_steps = 2
    config.eval.batch_size = 64
    config.figures.num_examples = 4
    config.model.depths = (1, 1)
    config.model.widths = (8, 16)
    config.model.groups = 4


def _digits(config: ConfigDict) -> None:
    config.batch_size = 128
    config.total_steps = 600  # 53 epochs
    config.optimizer.warmup_steps = 60


def _fashion_mnist(config: ConfigDict) -> None:
    config.data.source = FASHION_MNIST
    config.data.flip = True
    config.data.crop_scale = (0.7, 1.0)
    config.batch_size = 128
    config.total_steps = 4000  # 9.5 epochs
    config.log_every_steps = 100
    config.save_every_steps = 1000
    config.model.patch_size = (4, 4)
    config.optimizer.warmup_steps = 200


def _cifar10(config: ConfigDict) -> None:
    """He et al. 2015, section 4.2: 64,000 steps of 128; a cosine for its three rates."""
    config.data.source = "tfds:cifar10"
    config.data.crop_scale = (0.6, 1.0)
    config.data.flip = True
    config.batch_size = 128
    config.total_steps = 64_000
    config.log_every_steps = 100
    config.save_every_steps = 2000
    config.model.patch_size = (4, 4)
    config.optimizer.warmup_steps = 400


def _imagenet_resnet50(config: ConfigDict) -> None:
    """Goyal et al. 2017, section 5.1: 90 epochs, .1 for a batch of 256, 5 epochs of warm-up."""
    config.data.size = (224, 224)
    config.data.channels = 3
    config.data.crop_scale = (0.08, 1.0)
    config.data.flip = True
    config.data.mean = (0.485, 0.456, 0.406)
    config.data.std = (0.229, 0.224, 0.225)
    config.model.size = "resnet50"
    config.model.groups = 32
    config.model.patch_size = (16, 16)
    config.model.dtype = "bfloat16"
    epoch = 1_281_167 / 1024
    config.data.source = "tfds:imagenet2012"
    config.data.num_workers = 32
    config.batch_size = 1024
    config.total_steps = int(90 * epoch)
    config.log_every_steps = 100
    config.save_every_steps = int(epoch)
    config.optimizer.base_lr = 0.1
    config.optimizer.warmup_steps = int(5 * epoch)
    config.eval.batch_size = 1024


VARIANTS = {
    "default": _digits,
    "fashion_mnist": _fashion_mnist,
    "cifar10": _cifar10,
    "imagenet_resnet50": _imagenet_resnet50,
}

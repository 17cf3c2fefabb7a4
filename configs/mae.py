"""Masked autoencoder (He et al. 2022, "Masked Autoencoders Are Scalable Vision Learners").

    python launch/train.py --config=configs/mae.py[:VARIANT]

Variants, with the data they need, and on two CPU cores the time and the linear probe to expect:

    default             digits, 8x8, inside scikit-learn; 2 minutes, 97 %
    smoke               the same for a few steps: does everything work?
    photos              crops of two photographs, inside scikit-learn; no labels
    fashion_mnist       IDX files in FASHION_MNIST below, or --config.data.source=idx:DIR;
                        40 minutes, 90 %
    cifar10             TFDS, prepared before (see the README); not run yet
    imagenet_vit_b16    TFDS or a folder; a pod or an 8-GPU machine; not run yet. The paper's
    imagenet_vit_l16    800 epochs, which give 65.1 % linear and 83.3 % fine-tuned with ViT-B
    imagenet_vit_h14
    signal              1-D: generated waveforms
    volume              3-D: generated solids
    VARIANT_smoke       any of them for a few small steps, such as signal_smoke
"""

from ml_collections import ConfigDict

from maskjax.config import base, masks, variant_of

FASHION_MNIST = "idx:/usr/share/datasets/fashion-mnist"  # where Debian's package puts it


def get_config(variant: str = "") -> ConfigDict:
    """Builds the config of a variant."""
    config = base(task="mae")  # the trainer's keys: maskjax/keys.py
    _add_task(config)
    return variant_of(config, variant, VARIANTS, _smoke)


def _add_task(config: ConfigDict) -> None:
    """Adds the keys that the mae task reads, with the values of the digits run."""
    config.mask = masks()  # what is hidden: maskjax/keys.py

    config.model = ConfigDict()
    config.model.name = "mae"
    config.model.size = ""  # Ti, S, B, L, H; what the next two set wins over it
    config.model.encoder = ConfigDict({"width": 64, "depth": 4, "heads": 4})
    config.model.decoder = ConfigDict({"width": 32, "depth": 2, "heads": 4})
    config.model.patch_size = (2, 2)
    config.model.positions = "sincos"  # or "learned"
    config.model.drop_path = 0.0
    config.model.dropout = 0.0
    config.model.norm_eps = 1e-6  # of LayerNorm; 1e-12 in most of transformers' checkpoints
    config.model.dtype = "float32"  # compute; parameters are always float32
    config.model.attention = "xla"  # or "blockwise", "cudnn"
    config.model.remat = False
    config.model.pool = "mean"  # frozen features: mean of the patch tokens, "class", or "both"
    config.model.feature_blocks = 1  # of that many last blocks, side by side

    config.loss = ConfigDict()
    config.loss.target = "norm_pix"  # or "pixels"
    config.loss.on = "masked"  # or "all"
    config.loss.kind = "l2"  # or "l1"


def _smoke(config: ConfigDict) -> None:
    """Shrinks a config to a few small steps, on embedded data of the same shape."""
    if config.data.source.startswith("tfds:"):
        config.data.source = "photos"
        config.data.size = config.data.size or (32, 32)
    if config.data.source.startswith("idx:"):
        config.data.source = "digits"
        config.data.size = (28, 28)
    config.data.num_workers = 0
    config.data.limit = 256
    config.batch_size = 16
    config.total_steps = 6
    config.log_every_steps = 2
    config.save_every_steps = 3
    config.optimizer.warmup_steps = 2
    config.eval.batch_size = 64
    config.eval.max_train_examples = 256
    config.figures.num_examples = 4
    config.model.size = ""
    config.model.encoder = ConfigDict({"width": 32, "depth": 2, "heads": 4})
    config.model.decoder = ConfigDict({"width": 16, "depth": 1, "heads": 2})
    config.model.feature_blocks = 1


def _digits(config: ConfigDict) -> None:
    config.model.pool = "both"
    config.model.feature_blocks = 4


def _photos(config: ConfigDict) -> None:
    config.data.source = "photos"
    config.data.size = (64, 64)
    config.data.crop_scale = (0.2, 1.0)
    config.data.flip = True
    config.batch_size = 64
    config.total_steps = 600
    config.model.size = "Ti"
    config.model.encoder = ConfigDict({"width": 0, "depth": 6, "heads": 0})
    config.model.decoder = ConfigDict({"width": 96, "depth": 2, "heads": 0})
    config.model.patch_size = (8, 8)


def _fashion_mnist(config: ConfigDict) -> None:
    config.data.source = FASHION_MNIST
    config.batch_size = 128
    config.total_steps = 10_000  # 21.3 epochs
    config.log_every_steps = 100
    config.save_every_steps = 1000
    config.model.encoder = ConfigDict({"width": 128, "depth": 6, "heads": 4})
    config.model.decoder = ConfigDict({"width": 64, "depth": 2, "heads": 4})
    config.model.patch_size = (4, 4)
    config.model.pool = "both"
    config.model.feature_blocks = 4
    config.loss.target = "pixels"
    config.optimizer.base_lr = 3e-3
    config.optimizer.warmup_steps = 600


def _cifar10(config: ConfigDict) -> None:
    config.data.source = "tfds:cifar10"
    config.data.crop_scale = (0.2, 1.0)
    config.data.flip = True
    config.batch_size = 1024
    config.total_steps = 400 * 50_000 // 1024
    config.model.size = "Ti"
    config.model.encoder = ConfigDict({"width": 0, "depth": 0, "heads": 0})
    config.model.decoder = ConfigDict({"width": 0, "depth": 0, "heads": 0})
    config.model.patch_size = (4, 4)
    config.model.dtype = "bfloat16"
    config.optimizer.base_lr = 1.5e-4
    config.optimizer.warmup_steps = 40 * 50_000 // 1024


def _imagenet(config: ConfigDict, size: str, side: int) -> None:
    """He et al. 2022, appendix A.1, table 8: batch 4096, 40 warm-up epochs, 800 in all."""
    steps_per_epoch = 1_281_167 / 4096
    config.data.source = "tfds:imagenet2012"
    config.data.size = (224, 224)
    config.data.channels = 3
    config.data.crop_scale = (0.2, 1.0)
    config.data.flip = True
    config.data.mean = (0.485, 0.456, 0.406)
    config.data.std = (0.229, 0.224, 0.225)
    config.data.num_workers = 32
    config.mask.block.min_area = 16  # BEiT's
    config.mask.inverse_block.min_area = 16
    config.batch_size = 4096
    config.total_steps = int(800 * steps_per_epoch)
    config.log_every_steps = 100
    config.save_every_steps = int(10 * steps_per_epoch)
    config.model.size = size
    config.model.encoder = ConfigDict({"width": 0, "depth": 0, "heads": 0})
    config.model.decoder = ConfigDict({"width": 0, "depth": 0, "heads": 0})
    config.model.patch_size = (side, side)
    config.model.dtype = "bfloat16"
    config.optimizer.base_lr = 1.5e-4
    config.optimizer.warmup_steps = int(40 * steps_per_epoch)
    config.eval.batch_size = 1024
    config.eval.max_train_examples = 100_000


def _signal(config: ConfigDict) -> None:
    config.data.source = "signals"
    config.total_steps = 600
    config.model.patch_size = (8,)
    config.loss.target = "pixels"
    config.mask.sliding.axis = 0


def _volume(config: ConfigDict) -> None:
    config.data.source = "volumes"
    config.batch_size = 64
    config.total_steps = 400
    config.model.patch_size = (4, 4, 4)
    config.loss.target = "pixels"


VARIANTS = {
    "default": _digits,
    "photos": _photos,
    "fashion_mnist": _fashion_mnist,
    "cifar10": _cifar10,
    "imagenet_vit_b16": lambda config: _imagenet(config, "B", 16),
    "imagenet_vit_l16": lambda config: _imagenet(config, "L", 16),
    "imagenet_vit_h14": lambda config: _imagenet(config, "H", 14),
    "signal": _signal,
    "volume": _volume,
}

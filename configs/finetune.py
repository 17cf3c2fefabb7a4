"""Fine-tuning (He et al. 2022, "Masked Autoencoders Are Scalable Vision Learners", appendix A.1).

    python launch/train.py --config=configs/mae.py:VARIANT
    python launch/train.py --config=configs/finetune.py:VARIANT \
        --config.init_from.path=runs/mae-VARIANT

The first command pretrains, the second goes on from its encoder with a new head. Without init_from
the same network is trained from scratch with the same budget; layer-wise decay, which is for
pretrained layers, is then better off: --config.optimizer.layer_decay=1.0. Published weights are
started from alike: --config=configs/finetune.py:imagenet_vit_b16
--config.init_from.path=mae_pretrain_vit_base.pth

Variants, with the data they need, and test accuracy to expect:

    default             digits, 8x8, inside scikit-learn; a minute or two on two CPU cores; from
                        scratch, as there may be no run to start from: 97 %
    smoke               the same for a few steps: does everything work?
    fashion_mnist       IDX files in FASHION_MNIST below, or --config.data.source=idx:DIR; an hour
                        and a half on one busy CPU core: 92.56 % from mae.py:fashion_mnist (one
                        seed). With half of the patches dropped, by --config.mask.rule=random
                        --config.mask.ratio=0.5 --config.mask.fill=drop --config.total_steps=13000,
                        93.06 %, and 91.44 % from scratch with the same budget (one seed each); an
                        hour at the speed that two cores had, .28 s a step. Fewer labels:
                        studies/few_labels.py
    cifar10             TFDS, prepared before (see the README); not run yet
    imagenet_vit_b16    TFDS or a folder; an 8-GPU machine for a day or more, not run yet. The
    imagenet_vit_l16    paper's top-1 after 1600 epochs of pretraining: B 83.66 %, L 85.95 %,
    imagenet_vit_h14    H 86.93 %
    VARIANT_smoke       any of them for a few small steps, such as imagenet_vit_b16_smoke

Table 9 of the paper, in the keys of this file: learning rate optimizer.base_lr * batch / 256,
optimizer.layer_decay, model.drop_path, mix.mixup .8 and mix.cutmix 1, loss.smoothing .1,
data.randaugment (timm's rand-m9-mstd0.5-inc1), data.erase .25, head at 2e-5, no repeated
augmentation, no moving average (optimizer.ema_decay=0.9999 keeps one, which is then judged).

What is trained: all of it, or less, by paths of the parameters:

    the head alone          --config.optimizer.frozen="('^encoder/',)"
    last two of 4 blocks    --config.optimizer.frozen="('^encoder/(?!transformer)','block0[01]/')"
    biases, head (BitFit)   --config.optimizer.frozen="('^encoder/.*(kernel|scale|token|table)$',)"
    low-rank adapters of queries and values, and the head (LoRA, Hu et al. 2021)
                            --config.model.lora_rank=8 --config.optimizer.frozen="('^encoder/',)"

What is frozen has no gradient, no moments and no decay; it stays bitwise what it was. Rates that
fall by layer want layers that move: with frozen ones set optimizer.layer_decay=1.0.

Numbers in place of classes: --config.task=regress --config.data.source=array:FILE.npz, with
targets_train beside x_train, and loss.centre and loss.scale near the targets' mean and deviation.

Parts of the input may be hidden while it is learned from, by any rule of maskjax/masking:
--config.mask.rule=block --config.mask.ratio=0.25 --config.mask.fill=drop (PatchDropout), zero,
noise, token or gate; --config.mask.when=always hides them in evaluation too.
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
    """Adds the keys that the task reads, with the values of the digits run."""
    config.mask = masks(rule="none", fill="zero")  # what is hidden of the input
    config.mask.when = "training"  # or "always"

    config.model = ConfigDict()
    config.model.size = ""  # Ti, S, B, L, H; what the next sets wins over it
    config.model.encoder = ConfigDict({"width": 64, "depth": 4, "heads": 4})
    config.model.patch_size = (2, 2)
    config.model.positions = "sincos_learned"  # or "sincos", "learned"
    config.model.drop_path = 0.1
    config.model.dropout = 0.0
    config.model.norm_eps = 1e-6
    config.model.dtype = "float32"  # compute; parameters are always float32
    config.model.attention = "xla"  # or "blockwise", "cudnn"
    config.model.remat = False
    config.model.pool = "mean"  # of the patch tokens, or the "class" token
    config.model.lora_rank = 0  # of adapters beside the kernels that lora_on finds; 0 = none
    config.model.lora_alpha = 16.0  # what they add weighs alpha / rank
    config.model.lora_on = ("/attn/(query|value)/kernel$",)

    config.loss = ConfigDict()
    config.loss.smoothing = 0.1  # of labels
    config.loss.class_weights = ()  # or a number a class
    config.loss.kind = "l2"  # or "l1", of task=regress, as the next
    config.loss.centre = (0.0,)  # targets count as (target - centre) / scale: near their mean,
    config.loss.scale = (1.0,)  # and near their standard deviation; one for all, or one a target

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
    if config.data.source.startswith(("tfds:", "idx:")):
        config.data.source = "digits"
        config.data.size = config.data.size or (28, 28)
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
    """From scratch as well as from a pretraining, so that it runs where no other run is."""
    config.batch_size = 128
    config.total_steps = 600  # 53 epochs
    config.optimizer.base_lr = 4e-3
    config.optimizer.warmup_steps = 60
    config.optimizer.layer_decay = 1.0
    config.mix.mixup = 0.2
    config.mix.cutmix = 0.0


def _fashion_mnist(config: ConfigDict) -> None:
    config.data.source = FASHION_MNIST
    config.data.flip = True
    config.data.erase = 0.25
    config.batch_size = 128
    config.total_steps = 5000  # 11.9 epochs
    config.log_every_steps = 100
    config.save_every_steps = 1000
    config.model.encoder = ConfigDict({"width": 128, "depth": 6, "heads": 4})
    config.model.patch_size = (4, 4)
    config.optimizer.base_lr = 3e-3
    config.optimizer.warmup_steps = 300
    config.optimizer.layer_decay = 0.85
    config.mix.mixup = 0.0
    config.mix.cutmix = 0.0


def _cifar10(config: ConfigDict) -> None:
    config.data.source = "tfds:cifar10"
    config.data.crop_scale = (0.5, 1.0)
    config.data.flip = True
    config.data.randaugment = 2
    config.data.erase = 0.25
    config.batch_size = 1024
    config.total_steps = 100 * 50_000 // 1024
    config.model.size = "Ti"
    config.model.encoder = ConfigDict({"width": 0, "depth": 0, "heads": 0})
    config.model.patch_size = (4, 4)
    config.model.dtype = "bfloat16"
    config.optimizer.base_lr = 5e-4
    config.optimizer.warmup_steps = 5 * 50_000 // 1024


def _imagenet(
    config: ConfigDict,
    size: str,
    side: int,
    *,
    epochs: int,
    base_lr: float,
    layer_decay: float,
    drop_path: float,
) -> None:
    """He et al. 2022, appendix A.1, table 9, and the reference's commands: batch 1024."""
    steps_per_epoch = 1_281_167 / 1024
    config.data.source = "tfds:imagenet2012"
    config.data.size = (224, 224)
    config.data.channels = 3
    config.data.crop_scale = (0.08, 1.0)
    config.data.flip = True
    config.data.randaugment = 2
    config.data.erase = 0.25
    config.data.mean = (0.485, 0.456, 0.406)
    config.data.std = (0.229, 0.224, 0.225)
    config.data.num_workers = 32
    config.batch_size = 1024
    config.total_steps = int(epochs * steps_per_epoch)
    config.log_every_steps = 100
    config.save_every_steps = int(steps_per_epoch)
    config.model.size = size
    config.model.encoder = ConfigDict({"width": 0, "depth": 0, "heads": 0})
    config.model.patch_size = (side, side)
    config.model.dtype = "bfloat16"
    config.model.drop_path = drop_path
    config.optimizer.base_lr = base_lr
    config.optimizer.layer_decay = layer_decay
    config.optimizer.warmup_steps = int(5 * steps_per_epoch)
    config.eval.batch_size = 1024


def _imagenet_b(config: ConfigDict) -> None:
    _imagenet(config, "B", 16, epochs=100, base_lr=5e-4, layer_decay=0.65, drop_path=0.1)


def _imagenet_l(config: ConfigDict) -> None:
    _imagenet(config, "L", 16, epochs=50, base_lr=1e-3, layer_decay=0.75, drop_path=0.2)


def _imagenet_h(config: ConfigDict) -> None:
    """The reference's command for H: that of L with a drop path of .3."""
    _imagenet(config, "H", 14, epochs=50, base_lr=1e-3, layer_decay=0.75, drop_path=0.3)


VARIANTS = {
    "default": _digits,
    "fashion_mnist": _fashion_mnist,
    "cifar10": _cifar10,
    "imagenet_vit_b16": _imagenet_b,
    "imagenet_vit_l16": _imagenet_l,
    "imagenet_vit_h14": _imagenet_h,
}

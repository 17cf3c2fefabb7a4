"""Linear probe of frozen features (He et al. 2022, appendix A.1, table 10), and others like it.

    python launch/train.py --config=configs/linear_probe.py[:VARIANT] --config.init_from.path=RUN

RUN is the folder of a run, or weights of another project (`init_from.format`); without it an
untrained encoder is probed, the baseline to beat. Model and data are those of the variant of
configs/mae.py of the same name; for a run with other ones give the flags that it had.

Features are normalised by the mean and variance that they have over the training examples, taken
once, without affine parameters; LARS (momentum 0.9, trust 0.001) trains a linear head, without
decay. Where no image is cropped or flipped, features too are computed once, and a step costs next
to nothing. Several heads learn side by side at their own rates: `accuracy_x10` is that of the head
at ten times `optimizer.base_lr`; the first is judged in full (numbers of each class, confusion).
Choose the rate by validation and read the test of the same name.

    default             digits, five rates
    fashion_mnist       five rates
    cifar10             not run yet
    imagenet_vit_b16    class token, batch 16,384, 90 epochs, random crops and flips, one rate; the
    imagenet_vit_l16    paper's 1600 epochs of pretraining give 67.8 % (B), 76.0 % (L), 77.2 % (H);
    imagenet_vit_h14    a pod or several 8-GPU machines; not run yet
    attentive           digits; a learned query reads all tokens (Chen et al. 2022), AdamW; with
                        every VARIANT above: VARIANT_attentive
    logistic            digits; multinomial logistic regression by L-BFGS, its penalty chosen on a
                        tenth of the training examples, and no step; VARIANT_logistic
    VARIANT_smoke       any of them for a few small steps
"""

from ml_collections import ConfigDict

from maskjax.config import load

KINDS = ("attentive", "logistic")
FACTORS = (1, 3, 10, 30, 100)  # of the rate, a head each


def get_config(variant: str = "") -> ConfigDict:
    """Builds the config of a variant."""
    words = variant.split("_")
    kind = next((kind for kind in KINDS if kind in words), "linear")
    config = load("mae.py", "_".join(word for word in words if word != kind), beside=__file__)
    is_large, is_smoke = variant.startswith("imagenet"), "smoke" in words
    with config.unlocked():
        del config.loss
    config.mask.rule = "none"
    config.eval.probes = () if is_large else ("auroc", "average_precision")
    if is_large:
        config.model.pool = "class"
    if kind == "logistic":
        _logistic(config)
        return config.lock()
    with config.unlocked():
        config.model.probe = kind  # or "attentive"
        config.model.probe_heads = ()  # names of heads side by side; () is one
    config.task = "probe"
    config.optimizer.frozen = ("^(encoder|norm)/",)
    config.optimizer.weight_decay = 0.0
    if not is_smoke:
        _length(config, is_large)
    if is_large:
        config.data.crop_scale = (0.08, 1.0)
    else:
        config.data.crop_scale = (1.0, 1.0)
        config.data.flip = False
    if kind == "attentive":
        config.optimizer.frozen = ("^encoder/",)
        config.optimizer.base_lr = 1e-3 if is_large else 3e-3
        return config.lock()
    config.optimizer.name = "lars"
    config.optimizer.base_lr = 0.1
    if not is_large:
        config.model.probe_heads = tuple(f"x{factor}" for factor in FACTORS)
        config.optimizer.rates = tuple((f"^head/x{x}/", float(x)) for x in FACTORS)
    return config.lock()


def _length(config: ConfigDict, is_large: bool) -> None:
    """He et al. 2022, table 10: 90 epochs of ImageNet, 10 of them warm-up."""
    if is_large:
        config.batch_size = 16_384
        config.total_steps = int(90 * 1_281_167 / 16_384)
        config.optimizer.warmup_steps = int(10 * 1_281_167 / 16_384)
        config.save_every_steps = 500
        return
    config.batch_size = 256
    config.total_steps = 1000
    config.optimizer.warmup_steps = 100


def _logistic(config: ConfigDict) -> None:
    """Nothing is trained by steps."""
    config.task = "frozen"
    config.total_steps = 0
    config.optimizer.frozen = (".",)
    config.optimizer.warmup_steps = 0
    config.data.crop_scale = (1.0, 1.0)
    config.data.flip = False
    config.eval.probes = ("linear", "largest_class")
    config.figures.num_examples = 0

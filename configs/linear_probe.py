"""Linear probe of frozen features (He et al. 2022, appendix A.1, table 10), and others like it.

    python launch/train.py --config=configs/linear_probe.py[:VARIANT] --config.init_from.path=RUN

RUN is the folder of a run, or weights of another project (`init_from.format`); without it an
untrained encoder is probed, the baseline to beat. Model and data are those of the variant of
configs/mae.py of the same name; for a run with other ones give the flags that it had.

Features are normalised by the mean and variance that they have over the training examples, taken
once, without affine parameters; LARS (momentum 0.9, trust 0.001) trains a linear head, without
decay. Where no image is cropped or flipped, features too are computed once, and a step costs next
to nothing. Several heads learn side by side at their own rates: `accuracy_x10` is that of the head
at ten times `optimizer.base_lr`. The most accurate one on validation is `accuracy` and all other
numbers there; test judges it alone, and prediction and export take it. The table "heads" of
summary.json has all numbers of all heads on validation, and names the one that test judged.

    default             digits, five rates; from runs/mae-default 96.1 % on test (at x10), in
                        minutes on two busy CPU cores
    fashion_mnist, cifar10
                        five rates; not run yet
    imagenet_vit_b16    class token, batch 16,384, 90 epochs, random crops and flips, one rate; a
    imagenet_vit_l16    pod or several 8-GPU machines; not run yet. The paper has 67.8 % (B), 76.0 %
    imagenet_vit_h14    (L) and 77.2 % (H); with 300 and 800 epochs of pretraining B 60.8 and 65.1 %
    attentive           digits; a learned query reads all tokens (Chen et al. 2022), AdamW; 96.1 %
                        on test; of any VARIANT above: VARIANT_attentive
    logistic            digits; multinomial logistic regression by L-BFGS, its penalty chosen on a
                        tenth of the training examples, and no step; `linear_accuracy` 96.7 % on
                        test; VARIANT_logistic
    VARIANT_smoke       any of them for a few small steps

With the published weights: `--config=configs/linear_probe.py:imagenet_vit_b16
--config.init_from.path=mae_pretrain_vit_base.pth`.
"""

from ml_collections import ConfigDict

from maskjax.config import load

KINDS = ("attentive", "logistic")
FACTORS = (10, 1, 3, 30, 100)  # of the rate, a head each; the first where nothing is held out


def get_config(variant: str = "") -> ConfigDict:
    """Builds the config of a variant: that of configs/knn.py with heads that learn."""
    words = variant.split("_")
    kind = next((kind for kind in KINDS if kind in words), "linear")
    config = load("knn.py", "_".join(word for word in words if word != kind), beside=__file__)
    is_large, is_smoke = variant.startswith("imagenet"), "smoke" in words
    if kind == "logistic":
        config.eval.probes = ("linear", "largest_class")
        return config.lock()
    with config.unlocked():
        config.model.probe = kind
        config.model.probe_heads = ()  # names of heads side by side; () is one
    config.task = "probe"
    config.optimizer.frozen = ("^encoder/",) if kind == "attentive" else ("^(encoder|norm)/",)
    config.optimizer.weight_decay = 0.0
    config.eval.probes = () if is_large else ("auroc", "average_precision")
    config.figures.num_examples = 8
    _length(config, 6 if is_smoke else 300 if kind == "attentive" else 1000)
    if is_large:
        config.data.crop_scale = (0.08, 1.0)
        config.data.flip = True
        if not is_smoke:
            _published(config)
    if kind == "attentive":
        config.optimizer.base_lr = 1e-3 if is_large else 3e-3
        return config.lock()
    config.optimizer.name = "lars"
    config.optimizer.base_lr = 0.1
    if not is_large:
        config.model.probe_heads = tuple(f"x{factor}" for factor in FACTORS)
        config.optimizer.rates = tuple((f"^head/x{x}/", float(x)) for x in FACTORS)
    return config.lock()


def _length(config: ConfigDict, steps: int) -> None:
    """So many steps, a tenth of them warm-up, of 256 examples where no smoke run has fewer."""
    config.total_steps = steps
    config.optimizer.warmup_steps = steps // 10
    config.batch_size = 16 if steps < 10 else 256


def _published(config: ConfigDict) -> None:
    """He et al. 2022, table 10: 90 epochs of ImageNet, 10 of them warm-up."""
    config.batch_size = 16_384
    config.total_steps = int(90 * 1_281_167 / 16_384)
    config.optimizer.warmup_steps = int(10 * 1_281_167 / 16_384)
    config.save_every_steps = 500

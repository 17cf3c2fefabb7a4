"""k-NN accuracy of frozen features (Wu et al. 2018, section 3.4; DINO, Caron et al. 2021): no step.

    python launch/train.py --config=configs/knn.py[:VARIANT] --config.init_from.path=RUN

RUN is the folder of a run, or weights of another project (`init_from.format`); without it an
untrained encoder is judged, the baseline to beat. Neighbours are sought among the training
examples, by cosine, and vote with weights exp(similarity / 0.07); beside them stand the same on raw
inputs and the largest class. k is `--config.eval.knn_k`, here 20. Model and data are those of the
variant of configs/mae.py of the same name; for a run with other ones give the flags that it had.

    default             digits; from runs/mae-default 92.8 % on test (raw pixels 97.2 %), seconds
    fashion_mnist, cifar10
                        not run yet
    imagenet_vit_b16, _l16, _h14
                        class token of the last block, 100,000 training examples; not run yet
    VARIANT_smoke       any of them, small; "smoke" is the default's

Logistic regression on the same features: `--config.eval.probes=knn,linear`.
"""

from ml_collections import ConfigDict

from maskjax.config import load


def get_config(variant: str = "") -> ConfigDict:
    """Builds the config of a variant."""
    config = load("mae.py", variant, beside=__file__)
    with config.unlocked():
        del config.loss
    config.task = "frozen"
    config.total_steps = 0
    config.mask.rule = "none"
    config.optimizer.frozen = (".",)
    config.optimizer.warmup_steps = 0
    if config.data.source == "photos":  # of a smoke variant; photographs have no labels
        config.data.source = "digits"
    config.data.crop_scale = (1.0, 1.0)
    config.data.flip = False
    config.eval.probes = ("knn", "raw", "largest_class")
    config.figures.num_examples = 0
    if variant.startswith("imagenet"):
        config.model.pool = "class"
        config.eval.probes = ("knn", "largest_class")
    return config.lock()

"""Fine-tuning by masks of the weights: what a pretrained encoder keeps, loses or learns anew.

    python launch/train.py --config=configs/mae.py:VARIANT
    python launch/train.py --config=configs/mask_tune.py:VARIANT \
        --config.init_from.path=runs/mae-VARIANT

Without init_from the encoder is an untrained one. Variants:

    default, fashion_mnist ...   images, as configs/finetune.py has them
    text, text_sentiment         texts, as configs/text_classify.py has them, from configs/mlm.py
    learned, VARIANT_learned     the encoder stays as it is, and which of its weights take part is
                                 learned (maskjax/tasks/learned_masks.py)
    VARIANT_smoke                any of them for a few small steps; "smoke" is default_smoke

The three readings of the tutorials, by --config.param_masks.method, where M is 1 for what is kept:

    stay_zero       (i)   theta' = theta M, gradient g M: hidden weights stay zero (the default)
    relearn         (ii)  zeroed once, gradient g: all train, what was hidden is learned anew
    relearn_alone   (iii) zeroed once, gradient g (1 - M): that alone trains, the rest is frozen

and each of them

    at random       as it is
    sliding         --config.param_masks.rule=sliding --config.param_masks.stride=64
                    --config.param_masks.every_steps=1, or the steps of an epoch
    adaptive        --config.param_masks.rule=steepest --config.param_masks.schedule=error
                    --config.param_masks.every_steps=20: where the loss depends on weights most, and
                    the less, the smaller it has become; by a change 1 step moves nothing
    soft            --config.param_masks.softness=0.5: what stays is times one of [0.5, 1)

Child-Tuning is child_tuning_f or child_tuning_d, with --config.param_masks.sparsity=None for the
share of their own in place of 10 %. Learned masks, by config.learned:

    kind            "threshold" (Zhao et al. 2020: 1[m > .01], straight through), "top_k" (Ramanujan
                    et al. 2020: the highest scores of each leaf) or "hard_concrete" (Louizos et al.
                    2018; Guo et al. 2021, diff pruning: theta + z d, few z above 0)
    sparsity        hidden of each leaf: at the beginning, always, or not used
    penalty         of hard_concrete, times the expected share of z above 0

What such a run has to keep beside the encoder is in artefact.npz, its size in summary.json.
"""

from ml_collections import ConfigDict

from maskjax.config import load


def get_config(variant: str = "") -> ConfigDict:
    """Builds the config of a variant."""
    words = variant.split("_")
    beneath = "_".join(word for word in words if word not in ("text", "learned"))
    file = "text_classify.py" if "text" in words else "finetune.py"
    config = load(file, beneath, beside=__file__)
    config.param_masks.exclude = ("^head/",)  # which is new
    if "learned" not in words:
        config.param_masks.method = "stay_zero"
        config.param_masks.sparsity = 0.1
        return config
    with config.unlocked():
        config.learned = ConfigDict()
        config.learned.task = config.task
        config.learned.kind = "threshold"  # or "top_k", "hard_concrete"
        config.learned.include = ()  # leaves of the encoder; () = all but biases, norms, embeddings
        config.learned.exclude = ("^head/",)
        config.learned.sparsity = 0.05
        config.learned.penalty = 0.1
    config.task = "learned_masks"
    config.param_masks.exclude = ()
    config.optimizer.frozen = ("^encoder/",)
    config.optimizer.no_decay = (*config.optimizer.no_decay, "^masks/")
    return config

"""Does hiding words help to learn sentiment? BERT as the tutorials have it, and what is simpler.

    python launch/study.py --study=configs/studies/text_masks.py[:smoke]

A small BERT is pretrained on film-review sentences, without their classes, and fine-tuned on which
of them people rated as good and which as bad. In fine-tuning a share r of the tokens is hidden, in
a fresh way in each epoch; nothing is hidden in evaluation. Everything is compared with r = 0.

    r=...           after pretraining, a share r hidden behind the mask token
    r=0.15, drop    the hidden tokens leave the attention instead
    scratch         r = 0 without pretraining
    network         the tutorials' own without recurrence: embeddings of 16 numbers, their mean, a
                    dense layer
    keywords        the same with their gate: each text is seen by a share of its own, drawn from
                    [0, 1), and keywords by half of it

Beside the accuracy stands that of a logistic regression on bags of words, on the same sentences.
Pretraining reads held-out sentences too, as the tokenizer does, and none of their classes.

The sentences are made by the commands in configs/text_classify.py. 30 runs, three quarters of an
hour on two cores, as estimated; not run yet.
"""

_REVIEWS = "csv:reviews.tsv"
_KEYWORDS = ("good", "great", "best", "funny", "love", "bad", "worst", "dull", "boring", "fails")
_NETWORK = {
    "model.form": "bag",
    "model.pool": "mean",
    "optimizer.base_lr": 4e-2,
    "optimizer.weight_decay": 0.0,
}
_START = {"init_from.path": "{pretrained}"}
_RATIOS = (0.1, 0.15, 0.3, 0.5)


def _settings() -> dict:
    hidden = {"mask.rule": "random", **_START}
    found = {"r=0": _START}
    found |= {f"r={ratio}": hidden | {"mask.ratio": ratio} for ratio in _RATIOS}
    found["r=0.15, drop"] = hidden | {"mask.ratio": 0.15, "mask.fill": "drop"}
    network = _NETWORK | {"model.max_length": 0}
    return found | {
        "scratch": {},
        "network": network,
        "keywords": network | {"model.keywords": _KEYWORDS},
    }


def get_study(variant: str = "") -> dict:
    """Describes the study; "smoke" takes a few steps on docstrings."""
    if variant not in ("", "smoke"):
        raise ValueError(f"unknown variant {variant!r}: use smoke, or none")
    of_texts = {"data.source": "docstrings" if variant else _REVIEWS}
    pretraining = {"data.source": "prose", "data.limit": 40} if variant else of_texts
    own = {} if variant else {"total_steps": 1500, "optimizer.warmup_steps": 150}
    settings = _settings()
    if variant:
        settings = {name: settings[name] for name in ("r=0", "r=0.15, drop", "keywords")}
    suffix = ":smoke" if variant else ""
    return {
        "base": f"../text_classify.py{suffix or ':sentiment'}",
        "overrides": of_texts
        | {"model.max_length": 0 if variant else 128, "figures.num_examples": 0},
        "starts": {
            "pretrained": {
                "base": f"../mlm.py{suffix}",
                "overrides": pretraining | own | {"figures.num_examples": 0},
            }
        },
        "settings": settings,
        "seeds": (0,) if variant else (0, 1, 2),
        "metrics": {"accuracy": "max", "f1_macro": "max"},
        "beside": {"accuracy": ("bag_of_words_accuracy", "largest_class_accuracy")},
        "baseline": "r=0",
    }

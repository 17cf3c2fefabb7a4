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
The same sentences are held out of pretraining and of the tokenizer; pretraining reads no classes.

The sentences are made by the commands in configs/text_classify.py. 30 trainings, 80 minutes on a
busy core; what came out is in text_masks.md.
"""

_REVIEWS = "csv:reviews.tsv"
_ENCODER = {"model.form": "modernbert", "model.size": "tiny"}  # in pretraining and after it
_READ = {"data.source": _REVIEWS, "data.buckets": (32, 48)}
# Rows and classes as in fine-tuning, so that the same sentences are held out, and ids are the same.
_PRETRAINING = _READ | {
    "data.label_column": "label",
    "data.layout": "whole",
    "data.max_length": 64,
    "data.tokenizer": "wordpiece:4096",
    "total_steps": 3000,  # 6 epochs
    "optimizer.warmup_steps": 300,
}
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
    return found | {
        "scratch": {},
        "network": _NETWORK,
        "keywords": _NETWORK | {"model.keywords": _KEYWORDS},
    }


def get_study(variant: str = "") -> dict:
    """Describes the study; "smoke" takes a few steps on docstrings."""
    if variant not in ("", "smoke"):
        raise ValueError(f"unknown variant {variant!r}: use smoke, or none")
    shared = _ENCODER | {"figures.num_examples": 0}
    pretraining = {"data.limit": 40} if variant else _PRETRAINING
    settings = _settings()
    if variant:
        settings = {name: settings[name] for name in ("r=0", "r=0.15, drop", "keywords")}
    suffix = ":smoke" if variant else ""
    return {
        "base": f"../text_classify.py{suffix or ':sentiment'}",
        "overrides": shared | ({} if variant else _READ),
        "starts": {
            "pretrained": {
                "base": f"../mlm.py{suffix}",
                "overrides": shared | pretraining | {"eval.probes": ()},
            }
        },
        "settings": settings,
        "seeds": (0,) if variant else (0, 1, 2),
        "metrics": {"accuracy": "max", "f1_macro": "max"},
        "beside": {"accuracy": ("bag_of_words_accuracy", "largest_class_accuracy")},
        "baseline": "r=0",
    }

"""Does it matter how, and when, masks of texts are chosen? Static, dynamic and adaptive ones.

    python launch/study.py --study=configs/studies/static_or_dynamic.py[:VARIANT]

The default of mlm.py on half of its texts, 1200 steps (15 epochs) by ten kinds of masks, 15 %
hidden, 80/10/10 in all, judged on held-out documents under the same random masks: accuracy,
perplexity, and the steps and seconds to the accuracy that one fixed mask a row ("static 1") has at
its end. Variants:

    (none)              30 runs, 95 minutes on one of two busy cores
    downstream          five of them fine-tuned on film reviews (REVIEWS, see text_classify.py), and
                        judged on product reviews too, made likewise (PRODUCTS): that is "test"; 18
                        fine-tunings, half an hour on one of two busy cores, behind 15 of the runs
                        above, which it trains where they are not in its folder as
                        "pretrained NAME,seed=N"
    full, downstream_full
                        all texts and twice as many steps; not run yet
    smoke, downstream_smoke
                        a few small steps

"adaptive" hides by running losses of ids, by the accuracies of AMLM, and rare ids more often. In 15
epochs each of ten fixed masks comes once or twice. What came out is in static_or_dynamic.md.
"""

REVIEWS, PRODUCTS = "csv:reviews.tsv", "csv:products.tsv"
_MASKS = {
    "static 1": {"mask.copies": 1},
    "static 5": {"mask.copies": 5},
    "static 10": {"mask.copies": 10},
    "dynamic": {},
    "whole word": {"mask.rule": "whole_word"},
    "span": {"mask.rule": "spans"},
    "adaptive, losses": {"mask.rule": "weighted"},
    "adaptive, accuracies": {"mask.rule": "weighted", "mask.follows": "accuracies"},
    "adaptive, frequencies": {"mask.rule": "weighted", "mask.follows": "frequencies"},
    "sliding": {"mask.rule": "sliding"},
}
_FINE_TUNED = ("static 1", "dynamic", "whole word", "span", "adaptive, losses")
_SHARED = {"mask.ratio": 0.15, "mask.split": (0.8, 0.1, 0.1), "figures.num_examples": 0}


def get_study(variant: str = "") -> dict:
    """Describes the study, or what its models are worth downstream."""
    words = variant.split("_")
    kind = words.pop() if words[-1] in ("smoke", "full") else ""
    if words not in ([], [""], ["downstream"]):
        known = "downstream, full, downstream_full, smoke or downstream_smoke"
        raise ValueError(f"unknown variant {variant!r}: use {known}")
    is_smoke, is_full = kind == "smoke", kind == "full"
    steps = 2400 if is_full else 1200
    size = {"eval_every_steps": 3}
    if not is_smoke:
        size = {"total_steps": steps, "eval_every_steps": steps // 12, "save_every_steps": 0}
        size |= {} if is_full else {"data.train_fraction": 0.5}
    suffix = ":smoke" if is_smoke else ""
    seeds = (0,) if is_smoke else (0, 1, 2)
    if not variant.startswith("downstream"):
        return {
            "base": f"../mlm.py{suffix}",
            "overrides": _SHARED | size,
            "settings": _MASKS,
            "seeds": seeds,
            "metrics": {
                "accuracy": "max",
                "perplexity": "min",
                "steps_to_baseline": "min",
                "seconds_to_baseline": "min",
            },
            "baseline": "static 1",
            "curves": "step",
        }
    names = _FINE_TUNED[:2] if is_smoke else _FINE_TUNED
    own = {
        "data.source": REVIEWS,
        "data.test_source": PRODUCTS,
        "data.label_column": "label",
        "data.tokenizer": "wordpiece:1024:prose",
        "data.buckets": (32, 48),
        "total_steps": 750,
        "optimizer.warmup_steps": 75,
    }
    return {
        "base": f"../text_classify.py{suffix}",
        "overrides": ({} if is_smoke else own)
        | {"model.form": "modernbert", "figures.num_examples": 0},
        "starts": {
            f"pretrained {name}": {
                "base": f"../mlm.py{suffix}",
                "overrides": _SHARED | size | _MASKS[name],
            }
            for name in names
        },
        "settings": {
            "from scratch": {},
            **{name: {"init_from.path": f"{{pretrained {name}}}"} for name in names},
        },
        "seeds": seeds,
        "metrics": dict.fromkeys(
            ("accuracy", "f1_macro", "precision_macro", "recall_macro"), "max"
        ),
        "baseline": "static 1",
    }

"""What do masks of weights do when a pretrained network is tuned to a task?

    python launch/study.py --study=configs/studies/mask_tuning.py[:VARIANT]

A small encoder, pretrained by hiding parts of its input, is tuned to classes in the ways that are
told of masks of weights, and in the usual ones:

    full                    all weights train; what the others are compared with
    stay_zero ...           the three readings of the tutorials: a tenth of the encoder's kernels is
                            hidden and stays zero, or is learned anew with the rest, or alone;
                            chosen at random, sliding (another place at each step; relearn and
                            relearn_alone: each 50) or adaptive (where the loss depends on weights
                            most, the less the lower it is)
    threshold ...           learned masks: which weights of the frozen encoder take part, by three
                            kinds of gates (maskjax/tasks/learned_masks.py)
    child_tuning_f, _d      gradients of 30 % of the weights
    BitFit, linear probe    biases and the head; the head alone

Variants:

    (none)         Fashion-MNIST, a ViT of width 64 and depth 3 on 4x4 patches, 500 steps of 128 on
                   10 % of the labels; pretrained for 2000 steps on all images
    text           film-review sentences (configs/text_classify.py says how they are made), a
                   ModernBERT of 2 blocks of width 128, 400 steps of 32, pretrained on them for 3000
    smoke, text_smoke
                   a few small steps

Numbers: accuracy; its spread over three seeds; that of 1000 examples under noise of five
severities, Gaussian for pictures, random tokens for texts; and what a task has to keep beside the
encoder. 54 trainings each, an hour on one busy core; mask_tuning.md is what came out.
"""

_FROZEN = {"optimizer.frozen": ("^encoder/",)}
_PLAIN = {"task": "classify", "optimizer.frozen": ()}
_READINGS = ("stay_zero", "relearn", "relearn_alone")
_PLACES = {
    "random": {},
    "sliding": {"param_masks.rule": "sliding", "param_masks.stride": 64},
    "adaptive": {
        "param_masks.rule": "steepest",
        "param_masks.schedule": "error",
        "param_masks.every_steps": 50,
    },
}
_PICTURES = {
    "data.source": "idx:/usr/share/datasets/fashion-mnist",  # where Debian's package puts it
    "data.size": (28, 28),
    "data.mean": (0.286,),
    "data.std": (0.353,),
    "batch_size": 128,
    "save_every_steps": 0,
    "figures.num_examples": 0,
    "model.encoder.width": 64,
    "model.encoder.depth": 3,
    "model.encoder.heads": 4,
    "model.patch_size": (7, 7),
}
_PICTURES_TUNED = {
    "data.train_fraction": 0.1,
    "data.crop_scale": (1.0, 1.0),
    "data.erase": 0.0,
    "mix.mixup": 0.0,
    "model.drop_path": 0.0,
    "optimizer.layer_decay": 1.0,
    "total_steps": 500,
    "optimizer.warmup_steps": 50,
    "eval.batch_size": 250,
    "eval.corruptions": ("gaussian_noise",),
    "eval.max_corrupted_examples": 1000,
}
_REVIEWS = {
    "data.source": "csv:reviews.tsv",
    "data.label_column": "label",
    "data.max_length": 64,
    "data.buckets": (32, 48),
    "figures.num_examples": 0,
    "model.form": "modernbert",
    "model.size": "tiny",
}
_REVIEWS_READ = {"data.layout": "whole", "data.tokenizer": "wordpiece:4096"}
_REVIEWS_READ |= {"total_steps": 3000, "optimizer.warmup_steps": 300}


def _masked(method: str, place: str) -> dict:
    """A reading with its place; what is learned anew needs some steps before the next move."""
    every = 50 if method != "stay_zero" and place == "sliding" else 1
    moves = {"param_masks.every_steps": every} if place == "sliding" else {}
    chosen = {"param_masks.method": method, "param_masks.sparsity": 0.1} | _PLACES[place]
    return _PLAIN | chosen | moves | {"param_masks.exclude": ("^head/",)}


def _settings() -> dict:
    """By name, what is set in a run."""
    child = {
        f"child_tuning_{kind}": _PLAIN
        | {"param_masks.method": f"child_tuning_{kind}", "param_masks.exclude": ("^head/",)}
        for kind in "fd"
    }
    rest = "^encoder/.*(kernel|scale|token|table)$"
    return {
        "full": _PLAIN,
        **{f"{way}, {place}": _masked(way, place) for way in _READINGS for place in _PLACES},
        "threshold": {"learned.kind": "threshold"},
        "top_k": {"learned.kind": "top_k", "learned.sparsity": 0.5},
        "hard_concrete": {"learned.kind": "hard_concrete"},
        **child,
        "BitFit": _PLAIN | {"optimizer.frozen": (rest,)},
        "linear probe": _PLAIN | _FROZEN,
    }


def get_study(variant: str = "") -> dict:
    """Describes the study of pictures or of texts."""
    if variant not in ("", "text", "smoke", "text_smoke"):
        raise ValueError(f"unknown variant {variant!r}: use text, smoke or text_smoke")
    is_text, is_smoke = variant.startswith("text"), variant.endswith("smoke")
    # As the config beneath has it: the base, of learned masks, names theirs as well.
    spared = () if is_text else ("^encoder/(positions|class_token)",)
    settings = {
        name: own
        | {"init_from.path": "{pretrained}"}
        | ({"optimizer.no_decay": spared} if "task" in own else {})
        for name, own in _settings().items()
    }
    if is_smoke:
        kept = ("full", "stay_zero, adaptive", "relearn, sliding", "top_k", "BitFit")
        settings = {name: settings[name] for name in kept}
    kind = "text" if is_text else ("default" if is_smoke else "fashion_mnist")
    if is_text and not is_smoke:
        kind = "text_sentiment"
    shared, tuned, read = {"figures.num_examples": 0}, {}, {"eval.probes": ()}
    if is_text:
        shared["model.form"] = "modernbert"
    if not is_smoke and is_text:
        shared, read = _REVIEWS, read | _REVIEWS_READ
        tuned = {"total_steps": 400, "optimizer.warmup_steps": 40}
        tuned |= {"eval.corruptions": ("random_tokens",), "eval.max_corrupted_examples": 1000}
    elif not is_smoke:
        shared, tuned = _PICTURES, _PICTURES_TUNED
        read |= {"total_steps": 2000, "optimizer.warmup_steps": 100, "model.feature_blocks": 1}
    base = f"../mlm.py{':smoke' if is_smoke else ''}"
    if not is_text:
        base = f"../mae.py:{'smoke' if is_smoke else 'fashion_mnist'}"
    noise = {"accuracy_random_tokens" if is_text else "accuracy_gaussian_noise": "max"}
    return {
        "base": f"../mask_tune.py:{kind}_learned{'_smoke' if is_smoke else ''}",
        "overrides": shared | tuned,
        "starts": {"pretrained": {"base": base, "overrides": shared | read}},
        "settings": settings,
        "seeds": (0,) if is_smoke else (0, 1, 2),
        "metrics": {"accuracy": "max", "f1_macro": "max"}
        | ({} if is_smoke else noise)
        | {"stored_bytes": "min"},
        "baseline": "full",
    }

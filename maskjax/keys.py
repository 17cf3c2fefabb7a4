"""Every key of a config that the trainer reads, once: default, meaning, range and history.

A new key is one more line. Keys of a task ("model", "mask", "loss") are its own: a config file adds
them to `maskjax.config.base()`.
"""

from maskjax.key import ALWAYS, Key
from maskjax.key import count as _count
from maskjax.param_mask_keys import PARAM_MASKS

_LOGGERS = ("jsonl", "tensorboard")
_MODES = ("min", "max")
_PROBES = ("knn", "linear", "raw", "largest_class")

KEYS: dict[str, Key] = {
    "task": Key("", "a module of maskjax/tasks, or the dotted path of one of your own"),
    "seed": Key(0, "root of all that is random", low=0, high=2**32),
    "batch_size": _count(256, "examples a step, over all devices", low=1),
    "total_steps": _count(1000, "length of the run; 0 trains nothing and evaluates"),
    "num_devices": _count(0, "0 = all local devices", is_free=True),
    "log_every_steps": _count(50, "0 = at the end alone", is_free=True),
    "eval_every_steps": _count(0, "0 = at the end alone", is_free=True),
    "save_every_steps": _count(250, "0 = at the end alone", is_free=True),
    "keep_checkpoints": _count(2, "so many of the newest, beside the best", low=1, is_free=True),
    "max_nonfinite_steps": _count(10, "skipped in a row before the run ends", is_free=True),
    "loggers": Key(
        _LOGGERS,
        'what gets the numbers, "wandb" and "mlflow" too; jsonl always does',
        are_names=True,
        is_free=True,
        before=_LOGGERS,
    ),
    "init_from.path": Key(
        "", 'the --workdir of a run, or published weights; "" = from scratch', before=""
    ),
    "init_from.what": Key(
        "params",
        '"params", or "all": step, moments and averages too',
        choices=("params", "all"),
        before="params",
    ),
    "init_from.averages": Key(
        True,
        'of "params" the moving averages, which were judged, where that run kept some',
        is_free=True,
        before=False,
    ),
    "init_from.format": Key(
        "auto",
        'of what lies at the path; "auto" = as recognised (maskjax/interop/README.md)',
        choices=("auto", "maskjax", "mae", "hf", "timm", "torchvision", "sparse"),
        is_free=True,
        before="auto",
    ),
    "init_from.channels": Key(
        "",
        'for data of other channels than the weights; "" = refused',
        choices=("", "mean", "repeat", "first"),
        before="",
    ),
    "init_from.state": Key(
        "",
        '"best", "newest"; "" = the best where that run watches a number and what is "params"',
        choices=("", "best", "newest"),
        before="",
    ),
    # Regular expressions on paths of parameters, such as encoder/transformer/block00/norm1/scale.
    "init_from.skip": Key((), "what begins anew here, and is left out there", before=()),
    "init_from.rename": Key(
        (), "pairs: what is found in the other's paths, in its place", before=()
    ),
    "stop.metric": Key(
        "", "number of evaluations that tells the best state, and may end the run", before=""
    ),
    "stop.mode": Key("min", 'what is better: "min" or "max"', choices=_MODES, before="min"),
    "stop.value": Key(None, "the run ends where it is reached", before=None, kind=float),
    "stop.patience": _count(0, "or after so many evaluations without a better; 0 = off", before=0),
    "stop.min_delta": Key(0.0, "by which better is better", low=0, before=0.0),
    # What values these may have depends on the source: maskjax/data/settings.py refuses them.
    "data.source": Key("digits", "a source and where it needs one its argument", is_place=True),
    "data.validation_source": Key("", '"" = from the source itself', is_place=True),
    "data.test_source": Key("", '"" = from the source itself', is_place=True, before=""),
    "data.size": Key((), "one number a spatial axis; () = as stored"),
    "data.channels": Key(0, "0 = as stored, 1 = grey, 3 = RGB"),
    "data.crop_scale": Key((1.0, 1.0), "share of the area a random crop keeps; (1, 1) = no crop"),
    "data.compact": Key(
        True,
        "8 bits travel as such to the device; numbers differ by 1e-7 at most",
        is_free=True,
        before=False,
    ),
    "data.flip": Key(False, "whether training images are mirrored at random"),
    "data.randaugment": Key(0, "operations on each training image; 0 = off", before=0),
    "data.randaugment_magnitude": Key(9.0, "their mean strength, from 0 to 10", before=9.0),
    "data.randaugment_deviation": Key(0.5, "its standard deviation", before=0.5),
    "data.erase": Key(0.0, "chance that a box becomes noise", before=0.0),
    "data.mean": Key((), "() = measured on the training split"),
    "data.std": Key((), "() = measured on the training split"),
    "data.num_workers": Key(0, "processes that prepare batches; 0 = this one", is_free=True),
    "data.validation_fraction": Key(0.1, "share held out where none is set apart for validation"),
    "data.test_fraction": Key(0.1, "share held out where nothing is set apart", before=0.0),
    "data.bad_files": Key("error", 'or "skip"'),
    "data.limit": Key(0, "0 = every training example"),
    "data.train_fraction": Key(1.0, "of each class, kept to learn from", before=1.0),
    "data.imbalance": Key(1.0, "first class to last, to learn from; 1 = as stored", before=1.0),
    "data.label_noise": Key(0.0, "share of training labels that are made wrong", before=0.0),
    "data.missing": Key(
        "", 'what stands for no data, as "nan"; "hide", "hide:-9999" also hide it', before=""
    ),
    "data.gate": Key(
        "",
        "m of a soft gate: a .npy file or a picture; of items a .csv file, or frequencies",
        is_place=True,
        before="",
    ),
    "optimizer.name": Key(
        "adamw",
        '"lars", for large batches and linear probes, or "sgd"; b1 is their momentum',
        choices=("adamw", "lars", "sgd"),
        before="adamw",
    ),
    "optimizer.base_lr": Key(1.5e-3, "lr = base_lr * batch_size / 256", low=0),
    "optimizer.min_lr": Key(0.0, "lr at the end", low=0),
    "optimizer.b1": Key(0.9, "decay of the first moment", low=0, high=1),
    "optimizer.b2": Key(0.95, "decay of the second moment", low=0, high=1),
    "optimizer.eps": Key(1e-8, "added to the second's root", low=0, is_low_allowed=False),
    "optimizer.weight_decay": Key(0.05, "decoupled, per unit of lr", low=0),
    "optimizer.warmup_steps": _count(100, "in which lr rises from 0"),
    "optimizer.schedule": Key(
        "cosine",
        'or "plateau": the peak, lowered where an evaluation is no better',
        choices=("cosine", "plateau"),
        before="cosine",
    ),
    "optimizer.plateau.metric": Key("loss", "number of evaluations", before="loss"),
    "optimizer.plateau.mode": Key("min", "what is better", choices=_MODES, before="min"),
    "optimizer.plateau.patience": _count(3, "evaluations without a better", low=1, before=3),
    "optimizer.plateau.factor": Key(0.5, "of the rate, then", low=0, high=1, before=0.5),
    "optimizer.plateau.min_delta": Key(0.0, "by which better is better", low=0, before=0.0),
    "optimizer.clip_norm": Key(0.0, "largest norm of a gradient; 0 = off", low=0),
    "optimizer.accumulate_steps": _count(1, "parts that a batch is computed in", low=1),
    "optimizer.ema_decay": Key(0.0, "of the parameters' moving average; 0 = off", low=0, high=1),
    "optimizer.layer_decay": Key(
        1.0,
        "of the rate, from a layer to the one below; 1 = off",
        low=0,
        high=1,
        is_low_allowed=False,
        is_high_allowed=True,
        before=1.0,
    ),
    # Regular expressions on paths such as encoder/transformer/block00/attn/key/kernel.
    "optimizer.frozen": Key((), "what keeps its values", before=()),
    "optimizer.rates": Key((), "pairs: what to find, and a factor of its rate", before=()),
    "optimizer.no_decay": Key((), "spared by decay, beside biases and norms' scales", before=()),
    "eval.batch_size": Key(256, "each batch is padded to it", low=1, high=2**20, is_free=True),
    "eval.probes": Key(
        _PROBES, "probes of features, rankings of logits, by name", are_names=True, before=_PROBES
    ),
    "eval.knn_k": _count(20, "neighbours of the k-NN probe", low=1),
    "eval.max_train_examples": _count(0, "that probes learn from; 0 = all"),
    "eval.corruptions": Key(
        (), "what examples are judged under, too: maskjax/data/README.md", are_names=True, before=()
    ),
    "eval.max_corrupted_examples": _count(0, "of a split, for each of them; 0 = all", before=0),
    "figures.num_examples": Key(8, "rows of one picture", low=0, high=257, is_free=True),
    "figures.every_steps": _count(0, "0 = at the end alone", is_free=True),
}
KEYS |= {f"param_masks.{name}": key for name, key in PARAM_MASKS.items()}
# What a task that hides positions reads of "mask"; a rule's options are a section of its name.
MASKS: dict[str, Key] = {
    "rule": Key("random", 'a masking rule; "none" hides nothing: a plain autoencoder'),
    "ratio": Key(0.75, "share of the positions that is hidden"),
    "schedule": Key("constant", 'or "linear", "cosine" (to final_ratio), "uniform" (between)'),
    "final_ratio": Key(0.75, "where the ratio goes"),
    "fill": Key("drop", "what hidden positions become"),
    "copies": Key(0, "fixed masks of an example, one an epoch in turn; 0 = fresh ones", before=0),
    "block.min_area": Key(2, "of one block, positions"),
    "block.max_aspect": Key(1 / 0.3, "of one block's sides"),
    "inverse_block.min_area": Key(2, "of one block that stays visible"),
    "inverse_block.max_aspect": Key(1 / 0.3, "of one block's sides"),
    "grid.stride": Key(2, "every so many positions one stays visible"),
    "sliding.stride": Key(1, "positions a step"),
    "sliding.axis": Key(-1, "along which the window moves"),
    "sliding.follows": Key("step", 'or "key": a place of its own for each example'),
    "sliding_block.stride": Key(1, "positions a step"),
    "sliding_block.block": Key(1, "positions along a side of the square"),
    "sliding_block.follows": Key("step", 'or "key"'),
    "hierarchical.coarse": Key(2, "positions along a side of a cell"),
    "multi_block.num_targets": Key(4, "blocks to predict"),
    "multi_block.target_scale": Key((0.15, 0.2), "share of the positions of a target"),
    "multi_block.target_aspect": Key((0.75, 1.5), "of a target's sides"),
    "multi_block.context_scale": Key((0.85, 1.0), "share of the positions of the context"),
    "spans.p": Key(0.2, "of the geometric law of words in a span", before=0.2),
    "spans.max_span_length": Key(10, "words of a span, at most", before=10),
    "t5_spans.mean_span_length": Key(3.0, "tokens of a span, at least 1", before=3.0),
    "tube.space_rule": Key("random", "the rule of one frame"),
    # What weighted, hard_patches and error_window follow, and best_of, and the fill "gate".
    "follows": Key(
        "losses",
        'or "labels", "frequencies" (of ids), "accuracies" (of guesses), "kinds" (of words)',
        before="losses",
    ),
    "entries": Key("", 'of what is followed: "ids", "positions"; "" = ids if any', before=""),
    "losses.decay": Key(0.99, "share of a running loss that stays at an update", before=0.99),
    "losses.floor": Key(0.01, "least weight over the mean", before=0.01),
    "labels.alpha": Key(1.0, "m moves by alpha / |D| a token", before=1.0),
    "labels.positive": Key((1,), "classes that raise m; the others lower it", before=(1,)),
    "labels.start": Key("uniform", 'or "normal"', before="uniform"),
    "frequencies.exponent": Key(0.5, "weight = frequency^-exponent", before=0.5),
    "accuracies.every_steps": Key(200, "after so many the weights change", before=200),
    "accuracies.decay": Key(0.2, "share of an old weight that stays", before=0.2),
    "accuracies.floor": Key(0.005, "least weight; the mean is mask.ratio", before=0.005),
    "kinds.weights": Key((), "pairs: a kind of words (data.kinds) and its weight", before=()),
    "kinds.other": Key(1.0, "weight of all other words; 0 = never hidden", before=1.0),
    "weighted.temperature": Key(1.0, "1 = in proportion, 0 = the heaviest", before=1.0),
    "hard_patches.max_share": Key(0.5, "of the hidden ones, at the end of the run", before=0.5),
    "error_window.axis": Key(-1, "along which the window extends", before=-1),
    "error_window.temperature": Key(1.0, "1 = in proportion, 0 = the heaviest", before=1.0),
    "best_of.candidates": Key(1, "masks of which the best is taken; 1 = off", before=1),
    "best_of.metric": Key(
        "losses", "or module.function(is_masked [B, L], batch) -> [B]", before="losses"
    ),
}
# Keys by their old names.
RENAMED = {
    "data.eval_source": "data.validation_source",
    "data.eval_fraction": "data.validation_fraction",
}
# Keys of tasks that came later, and for each the key of a config whose task reads it.
LATER = {
    "model.norm_eps": (1e-6, "model.positions"),
    "model.dropout": (0.0, "model.drop_path"),
    "model.lora_rank": (0, "mix.mixup"),
    "model.lora_alpha": (16.0, "mix.mixup"),
    "model.lora_on": (("/attn/(query|value)/kernel$",), "mix.mixup"),
    **dict.fromkeys(("data.kinds", "data.buckets"), ((), "data.tokenizer")),
    "data.units": ("", "data.tokenizer"),
    "data.kind_column": (0, "data.tokenizer"),
    "model.width": (0, "model.form"),
    "model.depth": (0, "model.form"),
    "model.heads": (0, "model.form"),
    "model.hidden": (0, "model.form"),
    "model.epsilon": (0.0, "model.form"),
    "model.window": (0, "model.form"),
    "model.global_every": (0, "model.form"),
    "model.near_heads": (0, "mask.eval_ratio"),
    "model.near_window": (8, "mask.eval_ratio"),
    "model.drop_heads": (0.0, "mask.eval_ratio"),
}
# Likewise, what says that a network was made smaller (tools/shrink.py): heads and hidden units of
# each block, or hidden units of all of them; () and 0 where it was not.
SMALLER = {
    "model.kept": ((), "model.heads"),
    "model.encoder.kept": ((), "model.encoder.heads"),
    "model.encoder.hidden": (0, "model.encoder.heads"),
    "model.decoder.kept": ((), "model.decoder.heads"),
    "model.decoder.hidden": (0, "model.decoder.heads"),
}
LATER |= SMALLER
# Keys that a resumed run may change, "model.remat" among those of tasks.
FREE = {name for name, key in KEYS.items() if key.is_free} | {"model.remat"}
FREE |= {name for name in KEYS if name.startswith("stop.")}  # the end changes no step before it
PLACES = {name for name, key in KEYS.items() if key.is_place}
PLACES |= {"data.tokenizer", "data.index"}  # of texts alone
# What stands for later keys in configs from before they existed.
BEFORE = {name: key.before for name, key in KEYS.items() if key.before is not ALWAYS}
BEFORE |= {f"mask.{name}": key.before for name, key in MASKS.items() if key.before is not ALWAYS}
BEFORE |= {name: value for name, (value, _) in LATER.items()}

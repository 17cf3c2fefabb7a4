"""How many heads can go? (Michel et al. 2019, Are Sixteen Heads Really Better than One?)

    python launch/study.py --study=configs/studies/heads.py[:smoke]

A model of configs/mlm.py with 2 blocks of 8 heads is trained; the importance of each head is
measured on its training rows, the k of the least go, or k random ones, and what is left is judged,
and its importance measured again, without a further step. Everything is compared with all 16 heads.
The importance of each head before and after is in the runs' metrics.jsonl.

3 models and 27 runs without a step, half an hour on two cores, as estimated; not run yet.
"""

_MODEL = {"model.heads": 8, "figures.num_examples": 0}
_READ = {"data.train_fraction": 0.5}  # of the texts; the default of mlm.py reads all of them
_COUNTS = (2, 4, 8, 12)
_START = {"init_from.path": "{trained}"}


def get_study(variant: str = "") -> dict:
    """Describes the study; "smoke" prunes a model of six steps."""
    if variant not in ("", "smoke"):
        raise ValueError(f"unknown variant {variant!r}: use smoke, or none")
    suffix = ":smoke" if variant else ""
    settings = {"all": _START}
    for order in ("importance", "random"):
        for count in (4,) if variant else _COUNTS:
            own = {"model.prune_heads": count, "model.prune_order": order}
            settings[f"{order}, {count} go"] = _START | own
    return {
        "base": f"../head_pruning.py{suffix}",
        "overrides": _MODEL | ({"data.limit": 200} if variant else _READ),
        "starts": {
            "trained": {
                "base": f"../mlm.py{suffix}",
                "overrides": _MODEL
                | ({"data.limit": 200} if variant else _READ | {"total_steps": 1200}),
            }
        },
        "settings": settings,
        "seeds": (0,) if variant else (0, 1, 2),
        "metrics": {"perplexity": "min", "accuracy": "max"},
        "baseline": "all",
    }

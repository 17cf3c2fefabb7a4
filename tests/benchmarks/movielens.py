"""BERT4Rec on MovieLens-100K beside RecBole's, popularity and item-kNN, on one split.

    # In an environment of its own; torch 2.13.0+cpu was used.
    pip install recbole==1.2.1 "numpy<2" "pandas<3" "setuptools<80" torch
    python tests/benchmarks/movielens.py recbole --epochs=3 --folder=DIR
    python launch/train.py --config=configs/bert4rec.py:movielens_100k --workdir=RUN \
        --config.data.source=interactions:DIR/order.csv --config.seed=0       # and other seeds
    python tests/benchmarks/movielens.py maskjax --folder=DIR --workdir=RUN

RecBole keeps times as float32, so items of about a minute are sorted otherwise than their times
say. It therefore writes the order that it made of them, DIR/order.csv, and maskjax reads that:
users, histories and targets are the same. Each side prints one line of JSON, of the test split: all
items ranked, with and without those that the user had before ("unseen").
"""

import argparse
import csv
import json
import os
from pathlib import Path

import numpy as np

CUTOFFS = (5, 10)
MODES = ("unseen", "all")


def worth(ranks: np.ndarray) -> dict[str, float]:
    """HR@k, NDCG@k and MRR of ranks from 1."""
    values = {"mrr": (1 / ranks).mean()}
    for k in CUTOFFS:
        values[f"hr@{k}"] = (ranks <= k).mean()
        values[f"ndcg@{k}"] = np.where(ranks <= k, 1 / np.log2(1 + ranks), 0).mean()
    return {name: round(float(value), 4) for name, value in values.items()}


def judge_recbole(
    folder: Path, epochs: int, batch_size: int, seed: int
) -> dict[str, dict[str, float]]:
    """Train RecBole's BERT4Rec with its own options, write its order, rank its test split."""
    import torch

    load = torch.load  # of today's torch refuses RecBole's own checkpoints
    torch.load = lambda *args, **options: load(*args, **{**options, "weights_only": False})
    for name, kind in {"bool": bool, "int": int, "float": float, "object": object}.items():
        if name not in np.__dict__:
            setattr(np, name, kind)
    import recbole
    from recbole.config import Config
    from recbole.data import create_dataset
    from recbole.quick_start import load_data_and_model, run_recbole

    options = {
        "data_path": os.path.join(os.path.dirname(recbole.__file__), "dataset_example"),
        "train_neg_sample_args": None,
        "loss_type": "CE",
        "seed": seed,
        "eval_args": {
            "split": {"LS": "valid_and_test"}, "group_by": "user", "order": "TO", "mode": "full"
        },
        "metrics": ["Hit", "NDCG", "MRR"],
        "valid_metric": "NDCG@10",
        "epochs": epochs,
        "train_batch_size": batch_size,
        "eval_batch_size": 256,
        "use_gpu": False,
        "show_progress": False,
        "checkpoint_dir": str(folder / "recbole"),
    }  # fmt: skip
    run_recbole(model="BERT4Rec", dataset="ml-100k", config_dict=options)
    (saved,) = (folder / "recbole").glob("BERT4Rec-*.pth")
    _, model, dataset, _, _, test = load_data_and_model(model_file=str(saved))
    model.eval()

    sequences = create_dataset(Config("BERT4Rec", "ml-100k", config_dict=options))
    sequences._change_feat_format()  # sorts, and makes an example of every item but the first
    rows = sequences.inter_feat
    histories: dict[int, list[int]] = {}
    for user, item, before in zip(
        rows["user_id"].tolist(), rows["item_id"].tolist(), rows["item_id_list"].tolist()
    ):
        histories.setdefault(user, [before[0]]).append(item)
    with (folder / "order.csv").open("w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("user", "item", "time"))
        for user, items in histories.items():
            name = dataset.id2token("user_id", user)
            lines.writerows((name, dataset.id2token("item_id", i), t) for t, i in enumerate(items))

    ranks: dict[str, list[int]] = {mode: [] for mode in MODES}
    for batch, *_ in test:
        with torch.no_grad():
            scores = model.full_sort_predict(batch).view(len(batch), -1).numpy()
        for row, user, target in zip(scores, batch["user_id"].tolist(), batch["item_id"].tolist()):
            assert histories[user][-1] == target
            is_ahead = row >= row[target]
            is_ahead[[0, target]] = False  # 0 is padding
            ranks["all"].append(1 + is_ahead.sum())
            is_ahead[histories[user][:-1]] = False
            ranks["unseen"].append(1 + is_ahead.sum())
    return {mode: worth(np.array(found)) for mode, found in ranks.items()}


def judge_maskjax(folder: Path, workdir: Path) -> dict[str, dict[str, float]]:
    """Rank the test split by a run, by popularity and by item-kNN."""
    import dataclasses

    import jax

    from maskjax.data.history import HistorySource
    from maskjax.data.history.files import read_table
    from maskjax.data.history.histories import leave_last_out
    from maskjax.evaluation.metrics import numbers
    from maskjax.evaluation.ranking import baselines
    from maskjax.tasks.task import Context
    from maskjax.tools.saved import open_saved

    saved = open_saved(workdir, needs_examples=False)
    histories = read_table(folder / "order.csv", "user", "item", "time")
    parts = leave_last_out(histories.lengths)
    train, test = ([*HistorySource(histories, parts[name])] for name in ("train", "test"))
    processor = saved.data.processor
    batch = processor.collate([processor(record) for record in test])
    context = Context(jax.random.split(jax.random.key(0), len(test)), train=False)
    report = {}
    for mode in MODES:
        task = dataclasses.replace(saved.task, exclude_seen=mode == "unseen")
        sums = jax.jit(task.loss)(saved.state.eval_params, batch, context)
        values = numbers(sums.metrics) | baselines(
            [record["items"] - 1 for record in train],
            [record["items"] - 1 for record in test],
            np.array([record["target"] for record in test]) - 1,
            processor.num_items,
            exclude_seen=task.exclude_seen,
        )
        report[mode] = {name: round(value, 4) for name, value in values.items()}
    return report


def main() -> None:
    """Judge one side."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("side", choices=["recbole", "maskjax"])
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--workdir", type=Path)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.side == "recbole":
        print(
            json.dumps(
                judge_recbole(options.folder, options.epochs, options.batch_size, options.seed)
            )
        )
    else:
        print(json.dumps(judge_maskjax(options.folder, options.workdir)))


if __name__ == "__main__":
    main()

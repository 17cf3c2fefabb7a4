"""BERT4Rec's smoke run: trains, is judged beside its baselines, drawn, and resumed."""

import itertools
import json
import shutil

import numpy as np
import pytest

from maskjax import workdir
from maskjax.tools.answers import open_answers
from maskjax.tools.predict import predict
from maskjax.training.loop import train
from maskjax.workdir.lines import read_metrics


@pytest.fixture(scope="module")
def run(load_config, tmp_path_factory):
    config = load_config("bert4rec", "smoke")
    folder = tmp_path_factory.mktemp("bert4rec")
    return config, folder, train(config, folder)


def test_it_is_judged_beside_baselines_and_the_best_that_is_possible(run):
    _, folder, summary = run
    assert np.isfinite(summary["validation_loss"])
    lines = {row["split"]: row for row in read_metrics(folder)}
    for split, name in itertools.product(("validation", "test"), ("hr@10", "ndcg@10", "mrr")):
        line = lines[split]
        assert 0 <= line[name] < line[f"best_{name}"] <= 1  # six steps learn little
        assert 0 < line[f"popularity_{name}"] < line[f"item_knn_{name}"] < line[f"best_{name}"]
    assert lines["validation"]["item_knn_mrr"] != lines["test"]["item_knn_mrr"]
    assert "figures/next_items.png" in summary["figures"]


def test_it_resumes_to_the_same_numbers(run, tmp_path):
    config, folder, summary = run
    resumed = tmp_path / "resumed"
    shutil.copytree(folder, resumed)
    (resumed / workdir.SUMMARY).unlink()
    shutil.rmtree(resumed / workdir.CHECKPOINTS / str(config.total_steps))
    assert train(config, resumed)["params_sha256"] == summary["params_sha256"]


def test_it_names_the_next_items_of_a_history_of_ones_own(run):
    _, folder, _ = run
    (line,) = predict(open_answers(folder, None), ["12,50,181"])
    before, guesses = line.removeprefix("12,50,181: ").removesuffix("]").split(" [")
    assert before == "12 50 181"
    named = [guess.split() for guess in guesses.split(", ")]
    assert len(named) == 10
    assert {int(name) for name, _ in named} <= set(range(1, 201))
    shares = [float(share.removesuffix("%")) for _, share in named]
    assert shares == sorted(shares, reverse=True)
    with pytest.raises(ValueError, match="unknown items 999, x; give names of the 200 items"):
        list(predict(open_answers(folder, None), ["12,999,x"]))


def test_it_recommends_nothing_that_was_in_a_history_longer_than_examples(run, tmp_path):
    config, folder, _ = run
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    record = json.loads((folder / workdir.CONFIG).read_text())
    record["config"]["eval"]["exclude_seen"] = True
    (tmp_path / workdir.CONFIG).write_text(json.dumps(record))
    history = [str(item) for item in range(1, 191)]  # all but ten items
    assert len(history) > config.data.length
    (line,) = predict(open_answers(tmp_path, None), [",".join(history)])
    guesses = line.removesuffix("]").rpartition("[")[2].split(", ")
    assert {int(guess.split()[0]) for guess in guesses} == set(range(191, 201))

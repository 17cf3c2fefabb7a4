"""Histories through the door that training uses."""

import json
import pickle

import numpy as np
import pytest

from maskjax import data
from maskjax.data.history import HistoryProcessor

# Users in the order of their names: a, b, c, d.
TABLE = """user,item,time
b,y,1
d,w,3
b,x,2
a,x,1
b,z,3
b,y,4
d,v,1
d,w,2
c,u,1
b,y,5
"""
NAMES = ["u", "v", "w", "x", "y", "z"]
U, V, W, X, Y, Z = range(1, 7)
# a has one item, c too: they only train. b has 5, d has 3.
TRAIN = [[X], [Y, X, Z], [U], [V]]


def build(tmp_path, **config):
    path = tmp_path / "plays.csv"
    path.write_text(TABLE)
    config = {"source": f"interactions:{path}", "length": 4, **config}
    return data.build(config, seed=0, batch_size=2)


def test_splits_hold_what_comes_last(tmp_path):
    opened = build(tmp_path)
    assert (opened.num_train, opened.num_validation) == (4, 2)
    assert opened.processor.num_items == 6
    (train,) = opened.eval_batches("train", 4)
    assert [[i for i in row if i] for row in train["items"].tolist()] == TRAIN
    assert "target" not in train
    (batch,) = opened.eval_batches("validation", 3)
    assert batch["items"].tolist() == [[0, Y, X, Z], [0, 0, 0, V], [0] * 4]
    assert batch["target"][:2].tolist() == [Y, W]
    assert batch["seen"][:2].tolist() == [[0, 0, X, Y, Z], [0, 0, 0, 0, V]]
    assert batch["is_valid"].tolist() == [True, True, False]


def test_histories_longer_than_the_limit_keep_their_newest(tmp_path):
    opened = build(tmp_path, length=2)
    (batch,) = opened.eval_batches("validation", 2)
    assert batch["items"].tolist() == [[X, Z], [0, V]]
    assert batch["seen"][0].tolist() == [0, 0, X, Y, Z]  # all that was ever seen
    rows = {tuple(row) for _, b in zip(range(20), opened.train_batches()) for row in b["items"]}
    assert rows == {(0, X), (X, Z), (0, U), (0, V)}


def test_random_windows_reach_every_part_and_are_a_function_of_the_step(tmp_path):
    opened = build(tmp_path, length=2, window="random")
    batches = [b["items"] for _, b in zip(range(30), opened.train_batches())]
    assert {tuple(row) for b in batches for row in b} == {(0, X), (Y, X), (X, Z), (0, U), (0, V)}
    np.testing.assert_array_equal(next(opened.train_batches(17))["items"], batches[17])
    (batch,) = opened.eval_batches("validation", 2)
    assert batch["items"].tolist() == [[X, Z], [0, V]]


def test_what_is_described_reads_histories_of_ones_own(tmp_path):
    opened = build(tmp_path)
    described = json.loads(json.dumps(opened.describe()))
    assert described["item_names"] == NAMES
    config = {"source": "interactions:gone.csv", "length": 4}
    processor = data.restore(config, described).processor
    ((label, example),) = processor.read(" z, y ,x")
    assert label == " z, y ,x"
    assert example["items"].tolist() == [0, Z, Y, X]
    assert example["seen"].tolist() == [0, 0, X, Y, Z]
    (tmp_path / "mine.csv").write_text("x\n\nu,v,w,x,y\n")
    read = [(label, row["items"].tolist()) for label, row in processor.read(f"{tmp_path}/mine.csv")]
    assert read == [("line 1", [0, 0, 0, X]), ("line 3", [V, W, X, Y])]
    assert processor.words([1, 6]) == ["u", "z"]
    assert pickle.loads(pickle.dumps(processor)) == processor


def test_histories_of_ones_own_of_any_length_keep_all_that_was_seen():
    processor = HistoryProcessor(length=2, longest=3, window="newest", names=tuple(NAMES))
    texts = ["z,u,v,u,w", ",".join(["x", "y"] * 3000)]  # the second is no file's name
    rows = [row for text in texts for _, row in processor.read(text)]
    batch = data.batch_of(processor, rows, 3)
    assert batch["items"].tolist() == [[U, W], [X, Y], [0, 0]]
    assert batch["seen"].tolist() == [[U, V, W, Z], [0, 0, X, Y], [0] * 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,q,y,17", "unknown items q, 17; give names of the 6 items of the data, such as u, v, w"),
        (" , ", "no items; give names"),
        ("/no/such/file.csv", "unknown items /no/such/file.csv.*or the path of a file"),
    ],
)
def test_what_cannot_be_read_is_named(text, message):
    processor = HistoryProcessor(length=4, longest=5, window="newest", names=tuple(NAMES))
    with pytest.raises(ValueError, match=message):
        list(processor.read(text))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"length": 1}, "data.length=1 must be at least 2"),
        ({"window": "oldest"}, "data.window='oldest' must be one of"),
        ({"validation_source": "histories"}, "data.validation_source='histories' must be ''"),
        ({"user_column": "who"}, "data.user_column='who' is no column"),
        ({"flip": True}, "data.flip says nothing of examples of 'interactions:.*leave it at False"),
        ({"missing": "hide"}, "data.missing says nothing of examples of .*leave it at ''"),
        ({"validation_fraction": 0.2}, "data.validation_fraction=0.2 says .*leave it at 0.1"),
        ({"test_fraction": 0.2}, "data.test_fraction=0.2 says .*leave it at 0.1"),
        ({"lenght": 3}, "unknown key in config.data 'lenght' .did you mean 'length'"),
        ({"source": "movielens"}, "give its folder, as in movielens:DIR"),
        ({"source": "interactions"}, r"give its file, as in interactions:FILE\.csv"),
        ({"source": "histories:x"}, "what follows the colon is a seed"),
    ],
)
def test_settings_that_do_not_fit_name_their_key(tmp_path, config, message):
    with pytest.raises(ValueError, match=message):
        build(tmp_path, **config)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.csv'.*no such file"):
        build(tmp_path, source="interactions:gone.csv")


def test_short_histories_alone_leave_nothing_to_test(tmp_path):
    path = tmp_path / "short.csv"
    path.write_text("user,item,time\na,x,1\na,y,2\nb,x,1\n")
    with pytest.raises(ValueError, match=r"no user has 3 items.*longest of 2 histories has 2"):
        build(tmp_path, source=f"interactions:{path}")


def test_keys_of_images_at_their_defaults_are_passed_over(tmp_path):
    assert build(tmp_path, flip=False, missing="", size=()).num_train == 4


def test_other_histories_have_another_fingerprint(tmp_path):
    def fingerprints(source):
        return data.build({"source": source}, seed=0, batch_size=2).describe()["fingerprints"]

    first, same, other = map(fingerprints, ("histories", "histories:0", "histories:1"))
    assert first == same
    assert first["train"] != other["train"]

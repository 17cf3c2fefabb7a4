"""Batches as functions of (seed, step): over workers, processes, seeks and epochs; padding."""

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from maskjax import data


def _labels(batches, count):
    return [batch["label"] for batch in itertools.islice(batches, count)]


def _assert_same(first, second):
    assert first.keys() == second.keys()
    for key in first:
        assert type(first[key]) is type(second[key]) is np.ndarray
        np.testing.assert_array_equal(first[key], second[key])


def test_batches_hold_what_was_stored(indexed):
    built = indexed()
    batch = next(built.train_batches())
    assert batch["inputs"].dtype == np.float32
    assert batch["label"].dtype == np.int32
    expected = np.broadcast_to(batch["label"][:, None, None, None] / 255, (8, 4, 4, 1))
    np.testing.assert_allclose(batch["inputs"], expected, rtol=1e-6)


def test_every_epoch_is_a_permutation_and_epochs_differ(indexed):
    built = indexed(count=50, batch_size=8)
    stream = np.concatenate(_labels(built.train_batches(), 25))  # 4 epochs of 50
    epochs = stream.reshape(4, 50)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(50))
    for first, second in itertools.combinations(epochs, 2):
        assert (first == second).mean() < 0.2


@pytest.mark.parametrize("config", [{}, {"flip": True}])
def test_training_examples_carry_their_index_and_epoch(indexed, config):
    built = indexed(count=20, batch_size=8, **config)
    batches = list(itertools.islice(built.train_batches(3), 5))  # positions 24 to 63 of the stream
    for key in ("id", "epoch"):
        assert batches[0][key].dtype == np.int32
    np.testing.assert_array_equal(
        np.concatenate([batch["epoch"] for batch in batches]), np.arange(24, 64) // 20
    )
    for batch in batches:
        np.testing.assert_array_equal(batch["id"], batch["label"])
        assert batch["is_valid"].dtype == bool
        assert batch["is_valid"].all()


def test_seeds_give_unrelated_orders(indexed):
    first, second = (
        np.concatenate(_labels(indexed(seed=seed, batch_size=50).train_batches(), 3))
        for seed in (0, 1)
    )
    # Not even shifted by an epoch: Grain adds the epoch to the seed of its shuffle.
    for shift in (0, 50, 100):
        assert (first[shift:] == second[: 150 - shift]).mean() < 0.2


def test_augmentation_does_not_change_the_order(indexed):
    plain = _labels(indexed().train_batches(), 5)
    flipped = _labels(indexed(flip=True).train_batches(), 5)
    np.testing.assert_array_equal(plain, flipped)


@pytest.mark.parametrize("start", [0, 1, 13, 60])
def test_seeking_equals_reading_through(indexed, start):
    built = indexed(count=20, flip=True)
    through = next(itertools.islice(built.train_batches(), start, None))
    _assert_same(next(built.train_batches(start)), through)


def test_a_far_step_is_reached_at_once(indexed):
    batch = next(indexed(batch_size=1).train_batches(10**9))
    assert batch["inputs"].shape == (1, 4, 4, 1)


@pytest.fixture
def photos():
    """Build a data set of augmented photographs' crops."""

    def make(**config):
        config = {"source": "photos", "size": (12, 16), "crop_scale": (0.2, 1.0), "flip": True,
                  "mean": (0.5,), "std": (0.25,), **config}  # fmt: skip
        return lambda **place: data.build(config, seed=3, batch_size=8, **place)

    return make


def test_workers_change_nothing(photos):
    alone = photos()().train_batches(2)
    workers = photos(num_workers=2)().train_batches(2)
    for _ in range(5):
        _assert_same(next(alone), next(workers))
    workers.close()
    with pytest.raises(StopIteration):
        next(workers)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_workers_outlive_the_signals_that_a_process_group_gets(photos, number):
    alone = photos()().train_batches()
    workers = photos(num_workers=2)().train_batches()
    for _ in range(2):  # one of each worker, so that both have started
        _assert_same(next(alone), next(workers))
    children = multiprocessing.active_children()
    assert len(children) >= 2
    for child in children:
        os.kill(child.pid, number)
    for _ in range(12):  # more than lay ready
        _assert_same(next(alone), next(workers))
    workers.close()


_PARENT = """
import multiprocessing, signal
from maskjax import data
if __name__ == "__main__":
    config = {"source": "photos", "size": (12, 16), "num_workers": 2, "mean": (0.5,), "std": (1.0,)}
    batches = data.build(config, seed=3, batch_size=8).train_batches()
    next(batches), next(batches)  # one of each worker
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    signal.pause()
"""


def _is_running(pid):
    """Whether a process lives; one that ended and that nobody waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as parent:
        workers = [int(word) for word in parent.stdout.readline().split()]
        parent.kill()
    left = workers
    try:
        assert len(workers) >= 2
        deadline = time.monotonic() + 60
        while left and time.monotonic() < deadline:
            time.sleep(0.1)
            left = [pid for pid in workers if _is_running(pid)]
        assert left == []
    finally:
        for pid in left:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("process_count", [2, 4])
def test_parts_of_all_processes_make_the_global_batch(photos, process_count):
    whole = photos()().train_batches(1)
    parts = [
        photos()(process_index=index, process_count=process_count).train_batches(1)
        for index in range(process_count)
    ]
    for _ in range(3):
        inputs = np.concatenate([next(part)["inputs"] for part in parts])
        np.testing.assert_array_equal(inputs, next(whole)["inputs"])


def test_an_example_is_augmented_anew_each_epoch(tmp_path):
    x = np.random.default_rng(0).random((4, 16, 16, 1), np.float32)
    np.savez(tmp_path / "x.npz", x_train=x, y_train=np.arange(4), x_validation=x)
    config = {"source": f"array:{tmp_path}/x.npz", "crop_scale": (0.3, 0.9)}
    built = data.build(config, seed=0, batch_size=4)
    first, second = (
        {int(label): image for image, label in zip(batch["inputs"], batch["label"])}
        for batch in itertools.islice(built.train_batches(), 2)
    )
    for label in range(4):
        assert first[label].shape == (16, 16, 1)
        assert not np.array_equal(first[label], second[label])


def test_half_of_the_stream_is_flipped(tmp_path):
    ramp = np.arange(4, dtype=np.uint8)[None, None, :, None]
    np.savez(tmp_path / "x.npz", x_train=np.broadcast_to(ramp, (40, 4, 4, 1)))
    config = {
        "source": f"array:{tmp_path}/x.npz",
        "flip": True,
        "validation_fraction": 0,
        "test_fraction": 0,
    }
    built = data.build(config, seed=0, batch_size=40)
    batches = [batch["inputs"] for batch in itertools.islice(built.train_batches(), 20)]
    is_flipped = np.concatenate(batches)[:, 0, 0, 0] > 0
    assert abs(is_flipped.mean() - 0.5) < 4 * 0.5 / np.sqrt(800)


def test_evaluation_is_in_order_padded_and_marked(indexed):
    built = indexed(count=50, eval_count=7, flip=True)
    batches = list(built.eval_batches("validation", 3))
    assert [batch["inputs"].shape for batch in batches] == [(3, 4, 4, 1)] * 3
    is_valid = np.concatenate([batch["is_valid"] for batch in batches])
    np.testing.assert_array_equal(is_valid, [True] * 7 + [False] * 2)
    labels = np.concatenate([batch["label"] for batch in batches])
    np.testing.assert_array_equal(labels[is_valid], np.arange(50, 57))
    ids = np.concatenate([batch["id"] for batch in batches])
    np.testing.assert_array_equal(ids, [*range(7), -1, -1])
    assert np.isfinite(np.concatenate([batch["inputs"] for batch in batches])).all()


@pytest.mark.parametrize("process_count", [2, 3])
def test_processes_share_evaluation_in_as_many_batches(indexed, process_count):
    whole = list(indexed().eval_batches("train", 6, limit=16))
    parts = []
    for index in range(process_count):
        place = {"process_index": index, "process_count": process_count}
        built = indexed(batch_size=6, build=place)
        parts.append(list(built.eval_batches("train", 6, limit=16)))
    assert [len(part) for part in parts] == [len(whole)] * process_count
    for step, batch in enumerate(whole):
        for key in batch:
            joined = np.concatenate([part[step][key] for part in parts])
            np.testing.assert_array_equal(joined, batch[key])


def test_limits_take_fixed_subsets(indexed):
    built = indexed(limit=20)
    assert built.num_train == 20
    epoch = np.concatenate(_labels(built.train_batches(), 5))[:20]
    (kept,) = built.eval_batches("train", 20)
    np.testing.assert_array_equal(np.sort(epoch), kept["label"])
    (fewer,) = built.eval_batches("train", 5, limit=5)
    assert set(fewer["label"]) < set(kept["label"])
    np.testing.assert_array_equal(kept["id"], np.arange(20))
    np.testing.assert_array_equal(kept["label"][fewer["id"]], fewer["label"])


def test_no_evaluation_split_gives_no_batches(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((4, 3, 3), np.uint8))
    config = {"source": f"array:{tmp_path}/x.npz", "validation_fraction": 0, "test_fraction": 0}
    built = data.build(config, seed=0, batch_size=2)
    assert built.num_validation == 0
    assert list(built.eval_batches("validation", 2)) == []


def test_another_split_is_refused(indexed):
    with pytest.raises(ValueError, match=r"split='eval' must be one of \('train', 'validation'"):
        indexed().eval_batches("eval", 4)

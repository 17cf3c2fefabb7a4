"""Checkpoints: what is kept, and what happens to broken ones."""

import jax.numpy as jnp
import numpy as np
import pytest

from maskjax.workdir import checkpoint
from maskjax.workdir.best import Best
from maskjax.workdir.checkpoint import Checkpoints, DamagedCheckpointError


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(checkpoint, "_RETRY_SECONDS", 0.0)


def _state(value, shape=(40,), dtype=jnp.float32, name="w"):
    return {"params": {name: jnp.full(shape, value, dtype)}, "step": jnp.int32(value), "ema": None}


def _save(directory, steps, keep=10, metrics=None, best=None):
    with Checkpoints(directory, keep=keep, best=best) as checkpoints:
        for step in steps:
            checkpoints.save(step, _state(step))
            if step in (metrics or {}):
                checkpoints.add_metrics(step, metrics[step])
        checkpoints.wait()
        return checkpoints.steps


def _largest_file(folder):
    return max((f for f in folder.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)


def _empty(folder):
    for file in sorted(folder.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()


def _cut_short(folder):
    file = _largest_file(folder)
    file.write_bytes(file.read_bytes()[:-20])


def _lose_the_index(folder):
    (folder / "state" / "manifest.ocdbt").unlink()


def _blank_every_file(folder):
    for file in folder.rglob("*"):
        if file.is_file():
            file.write_bytes(b"")


def _lose_the_checksums(folder):
    _empty(folder / "checksums")
    (folder / "checksums").rmdir()


def test_what_is_restored_is_what_was_saved(tmp_path):
    _save(tmp_path, [3])
    with Checkpoints(tmp_path) as checkpoints:
        restored = checkpoints.restore(_state(0))
    np.testing.assert_array_equal(restored["params"]["w"], np.full(40, 3, np.float32))
    assert restored["step"].dtype == jnp.int32
    assert int(restored["step"]) == 3
    assert restored["ema"] is None


def test_without_a_checkpoint_the_given_state_comes_back(tmp_path):
    state = _state(7)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore(state) is state


def test_the_newest_are_kept_and_the_best_beside_them(tmp_path):
    losses = {1: {"loss": 0.5}, 2: {"loss": 0.1}, 3: {"loss": 0.3}, 5: {"loss": float("nan")}}
    assert _save(tmp_path, range(1, 7), keep=2, metrics=losses) == [2, 5, 6]
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        assert checkpoints.metrics(2) == {"loss": 0.1}


def test_what_is_best_may_be_another_number(tmp_path):
    scores = {1: {"f1": 0.5, "loss": 0.1}, 2: {"f1": 0.7, "loss": 0.9}, 3: {"loss": 0.3}}
    assert _save(tmp_path, range(1, 5), keep=1, metrics=scores, best=Best("f1", "max")) == [2, 4]


def test_of_equal_ones_the_earliest_is_kept_and_a_damaged_best_gives_way_to_the_next(
    tmp_path, caplog
):
    losses = {1: {"loss": 0.5}, 2: {"loss": 0.1}, 3: {"loss": 0.1}, 4: {"loss": 0.2}}
    assert _save(tmp_path, range(1, 6), keep=1, metrics=losses) == [2, 5]
    assert _save(tmp_path, [6], keep=9, metrics={6: {"loss": 0.3}}) == [2, 5, 6]
    with Checkpoints(tmp_path, keep=9) as checkpoints:
        assert (checkpoints.chosen("newest"), checkpoints.chosen("best")) == ([6, 5, 2], [2, 6])
        assert int(checkpoints.restore(_state(0), "best")["step"]) == 2
    _cut_short(tmp_path / "2")
    with Checkpoints(tmp_path, keep=9, read_only=True) as checkpoints:
        assert int(checkpoints.restore(_state(0), "best")["step"]) == 6
    assert f"{tmp_path / '2'} is damaged" in caplog.text


@pytest.mark.parametrize(
    ("best", "order"),
    [
        (Best("f1", "max"), [8, 4, 12]),
        (Best("f1", "min"), [12, 4, 8]),
        (Best("f2", "min"), []),
    ],
)
def test_steps_are_ordered_by_the_number_that_is_watched(best, order):
    values = {4: 0.7, 8: 0.9, 12: -0.5, 16: float("nan"), 20: None, 24: float("inf")}
    evaluated = {step: {"f1": value} for step, value in values.items()}
    assert best.order(evaluated | {28: {"loss": 0.0}}) == order


def test_without_evaluations_only_the_newest_are_kept(tmp_path):
    assert _save(tmp_path, range(1, 5), keep=1) == [4]


def test_saving_a_step_again_keeps_the_first(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, _state(1))
        checkpoints.save(1, _state(2))
        checkpoints.wait()
        assert int(checkpoints.restore(_state(0))["step"]) == 1


@pytest.mark.parametrize(
    "damage",
    [_empty, _cut_short, _blank_every_file, _lose_the_index, _lose_the_checksums],
)
def test_a_damaged_newest_step_is_named_and_the_one_before_is_used(tmp_path, caplog, damage):
    _save(tmp_path, [10, 20], metrics={20: {"loss": 1.0}})
    damage(tmp_path / "20")
    with Checkpoints(tmp_path) as checkpoints:
        restored = checkpoints.restore(_state(0))
        assert int(restored["step"]) == 10
        assert f"{tmp_path / '20'} is damaged" in caplog.text
        assert checkpoints.steps == [10]
        assert (tmp_path / "damaged-20").is_dir()
        # The same step can be saved again, and is the newest again.
        checkpoints.save(20, _state(20))
    with Checkpoints(tmp_path) as checkpoints:
        assert int(checkpoints.restore(_state(0))["step"]) == 20


def test_a_changed_bit_that_orbax_reads_without_complaint_is_noticed(tmp_path):
    numbers = np.random.default_rng(0).normal(size=3000).astype(np.float32)
    state = {"w": jnp.asarray(numbers)}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state)
    file = _largest_file(tmp_path / "1")
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0x40
    file.write_bytes(content)
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(DamagedCheckpointError, match="w is not what was saved"),
    ):
        checkpoints.restore_step(1, state)


@pytest.mark.parametrize(
    "read_newest",
    [
        lambda checkpoints: checkpoints.restore(_state(0)),
        lambda checkpoints: checkpoints.restore_any(_state(0)["step"].sharding)[1],
    ],
    ids=["into a state", "of any structure"],
)
@pytest.mark.parametrize("method", ["item_metadata", "restore"])
def test_an_error_that_passes_is_no_damage(tmp_path, caplog, monkeypatch, method, read_newest):
    _save(tmp_path, [1, 2])
    errors = [OSError(116, "Stale file handle")]
    with Checkpoints(tmp_path) as checkpoints:
        read = getattr(checkpoints._manager, method)

        def fail_once(*args, **options):
            if errors:
                raise errors.pop()
            return read(*args, **options)

        monkeypatch.setattr(checkpoints._manager, method, fail_once)
        assert int(read_newest(checkpoints)["step"]) == 2
        assert not errors
        assert checkpoints.steps == [1, 2]
    assert "is damaged" not in caplog.text


def test_two_damaged_steps_and_one_damaged_twice(tmp_path, caplog):
    _save(tmp_path, [1, 2, 3])
    _empty(tmp_path / "2")
    _empty(tmp_path / "3")
    (tmp_path / "damaged-3").mkdir()
    with Checkpoints(tmp_path) as checkpoints:
        assert int(checkpoints.restore(_state(0))["step"]) == 1
    assert caplog.text.count("is damaged") == 2


def test_reading_only_changes_nothing_even_where_another_process_saves(tmp_path, caplog):
    _save(tmp_path, [1, 2], metrics={2: {"loss": 1.0}})
    _blank_every_file(tmp_path / "2")
    (tmp_path / "3.orbax-checkpoint-tmp").mkdir()
    before = sorted(tmp_path.rglob("*"))
    with Checkpoints(tmp_path, read_only=True) as checkpoints:
        assert int(checkpoints.restore(_state(0))["step"]) == 1
    assert f"{tmp_path / '2'} is damaged" in caplog.text
    assert "read only" not in caplog.text  # which was asked for
    assert sorted(tmp_path.rglob("*")) == before


def test_where_all_are_damaged_the_run_begins_anew(tmp_path, caplog):
    _save(tmp_path, [1])
    _empty(tmp_path / "1")
    state = _state(0)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore(state) is state
        with pytest.raises(DamagedCheckpointError):
            checkpoints.restore_step(1, state)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (_state(0, shape=(41,)), r"params/w as float32\[40\].*float32\[41\]"),
        (_state(0, dtype=jnp.bfloat16), r"params/w as float32\[40\].*bfloat16\[40\]"),
        (_state(0, name="v"), r"lacks \['params/v'\] and has \['params/w'\]"),
    ],
    ids=["shape", "dtype", "name"],
)
def test_another_structure_is_an_error_and_no_damage(tmp_path, other, message):
    _save(tmp_path, [1])
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(ValueError, match=message):
            checkpoints.restore(other)
        assert checkpoints.steps == [1]


def test_a_save_outlives_an_error_right_after_it(tmp_path):
    def save_and_fail():
        with Checkpoints(tmp_path) as checkpoints:
            checkpoints.save(1, _state(1, shape=(500_000,)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_and_fail()
    with Checkpoints(tmp_path) as checkpoints:
        assert int(checkpoints.restore(_state(0, shape=(500_000,)))["step"]) == 1

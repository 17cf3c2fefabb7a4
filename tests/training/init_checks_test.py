"""What shapes do not tell of another run is compared."""

import json

import pytest
from ml_collections import ConfigDict

from maskjax import workdir
from maskjax.training.init_checks import check_heads, check_ids, other_sizes


def _checked(tmp_path, theirs, ours, skip=()):
    (tmp_path / workdir.CONFIG).write_text(json.dumps({"config": {"model": theirs}}))
    check_heads(tmp_path, ConfigDict({"model": ours, "init_from": {"skip": skip}}))


FOUR, EIGHT = {"size": "", "encoder": {"heads": 4}}, {"size": "", "encoder": {"heads": 8}}
NAMED = {"size": "S", "encoder": {"heads": 0}, "decoder": {"heads": 0}}  # 6 and 8 heads
TINY = {"size": "tiny", "heads": 0}  # 2 heads


@pytest.mark.parametrize(
    ("theirs", "ours", "message"),
    [
        (FOUR, EIGHT, r"has 4 attention heads .* has 8: set model.encoder.heads=4, .*'\^encoder/'"),
        (NAMED, FOUR, "has 6 attention heads .* has 4: set model.encoder.heads=6"),
        (NAMED, {**NAMED, "decoder": {"heads": 4}}, r"model.decoder.heads=8, .*\('\^decoder/',\)"),
        (TINY, {"size": "", "heads": 4}, r"set model.heads=2, .*\('\^encoder/',\)"),
    ],
)
def test_other_numbers_of_heads_are_refused(tmp_path, theirs, ours, message):
    with pytest.raises(ValueError, match=message):
        _checked(tmp_path, theirs, ours)


def test_the_same_heads_those_that_begin_anew_and_those_that_are_not_there_are_taken(tmp_path):
    _checked(tmp_path, FOUR, FOUR)
    _checked(tmp_path, TINY, {"size": "", "heads": 2})
    _checked(tmp_path, FOUR, EIGHT, skip=("^encoder/",))
    _checked(tmp_path, NAMED, {"size": "", "encoder": {"heads": 6}})  # it has no decoder
    _checked(tmp_path, {"hidden": [7]}, EIGHT)
    check_heads(tmp_path / "nowhere", ConfigDict({"model": EIGHT, "init_from": {"skip": ()}}))


@pytest.mark.parametrize(
    ("theirs", "ours", "hint"),
    [
        (
            {"encoder": {"heads": 4, "kept": [[2, 8], [1, 9]]}, "dropout": 0.1},
            {"encoder": {"heads": 4, "kept": (), "hidden": 0}, "dropout": 0.0},
            "there the model has model.encoder.kept=((2, 8), (1, 9)) in place of ()",
        ),
        (  # it is from before networks could be made smaller
            {"heads": 2, "width": 64},
            {"heads": 2, "width": 32, "kept": ((1, 7),)},
            "there the model has model.kept=() in place of ((1, 7),), model.width=64 in place "
            "of 32",
        ),
        ({"encoder": {"heads": 4}}, {"encoder": {"heads": 4, "kept": (), "hidden": 0}}, ""),
    ],
)
def test_keys_with_other_values_are_named(tmp_path, theirs, ours, hint):
    (tmp_path / workdir.CONFIG).write_text(json.dumps({"config": {"model": theirs}}))
    assert other_sizes(tmp_path, ConfigDict({"model": ours})) == hint


def test_ids_that_stood_for_other_things_are_refused(tmp_path):
    theirs = {"data": {"tokenizer": {"kind": "bytes"}, "item_names": ["a", "b"]}}
    (tmp_path / workdir.CONFIG).write_text(json.dumps(theirs))
    check_ids(tmp_path, {"tokenizer": {"kind": "bytes"}, "shape": [8]})
    with pytest.raises(
        ValueError, match=r"with other tokenizer .*: set data.tokenizer=.* or leave"
    ):
        check_ids(tmp_path, {"tokenizer": {"kind": "subwords"}})
    with pytest.raises(ValueError, match=r"with other item names .* give data of the same items"):
        check_ids(tmp_path, {"item_names": ["b", "a"]})
    check_ids(tmp_path / "none", {"tokenizer": {}})

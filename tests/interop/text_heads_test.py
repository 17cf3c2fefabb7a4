"""Heads of classes and labels: read they do what they do in transformers, and come out again."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from safetensors.numpy import load_file

from maskjax.interop import export, fit
from maskjax.interop.published import read
from maskjax.models.text_head import with_head

KINDS = [
    (form, kind) for form in ("bert", "roberta", "modernbert") for kind in ("classes", "labels")
]
POOLS = {"bert": "class", "roberta": "class", "modernbert": "mean"}
NAMES = ("bad", "fair", "good")


@pytest.fixture(scope="module")
def recorded(golden):
    with np.load(golden / "text_outputs.npz") as rows, np.load(golden / "text_heads.npz") as heads:
        return {**rows, **heads}


def shapes_of(model):
    row = jnp.ones((1, 4), jnp.int32)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), row, row)["params"])
    flat = traverse_util.flatten_dict(shapes, sep="/")
    return {path: x.shape for path, x in flat.items()}


@pytest.mark.parametrize(("form", "kind"), KINDS)
def test_outputs_equal_the_recorded_ones(golden, recorded, form, kind):
    it = read(golden / f"hf_{form}_{kind}")
    assert it.architecture.pool == ("each" if kind == "labels" else POOLS[form])
    model = with_head(it.architecture, 3)
    assert {path: x.shape for path, x in it.params.items()} == shapes_of(model)
    params = traverse_util.unflatten_dict(it.params, sep="/")
    is_valid = recorded["is_valid"]
    given = (jnp.asarray(recorded["tokens"]), jnp.asarray(is_valid, jnp.int32), None)
    types = jnp.asarray(recorded["types"]) if form == "bert" else None
    _, found = jax.jit(model.apply)({"params": params}, *given, types)
    expected = recorded[f"{form}/{kind}"]
    keep = is_valid if kind == "labels" else ...
    np.testing.assert_allclose(np.asarray(found)[keep], expected[keep], atol=1e-5)


@pytest.mark.parametrize(("form", "kind"), KINDS)
def test_tensors_come_out_as_they_went_in(golden, tmp_path, form, kind):
    it = read(golden / f"hf_{form}_{kind}")
    theirs = json.loads((golden / f"hf_{form}_{kind}" / "config.json").read_text())
    about = export.About(class_names=NAMES)
    (line, *others) = export.write(tmp_path, "hf", it.params, it.architecture, about)
    assert not others
    assert f"transformers.{theirs['architectures'][0]}.from_pretrained(FOLDER)" in line
    written, original = (
        load_file(at / "model.safetensors") for at in (tmp_path, golden / f"hf_{form}_{kind}")
    )
    assert written.keys() == original.keys()
    for key, array in written.items():
        kept = slice(2, None) if form == "roberta" and "position" in key else ...
        np.testing.assert_array_equal(array[kept], original[key][kept], err_msg=key)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["id2label"] == {"0": "bad", "1": "fair", "2": "good"} == theirs["id2label"]
    assert config["label2id"] == theirs["label2id"]
    if (form, kind) == ("modernbert", "classes"):
        assert config["classifier_pooling"] == theirs["classifier_pooling"] == "mean"


def test_a_new_head_begins_with_what_transformers_begins_it_with(golden):
    for form, dense in (("bert", "pooler"), ("modernbert", "dense"), ("roberta", "")):
        it = read(golden / f"hf_{form}")
        model = dataclasses.replace(it.architecture, pool="class")
        wanted = shapes_of(with_head(model, 2))
        params, notes = fit.fitted(it, model, wanted)
        is_begun = "the head begins with the layer that its own has, as in transformers" in notes
        assert is_begun == bool(dense)
        if dense:
            np.testing.assert_array_equal(params["head/dense/kernel"], it.params[f"{dense}/kernel"])
        assert ("head/norm/scale" in params) == (form == "modernbert")
        assert not any(path.startswith("pooler/") for path in params)
        assert "head/kernel" not in params  # it begins anew


def test_heads_that_do_not_fit_are_named(golden, tmp_path):
    it = read(golden / "hf_modernbert_classes")
    for changes, count, message in (
        ({"pool": "class"}, 3, r"what the head reads \(model.pool\) mean there, class here"),
        ({}, 2, r"outputs of the head \(or leave it out: .*\) 3 there, 2 here"),
    ):
        model = dataclasses.replace(it.architecture, **changes)
        with pytest.raises(ValueError, match=message):
            fit.fitted(it, model, shapes_of(with_head(model, count)))
    bert = read(golden / "hf_bert_classes")
    mean = dataclasses.replace(bert.architecture, pool="mean")
    with pytest.raises(ValueError, match="reads classes off the first token, and this model off"):
        export.write(tmp_path, "hf", bert.params, mean)
    lines = export.write(tmp_path, "hf", bert.params, mean, part="encoder")
    assert lines[1].startswith("left out: head/bias")

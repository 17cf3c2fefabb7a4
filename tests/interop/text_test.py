"""BERT, RoBERTa and ModernBERT: read they do here what they do in transformers, and come out again."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from safetensors.numpy import load_file, save_file

from maskjax.interop import export, fit
from maskjax.interop.published import read
from maskjax.models.sizes import Size
from maskjax.models.text import TextArchitecture, model_of, text_shapes

BERT = TextArchitecture("bert", 19, Size(8, 2, 2), 12, 1e-3, max_length=16, num_types=2)
MODERN = TextArchitecture(
    form="modernbert",
    num_ids=19,
    size=Size(8, 4, 2),
    hidden=12,
    norm_eps=1e-3,
    theta=1000.0,
    local_theta=10.0,
    window=4,
    global_every=3,
)
ARCHITECTURES = {
    "hf_bert": BERT,
    "hf_bert_old": BERT,
    "hf_roberta": dataclasses.replace(BERT, form="roberta", norm_eps=1e-5, num_types=1),
    "hf_modernbert": MODERN,
    "hf4_modernbert": MODERN,
}


@pytest.fixture(scope="module")
def texts(golden):
    """Every file, read."""
    return {name: read(golden / name) for name in ARCHITECTURES}


@pytest.fixture(scope="module")
def recorded(golden):
    with np.load(golden / "text_outputs.npz") as file:
        return {name: file[name] for name in file.files}


def _wanted(it):
    return {path: array.shape for path, array in it.params.items()}


def test_architectures_are_recognised(texts):
    for name, it in texts.items():
        assert (it.format, it.architecture) == ("hf", ARCHITECTURES[name]), name
        shapes = {path: shape for path, shape in _wanted(it).items() if path in text_shapes(BERT)}
        others = {path.split("/")[0] for path in it.params} - {"encoder", "dense", "norm", "bias"}
        assert others == ({"pooler", "next_sentence"} if "_bert" in name else set())
        known = text_shapes(it.architecture)
        assert {path: known[path] for path in shapes} == shapes


def test_older_names_are_the_same_parameters(texts):
    for old, new in (("hf_bert_old", "hf_bert"), ("hf4_modernbert", "hf_modernbert")):
        assert texts[old].params.keys() == texts[new].params.keys()
        for path, array in texts[new].params.items():
            np.testing.assert_array_equal(array, texts[old].params[path], err_msg=path)


@pytest.mark.parametrize("form", ["bert", "roberta", "modernbert"])
def test_hidden_states_and_logits_equal_the_recorded_ones(texts, recorded, form):
    it = texts[f"hf_{form}"]
    known = {path: it.params[path] for path in text_shapes(it.architecture)}
    params = traverse_util.unflatten_dict(known, sep="/")
    is_valid = recorded["is_valid"]
    given = (jnp.asarray(recorded["tokens"]), jnp.asarray(is_valid, jnp.int32))
    types = jnp.asarray(recorded["types"]) if form == "bert" else None

    def both(model, *given):
        hidden = model.encode(*given[:2], token_types=types)
        return hidden, model.logits(hidden)

    model = model_of(it.architecture)
    apply = jax.jit(lambda params: model.apply({"params": params}, *given, method=both))
    for found, what in zip(apply(params), ("hidden", "logits"), strict=True):
        expected = recorded[f"{form}/{what}"]
        np.testing.assert_allclose(
            np.asarray(found)[is_valid], expected[is_valid], atol=1e-5, err_msg=what
        )

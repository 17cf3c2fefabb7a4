"""Exported text encoders are loaded by transformers itself, where it is installed (torch)."""

import numpy as np
import pytest

from maskjax.data.text import Bytes, published_files
from maskjax.interop import export
from maskjax.interop.published import read

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


@torch.no_grad()
@pytest.mark.parametrize("form", ["bert", "roberta", "modernbert"])
@pytest.mark.parametrize("part", ["", "encoder"])
def test_transformers_gives_the_recorded_outputs(golden, tmp_path, form, part):
    it = read(golden / f"hf_{form}")
    (line, *_) = export.write(tmp_path, "hf", it.params, it.architecture, part=part)
    kind = getattr(transformers, line.split("transformers.")[1].split(".")[0])
    options = {"add_pooling_layer": False} if "add_pooling_layer=False" in line else {}
    model, report = kind.from_pretrained(tmp_path, output_loading_info=True, **options)
    assert not any(report[f"{what}_keys"] for what in ("missing", "unexpected", "mismatched"))
    with np.load(golden / "text_outputs.npz") as recorded:
        is_valid, what = recorded["is_valid"], "hidden" if part else "logits"
        given = {"input_ids": recorded["tokens"], "attention_mask": is_valid}
        if form == "bert":
            given["token_type_ids"] = recorded["types"]
        expected = recorded[f"{form}/{what}"]
    out = model.eval()(**{name: torch.from_numpy(x).long() for name, x in given.items()})
    found = out.last_hidden_state if part else out.logits
    np.testing.assert_allclose(found.numpy()[is_valid], expected[is_valid], atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("form", ["bert", "roberta", "modernbert"])
@pytest.mark.parametrize("kind", ["classes", "labels"])
def test_transformers_loads_heads_and_tokenizers(golden, tmp_path, form, kind):
    it = read(golden / f"hf_{form}_{kind}")
    files = published_files(Bytes(), 16, it.architecture.num_types)
    about = export.About(class_names=("bad", "fair", "good"), files=files)
    export.write(tmp_path, "hf", it.params, it.architecture, about)
    auto = {"classes": "SequenceClassification", "labels": "TokenClassification"}[kind]
    load = getattr(transformers, f"AutoModelFor{auto}").from_pretrained
    model, report = load(tmp_path, output_loading_info=True)
    assert not any(report[f"{what}_keys"] for what in ("missing", "unexpected", "mismatched"))
    assert model.config.id2label == {0: "bad", 1: "fair", 2: "good"}
    with np.load(golden / "text_outputs.npz") as rows, np.load(golden / "text_heads.npz") as heads:
        is_valid, expected = rows["is_valid"], heads[f"{form}/{kind}"]
        given = {"input_ids": rows["tokens"], "attention_mask": is_valid}
        if form == "bert":
            given["token_type_ids"] = rows["types"]
    out = model.eval()(**{name: torch.from_numpy(x).long() for name, x in given.items()})
    keep = is_valid if kind == "labels" else ...
    np.testing.assert_allclose(out.logits.numpy()[keep], expected[keep], atol=1e-5)
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    found = tokenizer("a [MASK]\u00e9", padding="max_length", max_length=12)
    ids = Bytes().encode(["a [MASK]\u00e9"])[0].ids.tolist()
    assert found["input_ids"] == [2, *ids, 3, *[0] * (10 - len(ids))]
    assert ("token_type_ids" in found) == (form == "bert")
    assert tokenizer.mask_token_id == Bytes.specials.mask

"""Exported text encoders are loaded by transformers itself, where it is installed (torch)."""

import numpy as np
import pytest

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

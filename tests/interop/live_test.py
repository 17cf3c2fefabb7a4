"""Exports are loaded by transformers and timm themselves, where these are installed (torch)."""

import dataclasses

import numpy as np
import pytest

from maskjax.interop import export
from maskjax.models.sizes import Size

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
timm = pytest.importorskip("timm")


def _nchw(images):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, 1)))


def _loaded(kind, folder, **options):
    """A model of transformers that found every tensor, and no other."""
    model, report = getattr(transformers, kind).from_pretrained(
        folder, output_loading_info=True, **options
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    return model.eval()


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "recorded"), [("hf4_mae", "hf_mae"), ("hf5_mae", "hf_mae"), ("mae_full.pth", "mae")]
)
def test_vit_mae_gives_the_recorded_losses_and_predictions(
    published, outputs, tmp_path, name, recorded
):
    it = published[name]
    whole = dataclasses.replace(
        it.architecture,
        encoder=Size(8, 2, 2),
        decoder=it.architecture.decoder._replace(num_heads=3),
    )
    about = export.About(mask_ratio=0.75, norm_pix=False)
    export.write(tmp_path, "hf", it.params, whole, about)
    model = _loaded("ViTMAEForPreTraining", tmp_path)
    images, noise = _nchw(outputs["images/square"]), torch.from_numpy(outputs["noise"])
    for norm_pix in (False, True):
        model.config.norm_pix_loss = norm_pix
        found = model(images, noise=noise)
        wanted = outputs[f"{recorded}/loss/{'norm_pix' if norm_pix else 'pixels'}"]
        np.testing.assert_allclose(found.loss, wanted, rtol=1e-5)
    np.testing.assert_allclose(found.logits, outputs[f"{recorded}/prediction"], atol=1e-5)


@torch.no_grad()
def test_vit_gives_the_recorded_logits_and_tokens(published, outputs, tmp_path):
    it = published["hf_vit"]
    images = _nchw(outputs["images/wide"])
    for part, folder in (("", tmp_path / "whole"), ("encoder", tmp_path / "encoder")):
        folder.mkdir()
        export.write(folder, "hf", it.params, it.architecture, part=part)
    model = _loaded("ViTForImageClassification", tmp_path / "whole")
    np.testing.assert_allclose(model(images).logits, outputs["hf_vit/logits"], atol=1e-5)
    model = _loaded("ViTModel", tmp_path / "encoder", add_pooling_layer=False)
    tokens = model(images).last_hidden_state
    np.testing.assert_allclose(tokens, outputs["hf_vit/tokens"], atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", ["timm_token", "timm_mean", "mae_encoder.pth"])
def test_timm_gives_the_recorded_logits_or_tokens(published, outputs, tmp_path, name):
    it = published[name]
    architecture = dataclasses.replace(it.architecture, encoder=Size(8, 2, 2))
    export.write(tmp_path, "timm", it.params, architecture)
    model = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    if name == "mae_encoder.pth":
        tokens = model.forward_features(_nchw(outputs["images/square"]))
        np.testing.assert_allclose(tokens, outputs["mae/tokens"], atol=1e-5)
    else:
        logits = model(_nchw(outputs["images/wide"]))
        np.testing.assert_allclose(logits, outputs[f"{name}/logits"], atol=1e-5)

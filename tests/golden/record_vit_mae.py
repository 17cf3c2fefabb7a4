"""Records tests/golden/vit_mae.npz from Hugging Face's ViTMAE (PyTorch).

    pip install torch transformers   # recorded with torch 2.13.0 and transformers 5.23.0
    python tests/golden/record_vit_mae.py

A tiny configuration in which every tensor is random (the library leaves position embeddings and
mask token at zero when it builds from a config), two structured images and injected noise. Kept:
the weights under their own names, the mask, the losses with and without norm_pix, the predictions,
and gradients of a few parameters. LayerNorm's epsilon is the original MAE's 1e-6, and the class
token's rows of the position embeddings are zero, as in the original.
"""

from pathlib import Path

import numpy as np
import torch
from transformers import ViTMAEConfig, ViTMAEForPreTraining

GRADIENTS = (
    "vit.embeddings.cls_token",
    "vit.embeddings.patch_embeddings.projection.weight",
    "vit.layers.0.attention.q_proj.weight",
    "vit.layers.1.mlp.fc1.weight",
    "vit.layernorm.weight",
    "decoder.mask_token",
    "decoder.decoder_layers.0.attention.v_proj.bias",
    "decoder.decoder_pred.weight",
)


def main() -> None:
    """Builds the model, runs it, writes the file."""
    config = ViTMAEConfig(
        image_size=16,
        patch_size=4,
        num_channels=3,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=96,
        decoder_hidden_size=16,
        decoder_num_hidden_layers=1,
        decoder_num_attention_heads=2,
        decoder_intermediate_size=64,
        layer_norm_eps=1e-6,
        mask_ratio=0.75,
    )
    model = ViTMAEForPreTraining(config)
    rng = np.random.default_rng(2022)
    weights = {}
    for name, tensor in model.state_dict().items():
        value = rng.normal(0, 0.2, tuple(tensor.shape)).astype(np.float32)
        if name.endswith(("position_embeddings", "decoder_pos_embed")):
            value[:, 0] = 0
        if "norm" in name and name.endswith("weight"):
            value = value + 1
        weights[name] = value.astype(np.float32)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    rows, columns, channels = np.meshgrid(*map(np.arange, (16, 16, 3)), indexing="ij")
    first = np.sin(0.7 * rows + 0.3 * columns * channels) + 0.1 * rng.normal(size=rows.shape)
    second = ((rows // 3 + columns // 5) % 2) * (1.0 + channels) + 0.2 * rng.normal(size=rows.shape)
    images = np.stack([first, second]).astype(np.float32)
    noise = rng.uniform(size=(2, 16)).astype(np.float32)
    record = {f"weights/{name}": value for name, value in weights.items()}
    record |= {"images": images, "noise": noise}
    for norm_pix in (False, True):
        model.config.norm_pix_loss = norm_pix
        model.zero_grad()
        output = model(torch.from_numpy(images).permute(0, 3, 1, 2), noise=torch.from_numpy(noise))
        output.loss.backward()
        suffix = "norm_pix" if norm_pix else "pixels"
        record[f"loss/{suffix}"] = output.loss.detach().numpy()
        parameters = dict(model.named_parameters())
        for name in GRADIENTS:
            record[f"gradient/{suffix}/{name}"] = parameters[name].grad.numpy().copy()
    record["is_masked"] = output.mask.numpy().astype(bool)
    record["ids_restore"] = output.ids_restore.numpy()
    record["prediction"] = output.logits.detach().numpy()
    np.savez_compressed(Path(__file__).with_name("vit_mae.npz"), **record)
    print({key: float(record[key]) for key in record if key.startswith("loss/")})


if __name__ == "__main__":
    main()

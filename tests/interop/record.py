"""Records tests/interop/golden/ from Hugging Face transformers, timm and PyTorch.

    pip install torch timm transformers==5.24.0 && python tests/interop/record.py
    pip install transformers==4.57.6 && python tests/interop/record.py    # its names alone

Recorded with torch 2.14.1, timm 1.0.31 and these two. Tiny models in which every tensor is random
(libraries leave position embeddings and tokens at zero): files as the libraries themselves write
them, in the layouts of facebookresearch/mae as well, and what the models make of two images.
Images are 16 x 16, or 8 x 12 where a model is not square, patches 4 x 4.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import timm
import torch
import transformers
from timm.layers import resample_abs_pos_embed
from timm.models import adapt_input_conv
from timm.models._hub import save_for_hf

GOLDEN = Path(__file__).with_name("golden")
ENCODER = {"width": 8, "depth": 2, "heads": 2}
DECODER = {"width": 12, "depth": 1, "heads": 3}
NEW = (12, 20)  # size of other images
# Names of transformers 4 (in the file of any version) and of facebookresearch/mae.
FACEBOOK = {
    "vit.embeddings.cls_token": "cls_token",
    "vit.embeddings.position_embeddings": "pos_embed",
    "vit.embeddings.patch_embeddings.projection": "patch_embed.proj",
    "vit.layernorm.": "norm.",
    "vit.encoder.layer": "blocks",
    "decoder.decoder_layers": "decoder_blocks",
    "decoder.decoder_embed": "decoder_embed",
    "decoder.decoder_pos_embed": "decoder_pos_embed",
    "decoder.decoder_norm": "decoder_norm",
    "decoder.decoder_pred": "decoder_pred",
    "decoder.mask_token": "mask_token",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "attention.output.dense": "attn.proj",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
}


def drawn(names_and_shapes, seed):
    """Random values for every tensor, in order of their names."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, shape in sorted(names_and_shapes.items()):
        value = rng.normal(0, 0.3, tuple(shape))
        if "norm" in name and name.endswith("weight"):
            value += 1
        found[name] = torch.from_numpy(value.astype(np.float32))
    return found


def fill(model, seed):
    """Load random values, drawn by the names that files of transformers 4 have."""
    state = model.state_dict()
    older = {in_4(name): name for name in state}
    values = drawn({old: state[name].shape for old, name in older.items()}, seed)
    model.load_state_dict({older[name]: value for name, value in values.items()})
    return model.eval(), values


def in_4(name):
    """Name a tensor of transformers 5 as version 4 does."""
    if "vit.layers" in name or "decoder_layers" in name:
        name = name.replace("vit.layers.", "vit.encoder.layer.")
        for new, old in (
            (".mlp.fc1.", ".intermediate.dense."),
            (".mlp.fc2.", ".output.dense."),
            (".attention.o_proj.", ".attention.output.dense."),
            (".q_proj.", ".attention.query."),
            (".k_proj.", ".attention.key."),
            (".v_proj.", ".attention.value."),
        ):
            name = name.replace(new, old)
    return name


def hf_mae(eps=1e-12):
    """Build a ViTMAE for 16 x 16."""
    return transformers.ViTMAEForPreTraining(
        transformers.ViTMAEConfig(
            image_size=16,
            patch_size=4,
            hidden_size=ENCODER["width"],
            num_hidden_layers=ENCODER["depth"],
            num_attention_heads=ENCODER["heads"],
            intermediate_size=4 * ENCODER["width"],
            decoder_hidden_size=DECODER["width"],
            decoder_num_hidden_layers=DECODER["depth"],
            decoder_num_attention_heads=DECODER["heads"],
            decoder_intermediate_size=4 * DECODER["width"],
            layer_norm_eps=eps,
        )
    )


def hf_vit():
    """Build a classifier for 8 x 12."""
    return transformers.ViTForImageClassification(
        transformers.ViTConfig(
            image_size=[8, 12],
            patch_size=4,
            hidden_size=ENCODER["width"],
            num_hidden_layers=ENCODER["depth"],
            num_attention_heads=ENCODER["heads"],
            intermediate_size=4 * ENCODER["width"],
            num_labels=3,
            layer_norm_eps=1e-3,  # far enough from 1e-6 to be seen
        )
    )


def timm_vit(size=(8, 12), channels=3, **options):
    """Build a classifier of timm; returns it and its model_args."""
    args = {
        "img_size": list(size),
        "patch_size": 4,
        "embed_dim": ENCODER["width"],
        "depth": ENCODER["depth"],
        "num_heads": ENCODER["heads"],
        **options,
    }
    made = {"num_classes": 3, "in_chans": channels} | args
    return timm.create_model("vit_base_patch16_224", **made), args


def facebook(values):
    """Name and fuse the tensors of a ViTMAE as facebookresearch/mae does."""
    found = {}
    for name, value in values.items():
        for old, new in FACEBOOK.items():
            name = name.replace(old, new)
        found[name] = value
    for name in [name for name in found if "attention.attention.query" in name]:
        parts = [
            found.pop(name.replace("query", part)).numpy() for part in ("query", "key", "value")
        ]
        fused = name.replace("attention.attention.query", "attn.qkv")
        found[fused] = torch.from_numpy(np.concatenate(parts))
    return found


def pictures(height, width, channels, seed):
    """Two images with structure, NHWC."""
    rng = np.random.default_rng(seed)
    rows, columns, colours = np.meshgrid(*map(np.arange, (height, width, channels)), indexing="ij")
    first = np.sin(0.7 * rows + 0.3 * columns * colours)
    second = ((rows // 3 + columns // 5) % 2) * (1.0 + colours)
    images = np.stack([first, second]) + 0.2 * rng.normal(size=(2, height, width, channels))
    return images.astype(np.float32)


def nchw(images):
    """As PyTorch has them."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)


@torch.no_grad()
def record_mae(record):
    """Losses, reconstructions and features of a ViTMAE, with noise injected."""
    others = record["images/new"] = pictures(*NEW, 3, 5)
    images = record["images/square"] = pictures(16, 16, 3, 1)
    noise = record["noise"] = np.random.default_rng(2).uniform(size=(2, 16)).astype(np.float32)
    for eps, name in ((1e-12, "hf_mae"), (1e-6, "mae")):
        model, values = fill(hf_mae(eps), 3)
        for norm_pix in (False, True):
            model.config.norm_pix_loss = norm_pix
            output = model(nchw(images), noise=torch.from_numpy(noise))
            record[f"{name}/loss/{'norm_pix' if norm_pix else 'pixels'}"] = output.loss.numpy()
        record[f"{name}/prediction"] = output.logits.numpy()
        record["is_masked"] = output.mask.numpy().astype(bool)
        model.config.mask_ratio = 0.0
        in_order = torch.arange(16.0)[None].repeat(2, 1)
        tokens = model.vit(nchw(images), noise=in_order).last_hidden_state
        record[f"{name}/tokens"] = tokens.numpy()
        in_order = torch.arange(15.0)[None].repeat(2, 1)
        resized = model.vit(nchw(others), noise=in_order, interpolate_pos_encoding=True)
        record[f"{name}/tokens/new"] = resized.last_hidden_state.numpy()
        model.config.mask_ratio = 0.75
        if name == "hf_mae":
            model.config.norm_pix_loss = False
            model.save_pretrained(GOLDEN / "hf5_mae")
    named = facebook(values)
    args = argparse.Namespace(model="mae_vit_base_patch16", lr=1e-3)
    torch.save({"model": named, "epoch": 1, "args": args}, GOLDEN / "mae_full.pth")
    encoder = {name: x for name, x in named.items() if "decoder" not in name}
    encoder.pop("mask_token")
    torch.save({"model": encoder}, GOLDEN / "mae_encoder.pth")
    reader, _ = timm_vit((16, 16), num_classes=0)
    reader.load_state_dict(encoder)  # strict: these are timm's names too
    tokens = reader.eval().forward_features(nchw(images)).numpy()
    np.testing.assert_allclose(tokens, record["mae/tokens"], atol=1e-5)


@torch.no_grad()
def record_vit(record):
    """Logits and tokens of a ViT of transformers that is not square."""
    images = record["images/wide"] = pictures(8, 12, 3, 4)
    model, _ = fill(hf_vit(), 6)
    model.save_pretrained(GOLDEN / "hf_vit")
    record["hf_vit/logits"] = model(nchw(images)).logits.numpy()
    record["hf_vit/tokens"] = model.vit(nchw(images)).last_hidden_state.numpy()


@torch.no_grad()
def record_timm(record):
    """Logits of timm's, also of another size and other channels, as timm itself converts."""
    images, others = record["images/wide"], record["images/new"]
    for name, options in (("timm_token", {}), ("timm_mean", {"global_pool": "avg"})):
        model, args = timm_vit(**options)
        state = model.state_dict()
        values = drawn({each: state[each].shape for each in state}, 7)
        model.load_state_dict(values)
        model.eval()
        is_safe = name == "timm_token"  # the other as pytorch_model.bin
        save_for_hf(model, GOLDEN / name, model_args=args, safe_serialization=is_safe)
        record[f"{name}/logits"] = model(nchw(images)).numpy()
        resized, _ = timm_vit(NEW, **options)
        table = resample_abs_pos_embed(values["pos_embed"], (3, 5), (2, 3))
        resized.load_state_dict(values | {"pos_embed": table})
        record[f"{name}/logits/new"] = resized.eval()(nchw(others)).numpy()
        for channels in (1, 5):
            picture = record[f"images/{channels}"] = pictures(8, 12, channels, 8)
            kernel = adapt_input_conv(channels, values["patch_embed.proj.weight"])
            changed, _ = timm_vit(channels=channels, **options)
            changed.load_state_dict(values | {"patch_embed.proj.weight": kernel})
            record[f"{name}/logits/{channels}"] = changed.eval()(nchw(picture)).numpy()


@torch.no_grad()
def record_resampling(record):
    """Tables of positions resampled by PyTorch, both ways, larger and smaller."""
    rng = np.random.default_rng(9)
    table = record["table"] = rng.normal(size=(1, 4 * 7, 3)).astype(np.float32)
    image = torch.from_numpy(table.reshape(1, 4, 7, 3)).permute(0, 3, 1, 2)
    for size in ((9, 8), (2, 3), (4, 5)):
        for antialias in (False, True):
            made = torch.nn.functional.interpolate(
                image, size=size, mode="bicubic", align_corners=False, antialias=antialias
            )
            name = f"table/{size[0]}x{size[1]}/{'antialias' if antialias else 'plain'}"
            record[name] = made.permute(0, 2, 3, 1).reshape(1, -1, 3).numpy()


def main() -> None:
    """Writes what the installed version of transformers is recorded for."""
    if transformers.__version__.startswith("4."):
        model, _ = fill(hf_mae(), 3)
        model.save_pretrained(GOLDEN / "hf4_mae")
        return
    record = {}
    record_mae(record)
    record_vit(record)
    record_timm(record)
    record_resampling(record)
    np.savez_compressed(GOLDEN / "outputs.npz", **record)
    names = {name: float(x) for name, x in record.items() if "/loss/" in name}
    print(json.dumps(names, indent=2))


if __name__ == "__main__":
    main()

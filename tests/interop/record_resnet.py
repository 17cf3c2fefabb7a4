"""Records the residual networks of tests/interop/golden/ from torchvision and timm.

    pip install torch torchvision timm && python tests/interop/record_resnet.py

Recorded with torch 2.14.1, torchvision 0.29.1 and timm 1.0.31. Two stages of two blocks in all, an
eighth as wide as torchvision's, in which every tensor is random, float16 in the files; and what the
models make of two images of 23 x 37, whose sides no stride divides.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from timm.models._hub import save_for_hf
from timm.models.resnetv2 import _create_resnetv2_bit
from torch import nn
from torchvision.models import resnet

GOLDEN = Path(__file__).with_name("golden")
SIZE, CLASSES, NARROWER = (23, 37), 3, 8


class Small(resnet.ResNet):
    """torchvision's, an eighth as wide, without its last two stages."""

    def __init__(self, block):
        super().__init__(block, [1, 1, 1, 1], num_classes=CLASSES)
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.layer3 = self.layer4 = nn.Identity()
        self.fc = nn.Linear(16 * block.expansion, CLASSES)

    def _make_layer(self, block, planes, blocks, **options):
        self.inplanes //= NARROWER if planes == 64 else 1
        return super()._make_layer(block, planes // NARROWER, blocks, **options)


def bit():
    """Build timm's BiT with bottlenecks of 32 and 32."""
    small = {"layers": (1, 1), "channels": (128, 128), "stem_chs": 32}
    return _create_resnetv2_bit("resnetv2_50x1_bit", num_classes=CLASSES, **small), small


def fill(model, seed):
    """Random values for every tensor, which float16 holds."""
    rng, state = np.random.default_rng(seed), model.state_dict()
    for name, old in state.items():
        if old.dtype.is_floating_point:
            spread = (2 / old[0].numel()) ** 0.5 if old.ndim > 1 else 0.3  # [O, I, h, w]
            value = rng.normal(0, spread, tuple(old.shape))
            value = value if old.ndim > 1 else value + ("weight" in name)
            value = value**2 + 0.1 if name.endswith("var") else value
            state[name] = torch.from_numpy(value.astype(np.float16).astype(np.float32))
    model.load_state_dict(state)
    return model.eval()


def halved(model):
    """Its tensors, in float16."""
    return {k: v.half() if v.dtype.is_floating_point else v for k, v in model.state_dict().items()}


@torch.no_grad()
def main() -> None:
    """Writes files and outputs."""
    images = np.random.default_rng(0).normal(size=(2, *SIZE, 3)).astype(np.float32)
    given = torch.from_numpy(np.ascontiguousarray(np.moveaxis(images, -1, 1)))
    record = {"images": images}
    for number, (name, block) in enumerate(
        {"basic": resnet.BasicBlock, "bottleneck": resnet.Bottleneck}.items()
    ):
        model = fill(Small(block), number)
        torch.save(halved(model), GOLDEN / f"torchvision_{name}.pth")
        record[f"torchvision_{name}.pth"] = model(given).numpy()
    model, small = bit()
    model = fill(model, 2)
    record["timm_bit"] = model(given).numpy()
    folder = GOLDEN / "timm_bit"
    save_for_hf(model, folder, model_args=small, safe_serialization=True)
    save_file(halved(model), folder / "model.safetensors")
    (folder / "model.safetensors").chmod(0o644)
    np.savez_compressed(GOLDEN / "resnet.npz", **record)
    for name, logits in record.items():
        print(name, logits.shape, logits.std())


if __name__ == "__main__":
    main()

"""Bodies that read whole arrays by convolutions, of which patches may be hidden: ResNet, LeNet."""

import dataclasses
import math
from typing import Any

import jax.numpy as jnp

from maskjax.models.convnet import ConvNet
from maskjax.models.head import Head
from maskjax.models.lenet import HIDDEN, LEAST, LeNet, lenet_flops, uniform
from maskjax.models.patches import unpatchify
from maskjax.models.resnet import ResNet
from maskjax.models.resnet_sizes import NORMS, ResNetArchitecture, resnet_flops, resnet_sizes
from maskjax.tasks.body import ALWAYS, Seen
from maskjax.tasks.options import NONE, check_choice
from maskjax.tasks.patch_body import ArrayBody, array_parts, drop_keys
from maskjax.tasks.task import Context
from maskjax.typing import Array, Batch, Bool, Key, Params

FILLS = ("token", "noise", "zero", "gate")  # a grid of pixels has no place for "drop"
MODELS = ("resnet", "lenet")
_TOKEN = "^mask_token$"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvBody(ArrayBody):
    """A convolutional network of whole inputs, of which patches may be hidden.

    Attributes:
        architecture: of a residual network; None for others.
    """

    model: ConvNet
    architecture: ResNetArchitecture | None = None

    @property
    def begins_anew(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What pretraining may lack: the head, a token."""
        return ("^head/", _TOKEN) if self.model.mask_token else ("^head/",)

    @property
    def leaves_out(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What of pretraining has no place here."""
        return () if self.model.mask_token else (_TOKEN,)

    def init(self, key: Key[Array, ""]) -> Params:
        """Draw the parameters, float32."""
        return self.model.init(key, jnp.zeros((1, *self.shape)))["params"]

    def __call__(self, params: Params, batch: Batch, context: Context) -> Seen:
        """Predict; hidden patches stand as what they became."""
        _, _, is_masked = self.draw(batch, context)
        inputs, places = jnp.asarray(batch["inputs"]), None
        if (context.train or self.when == ALWAYS) and (self.is_hiding(context) or self._is_gated):
            patches = self.corrupted(batch, context, is_masked)
            inputs = unpatchify(patches, self.shape, self.patch_size)
            if self.model.mask_token:
                places = self._places(is_masked)
        found: Any = self.model.apply(
            {"params": params}, inputs, places, drop_keys=drop_keys(context)
        )
        return Seen(found[0], found[1], is_masked)

    @property
    def _is_gated(self) -> bool:
        return self.has_gate or self.fill == "gate"

    def _places(self, is_masked: Bool[Array, "B L"]) -> Bool[Array, "B *shape"]:
        """Hidden patches as flags of the inputs' shape."""
        numbers = math.prod(self.patch_size) * self.shape[-1]
        flags = jnp.broadcast_to(is_masked[..., None], (*is_masked.shape, numbers))
        return unpatchify(flags, self.shape, self.patch_size)


def conv_body(config: Any, data: Any, num_outputs: int) -> ConvBody:
    """Make the convolutional network that `model.name` says, with a head.

    Args:
        config: the whole config; "data.missing", "model", "mask", "seed" and "total_steps" are
            read.
        data: as for `patch_body`.
        num_outputs: of the head.

    Raises:
        ValueError: an option that does not fit; the message names the key.
    """
    model, shape = config.model, tuple(data.shape)
    check_choice("model.dtype", model.dtype, ("float32", "bfloat16"))
    has_token = config.mask.rule != NONE and config.mask.fill == "token"
    parts, dtype = array_parts(config, data, FILLS), jnp.dtype(model.dtype)
    if model.name == "lenet":
        if min(shape[:-1]) < LEAST:
            raise ValueError(
                f"LeNet reads at least {LEAST} pixels a side, and examples have {shape[:-1]}: set "
                "data.size, as to 32,32"
            )
        draw = uniform(HIDDEN[-1])
        head = Head(num_outputs, dtype, kernel_init=draw, bias_init=draw, has_norm=False)
        flops = lenet_flops(shape) + 2 * HIDDEN[-1] * num_outputs
        net = ConvNet(LeNet(dtype), head, has_token)
        return ConvBody(model=net, flops_per_example=3.0 * flops, **parts)
    it = _architecture(model, shape)
    if not 0 <= model.drop_path < 1:
        raise ValueError(f"model.drop_path {model.drop_path} must be at least 0 and below 1")
    encoder = ResNet(it, model.drop_path, dtype, model.remat)
    net = ConvNet(encoder, Head(num_outputs, dtype, has_norm=False), has_token)
    flops = resnet_flops(it, shape) + 2 * it.width * num_outputs
    return ConvBody(model=net, flops_per_example=3.0 * flops, architecture=it, **parts)


def _architecture(model: Any, shape: tuple[int, ...]) -> ResNetArchitecture:
    """A named residual network; depths and widths that the config sets itself win."""
    check_choice("model.size", model.size, tuple(resnet_sizes))
    check_choice("model.norm", model.norm, NORMS)
    named = resnet_sizes[model.size]
    depths, widths = tuple(model.depths) or named.depths, tuple(model.widths) or named.widths
    if len(depths) != len(widths) or min(*depths, *widths) < 1:
        raise ValueError(
            f"model.depths {depths} and model.widths {widths} must be whole numbers above 0, one a "
            f"stage each; () is that of {model.size}"
        )
    if model.norm == "group" and (model.groups < 1 or any(x % model.groups for x in widths)):
        raise ValueError(
            f"model.groups {model.groups} does not divide all of the widths {widths}: set it to "
            f"{math.gcd(*widths)}, or a divisor of that"
        )
    return dataclasses.replace(
        named,
        depths=depths,
        widths=widths,
        norm=model.norm,
        groups=model.groups if model.norm == "group" else 0,
        channels=shape[-1],
        num_axes=len(shape) - 1,
    )

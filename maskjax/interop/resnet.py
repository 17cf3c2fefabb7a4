"""Residual networks of torchvision and timm: read, with batch norm folded, and made to fit.

torchvision's ResNet and timm's resnetNN have the same names and normalise last, by batch norm:
`(x - mean) / sqrt(variance + eps) * weight + bias`, once it no longer learns, is a scale and a bias
of each channel. timm's resnetv2_*_bit are those of BiT: they normalise first, by group norm, and
standardise their weights.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from maskjax.interop import layout
from maskjax.interop.resample import change_channels
from maskjax.models.resnet import NORM_EPS, resnet_shapes
from maskjax.models.resnet_sizes import LARGE, ResNetArchitecture

ANTIALIAS = False  # there are no positions
READ = "torchvision's resnetNN, timm's resnetNN and resnetv2_NNxN_bit"
_BLOCKS = {"affine": "layer{}.{}", "group": "stages.{}.blocks.{}"}
_FIRSTS = {"affine": "layer1.0.conv1.weight", "group": "stages.0.blocks.0.conv1.weight"}
_STEMS = {"affine": "conv1", "group": "stem.conv"}
_HEADS = {"affine": "fc", "group": "head.fc"}
_PLAIN = (
    "num_classes",
    "in_chans",
    "layers",
    "channels",
    "stem_chs",
    "drop_rate",
    "drop_path_rate",
)


def is_resnet(names: Mapping[str, object]) -> bool:
    """Whether tensors have the names of a residual network."""
    return any(name in names for name in _FIRSTS.values())


def format_of(names: Mapping[str, object], config: Mapping[str, Any] | None) -> str:
    """Say whose a residual network is, "torchvision" or "timm"; by the names alone often both's."""
    is_timm = _FIRSTS["group"] in names or "architecture" in (config or {})
    return "timm" if is_timm else "torchvision"


def read_resnet(
    arrays: Mapping[str, np.ndarray], config: Mapping[str, Any] | None, place: str
) -> tuple[dict[str, np.ndarray], ResNetArchitecture]:
    """Read tensors by name.

    Args:
        arrays: the tensors.
        config: of timm's config.json; None without one.
        place: the file, for messages.

    Returns:
        {path: array} as in maskjax, float32, with the head where there is one; what they are of.

    Raises:
        ValueError: tensors are missing, or it is another kind of residual network.
    """
    _check_config(config, place)
    arrays = {name: x for name, x in arrays.items() if not name.endswith("num_batches_tracked")}
    architecture = _described(arrays, place)
    names = dict(_modules(architecture))
    kinds = ("weight", "bias", "running_mean", "running_var")
    known = {f"{name}.{kind}" for name in names.values() for kind in kinds}
    known |= {f"{_HEADS[architecture.norm]}.{kind}" for kind in ("weight", "bias")}
    if others := [name for name in arrays if name not in known]:
        raise _foreign(place, others[0])
    params: dict[str, np.ndarray] = {}
    for path, name in names.items():
        if path.rpartition("/")[2] in ("stem", "shortcut") or "/conv" in path:
            kernel = _kernel(arrays, name, place)
            params[f"{path}/kernel"] = _float(kernel.transpose(2, 3, 1, 0))
            continue
        scale, bias = (_taken(arrays, f"{name}.{kind}", place) for kind in kinds[:2])
        if architecture.norm == "affine":
            mean, variance = (_taken(arrays, f"{name}.{kind}", place) for kind in kinds[2:])
            scale = np.float64(scale) / np.sqrt(np.float64(variance) + NORM_EPS)
            bias = bias - mean * scale
        params[f"{path}/scale"], params[f"{path}/bias"] = _float(scale), _float(bias)
    shapes = dict(resnet_shapes(architecture))
    head = _HEADS[architecture.norm]
    if f"{head}.weight" in arrays:  # a convolution of one place, in timm's BiT
        kernel = arrays[f"{head}.weight"]
        params["head/kernel"] = _float(kernel.reshape(len(kernel), -1).T)
        params["head/bias"] = _float(_taken(arrays, f"{head}.bias", place))
        shapes |= {"head/kernel": (architecture.width, len(kernel)), "head/bias": (len(kernel),)}
    layout.check_shapes(params, shapes, place)
    return params, architecture


def fit_resnet(
    params: dict[str, np.ndarray],
    theirs: ResNetArchitecture,
    model: ResNetArchitecture,
    wanted: Mapping[str, tuple[int, ...]],
    channels: str,
    place: str,
) -> list[str]:
    """Make weights fit a model; the first convolution may get other channels.

    Args:
        params: {path: array}, changed in place.
        theirs: what they are of.
        model: what they are to fit.
        wanted: {path: shape} of what shall come from them.
        channels: how channels change, of `resample.CHANNELS`; "" to refuse another number of them.
        place: where they are from, for messages.

    Returns:
        What was done, in words.

    Raises:
        ValueError: they are of another architecture; all differences are named with both numbers.
    """
    rows: list[tuple[str, object, object, str]] = []
    if any(path.startswith("encoder/") for path in wanted):
        rows += [
            ("norm", theirs.norm, model.norm, "model.norm"),
            ("blocks", theirs.depths, model.depths, "model.size or model.depths"),
            ("widths", theirs.widths, model.widths, "model.size or model.widths"),
            ("bottlenecks", theirs.is_bottleneck, model.is_bottleneck, "model.size"),
            ("a first convolution of side", theirs.stem, model.stem, "model.size"),
            ("axes", theirs.num_axes, model.num_axes, "data of images"),
        ]
        if theirs.norm == model.norm == "group":
            rows.append(("groups", theirs.groups, model.groups, "model.groups"))
    if "head/kernel" in wanted and "head/kernel" in params:
        there, here = params["head/kernel"].shape[-1], wanted["head/kernel"][-1]
        rows.append(("outputs of the head", there, here, "leave it out: init_from.skip=^head/"))
    if wrong := [f"{what} {a} there, {b} here ({key})" for what, a, b, key in rows if a != b]:
        raise ValueError(
            f"{place} is of another architecture than this config's model: {', '.join(wrong)}; "
            "set these keys as there, or give other weights"
        )
    notes = ["batch norm is folded into scales and biases"] if theirs.norm == "affine" else []
    if theirs.channels != model.channels:
        _fit_channels(params, theirs, model, channels, place)
        notes.append(f"{theirs.channels} channels made {model.channels} ({channels})")
    return notes


def _fit_channels(
    params: dict[str, np.ndarray],
    theirs: ResNetArchitecture,
    model: ResNetArchitecture,
    channels: str,
    place: str,
) -> None:
    """Change those of the first convolution."""
    counts = f"{place} is of {theirs.channels} channels, and the data have {model.channels}"
    if theirs.norm == "group":
        raise ValueError(
            f"{counts}; standardised weights of others would not be the same: set data.channels="
            f"{theirs.channels}"
        )
    if not channels:
        raise ValueError(
            f"{counts}: say by init_from.channels how to change them, mean, repeat or first "
            "(maskjax/interop/README.md), or set data.channels"
        )
    kernel = params["encoder/stem/kernel"]
    flat = kernel.reshape(-1, kernel.shape[-1])
    flat = change_channels(flat, theirs.channels, model.channels, channels)
    params["encoder/stem/kernel"] = flat.reshape(*kernel.shape[:2], model.channels, -1)


def _check_config(config: Mapping[str, Any] | None, place: str) -> None:
    """Refuse, of timm's, what tensors alone do not tell from a plain residual network."""
    name = (config or {}).get("architecture")
    if config is None or name is None:
        return
    if not re.fullmatch(r"resnet\d+|resnetv2_\d+x\d+_bit", str(name)):
        raise ValueError(f"{place} is timm's {name!r}: of residual networks {READ} are read")
    for key, value in dict(config.get("model_args") or {}).items():
        if key not in _PLAIN and value is not None and (key, value) != ("global_pool", "avg"):
            raise ValueError(
                f"{place} has model_args.{key} {value!r}, which maskjax's ResNet has not"
            )


def _described(arrays: Mapping[str, np.ndarray], place: str) -> ResNetArchitecture:
    """Find the architecture in the shapes."""
    norm = next(norm for norm, first in _FIRSTS.items() if first in arrays)
    if norm == "affine" and not any(name.endswith("running_var") for name in arrays):
        raise ValueError(f"{place} has another norm than batch norm: {READ} are read")
    if f"{_STEMS[norm]}.weight" not in arrays:
        raise _foreign(place, next(iter(arrays)))
    stem = _kernel(arrays, _STEMS[norm], place)
    if stem.shape[-1] not in (3, LARGE):
        raise ValueError(
            f"{place} begins with a convolution of {stem.shape[-1]} pixels, and not 3 or {LARGE}: "
            f"{READ} are read"
        )
    pattern = _BLOCKS[norm].replace(".", r"\.").replace("{}", r"(\d+)") + r"\.conv1\.weight"
    found = [it.groups() for name in arrays if (it := re.fullmatch(pattern, name))]
    stages = sorted({stage for stage, _ in found}, key=int)
    firsts = [_BLOCKS[norm].format(stage, 0) for stage in stages]
    inner = [_kernel(arrays, f"{first}.conv2", place) for first in firsts]
    if any(kernel.shape[0] != kernel.shape[1] for kernel in inner):
        raise ValueError(f"{place} has grouped convolutions (ResNeXt): {READ} are read")
    architecture = ResNetArchitecture(
        depths=tuple(sum(stage == each for each, _ in found) for stage in stages),
        widths=tuple(len(kernel) for kernel in inner),
        is_bottleneck=f"{firsts[0]}.conv3.weight" in arrays,
        stem=stem.shape[-1],
        norm=norm,
        channels=stem.shape[1],
    )
    last = _kernel(arrays, f"{firsts[0]}.conv{3 if architecture.is_bottleneck else 2}", place)
    if len(last) != architecture.outputs(len(inner[0])):
        raise ValueError(
            f"{place} has 3x3 convolutions of {len(inner[0])} channels in blocks of {len(last)} "
            f"(Wide ResNet): {READ} are read"
        )
    return architecture


def _modules(architecture: ResNetArchitecture) -> Iterator[tuple[str, str]]:
    """The path and the name of every module but the head."""
    is_last = architecture.norm == "affine"
    yield "encoder/stem", _STEMS[architecture.norm]
    yield ("encoder/stem_norm", "bn1") if is_last else ("encoder/stages/norm", "norm")
    numbers = [(s, b) for s, depth in enumerate(architecture.depths) for b in range(depth)]
    inputs = architecture.widths[0]
    for i, ((stage, block), (width, stride)) in enumerate(
        zip(numbers, architecture.blocks, strict=True)
    ):
        path = f"encoder/stages/block{i:02d}"
        name = f"layer{stage + 1}.{block}" if is_last else f"stages.{stage}.blocks.{block}"
        for number in (1, 2, 3)[: 3 if architecture.is_bottleneck else 2]:
            yield f"{path}/conv{number}", f"{name}.conv{number}"
            yield f"{path}/norm{number}", f"{name}.{'bn' if is_last else 'norm'}{number}"
        outputs = architecture.outputs(width)
        if stride > 1 or inputs != outputs:
            yield f"{path}/shortcut", f"{name}.downsample.{'0' if is_last else 'conv'}"
            if is_last:
                yield f"{path}/shortcut_norm", f"{name}.downsample.1"
        inputs = outputs


def _taken(arrays: Mapping[str, np.ndarray], name: str, place: str) -> np.ndarray:
    if name not in arrays:
        raise ValueError(f"{place} lacks {name}: fetch the whole file")
    return arrays[name]


def _kernel(arrays: Mapping[str, np.ndarray], name: str, place: str) -> np.ndarray:
    """A kernel of two axes, [outputs, inputs, height, width]."""
    found = _taken(arrays, f"{name}.weight", place)
    if found.ndim != 4:
        raise ValueError(f"{place}: {name} is no convolution of images, {list(found.shape)}")
    return found


def _foreign(place: str, name: str) -> ValueError:
    return ValueError(f"{place} has {name!r}, which maskjax's ResNet has not: {READ} are read")


def _float(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float32)

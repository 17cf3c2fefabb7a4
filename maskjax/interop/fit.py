"""Published weights made to fit a model: compared with it, resampled where its inputs differ."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from maskjax.interop.published import Published
from maskjax.interop.resample import change_channels, resample_positions
from maskjax.interop.resnet import fit_resnet
from maskjax.interop.text import fit_text
from maskjax.models.architecture import Architecture
from maskjax.models.patches import sincos_positions
from maskjax.models.resnet_sizes import ResNetArchitecture
from maskjax.models.sizes import Size
from maskjax.models.text import TextArchitecture

_TABLE = "positions/table"
_CLOSE = 1e-4  # of float32 sines to others


class Fitted(NamedTuple):
    """Parameters for a model.

    Attributes:
        params: {path: array}, float32.
        notes: what was done to them, in words.
    """

    params: dict[str, np.ndarray]
    notes: list[str]


def fitted(
    published: Published,
    model: Architecture | ResNetArchitecture | TextArchitecture | None,
    wanted: Mapping[str, tuple[int, ...]],
    channels: str = "",
) -> Fitted:
    """Make weights fit a model, or say why they cannot.

    Args:
        published: the weights, of another project.
        model: what they are to fit; None for one that is no vision transformer, no residual
            network and no text encoder.
        wanted: {path: shape} of the model's parameters that shall come from the weights.
        channels: how the projection of patches changes its channels, of `resample.CHANNELS`; "" to
            refuse another number of them.

    Returns:
        All of the weights but a pooler's. Tables of positions are of the model's grid; the
        projection of patches has its channels.

    Raises:
        ValueError: they are of another architecture; all differences are named with both numbers.
    """
    place = f"init_from.path {str(published.path)!r}"
    theirs, params = published.architecture, dict(published.params)
    if type(theirs) is not type(model):
        kinds = {
            Architecture: "a vision transformer",
            ResNetArchitecture: "a residual network",
            TextArchitecture: "a text encoder",
        }
        raise ValueError(
            f"{place} holds {kinds.get(type(theirs), 'none')}, and this config's task has "
            f"{kinds.get(type(model), 'none')}: start from the --workdir of a run of the same task"
        )
    if isinstance(theirs, TextArchitecture):
        assert isinstance(model, TextArchitecture)
        return Fitted(params, fit_text(params, theirs, model, wanted, place))
    if isinstance(theirs, ResNetArchitecture):
        assert isinstance(model, ResNetArchitecture)
        return Fitted(params, fit_resnet(params, theirs, model, wanted, channels, place))
    assert isinstance(theirs, Architecture)
    assert isinstance(model, Architecture)
    notes = []
    poolers = [path for path in params if path.startswith("pooler/")]
    for path in poolers:
        del params[path]
    if poolers:
        notes.append("a pooler, which nothing here reads, is left out")
    if problems := _differences(theirs, model, wanted, params):
        raise ValueError(
            f"{place} is of another architecture than this config's model: {', '.join(problems)}; "
            "set these keys as there, or give other weights"
        )
    if not theirs.encoder.num_heads:
        notes.append(
            f"the file does not say its heads: {model.encoder.num_heads}, as model.encoder.heads"
        )
    if theirs.channels != model.channels:
        _fit_channels(params, notes, theirs, model, channels, place)
    for side in ("encoder", "decoder"):
        _fit_positions(params, notes, side, published, theirs.grid, model, wanted, place)
    return Fitted(params, notes)


def _differences(
    theirs: Architecture,
    model: Architecture,
    wanted: Mapping[str, tuple[int, ...]],
    params: dict[str, np.ndarray],
) -> list[str]:
    """Name what differs, with both numbers and the key."""
    rows: list[tuple[str, object, object, str]] = []

    def sizes(there: Size, here: Size, part: str) -> None:
        rows.append(("width", there.width, here.width, f"model.{part}.width"))
        rows.append(("depth", there.depth, here.depth, f"model.{part}.depth"))
        if there.num_heads:
            rows.append(("heads", there.num_heads, here.num_heads, f"model.{part}.heads"))

    if any(path.startswith("encoder/") for path in wanted):
        sizes(theirs.encoder, model.encoder, "encoder")
        rows.append(("patch size", theirs.patch_size, model.patch_size, "model.patch_size"))
        rows.append(("LayerNorm epsilon", theirs.norm_eps, model.norm_eps, "model.norm_eps"))
        if theirs.encoder.width == model.encoder.width:
            rows.append(("MLP width", theirs.hidden, model.hidden, "4 times model.encoder.width"))
        of_blocks = "heads and MLP width of each block"
        rows.append((of_blocks, theirs.kept, model.kept, "model.encoder.kept"))
    has_decoder = any(path.startswith("decoder/") for path in wanted)
    if has_decoder and theirs.decoder is not None and model.decoder is not None:
        sizes(theirs.decoder, model.decoder, "decoder")
    if "head/kernel" in wanted and "head/kernel" in params:
        there, here = params["head/kernel"].shape[-1], wanted["head/kernel"][-1]
        skip = "leave the head out: init_from.skip=^head/"
        rows.append(("outputs of the head", there, here, skip))
        rows.append(("a head on: the", theirs.pool, model.pool, f"model.pool, or {skip}"))
    return [
        f"{what} {there} there, {here} here ({key})"
        for what, there, here, key in rows
        if there != here
    ]


def _fit_channels(
    params: dict[str, np.ndarray],
    notes: list[str],
    theirs: Architecture,
    model: Architecture,
    channels: str,
    place: str,
) -> None:
    if not channels:
        raise ValueError(
            f"{place} is of {theirs.channels} channels, and the data have {model.channels}: say by "
            "init_from.channels how to change them, mean, repeat or first (maskjax/interop/"
            "README.md), or set data.channels"
        )
    name = "encoder/patch_embed/kernel"
    params[name] = change_channels(params[name], theirs.channels, model.channels, channels)
    notes.append(f"{theirs.channels} channels made {model.channels} ({channels})")


def _fit_positions(
    params: dict[str, np.ndarray],
    notes: list[str],
    side: str,
    published: Published,
    old: tuple[int, ...],
    model: Architecture,
    wanted: Mapping[str, tuple[int, ...]],
    place: str,
) -> None:
    """Resample a table, or drop one that the model computes by itself."""
    name = f"{side}/{_TABLE}"
    if name not in params:
        return
    if model.positions == "sincos" and name not in wanted:
        table = params.pop(name)
        if any(path.startswith(f"{side}/") for path in wanted):
            same = np.abs(table[0] - sincos_positions(old, table.shape[-1])).max() < _CLOSE
            if not same:
                raise ValueError(
                    f"{place}: its {name} is not the sin-cos table that this config's model "
                    "computes: set model.positions=learned"
                )
            notes.append(f"{name} is the sin-cos table, which the model computes by itself")
    elif old != model.grid and name in wanted:
        how = "bicubic, antialiased, as timm" if published.antialias else "bicubic, as MAE"
        params[name] = resample_positions(
            params[name], old, model.grid, antialias=published.antialias
        )
        notes.append(f"{name} resampled from {_by(old)} to {_by(model.grid)} ({how})")


def _by(grid: tuple[int, ...]) -> str:
    return "x".join(map(str, grid))

"""Sheets of masks that need a picture of their own: attention, regions, frequencies."""

import functools
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from maskjax import masking
from maskjax.evaluation import figures
from maskjax.evaluation.figures.tiles import hidden_count, veiled
from maskjax.evaluation.sheets import samples
from maskjax.evaluation.sheets.rule_masks import arguments_of, rule_masks, steps
from maskjax.masking import attention as attention_masks
from maskjax.masking import regions as region_masks
from maskjax.models.patches import patchify, unpatchify
from maskjax.typing import Array, Bool, Float, Key

_GRID = (6, 8)
_SIZE = (120, 160)


def attention(keys: Key[Array, "B"]) -> Figure:
    """Draw every registered attention mask on the attention between patches of a photograph."""
    scores = _similarity(samples.photograph((96, 128)))
    length, (rows, columns) = len(scores), _GRID
    place = np.arange(length)
    make = attention_masks.make_attention_mask
    runtime = {
        "key": keys,
        "num_queries": length,
        "num_keys": length,
        "num_edges": length // 6,
        "left": columns,
        "right": columns,
        "dilation": columns,
        "lengths": jnp.array([1, 2, 4]) * columns,
        "segment_ids": jnp.asarray(np.repeat([0, 1, 2, -1], [14, 18, 10, 6])),
        "is_global": jnp.asarray(np.isin(place, [0, length // 2])),
        "scores": jnp.asarray(scores),
        "attention_mask": jnp.asarray(place[:, None] // columns == place // columns),
        "masks": [make("causal"), ~make("causal"), make("sliding_window", left=4, right=4)],
        "head_masks": jnp.array([True, False, True]),
    }
    hidden = {}
    for name in sorted(attention_masks.ATTENTION):
        drawn = _attention_mask(name, length, runtime)
        hidden[name] = drawn if isinstance(drawn, str) else ~drawn[: len(keys)]
    return figures.matrix_sheet(
        np.exp(scores),
        hidden,
        size=(1.2, 1.2),
        flowing=True,
        notes=[
            f"Queries down, keys across: {rows} x {columns} patches of a photograph, which attend "
            "to those of their own colours. Veiled: may not attend. Several tiles: examples or "
            "heads that differ."
        ],
    )


def _attention_mask(name: str, length: int, runtime: Mapping[str, Any]) -> np.ndarray | str:
    """The flags [N, Q, K] of all examples and heads, or why there are none."""
    constructor = attention_masks.ATTENTION[name]
    try:
        given = arguments_of(constructor, runtime)
        dense = jax.jit(lambda: constructor(**given).dense(length, length))()
    except ValueError as error:
        return str(error)
    return np.asarray(dense).reshape(-1, length, length)


def _similarity(image: Float[np.ndarray, "H W 3"]) -> Float[np.ndarray, "L L"]:
    """Minus the scaled squared distance between the mean colours of patches."""
    rows, columns = _GRID
    colours = image.reshape(rows, image.shape[0] // rows, columns, -1, 3).mean(axis=(1, 3))
    colours = colours.reshape(-1, 3)
    return -20 * ((colours[:, None] - colours[None]) ** 2).sum(axis=-1).astype(np.float32)


def regions() -> Figure:
    """Draw what the functions of `masking.regions` make of a photograph."""
    image = samples.photograph(_SIZE)
    shown, pictures = _of_photograph(jnp.asarray(image))
    veils = {name: veiled(image, np.asarray(x)) for name, x in shown.items()}
    inside = {name: f"{np.asarray(x).mean():.0%} inside" for name, x in shown.items()}
    return figures.picture_sheet(
        {name: np.asarray(picture)[None] for name, picture in (veils | pictures).items()},
        counts=inside,
        side=2.0,
        num_columns=5,
        notes=["Veiled: inside the region."],
    )


@jax.jit  # as one program: operation by operation it takes many times as long to compile
def _of_photograph(
    image: Float[Array, "H W 3"],
) -> tuple[OrderedDict[str, Array], OrderedDict[str, Array]]:
    """Regions of a picture, and what other functions make of it, in the order of the sheet."""
    grey = image.mean(axis=-1)
    point = functools.partial(jnp.array, dtype=jnp.float32)
    disk = region_masks.ellipse(_SIZE, point([78, 66]), point([52, 34]), 0.3)
    bright = region_masks.threshold(grey, region_masks.otsu_level(grey))
    boxes = point([[20, 20, 70, 60], [50, 48, 132, 104]])
    covered = region_masks.covered_patches(bright, 10).reshape(12, 16)
    shown = OrderedDict(
        rectangle=region_masks.rectangle(_SIZE, point([78, 62]), point([90, 52]), 0.3),
        ellipse=disk,
        polygon=region_masks.polygon(_SIZE, _star(point([78, 60]), 56)),
        from_boxes=region_masks.from_boxes(_SIZE, boxes).any(axis=0),
        threshold=region_masks.threshold(grey, 0.6),
        otsu_level=bright,
        union=region_masks.union(disk, bright),
        intersection=region_masks.intersection(disk, bright),
        difference=region_masks.difference(disk, bright),
        covered_patches=covered.repeat(10, axis=0).repeat(10, axis=1),
        dilate=region_masks.dilate(bright, 4, element="disk"),
        erode=region_masks.erode(bright, 2),
        opening=region_masks.opening(bright, 2),
        closing=region_masks.closing(bright, 3),
        border=region_masks.border(disk, 3, side="both"),
    )
    weights = region_masks.weights(disk, inside=1.0, outside=0.3)
    pictures = OrderedDict(
        keep=region_masks.keep(image, disk, 1.0),
        fill=region_masks.fill(image, disk, image.mean(axis=(0, 1))),
        blend=region_masks.blend(image, disk, point([0.0, 0.45, 0.7]), alpha=0.6),
        weights=jnp.broadcast_to(weights[..., None], image.shape),
        crop=region_masks.crop(image, region_masks.to_boxes(disk), _SIZE),
    )
    return shown, pictures


def _star(center: Float[Array, "2"], radius: int | float) -> Float[Array, "10 2"]:
    """The corners of a five-pointed star."""
    angle = (jnp.arange(10) / 5 - 0.5) * jnp.pi
    length = radius * jnp.where(jnp.arange(10) % 2 == 0, 1.0, 0.4)
    return center[None] + length[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)


def fills(keys: Key[Array, "B"]) -> Figure:
    """Draw what each fill makes of the hidden patches of a photograph."""
    image, side = samples.photograph((128, 128)), 16
    grid = (128 // side, 128 // side)
    hidden = masking.draw(masking.make_rule("block"), keys, grid, grid[0] * grid[1] // 2)
    batch = jnp.broadcast_to(jnp.asarray(image), (len(keys), *image.shape))
    filled = _filled(patchify(batch, (side, side)), hidden.is_masked, keys)
    counts = {name: hidden_count(np.asarray(hidden.is_masked)) for name in filled}
    pictures = {
        name: np.asarray(unpatchify(patches, image.shape, (side, side))).clip(0, 1)
        for name, patches in filled.items()
    }
    return figures.picture_sheet(
        pictures,
        counts=counts | {"fill_gate": "m from 0 to 1"},
        side=1.35,
        notes=["fill_gate lets a share m of each patch through, here its brightness."],
    )


@jax.jit
def _filled(
    patches: Float[Array, "B L P"], is_masked: Bool[Array, "B L"], keys: Key[Array, "B"]
) -> OrderedDict[str, Array]:
    """What every fill makes of patches."""
    brightness = patches.mean(-1)
    darkest, brightest = brightness.min(1, keepdims=True), brightness.max(1, keepdims=True)
    return OrderedDict(
        fill_token=masking.fill_token(patches, is_masked, patches.mean((0, 1))),
        fill_noise=masking.fill_noise(patches - 0.5, is_masked, keys, scale=0.3) + 0.5,
        fill_zero=masking.fill_zero(patches, is_masked),
        fill_gate=masking.fill_gate(patches, (brightness - darkest) / (brightest - darkest)),
    )


def frequency(keys: Key[Array, "B"]) -> Figure:
    """Draw what each rule for frequencies leaves of a photograph, and of its spectrum."""
    image = samples.photograph((128, 128))
    grid = image.shape[:2]
    grey = np.fft.fftshift(np.fft.fft2(image.mean(axis=-1)))
    power = np.log(abs(grey) + 1e-3)
    spectrum = ((power - power.min()) / np.ptp(power))[..., None].repeat(3, axis=-1)
    batch = jnp.broadcast_to(jnp.asarray(image), (len(keys), *image.shape))
    runtime = {"step": steps(len(keys), grid[0] * grid[1])}
    pictures, counts = {}, {}
    for title, name, options in _frequency_tiles():
        hidden = rule_masks(
            [name], keys, grid, grid[0] * grid[1] // 2, runtime,
            options={name: options}, by_choice=True,
        )[name]  # fmt: skip
        if isinstance(hidden, str):
            pictures[title] = hidden
            continue
        seen = _without(batch, jnp.asarray(hidden.reshape(len(keys), -1)))
        # Pictures that have lost their mean are drawn about a middle grey.
        seen = np.asarray(seen) + 0.5 * hidden[:, grid[0] // 2, grid[1] // 2, None, None, None]
        spectra = np.stack([veiled(spectrum, is_masked) for is_masked in hidden])
        pictures[title] = np.stack([spectra, seen], axis=1).reshape(-1, *image.shape)
        counts[title] = hidden_count(hidden)
    return figures.picture_sheet(
        pictures,
        counts=counts,
        side=1.35,
        notes=[
            "Spectrum, low frequencies in the middle, and the picture without what is veiled; "
            "grey is added where the mean is hidden."
        ],
    )


_without = jax.jit(masking.frequency.apply_frequency)


def _frequency_tiles() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Title, name and options of every rule for frequencies, once for each band it can take."""
    for name in masking.rules_on("frequency"):
        if "band" not in masking.accepted_options(masking.make_rule(name)):
            yield name, name, {}
            continue
        for band in masking.frequency.BANDS:
            options = {"band": band} | ({} if band == "random" else {"radius": 10})
            yield f"{name}: {band}", name, options

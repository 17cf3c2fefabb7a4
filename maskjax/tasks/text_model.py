"""Text encoders from a config: which one, and how it computes."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from maskjax import masking
from maskjax.models.sizes import Size, text_sizes
from maskjax.models.text import FORMS, TextArchitecture, named
from maskjax.tasks.options import check_choice, kept_blocks


def text_architecture(model: Any, num_ids: int, length: int) -> TextArchitecture:
    """Make the architecture that `config.model` says: a named size, and what is set over it.

    Args:
        model: "form", "size", "max_length", and where there are "width", "depth", "heads",
            "hidden", "num_ids", "epsilon", "window" and "global_every", of which 0 is what the
            name says, and "kept".
        num_ids: ids of the tokenizer.
        length: tokens of a row.

    Raises:
        ValueError: a name, size or length that does not fit; the message names the key.
    """
    check_choice("model.form", model.form, FORMS)
    check_choice("model.size", model.size, tuple(text_sizes))
    if model.max_length and model.max_length < length:
        raise ValueError(
            f"model.max_length {model.max_length} is below data.max_length {length}: raise it, or"
            " set it to 0, as many positions as rows have"
        )
    own = {key: model.get(key, 0) for key in ("width", "depth", "heads", "hidden", "num_ids")}
    for key, value in own.items():
        if not 0 <= value < 2**24:
            raise ValueError(f"model.{key} {value} must be at least 0, as named, and below 2**24")
    if 0 < own["num_ids"] < num_ids:
        raise ValueError(
            f"model.num_ids {own['num_ids']} is below the {num_ids} ids of the tokenizer: raise"
            " it, or set it to 0, as many as the tokenizer has"
        )
    it = named(model.form, model.size, own["num_ids"] or num_ids, model.max_length or length)
    size = Size(*(own[key] or was for key, was in zip(("width", "depth", "heads"), it.size)))
    if size.width % size.num_heads:
        raise ValueError(
            f"model.width {size.width} is not a multiple of its {size.num_heads} heads"
            " (model.heads): change one of them"
        )
    hidden = own["hidden"] or round(it.hidden * size.width / it.size.width)
    epsilon = model.get("epsilon", 0.0)
    if not 0 <= epsilon < 1:
        raise ValueError(f"model.epsilon {epsilon} must be at least 0, as named, and below 1")
    own = {"size": size, "hidden": hidden, "norm_eps": epsilon or it.norm_eps}
    own["kept"] = kept_blocks(model, "model", size)
    return dataclasses.replace(it, **own, **_local_blocks(model))


def _local_blocks(model: Any) -> dict[str, int]:
    """Which blocks are local and what they see, where `config.model` says it."""
    own = {key: model.get(key, 0) for key in ("window", "global_every")}
    for key, value in own.items():
        if value and model.form != "modernbert":
            raise ValueError(
                f"model.{key} {value} is for the form 'modernbert': blocks of {model.form!r} see"
                " all of a row, here and where it is exported to; set it to 0"
            )
    if own["window"] and not 2 <= own["window"] < 2**24:
        raise ValueError(
            f"model.window {own['window']} must be at least 2, a key on either side, or 0, as named"
        )
    if not 0 <= own["global_every"] < 2**24:
        raise ValueError(
            f"model.global_every {own['global_every']} must be at least 1, where all blocks are"
            " global, or 0, as named"
        )
    return {key: value for key, value in own.items() if value}


def computing(model: Any) -> dict[str, Any]:
    """Read how a model computes, which changes no parameter.

    Args:
        model: "attention", "remat", "dropout" and "dtype".

    Returns:
        Options of `models.text.model_of`.

    Raises:
        ValueError: an unknown one, or one that this machine cannot do; the message names the key.
    """
    check_choice("model.dtype", model.dtype, ("float32", "bfloat16"))
    check_choice("model.attention", model.attention, masking.attention.IMPLEMENTATIONS)
    if not 0 <= model.dropout < 1:
        raise ValueError(f"model.dropout {model.dropout} must be at least 0 and below 1")
    if model.attention == "cudnn" and jax.default_backend() != "gpu":
        raise ValueError(
            "model.attention 'cudnn' needs an NVIDIA GPU, and JAX has the backend "
            f"{jax.default_backend()!r}: use 'xla' or 'blockwise'"
        )
    options = {key: model[key] for key in ("attention", "remat", "dropout")}
    return options | {"dtype": jnp.dtype(model.dtype)}

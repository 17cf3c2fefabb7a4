"""Static masks: drawn by keys of an example and its epoch, of which a few come in turn."""

import dataclasses

import jax
import jax.numpy as jnp

from maskjax.tasks.task import Context
from maskjax.typing import Batch


def in_epoch(batch: Batch, context: Context, copies: int = 0) -> Context:
    """The context with keys of each example and its epoch in place of those of the step.

    With copies epoch e has the keys of epoch e modulo so many (Devlin et al. 2019, BERT: the
    `dupe_factor` of the released code), whatever batch, device or worker an example comes by.

    Args:
        batch: "id" and "epoch" [B]; evaluations are of epoch 0.
        context: as it is where its batch has no ids, such as examples of one's own.
        copies: keys an example, in turn; 0 = those of each epoch are its own.
    """
    if context.document_keys is None:
        return context
    epoch = jnp.asarray(batch["epoch"]) if context.train else 0 * jnp.asarray(batch["id"])
    if copies:
        epoch = epoch % copies
    keys = jax.vmap(jax.random.fold_in)(context.document_keys, epoch)
    return dataclasses.replace(context, keys=keys)


def in_turn(batch: Batch, context: Context, copies: int) -> Context:
    """The context by which masks are drawn: in training with copies `in_epoch`, else as it is."""
    return in_epoch(batch, context, copies) if copies and context.train else context

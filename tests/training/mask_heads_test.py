"""Masks of heads are of the model's heads, which the shapes of its kernels do not tell."""

import types

import jax
import jax.numpy as jnp
import pytest

from maskjax.models.sizes import Size
from maskjax.training.mask_heads import check_mask_heads, num_heads_of
from maskjax.training.update import make_update

BLOCKS = {f"block0{i}": {"attn": {"query": {"kernel": jnp.zeros((8, 8))}}} for i in range(2)}
PARAMS = {side: {"stack": BLOCKS} for side in ("encoder", "decoder")}
ONE = types.SimpleNamespace(encoder=Size(8, 2, 4))
BOTH = types.SimpleNamespace(encoder=Size(8, 2, 4), decoder=Size(8, 2, 2))


def _task(toy, architecture):
    return type("Told", (toy.Task,), {"architecture": architecture})()


def _check(toy, told, num_heads, model=None, **options):
    keys = {"method": "magnitude", "granularity": "head", "num_heads": num_heads, **options}
    config = toy.config(**{f"param_masks__{name}": x for name, x in keys.items()}).unlock()
    config.model = model or {}
    update = make_update(config, jax.eval_shape(lambda: PARAMS))
    check_mask_heads(update.masks, _task(toy, told), config)


def test_other_numbers_of_heads_are_refused_and_the_models_are_taken(toy):
    _check(toy, ONE, 4)
    with pytest.raises(ValueError, match=r"num_heads is 8, and encoder/stack/block00.* has 4: set"):
        _check(toy, ONE, 8)
    with pytest.raises(ValueError, match=r"decoder.* has 2: .*exclude=\('\^decoder/stack/block00"):
        _check(toy, BOTH, 4)
    _check(toy, BOTH, 4, exclude=("^decoder/",))
    _check(toy, BOTH, 3, granularity="row")
    with pytest.raises(ValueError, match=r"num_heads is 4, and .* has 2"):
        _check(toy, None, 4, {"heads": 2})
    _check(toy, None, 4)  # of a task that tells nothing


def test_blocks_of_a_smaller_network_have_those_that_they_kept(toy):
    _check(toy, ONE, 2, {"encoder": {"kept": ((2, 8), (2, 8))}})
    with pytest.raises(ValueError, match=r"block01/.* has 1: .*exclude=\('\^encoder/stack/block01"):
        _check(toy, ONE, 2, {"kept": ((2, 8), (1, 8))})


def test_heads_are_those_of_each_side(toy):
    found = [num_heads_of(_task(toy, told), toy.config()) for told in (BOTH, ONE, None)]
    assert found == [{"encoder": 4, "decoder": 2}, {"encoder": 4}, {}]

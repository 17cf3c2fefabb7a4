"""The masked autoencoder's parts: what hidden patches cannot influence, and what is built."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from maskjax import masking
from maskjax.models.mae import Decoder, Encoder, MaskedAutoencoder, SimMIM
from maskjax.models.sizes import encoder_sizes, transformer_flops
from maskjax.models.transformer import Transformer

GRID, P, B = (3, 4), 6, 2
L = 12


def mae(positions="sincos", **options):
    return MaskedAutoencoder(
        Encoder(GRID, 16, Transformer(2, 2, **options), positions),
        Decoder(GRID, 8, P, Transformer(1, 2), positions),
    )


@pytest.fixture
def patches():
    return jax.random.normal(jax.random.key(0), (B, L, P))


@pytest.fixture
def hidden():
    return masking.cut(jax.random.uniform(jax.random.key(1), (B, L)), 9)


@functools.partial(jax.jit, static_argnums=0)
def init(model, patches, hidden):
    return model.init(jax.random.key(2), patches, hidden)


@functools.partial(jax.jit, static_argnums=0)
def apply(model, params, *arguments, **options):
    return model.apply(params, *arguments, **options)


def test_prediction_does_not_depend_on_hidden_patches(patches, hidden):
    model = mae()
    params = init(model, patches, hidden)
    other = jnp.where(hidden.is_masked[..., None], 100.0, patches)
    np.testing.assert_array_equal(
        apply(model, params, patches, hidden), apply(model, params, other, hidden)
    )


def test_simmim_does_not_depend_on_hidden_patches(patches, hidden):
    model = SimMIM(Encoder(GRID, 16, Transformer(2, 2)), P)
    params = init(model, patches, hidden)
    other = jnp.where(hidden.is_masked[..., None], 100.0, patches)
    np.testing.assert_array_equal(
        apply(model, params, patches, hidden), apply(model, params, other, hidden)
    )


def test_prediction_depends_on_every_visible_patch(patches, hidden):
    model = mae()
    params = init(model, patches, hidden)
    gradient = jax.grad(lambda x: (apply(model, params, x, hidden) ** 2).sum())(patches)
    touched = np.abs(gradient).max(-1) > 0
    np.testing.assert_array_equal(touched, ~np.asarray(hidden.is_masked))


def test_order_of_kept_positions_does_not_matter(patches, hidden):
    """The encoder is a set function of (patch, position) pairs."""
    model = mae()
    params = init(model, patches, hidden)
    ids_keep = hidden.ids_keep[:, ::-1]
    ids_restore = jnp.argsort(jnp.concatenate([ids_keep, hidden.ids_masked], axis=1), axis=1)
    reordered = hidden._replace(ids_keep=ids_keep, ids_restore=ids_restore)
    np.testing.assert_allclose(
        apply(model, params, patches, hidden),
        apply(model, params, patches, reordered),
        atol=2e-6,
    )


def test_slots_that_are_not_visible_change_nothing(patches):
    """A count below the slots' equals running on fewer slots."""
    model = mae()
    scores = jax.random.uniform(jax.random.key(1), (B, L))
    exact = masking.cut(scores, 9)
    params = init(model, patches, exact)
    slots, is_visible = masking.cut_slots(scores, jnp.array([9, 9]), 5)
    assert slots.ids_keep.shape == (B, 7)
    np.testing.assert_allclose(
        apply(model, params, patches, slots, is_visible=is_visible),
        apply(model, params, patches, exact),
        atol=2e-6,
    )


def test_encode_of_everything_equals_keeping_everything(patches, hidden):
    model = mae()
    params = init(model, patches, hidden)
    everything = jnp.broadcast_to(jnp.arange(L), (B, L))
    tokens = jax.jit(lambda params: model.apply(params, patches, method="encode"))(params)
    kept = jax.jit(
        lambda params: model.apply(
            params, patches, method=lambda m, x: m.encoder(x, ids_keep=everything)
        )
    )(params)
    assert tokens.shape == (B, 1 + L, 16)
    np.testing.assert_allclose(tokens, kept, atol=1e-6)


def test_class_and_mask_tokens_start_normal_with_std_02(patches, hidden):
    model = MaskedAutoencoder(
        Encoder(GRID, 512, Transformer(1, 2)), Decoder(GRID, 512, P, Transformer(1, 2))
    )
    params = init(model, patches, hidden)["params"]
    for token in (params["encoder"]["class_token"], params["decoder"]["mask_token"]):
        np.testing.assert_allclose(token.std(), 0.02, rtol=0.15)
        assert abs(token.mean()) < 4 * 0.02 / np.sqrt(512)


def test_remat_changes_no_number(patches, hidden):
    plain, remat = mae(), mae(remat=True)
    params = init(plain, patches, hidden)

    def loss(model):
        return jax.value_and_grad(lambda p: (apply(model, p, patches, hidden) ** 2).sum())(params)

    chex.assert_trees_all_close(loss(plain), loss(remat), rtol=1e-5, atol=1e-5)


def test_drop_path_acts_only_when_keys_are_given(patches, hidden):
    model = mae(drop_path_rate=0.9)
    params = init(model, patches, hidden)
    quiet = apply(model, params, patches, hidden)
    np.testing.assert_array_equal(quiet, apply(mae(), params, patches, hidden))
    keys = jax.random.split(jax.random.key(5), B)
    assert np.abs(apply(model, params, patches, hidden, drop_keys=keys) - quiet).max() > 1e-3


def test_bfloat16_keeps_parameters_and_predictions_in_float32(patches, hidden):
    model = MaskedAutoencoder(
        Encoder(GRID, 16, Transformer(1, 2, dtype=jnp.bfloat16), dtype=jnp.bfloat16),
        Decoder(GRID, 8, P, Transformer(1, 2, dtype=jnp.bfloat16), dtype=jnp.bfloat16),
    )
    params = init(model, patches, hidden)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    out = apply(model, params, patches, hidden)
    assert out.dtype == jnp.float32
    full = MaskedAutoencoder(
        Encoder(GRID, 16, Transformer(1, 2)), Decoder(GRID, 8, P, Transformer(1, 2))
    )
    full = apply(full, params, patches, hidden)
    np.testing.assert_allclose(out, full, atol=0.1)
    assert np.abs(out - full).max() > 0  # it did compute in bfloat16


def test_unknown_positions_are_refused(patches, hidden):
    with pytest.raises(ValueError, match="unknown position embedding 'rotary'"):
        init(mae(positions="rotary"), patches, hidden)


@pytest.mark.parametrize(
    ("name", "millions"),
    [("Ti", 5.717), ("S", 22.051), ("B", 86.568), ("L", 304.327), ("H", 632.046)],
)
def test_sizes_have_the_published_parameter_counts(name, millions):
    """Classifiers at 224 px (patch 16; H: 14), with a learned position table and 1000 classes."""
    size, side = encoder_sizes[name], 14 if name == "H" else 16
    grid = (224 // side, 224 // side)
    length = grid[0] * grid[1]
    encoder = Encoder(grid, size.width, Transformer(size.depth, size.num_heads))
    shapes = jax.eval_shape(encoder.init, jax.random.key(0), jnp.zeros((1, length, 3 * side**2)))
    count = sum(np.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))
    count += (1 + length) * size.width + 1000 * (size.width + 1)
    np.testing.assert_allclose(count / 1e6, millions, rtol=1e-4)


def test_flops_equal_what_xla_counts():
    """Matrix products alone, so XLA's count, which has the rest too, is a little above."""
    size = encoder_sizes["Ti"]
    x = jnp.zeros((1, 50, size.width))
    transformer = Transformer(size.depth, size.num_heads)
    params = jax.eval_shape(transformer.init, jax.random.key(0), x)
    counted = jax.jit(transformer.apply).lower(params, x).cost_analysis()["flops"]
    assert 0.9 * counted < transformer_flops(size, 50) <= counted

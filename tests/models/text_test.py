"""Text encoders: their published sizes, packing, rotary positions, memory, heads."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

from maskjax.models.rotary import rotate, rotation
from maskjax.models.sizes import Size
from maskjax.models.text import model_of, named, text_shapes

SMALL = {"size": Size(8, 2, 2), "hidden": 12}
BERT = dataclasses.replace(named("bert", "tiny", 11, 12), **SMALL)
MODERN = dataclasses.replace(
    named("modernbert", "tiny", 11), **SMALL, window=4, theta=50.0, local_theta=5.0
)
LENGTHS = (9, 4, 6)


@pytest.mark.parametrize(
    ("form", "size", "vocabulary", "numbers"),
    [
        # What transformers 5.24 counts in BertForMaskedLM, RobertaForMaskedLM (without the two rows
        # of its positions that have no use) and ModernBertForMaskedLM of the published configs.
        ("bert", "base", 30522, 109_514_298),
        ("roberta", "base", 50265, 124_697_433 - 2 * 768),
        ("modernbert", "base", 50368, 149_655_232),
        ("modernbert", "large", 50368, 395_881_664),
    ],
)
def test_named_sizes_are_the_published_ones(form, size, vocabulary, numbers):
    architecture = named(form, size, vocabulary)
    one, two = (  # a block more adds the same again: two blocks are traced, not all of them
        sum(map(math.prod, text_shapes(dataclasses.replace(architecture, size=it)).values()))
        for it in (architecture.size._replace(depth=depth) for depth in (1, 2))
    )
    assert one + (architecture.size.depth - 1) * (two - one) == numbers


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown form 'albert' .* 'modernbert'"):
        named("albert", "base", 10)
    with pytest.raises(ValueError, match=r"unknown size 'huge' .*'tiny', 'mini'"):
        named("bert", "huge", 10)


def _drawn(architecture):
    """Parameters that are all random: zero biases would hide what they do."""
    random = np.random.RandomState(1)
    leaves = {
        path: np.float32(path.endswith("scale") + 0.3 * random.randn(*shape))
        for path, shape in text_shapes(architecture).items()
    }
    return traverse_util.unflatten_dict(leaves, sep="/")


@pytest.mark.parametrize("architecture", [BERT, MODERN], ids=["bert", "modernbert"])
def test_packed_texts_give_what_padded_ones_give(architecture):
    """Three texts, a row each or two rows together; once all flags at once, once by blocks."""
    random = np.random.RandomState(2)
    texts = [random.randint(1, 11, length) for length in LENGTHS]
    padded = np.zeros((3, 9), np.int32)
    packed, segment_ids, positions = (np.zeros((2, 11), np.int32) for _ in range(3))
    for row, text in enumerate(texts):
        padded[row, : len(text)] = text
    for row, start, segment, text in ((0, 0, 1, 0), (1, 0, 1, 1), (1, 4, 2, 2)):
        place = slice(start, start + LENGTHS[text])
        packed[row, place], segment_ids[row, place] = texts[text], segment
        positions[row, place] = np.arange(LENGTHS[text])

    def encode(params, *given, attention):
        model = model_of(architecture, attention=attention)
        return model.apply({"params": params}, *given, method="encode")

    params = _drawn(architecture)
    encode = jax.jit(encode, static_argnames="attention")
    is_valid = np.arange(9)[None] < np.array(LENGTHS)[:, None]
    alone = encode(params, padded, is_valid.astype(np.int32), attention="xla")
    together = encode(params, packed, segment_ids, positions, attention="blockwise")
    together = np.concatenate([together[0, :9], together[1, :10]])
    np.testing.assert_allclose(together, np.asarray(alone)[is_valid], atol=1e-5)


def test_positions_turn_pairs_by_their_angles():
    """As complex numbers: x_i + i x_(i + d/2) times exp(i position theta^(-2i/d))."""
    x = np.random.RandomState(3).randn(1, 3, 2, 6)
    positions = np.array([[0, 2, 40]])
    turned = rotate(jnp.float32(x), rotation(jnp.asarray(positions), 6, 100.0))
    for place, head in np.ndindex(3, 2):
        for i in range(3):
            number = complex(x[0, place, head, i], x[0, place, head, i + 3])
            number *= np.exp(1j * positions[0, place] * 100.0 ** (-2 * i / 6))
            found = turned[0, place, head, i], turned[0, place, head, i + 3]
            np.testing.assert_allclose(found, (number.real, number.imag), atol=1e-5)
    with pytest.raises(ValueError, match="heads are 5 wide"):
        rotation(jnp.asarray(positions), 5, 100.0)


def _largest(architecture, attention, length):
    """Numbers in the largest array of a step's program, forward and backward."""
    model = model_of(architecture, attention=attention, remat=True)
    row = jnp.ones((1, length), jnp.int32)
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), row, row, row[:, :1])["params"])

    def loss(params):
        return model.apply({"params": params}, row, row, row[:, :1]).sum()

    found, programs = 0, [jax.make_jaxpr(jax.grad(loss))(params)]
    while programs:
        program = programs.pop()
        for equation in getattr(program, "jaxpr", program).eqns:
            found = max(found, 0, *(math.prod(x.aval.shape) for x in equation.outvars))
            inner = jax.tree.leaves(list(equation.params.values()), is_leaf=_is_program)
            programs += filter(_is_program, inner)
    return found


def _is_program(x):
    return hasattr(x, "eqns") or hasattr(x, "jaxpr")


@pytest.mark.parametrize("architecture", [BERT, MODERN], ids=["bert", "modernbert"])
def test_memory_of_blockwise_attention_grows_with_tokens(architecture):
    if architecture.max_length:
        architecture = dataclasses.replace(architecture, max_length=4096)
    once, twice = (_largest(architecture, "blockwise", length) for length in (2048, 4096))
    assert twice == 2 * once
    assert _largest(architecture, "xla", 2048) >= 2048**2 > once


def test_a_head_of_weight_zero_gives_nothing_and_has_a_gradient():
    model, params = model_of(BERT), _drawn(BERT)
    ids = jnp.arange(1, 6)[None]

    @jax.jit
    def loss_and_gradient(params, head_weights):
        def loss(head_weights):
            given = (ids, jnp.ones_like(ids), ids[:, :2] - 1)
            logits = model.apply({"params": params}, *given, head_weights=head_weights)
            return (logits**2).sum()

        return jax.value_and_grad(loss)(head_weights)

    weights = jnp.ones((2, 2)).at[1, 0].set(0.0)
    without, gradient = loss_and_gradient(params, weights)
    kernel = params["encoder"]["blocks"]["block01"]["attn"]["out"]["kernel"]
    pruned = jax.tree.map(lambda x: x, params)
    rows = np.arange(8)[:, None] >= 4  # those of the second head
    pruned["encoder"]["blocks"]["block01"]["attn"]["out"]["kernel"] = kernel * rows
    np.testing.assert_allclose(loss_and_gradient(pruned, jnp.ones((2, 2)))[0], without, rtol=1e-5)
    whole, _ = loss_and_gradient(params, jnp.ones((2, 2)))
    assert abs(whole - without) > 1e-3 * whole
    assert (abs(gradient) > 0).all()


def test_a_position_beyond_the_table_is_not_a_number():
    """Rather than the last row of the table, silently."""
    encoder = model_of(BERT).encoder.bind({"params": _drawn(BERT)["encoder"]})
    placed = encoder._placed(2, jnp.array([[11, 12]]))
    assert np.isfinite(placed[0, 0]).all()
    assert np.isnan(placed[0, 1]).all()

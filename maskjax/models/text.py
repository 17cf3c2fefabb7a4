"""What a text encoder is, as far as files of weights and their config.json say it; named ones."""

import dataclasses
import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from maskjax.models.architecture import leaf_shapes
from maskjax.models.layers import Style
from maskjax.models.sizes import Kept, Size, text_sizes, transformer_flops
from maskjax.models.tokens import MaskedTokens, TokenEncoder
from maskjax.models.transformer import Transformer
from maskjax.typing import DType

_STD = 0.02  # Devlin et al. 2019, released code, and all that came after
_BERT = Style(norm_first=False, kernel_std=_STD)
_MODERN = Style(has_bias=False, is_gated=True, first_norm=False, kernel_std=_STD)
STYLES = {"bert": _BERT, "roberta": _BERT, "modernbert": _MODERN}
FORMS = tuple(STYLES)
# Width between the layers of the MLP: 4 times the width, but Warner et al. 2024, table 4.
_MODERN_HIDDEN = {"base": 1152, "large": 2624}
_MODERN_SIZES = {"base": Size(768, 22, 12), "large": Size(1024, 28, 16)}


@dataclasses.dataclass(frozen=True)
class TextArchitecture:
    """An encoder of ids with a head that predicts them.

    Attributes:
        form: of `FORMS`: "bert" (Devlin et al. 2019) and "roberta" (Liu et al. 2019), which differ
            in numbers alone, or "modernbert" (Warner et al. 2024).
        num_ids: of the vocabulary.
        size: width, depth and heads; 0 heads where they are not known.
        hidden: width of the MLPs.
        norm_eps: of the LayerNorms.
        max_length: rows of the table of positions; 0 = rotary ones.
        num_types: rows of the table of token types; 0 = no such table.
        theta: base of rotary positions in global blocks; 0 = none.
        local_theta: the same in local blocks.
        window: of local blocks; 0 = all are global.
        global_every: of so many blocks one is global, the first one too.
        pool: what a head of classes reads: the "class" token, the "mean", "each" token; "" where
            the head predicts ids.
        kept: what each block has, where they differ; see `models.sizes.Kept`.
    """

    form: str
    num_ids: int
    size: Size
    hidden: int
    norm_eps: float
    max_length: int = 0
    num_types: int = 0
    theta: float = 0.0
    local_theta: float = 0.0
    window: int = 0
    global_every: int = 1
    pool: str = ""
    kept: Kept = ()


def named(form: str, size: str, num_ids: int, max_length: int = 512) -> TextArchitecture:
    """Make a published architecture.

    BERT's tiny, mini and small are those of Turc et al. 2019 (table 1), base and large those of
    Devlin et al. 2019 (section 3). No paper gives a ModernBERT below base: there it has BERT's
    width, depth and heads, and MLPs of 1.5 times the width as in its base.

    Args:
        form: of `FORMS`.
        size: of `text_sizes`.
        num_ids: of the vocabulary.
        max_length: rows of the table of positions; rotary ones need none.

    Raises:
        ValueError: an unknown form or size.

    >>> named("modernbert", "base", 50368).size
    Size(width=768, depth=22, num_heads=12)
    """
    for what, name, known in (("form", form, FORMS), ("size", size, tuple(text_sizes))):
        if name not in known:
            raise ValueError(f"unknown {what} {name!r} of a text encoder: use one of {known}")
    if form != "modernbert":
        sizes, is_bert = text_sizes[size], form == "bert"
        return TextArchitecture(
            form=form,
            num_ids=num_ids,
            size=sizes,
            hidden=4 * sizes.width,
            norm_eps=1e-12 if is_bert else 1e-5,
            max_length=max_length,
            num_types=2 if is_bert else 1,
        )
    sizes = _MODERN_SIZES.get(size, text_sizes[size])
    return TextArchitecture(
        form=form,
        num_ids=num_ids,
        size=sizes,
        hidden=_MODERN_HIDDEN.get(size, sizes.width * 3 // 2),
        norm_eps=1e-5,
        theta=160_000.0,
        local_theta=10_000.0,
        window=128,
        global_every=3,
    )


def model_of(
    architecture: TextArchitecture,
    *,
    dtype: DType = jnp.float32,
    attention: str = "xla",
    remat: bool = False,
    dropout: float = 0.0,
) -> MaskedTokens:
    """Make the module.

    Args:
        architecture: what it is.
        dtype: compute dtype.
        attention: one of `masking.attention.IMPLEMENTATIONS`.
        remat: recompute each block in the backward pass.
        dropout: of the embeddings and of what each branch adds. BERT drops attention weights too,
            which is not done here.
    """
    it = architecture
    blocks = Transformer(
        depth=it.size.depth,
        num_heads=it.size.num_heads or 1,
        mlp_ratio=it.hidden / it.size.width,
        dtype=dtype,
        attention=attention,
        remat=remat,
        dropout_rate=dropout,
        norm_eps=it.norm_eps,
        has_norm=STYLES[it.form].norm_first,
        style=STYLES[it.form],
        window=it.window,
        global_every=it.global_every,
        kept=it.kept,
    )
    encoder = TokenEncoder(
        num_ids=it.num_ids,
        width=it.size.width,
        blocks=blocks,
        max_length=it.max_length,
        num_types=it.num_types,
        theta=it.theta,
        local_theta=it.local_theta,
        dropout_rate=dropout,
        dtype=dtype,
        norm_eps=it.norm_eps,
    )
    return MaskedTokens(encoder, it.num_ids, dtype)


@functools.cache  # tracing a model takes a second
def text_shapes(architecture: TextArchitecture) -> Mapping[str, tuple[int, ...]]:
    """List the parameters of an encoder and its head: {path: shape}."""
    row = jnp.ones((1, 1), jnp.int32)
    model = model_of(architecture)
    draw = lambda: model.init(jax.random.key(0), row, row, row - 1)["params"]  # noqa: E731
    return leaf_shapes(jax.eval_shape(draw))


def text_flops(architecture: TextArchitecture, length: int, num_places: int) -> float:
    """Matrix-product FLOPs of forward and backward, 3 x forward, for one row.

    In a local block a query meets the keys of three tiles (`masking.attention.attend`, side).

    Args:
        architecture: what the model is.
        length: positions of the row.
        num_places: positions that the head scores.

    >>> tiny = named("bert", "tiny", 10)
    >>> text_flops(tiny, 3, 1) == 3 * (2 * 3 * (24 * 128**2 + 4 * 3 * 128) + 2 * 128 * (128 + 10))
    True
    """
    it = architecture
    blocks, width = model_of(it).encoder.blocks, it.size.width
    third = 1.5 if blocks.style.is_gated else 1.0  # a gate is one more map of the MLP's two
    kept = [(heads, third * hidden) for heads, hidden in it.kept]
    inner = [heads * (width // it.size.num_heads) for heads, _ in kept] or [width] * it.size.depth
    local_width = sum(a for i, a in enumerate(inner) if blocks.is_local(i))
    saved = 4.0 * max(length - 3 * (it.window // 2), 0) * length * local_width
    head = num_places * 2.0 * width * (width + it.num_ids)
    whole = transformer_flops(it.size, length, third * it.hidden / width, kept)
    return 3.0 * (whole - saved + head)

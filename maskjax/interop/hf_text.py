"""Hugging Face transformers: the names that BERT, RoBERTa and ModernBERT give their tensors.

Versions 4 and 5 write the same names. Older files have gamma and beta for the numbers of a
LayerNorm, the output layer's table a second time, and lists of positions.
"""

import re
from collections.abc import Mapping

import numpy as np

from maskjax.interop.dialect import Dialect

MARKS = ("embeddings.word_embeddings.weight", "embeddings.tok_embeddings.weight")
STACK = "encoder/blocks"
_BLOCK = {
    "attn/query": "attention.self.query",
    "attn/key": "attention.self.key",
    "attn/value": "attention.self.value",
    "attn/out": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "mlp/fc1": "intermediate.dense",
    "mlp/fc2": "output.dense",
    "norm2": "output.LayerNorm",
}
_TABLES = {
    "encoder/table": "embeddings.word_embeddings.weight",
    "encoder/positions": "embeddings.position_embeddings.weight",
    "encoder/types": "embeddings.token_type_embeddings.weight",
    "encoder/norm": "embeddings.LayerNorm",
    "pooler": "pooler.dense",
}
_BERT_HEAD = {
    "dense": "cls.predictions.transform.dense",
    "norm": "cls.predictions.transform.LayerNorm",
    "bias": "cls.predictions.bias",
    "next_sentence": "cls.seq_relationship",
}
_ROBERTA_HEAD = {"dense": "lm_head.dense", "norm": "lm_head.layer_norm", "bias": "lm_head.bias"}
_MODERN_BLOCK = {
    "norm1": "attn_norm",
    "attn/qkv": "attn.Wqkv",
    "attn/out": "attn.Wo",
    "norm2": "mlp_norm",
    "mlp/fc1_gate": "mlp.Wi",
    "mlp/fc2": "mlp.Wo",
}
_MODERN_TOPS = {
    "encoder/table": "embeddings.tok_embeddings.weight",
    "encoder/norm": "embeddings.norm",
    "encoder/blocks/norm": "final_norm",
}
_MODERN_HEAD = {"dense": "head.dense", "norm": "head.norm", "bias": "decoder.bias"}
# The output layer, which is the table of embeddings, and its bias once more.
_TIED = re.compile(r"(cls\.predictions\.|lm_head\.)?decoder\.weight$")
_TWICE = re.compile(r"(cls\.predictions|lm_head)\.decoder\.bias$")
_LISTS = re.compile(r"embeddings\.(position_ids|token_type_ids)$")


def _dialect(
    prefix: str,
    tops: Mapping[str, str],
    head: Mapping[str, str],
    stack: str,
    block: Mapping[str, str],
    has_bias: bool,
) -> Dialect:
    named = {path: f"{prefix}{name}" for path, name in tops.items()}
    return Dialect(
        {**named, **(head if prefix else {})}, {STACK: f"{prefix}{stack}"}, block, has_bias
    )


# By form: with a head, then the encoder alone.
DIALECTS = {
    form: tuple(
        _dialect(each, tops, head, stack, block, form != "modernbert") for each in (prefix, "")
    )
    for form, prefix, tops, head, stack, block in (
        ("bert", "bert.", _TABLES, _BERT_HEAD, "encoder.layer", _BLOCK),
        ("roberta", "roberta.", _TABLES, _ROBERTA_HEAD, "encoder.layer", _BLOCK),
        ("modernbert", "model.", _MODERN_TOPS, _MODERN_HEAD, "layers", _MODERN_BLOCK),
    )
}


def is_text(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether tensors are those of a text encoder."""
    return any(name.endswith(MARKS) for name in arrays)


def cleaned(arrays: Mapping[str, np.ndarray], place: str) -> dict[str, np.ndarray]:
    """Give tensors today's names, and leave out what is there twice.

    Raises:
        ValueError: an output layer that is not the table of embeddings.
    """
    found, twice = {}, {}
    for name, array in arrays.items():
        name = re.sub(r"LayerNorm\.gamma$", "LayerNorm.weight", name)
        name = re.sub(r"LayerNorm\.beta$", "LayerNorm.bias", name)
        if _TIED.match(name) or _TWICE.match(name):
            twice[name] = array
        elif not _LISTS.search(name):
            found[name] = array
    (table,) = (array for name, array in found.items() if name.endswith(MARKS))
    for name, array in twice.items():
        once = table if _TIED.match(name) else found.get(name.replace(".decoder.", "."))
        if once is None or not np.array_equal(once, array):
            raise ValueError(
                f"{place} has an output layer of its own, {name!r}, where maskjax's is the table "
                "of embeddings: give weights with tie_word_embeddings"
            )
    return found

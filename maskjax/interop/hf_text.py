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
_BERT_IDS = {
    "dense": "cls.predictions.transform.dense",
    "norm": "cls.predictions.transform.LayerNorm",
    "bias": "cls.predictions.bias",
    "next_sentence": "cls.seq_relationship",
}
_ROBERTA_IDS = {"dense": "lm_head.dense", "norm": "lm_head.layer_norm", "bias": "lm_head.bias"}
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
_MODERN_IDS = {"dense": "head.dense", "norm": "head.norm", "bias": "decoder.bias"}
_MODERN_CLASSES = {
    "head/dense": "head.dense",
    "head/norm": "head.norm",
    "head": "classifier",
    "head/bias": "classifier.bias",
}
# Of heads that a file may be read by the first is taken: a BERT's pooler is then a pooler.
_BERT_HEADS = {
    "ids": _BERT_IDS,
    "labels": {"head": "classifier"},
    "classes": {"head/dense": "bert.pooler.dense", "head": "classifier"},
}
_ROBERTA_HEADS = {
    "ids": _ROBERTA_IDS,
    "labels": {"head": "classifier"},
    "classes": {"head/dense": "classifier.dense", "head": "classifier.out_proj"},
}
_MODERN_HEADS = {"ids": _MODERN_IDS, "labels": _MODERN_CLASSES, "classes": _MODERN_CLASSES}
# The output layer, which is the table of embeddings, and its bias once more.
_TIED = re.compile(r"(cls\.predictions\.|lm_head\.)?decoder\.weight$")
_TWICE = re.compile(r"(cls\.predictions|lm_head)\.decoder\.bias$")
_LISTS = re.compile(r"embeddings\.(position_ids|token_type_ids)$")


# By form, and by what the head says: ids of hidden tokens, labels of tokens, classes of texts; ""
# is the encoder alone.
DIALECTS = {
    form: {
        kind: Dialect(
            {path: f"{prefix if kind else ''}{name}" for path, name in tops.items()} | head,
            {STACK: f"{prefix if kind else ''}{stack}"},
            block,
            form != "modernbert",
        )
        for kind, head in {**heads, "": {}}.items()
    }
    for form, prefix, tops, heads, stack, block in (
        ("bert", "bert.", _TABLES, _BERT_HEADS, "encoder.layer", _BLOCK),
        ("roberta", "roberta.", _TABLES, _ROBERTA_HEADS, "encoder.layer", _BLOCK),
        ("modernbert", "model.", _MODERN_TOPS, _MODERN_HEADS, "layers", _MODERN_BLOCK),
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

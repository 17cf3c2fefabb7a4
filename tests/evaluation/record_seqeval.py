"""Records the numbers of seqeval.json.

    pip install seqeval && python tests/evaluation/record_seqeval.py

Recorded with seqeval 1.2.2. Random tags, among them an I behind O, behind another type and at the
beginning, texts without any entity, and a type that is only ever predicted.
"""

import json
import random
from pathlib import Path

from seqeval import metrics

TAGS = ("O", "O", "O", "B-PER", "I-PER", "B-LOC", "I-LOC", "I-ORG")
KINDS = ("micro", "macro", "weighted")


def case(seed, share, extra=()):
    """True and predicted tags that agree on a share of the words, and what seqeval says of them."""
    rng = random.Random(seed)
    true = [[rng.choice(TAGS) for _ in range(rng.randint(1, 9))] for _ in range(12)]
    said = [[x if rng.random() < share else rng.choice(TAGS + extra) for x in row] for row in true]
    numbers = {"accuracy": metrics.accuracy_score(true, said)}
    for name in ("precision", "recall", "f1"):
        score = getattr(metrics, f"{name}_score")
        for kind in KINDS:
            ending = "" if kind == "micro" else f"_{kind}"
            numbers[name + ending] = float(score(true, said, average=kind, zero_division=0))
    report = metrics.classification_report(true, said, output_dict=True, zero_division=0)
    types = {name: x for name, x in report.items() if " avg" not in name}
    per_type = {
        name: [float(x["precision"]), float(x["recall"]), float(x["f1-score"]), int(x["support"])]
        for name, x in types.items()
    }
    return {"true": true, "said": said, "numbers": numbers, "per_type": per_type}


def main() -> None:
    """Writes the file."""
    cases = [case(0, 0.8), case(1, 0.3, ("B-MISC", "I-MISC")), case(2, 1.0)]
    path = Path(__file__).with_name("seqeval.json")
    path.write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()

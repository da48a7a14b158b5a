"""Make `src/fastsoftmax/data/digits.npz`, the real logits that `python -m fastsoftmax demo` shows.

The handwritten digits that scikit-learn ships (1,797 images of 8 x 8 pixels) are divided in two
halves, every class evenly. Multinomial logistic regression is trained on one half; the logits are
its decision function on all of them.

    logits    (1797, 10) float32   in the order of sklearn.datasets.load_digits
    labels    (1797,) uint8        the digit that was written
    held_out  (1797,) bool         whether the training did not see it
    examples  (3,) int             three held-out digits: the most certain one, the least certain
                                   among those the classifier gets right, and the most certain
                                   among those it gets wrong
    images    (3, 8, 8) uint8      their pixels, 0 to 16

Run it with scikit-learn installed: `python tools/make_digits.py`.
"""

from pathlib import Path

import numpy as np
import sklearn
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

TARGET = Path(__file__).parents[1] / "src" / "fastsoftmax" / "data" / "digits.npz"
WHITE = 16
SEED = 0


def main():
    pixels, labels = load_digits(return_X_y=True)
    training, rest = train_test_split(
        np.arange(len(labels)), test_size=0.5, stratify=labels, random_state=SEED
    )
    classifier = LogisticRegression(max_iter=1000).fit(pixels[training] / WHITE, labels[training])
    logits = classifier.decision_function(pixels / WHITE).astype(np.float32)
    examples = choose_examples(logits, labels, np.sort(rest))
    TARGET.parent.mkdir(exist_ok=True)
    np.savez_compressed(
        TARGET,
        logits=logits,
        labels=labels.astype(np.uint8),
        held_out=np.isin(np.arange(len(labels)), rest),
        examples=examples,
        images=pixels[examples].reshape(-1, 8, 8).astype(np.uint8),
    )
    score = np.mean(logits[rest].argmax(axis=1) == labels[rest])
    print(f"{TARGET}: {TARGET.stat().st_size} bytes, held-out accuracy {score:.4f}")
    print(f"scikit-learn {sklearn.__version__}, NumPy {np.__version__}")


def choose_examples(logits, labels, candidates):
    """Indices of the surest digit, the least sure right one and the surest wrong one."""
    ordered = np.sort(logits[candidates], axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    right = logits[candidates].argmax(axis=1) == labels[candidates]
    chosen = (
        np.argmax(margin),
        np.argmin(np.where(right, margin, np.inf)),
        np.argmax(np.where(right, -np.inf, margin)),
    )
    return candidates[np.array(chosen)]


if __name__ == "__main__":
    main()

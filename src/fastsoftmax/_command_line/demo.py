"""`demo`: handwritten digits, from a classifier's logits to probabilities.

(a) The logits, labels and three images are real and come with the package; `tools/make_digits.py`
    in the source tree made them.
(b) Times are taken in turns, one call of each, so that whatever else the machine does falls on both
    alike; medians are printed.
"""

import argparse
import time
from collections.abc import Callable
from importlib.resources import files
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastsoftmax

DIGITS = files("fastsoftmax").joinpath("data", "digits.npz")
SHADES = " .:-=+*#%@"
WHITE = 16  # the brightest pixel of the images
REPETITIONS = 300


def add_to(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser("demo", help="probabilities of real handwritten digits")
    parser.set_defaults(run=run)


def run(command: argparse.Namespace) -> None:
    """Print digits with their probabilities, how good the classifier is, and the time it took."""
    with DIGITS.open("rb") as file, np.load(file) as data:
        logits, labels, held_out = data["logits"], data["labels"], data["held_out"]
        examples, images = data["examples"], data["images"]
    probabilities = fastsoftmax.softmax(logits, axis=-1)
    for example, image in zip(examples, images, strict=True):
        print(f"Digit {example}, labelled {labels[example]}")
        print(picture(image, probabilities[example]), end="\n\n")
    print_quality(f"{len(labels):,} digits", logits, labels)
    title = f"{held_out.sum()} of them, held out of the training"
    print_quality(title, logits[held_out], labels[held_out])
    print_times(logits)


def picture(image: NDArray[Any], probabilities: NDArray[Any]) -> str:
    """An image of 8 x 8 pixels and, beside it, the most probable digits."""
    best = np.argsort(-probabilities, kind="stable")[: len(image)]
    lines = []
    for pixels, digit in zip(image, best, strict=True):
        shades = "".join(2 * SHADES[pixel * (len(SHADES) - 1) // WHITE] for pixel in pixels)
        bar = "#" * round(30 * float(probabilities[digit]))
        lines.append(f"  {shades}   {digit}  {probabilities[digit]:9.3g}  {bar}".rstrip())
    return "\n".join(lines)


def print_quality(title: str, logits: NDArray[Any], labels: NDArray[Any]) -> None:
    """Print accuracy and mean log-loss."""
    accuracy = np.mean(logits.argmax(axis=-1) == labels)
    log_probabilities = fastsoftmax.log_softmax(logits, axis=-1)
    log_loss = -np.mean(log_probabilities[np.arange(len(labels)), labels], dtype=np.float64)
    print(f"{title}: accuracy {accuracy:.2%}, mean log-loss {log_loss:.4f}")


def print_times(logits: NDArray[Any]) -> None:
    """Print the time of softmax beside the NumPy formula's."""
    ours, formula = interleaved_medians(
        lambda: fastsoftmax.softmax(logits, axis=-1), lambda: numpy_formula(logits)
    )
    rows, classes = logits.shape
    print(
        f"\nsoftmax of {rows:,} rows of {classes}, {logits.dtype}, median of {REPETITIONS} calls:"
    )
    print(f"  fastsoftmax    {1e6 * ours:8.1f} microseconds")
    print(f"  NumPy formula  {1e6 * formula:8.1f} microseconds, {formula / ours:.1f} times as long")


def numpy_formula(logits: NDArray[Any]) -> NDArray[Any]:
    """Softmax of the last axis as it is usually written."""
    terms = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: NDArray[Any] = terms / terms.sum(axis=-1, keepdims=True)
    return probabilities


def interleaved_medians(*functions: Callable[[], object]) -> list[float]:
    """Median seconds of each function, all called in turns."""
    seconds: list[list[float]] = [[] for _ in functions]
    for _ in range(REPETITIONS):
        for function, taken in zip(functions, seconds, strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return [median(taken) for taken in seconds]

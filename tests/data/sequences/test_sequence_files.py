"""Test the readers of labelled sequences: every form gives the same, and what is wrong is one line with its place."""

import numpy as np
import pytest

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.sequences.sequence_files import read_sequences
from tests.data.sequences.test_labelled import words

TEXTS, LABELS = words(12)
LENGTHS = np.array([len(text) for text in TEXTS])
FLAT = np.array(list("".join(TEXTS)))


def decoded(raw):
    ends = raw.lengths.cumsum()
    return ["".join(raw.symbols[code] for code in part) for part in np.split(raw.values, ends[:-1])], raw.labels


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("tokens", ["characters", "words"])
def test_texts_give_the_same_in_every_form(tmp_path, separator, tokens):
    shown = TEXTS if tokens == "characters" else [" ".join(text) for text in TEXTS]
    pairs = list(zip(LABELS, shown, strict=True))
    lines = write(tmp_path / "a.txt", "\ufeff" + "\r\n".join(f"{label}\t{text}" for label, text in pairs) + "\n\n")
    header = f"sequence{separator}label\n"
    table = write(tmp_path / "a.csv", header + "".join(f"{text}{separator}{label}\n" for label, text in pairs))
    rows = [
        separator.join([f"n{i}", str(t), symbol, label])
        for i, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True))
        for t, symbol in reversed(list(enumerate(text)))
    ]
    steps = write(tmp_path / "steps.csv", separator.join(["id", "step", "symbol", "label"]) + "\n" + "\n".join(rows))
    assert all(decoded(read_sequences(path, tokens)) == (TEXTS, LABELS) for path in (lines, table, steps))


def test_arrays_give_the_same_in_every_form(tmp_path):
    padded = np.full((12, LENGTHS.max()), "?")
    padded[np.arange(LENGTHS.max()) < LENGTHS[:, None]] = FLAT
    offsets = np.concatenate([[0], LENGTHS.cumsum()])
    splits = np.array(["train", "val", "test"] * 4)
    forms = {
        "padded": {"tokens": padded, "lengths": LENGTHS, "split": splits},
        "flat": {"tokens": FLAT, "lengths": LENGTHS},
        "offsets": {"sequences": FLAT, "offsets": offsets},
    }
    for name, arrays in forms.items():
        np.savez(tmp_path / f"{name}.npz", labels=np.array(LABELS), **arrays)
        raw = read_sequences(tmp_path / f"{name}.npz", "characters")
        assert decoded(raw) == (TEXTS, LABELS) and raw.splits == (splits.tolist() if name == "padded" else None)


def test_real_vectors_give_the_same_in_every_form(tmp_path):
    values = np.round(np.random.default_rng(0).normal(size=(LENGTHS.sum(), 2)), 3)
    np.savez(tmp_path / "a.npz", sequences=values, lengths=LENGTHS, labels=LABELS, offsets=[0])
    with pytest.raises(UserError, match="has lengths and offsets; allowed: one of them"):
        read_sequences(tmp_path / "a.npz", "numbers")
    np.savez(tmp_path / "a.npz", sequences=values, labels=LABELS, offsets=np.concatenate([[0], LENGTHS.cumsum()]))
    owner = np.repeat(np.arange(12), LENGTHS)
    rows = [f"{i},{x},{y},{LABELS[i]}" for i, (x, y) in zip(owner, values, strict=True)]
    write(tmp_path / "a.csv", "id,x,y,label\n" + "\n".join(rows))
    one, other = (read_sequences(tmp_path / name, "characters") for name in ("a.npz", "a.csv"))
    assert one.symbols is None and np.array_equal(one.values, values.astype(np.float32))
    assert np.array_equal(one.values, other.values) and np.array_equal(one.lengths, other.lengths)
    lines = [f"{LABELS[i]}\t{' '.join(map(str, values[owner == i, 0]))}" for i in range(12)]
    third = read_sequences(write(tmp_path / "a.txt", "\n".join(lines)), "numbers")
    assert np.array_equal(third.values[:, 0], one.values[:, 0]) and third.labels == one.labels


def test_a_directory_has_a_file_for_each_split(tmp_path):
    pairs = list(zip(LABELS, TEXTS, strict=True))
    for name, part in (("train", pairs[:8]), ("test", pairs[8:])):
        write(tmp_path / f"{name}.txt", "\n".join(f"{label}\t{text}" for label, text in part))
    raw = read_sequences(tmp_path, "characters")
    assert decoded(raw) == (TEXTS, LABELS) and raw.splits == ["train"] * 8 + ["test"] * 4
    write(tmp_path / "test.csv", "label,sequence\n0,A\n")
    with pytest.raises(UserError, match="has test.csv and test.txt; allowed: one of them"):
        read_sequences(tmp_path, "characters")
    (tmp_path / "test.csv").unlink()
    (tmp_path / "train.txt").unlink()
    with pytest.raises(UserError, match="has no training file; allowed: train.npz, train.csv"):
        read_sequences(tmp_path, "characters")


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.txt", "0\tAB\n1 AB\n", r"a.txt:2: '1 AB' has no label and tab; allowed: LABEL, a tab, the sequence"),
        ("a.txt", "0\tAB\n\n1\t\n", "a.txt:3: the sequence is empty"),
        ("a.csv", "label,text\n0,AB\n", "a.csv:1: has the columns label, text; allowed: label and sequence, or id"),
        ("a.csv", "label,sequence,note\n0,AB,x\n", "a.csv:1: has a column note; allowed beside sequence: label, split"),
        ("a.csv", "label,sequence\n0,AB\n1\n", "a.csv:3: 1 cells; allowed: 2, label, sequence"),
        ("a.csv", "label,label\n0,AB\n", "a.csv:1: has two columns label"),
        ("a.csv", "id,label,x\na,0,1\na,1,2\n", "a.csv:3: id a has another label or split before"),
        ("a.csv", "id,label,x\na,0,one\n", "a.csv:2: 'one'; allowed with numbers: a number"),
        ("a.csv", "id,label,step,x\na,0,1,2\na,0,1,3\n", "id a has a step twice; allowed: each step once"),
        ("a.csv", "label,sequence\n", "has no sequences; allowed: one or more"),
        ("a.npz", "0\tAB\n", "is no whole .npz file; allowed: plain arrays"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(tmp_path, name, text, says):
    with pytest.raises(UserError, match=says) as error:
        read_sequences(write(tmp_path / name, text), "characters")
    assert "\n" not in str(error.value)


def test_pickled_objects_and_single_words_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", tokens=np.array([[1], [1, 2]], object), labels=[0, 1])
    with pytest.raises(UserError, match="has pickled objects; allowed: plain arrays, as np.savez writes them"):
        read_sequences(tmp_path / "a.npz", "characters")
    with pytest.raises(UserError, match="each sequence of .* is a single word; fix: data.tokens=characters"):
        read_sequences(write(tmp_path / "a.txt", "0\tAB\n1\tB\n"), "words")

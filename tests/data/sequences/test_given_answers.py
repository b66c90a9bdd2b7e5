"""Test given sequences with numbers or with targets at marked steps: readers, messages, module, and a run."""

import numpy as np
import pytest
import torch

from lightning_dl2 import LabelledSequenceDataModule, compose, evaluate, predict, train
from lightning_dl2.common.errors import UserError
from lightning_dl2.data.sequences.sequence_files import read_sequences
from lightning_dl2.decoding.vocabulary import NOT_COUNTED
from tests.conftest import TINY
from tests.data.sequences.test_labelled import placed
from tests.data.sequences.test_sequence_files import write


def reversals(count=40, seed=0):
    """Return strings with as many dots behind them, and their reversals as targets at the dots."""
    rng = np.random.default_rng(seed)
    texts = ["".join(rng.choice(["a", "b"], size=rng.integers(2, 6))) for _ in range(count)]
    return [text + "." * len(text) for text in texts], ["_" * len(text) + text[::-1] for text in texts]


TEXTS, TARGETS = reversals()
LENGTHS = np.array([len(text) for text in TEXTS])


def small(*given, **options):
    return LabelledSequenceDataModule(*given, **{"batch_size": 8, "evaluation_batch_size": 5} | options)


def test_marked_targets_are_the_same_in_every_form(tmp_path):
    pairs = list(zip(TARGETS, TEXTS, strict=True))
    table = write(tmp_path / "a.csv", "label,sequence\n" + "".join(f"{label},{text}\n" for label, text in pairs))
    lines = write(tmp_path / "a.txt", "".join(f"{label}\t{text}\n" for label, text in pairs))
    spaced = write(tmp_path / "b.txt", "".join(f"{' '.join(label)}\t{' '.join(text)}\n" for label, text in pairs))
    rows = [
        f"n{number},{symbol},{'' if label == '_' else label}\n"
        for number, pair in enumerate(pairs)
        for label, symbol in zip(*pair, strict=True)
    ]
    steps = write(tmp_path / "steps.csv", "id,symbol,label\n" + "".join(rows))
    flat = [np.array(list("".join(parts))) for parts in (TEXTS, TARGETS)]
    np.savez(tmp_path / "flat.npz", tokens=flat[0], labels=flat[1], lengths=LENGTHS)
    inside = np.arange(LENGTHS.max()) < LENGTHS[:, None]
    tokens, targets = np.zeros(inside.shape, int), np.full(inside.shape, NOT_COUNTED)
    tokens[inside] = ["ab.".index(symbol) for symbol in flat[0]]
    targets[inside] = [NOT_COUNTED if symbol == "_" else "ab".index(symbol) for symbol in flat[1]]
    np.savez(tmp_path / "padded.npz", tokens=tokens, labels=targets, lengths=LENGTHS)
    found = [read_sequences(path, "characters", "marked") for path in (table, lines, steps, tmp_path / "flat.npz")]
    found.append(read_sequences(spaced, "words", "marked"))
    assert all("".join(raw.labels) == "".join(TARGETS) and (raw.lengths == LENGTHS).all() for raw in found)
    numbered = read_sequences(tmp_path / "padded.npz", "characters", "marked")
    assert "".join("_" if label == "_" else "ab"[int(label)] for label in numbered.labels) == "".join(TARGETS)
    one, other = (LabelledSequenceDataModule.from_file(path, answer="marked") for path in (table, lines))
    assert one.spec == other.spec and small(TEXTS, TARGETS, answer="marked").spec["digest"] == one.spec["digest"]


def test_a_batch_has_the_targets_of_its_steps_and_no_marks_in_padding():
    data = small(TEXTS, TARGETS, answer="marked")
    batch = data.train_batch(3)
    for row, number in zip(batch.labels.tolist(), batch.ids.tolist(), strict=True):
        shown = "".join("_" if target == NOT_COUNTED else data.class_names[target] for target in row)
        assert shown == TARGETS[number].ljust(len(row), "_")
    assert data.class_names == ["a", "b"] and data.spec["vocabulary"] == [".", "a", "b"]
    train = "".join(TARGETS[number] for number in data.set.splits["train"]).replace("_", "")
    assert data.spec["class_shares"][0] == pytest.approx(train.count("a") / len(train))
    parts = [placed(small(TEXTS, TARGETS, answer="marked", batch_size=4), rank, 2).train_batch(3) for rank in (0, 1)]
    counts = [(part.labels != NOT_COUNTED).sum().item() for part in parts]
    assert [part.weight for part in parts] == pytest.approx([2 * count / sum(counts) for count in counts])


def test_numbers_are_targets_with_constant_answers():
    numbers = [1000.0 + 10 * len(text) for text in TEXTS]
    data = small(TEXTS, numbers, answer="number")
    batch = data.train_batch(0)
    assert batch.labels.dtype == torch.float32 and data.class_names == []
    assert batch.labels.tolist() == [numbers[number] for number in batch.ids.tolist()]
    train = [numbers[number] for number in data.set.splits["train"]]
    assert data.spec["target_mean"] == pytest.approx(np.mean(train), rel=1e-5)
    assert data.spec["target_scale"] == pytest.approx(np.std(train), rel=1e-4)
    assert set(data.baselines()) == {"mean_baseline", "median_baseline"}


def test_the_test_measures_the_accuracy_at_lengths():
    splits = ["train" if len(text) <= 6 else "test" for text in TEXTS]
    splits[0] = "val"
    data = small(TEXTS, TARGETS, answer="marked", splits=splits, test_lengths=[8, 10])
    assert data.spec["test_lengths"] == [8, 10] and data.spec["longest_length"] == 6
    measured = [batch for batch in data.test_dataloader() if batch.measured_at is not None]
    for at in (8, 10):
        rows = [number for batch in measured if batch.measured_at == at for number in batch.ids.tolist()]
        assert sorted(rows) == [i for i, text in enumerate(TEXTS) if len(text) == at and splits[i] == "test"]
    with pytest.raises(UserError, match=r"test_lengths=\[7\]: .* no test sequence of 7 steps; allowed: lengths of"):
        small(TEXTS, TARGETS, answer="marked", splits=splits, test_lengths=[7])


@pytest.mark.parametrize(
    ("name", "text", "answer", "says"),
    [
        ("a.txt", "_b\tab\n_a\tabb\n", "marked", "a.txt:2: 3 steps, but 2 targets; allowed: one for each step, _"),
        ("a.txt", "_b\tab\n__\tab\n", "marked", "a.txt:2: has no target; allowed: one or more in each"),
        ("a.csv", "id,symbol,label\n0,a,b\n1,a,\n", "marked", "sequence 1 has no target; allowed: one or more"),
        ("a.txt", "_b\tab\n_b\taa\n", "marked", "all targets are 'b'; allowed: two symbols or more"),
        ("a.txt", "1.5\tab\nten\tab\n", "number", "a.txt:2: 'ten'; allowed as a target: a number"),
        ("a.txt", "1.5\tab\nnan\tab\n", "number", "the target of sequence 1 is 'nan'; allowed: a finite number"),
        ("a.txt", "2\tab\n2.0\tab\n", "number", "all targets are 2; allowed: two numbers or more"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, name, text, answer, says):
    with pytest.raises(UserError, match=says) as error:
        read_sequences(write(tmp_path / name, text), "characters", answer)
    assert "\n" not in str(error.value)


def test_targets_of_arrays_that_do_not_fit_are_one_line(tmp_path):
    np.savez(tmp_path / "a.npz", tokens=np.zeros((2, 3), int), labels=np.zeros((2, 2), int))
    with pytest.raises(UserError, match=r"targets are \[2, 2\]; allowed: one for each step, \[2, 3\]"):
        read_sequences(tmp_path / "a.npz", "characters", "marked")
    np.savez(tmp_path / "a.npz", tokens=np.zeros(4, int), labels=np.zeros(3, int), lengths=[2, 2])
    with pytest.raises(UserError, match="has 4 steps, but 3 targets; allowed: one for each"):
        read_sequences(tmp_path / "a.npz", "characters", "marked")
    with pytest.raises(UserError, match="labels: are not as long as the sequences"):
        small(["ab", "ab"], ["_a", "b"], answer="marked")


def flare(directory, **sets):
    """Write a language of FLaRe: strings of each set, of which those that begin with a are members."""
    for name, strings in {".": ["a b", "", "b", "a"], "datasets/validation-short": ["a", "b b"], **sets}.items():
        (directory / name).mkdir(parents=True, exist_ok=True)
        write(directory / name / "main.tok", "".join(f"{string}\n" for string in strings))
        write(directory / name / "labels.txt", "".join(f"{int(string[:1] == 'a')}\n" for string in strings))
    return directory


def test_a_language_of_flare_is_read_with_its_own_splits(tmp_path):
    path = flare(tmp_path, **{"datasets/test": ["a a a", "b"], "datasets/validation-long": ["a"]})
    raw = read_sequences(path, "characters")
    ends = raw.lengths.cumsum()[:-1]
    shown = [[raw.symbols[code] for code in part] for part in np.split(raw.values, ends)]
    assert shown[:2] == [["a", "b", "<end>"], ["<end>"]] and shown[6] == ["a", "a", "a", "<end>"]
    assert raw.labels == ["1", "0", "0", "1", "1", "0", "1", "0"]
    assert raw.splits == ["train"] * 4 + ["val"] * 2 + ["test"] * 2
    note = LabelledSequenceDataModule.from_file(path).note
    assert "<end> is read behind each string; not read: datasets/validation-long" in note
    for damage, says in (
        (lambda: write(path / "labels.txt", "1\n0\n"), "labels.txt: has 2 lines, but main.tok 4; allowed: one for"),
        (lambda: write(path / "labels.txt", "1\n0\n2\n1\n"), "labels.txt:3: '2'; allowed: 0 or 1"),
        (lambda: (path / "labels.txt").unlink(), "labels.txt is missing; allowed: main.tok and labels.txt of each set"),
    ):
        damage()
        with pytest.raises(UserError, match=says):
            read_sequences(path, "characters")
    with pytest.raises(UserError, match="data.answer=marked: .* has a label for each string; allowed: label"):
        read_sequences(path, "characters", "marked")


@pytest.mark.slow
def test_the_task_follows_from_the_answer():
    words = ("experiment=sequence_file", "data.path=a.csv")
    for answer, task in (("marked", "sequence_transducer"), ("number", "sequence_regressor")):
        with pytest.raises(UserError, match=f"task=sequence_classifier: allowed with .*task={task}"):
            compose(*words, f"data.answer={answer}")
        assert compose(*words, f"data.answer={answer}", f"task={task}").task.name == task


@pytest.mark.slow
def test_a_run_on_marked_targets_is_evaluated_and_predicts(tmp_path):
    splits = ["test" if len(text) > 6 else "val" if item % 4 == 0 else "train" for item, text in enumerate(TEXTS)]
    rows = zip(TARGETS, TEXTS, splits, strict=True)
    write(tmp_path / "a.csv", "label,sequence,split\n" + "".join(",".join(row) + "\n" for row in rows))
    tiny = [word for word in TINY if not word.startswith("data.")]
    words = [*tiny, "experiment=sequence_file", f"data.path={tmp_path}/a.csv", "data.answer=marked"]
    words += ["data.test_lengths=[8,10]", "task=sequence_transducer", f"root={tmp_path}/runs", "trainer.max_steps=3"]
    run = train(compose(*words, "trainer.val_check_interval=1"))[1]["run"]
    metrics = run.result()["metrics"]
    assert evaluate(run) == {name: value for name, value in metrics.items() if name.startswith("test/")}
    assert metrics["test/accuracy_beyond"] == pytest.approx(
        (metrics["test/accuracy_at_8"] + metrics["test/accuracy_at_10"]) / 2
    )
    found = predict(run)
    assert all(row["target"].replace(" ", "") == TARGETS[int(row["id"])].replace("_", "") for row in found)
    pairs = [pair for row in found for pair in zip(row["target"].split(), row["prediction"].split(), strict=True)]
    assert sum(one == other for one, other in pairs) / len(pairs) == pytest.approx(metrics["test/accuracy"])

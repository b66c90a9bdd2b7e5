"""Test that a text generator reads and writes the tokens of a class of the user's own."""

import math

import pytest

from lightning_dl2 import UserError, evaluate, train
from lightning_dl2.data.text import encodings, token_file
from lightning_dl2.inference.generate import generate
from lightning_dl2.nets.own_vocabulary import build_vocabulary, fit_vocabulary
from lightning_dl2.run.directory import Run
from tests.small import small_text, small_writer

TEXT = "The cat sat.\nThe caf\u00e9 \u2615 is shut!\r\n" * 20
PATHS = {name: f"tests.words.{name}" for name in ("Words", "Pairs", "Forgetful", "OutOfRange", "NoDecode", "Fails")}


@pytest.mark.parametrize("name", ["Words", "Pairs"])
@pytest.mark.parametrize("chunk", [7, 1 << 20])
def test_ids_are_those_of_the_lines_and_come_from_the_cache(tmp_path, monkeypatch, name, chunk):
    for module in (encodings, token_file):
        monkeypatch.setattr(module, "CHUNK", chunk if module is encodings else 1 << 20)
    data, text = small_text(tmp_path / "book.txt", TEXT, tokens=PATHS[name]), TEXT.replace("\r", "")
    whole = [*data.splits["train"].tolist(), *data.splits["val"].tolist()]
    assert data.vocabulary.decode(whole) == text and whole == data.vocabulary.encode(text)
    monkeypatch.setattr(token_file, "_write", None)
    again = small_text(tmp_path / "book.txt", tokens=PATHS[name])
    assert again.spec == data.spec and len(again.vocabulary) == data.spec["vocabulary_size"]
    assert again.vocabulary.unit == "bits_per_token" == small_writer(again).unit
    assert {key.partition("_xz")[0] for key in again.baselines() if "xz" in key} == {"bits_per_token"}


def test_other_code_makes_other_tokens(tmp_path, monkeypatch):
    first = small_text(tmp_path / "book.txt", TEXT, tokens=PATHS["Pairs"])
    monkeypatch.setattr(token_file, "file_digest", lambda path: "other")
    second = small_text(tmp_path / "book.txt", tokens=PATHS["Pairs"])
    assert first.text.tokens.filename != second.text.tokens.filename and first.digest == second.digest


def test_files_are_joined_and_encodings_detected_as_for_characters(tmp_path):
    (tmp_path / "a").mkdir()
    for number, word in enumerate(("caf\u00e9", "is", "shut")):
        (tmp_path / "a" / f"{number}.txt").write_bytes(f"{word} now ".encode("latin-1") * 40)
    data = small_text(tmp_path / "a", tokens=PATHS["Words"])
    assert data.vocabulary.own.words == sorted(["\n", " ", "caf\u00e9", "now", "is", "shut"])
    assert data.encoding == "latin-1,utf-8" and sum(data.text.sizes) == len(data.text.tokens) == 3 * 160 + 2


def test_a_stream_is_the_decoded_text():
    vocabulary = build_vocabulary({"tokens": PATHS["Pairs"], "arguments": {}})
    decoder, ids = vocabulary.decoder(), vocabulary.encode("a\u00e9b")
    parts = [*map(decoder, ids), decoder.flush()]
    assert "".join(parts) == "a\u00e9b" == vocabulary.decode(ids) and "\ufffd" not in "".join(parts[:-1])
    assert "".join([*map(decoder, ids[:4]), decoder.flush()]) == "a\ufffd"


def test_unknown_text():
    vocabulary = fit_vocabulary(PATHS["Words"], ["a b"])
    assert vocabulary.encode("b a") == [2, 0, 1] and vocabulary.encode("c", "skip") == []
    with pytest.raises(ValueError, match=r"tests.words.Words cannot encode it \(ValueError: 'c' is not in list\)"):
        vocabulary.encode("c")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("tests.words.Nothing", "Nothing: tests.words has no Nothing; allowed: "),
        (PATHS["Forgetful"], "Forgetful: its arguments give other tokens; fix: return all in arguments"),
        (PATHS["OutOfRange"], r"OutOfRange: 'The cat sat.\\n': tests.words.OutOfRange encodes it as ids"),
        (PATHS["NoDecode"], "NoDecode: has no decode; allowed: a class with arguments, encode, decode, __len__"),
        (PATHS["Fails"], "Fails: fails: IndexError: string index out of range; fix: correct it there"),
    ],
)
def test_what_is_wrong_is_told_before_a_run_begins(tmp_path, path, says):
    with pytest.raises(UserError, match=f"^data.tokens={path.rpartition('.')[0]}.*{says}"):
        small_text(tmp_path / "book.txt", TEXT, tokens=path)


@pytest.mark.slow
def test_a_run_trains_evaluates_and_writes(tiny_text):
    samples = ("callbacks.samples.enabled=true", "callbacks.samples.length=5", "callbacks.samples.greedy_length=5")
    config = tiny_text("data.tokens=tests.words.Words", "data.batch_size=4", "trainer.max_steps=5", *samples)
    result, _ = train(config)
    run = Run.of(config)
    assert evaluate(run) == {key: value for key, value in result["metrics"].items() if key.startswith("test/")}
    bits = result["metrics"]["test/loss"] / math.log(2)
    assert result["metrics"]["test/bits_per_token"] == pytest.approx(bits, rel=1e-5)
    streamed: list[str] = []
    ((sample,),), vocabulary = generate(run, "the cat", max_new_tokens=9, on_text=streamed.append)
    assert "".join(streamed) == vocabulary.decode(sample.tokens) and vocabulary.decode(sample.prompt) == "the cat"
    with pytest.raises(UserError, match="prompt=zebra: tests.words.Words cannot encode it"):
        generate(run, "zebra", max_new_tokens=1)
    assert (run.path / "samples" / "step=000005.txt").read_text("utf-8").count("--- ") >= 3

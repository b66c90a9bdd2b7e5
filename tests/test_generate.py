"""Test that `generate` needs the run directory alone, repeats a text by its seed, and reports errors in one line."""

import io
import json
import os
import shutil

import pytest
import torch

from lightning_dl2 import compose, generate, train
from lightning_dl2.common.errors import UserError
from lightning_dl2.generate import RULE, main
from lightning_dl2.run.directory import Run
from tests.conftest import TINY, TINY_TEXT


@pytest.fixture(scope="module")
def trained(tmp_path_factory, book) -> Run:
    text = tmp_path_factory.mktemp("text") / "book.txt"
    shutil.copy(book, text)
    root = tmp_path_factory.mktemp("trained")
    _, objects = train(compose(*TINY_TEXT, f"data.path={text}", f"data.cache_dir={text.parent}", f"root={root}"))
    shutil.rmtree(text.parent)  # generating needs neither the text nor its tokens
    return objects["run"]


@pytest.fixture
def says(trained, capsys):
    """Return `says("prompt=the", ...)`: exit code, stdout and stderr of the command."""

    def command(*words: str) -> tuple[int, str, str]:
        code = main([f"run={trained.path}", *words])
        return code, *capsys.readouterr()

    return command


@pytest.mark.slow
def test_writes_on_from_the_prompt(says):
    code, out, err = says("prompt=the cat ", "length=30", "temperature=0.8")
    assert (code, err) == (0, "")
    assert out.startswith("the cat ") and len(out) == len("the cat ") + 30 + 1


@pytest.mark.slow
def test_same_seed_same_text(says):
    words = ("prompt=the", "length=40")
    assert says(*words, "seed=1") == says(*words, "seed=1") != says(*words, "seed=2")


@pytest.mark.slow
def test_several_samples_begin_with_the_single_one(says):
    one, three = (says("prompt=the", "length=20", f"num_samples={n}")[1] for n in (1, 3))
    samples = three[:-1].split(f"\n{RULE}\n")
    assert len(samples) == 3 and samples[0] == one[:-1] and len(set(samples)) == 3


def test_json_lines(says, tmp_path, trained):
    out = tmp_path / "samples.jsonl"
    code, stdout, _ = says("prompt=the", "length=7", "num_samples=2", "seed=5", f"out={out}")
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert (code, stdout, len(rows)) == (0, "", 2)
    for row in rows:
        assert row["prompt"] == "the" and len(row["text"]) == len(row["log_probabilities"]) == 7
        assert row["seed"] == 5 and row["settings"]["temperature"] == 1.0
        assert row["settings"]["run"] == str(trained.path)
        assert all(value < 0 for value in row["log_probabilities"])
    assert json.loads(says("prompt=the", "length=7", "seed=5", "format=jsonl")[1])["text"] == rows[0]["text"]


def test_a_json_line_has_all_that_the_text_was_made_with_and_no_encoding_can_spoil_it(says):
    out = says("prompt=th☃e", "length=3", "unknown=skip", 'stop=["é"]'.replace("é", "."), "format=jsonl")[1]
    row = json.loads(out)
    assert out.isascii() and row["prompt"] == "th☃e"
    assert (row["settings"]["unknown"], row["settings"]["stop"]) == ("skip", '["."]')


@pytest.mark.slow
def test_it_writes_where_it_is_asked_to(says, tmp_path):
    """Output goes through links and into devices, which are not replaced by a file."""
    words = ("prompt=the", "length=5", "seed=3")
    expected = says(*words)[1]
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    assert says(*words, f"out={tmp_path}/link") == (0, "", "")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target").read_text() == expected
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert says(*words, f"out={tmp_path}/pipe") == (0, "", "")
    assert os.read(reader, 1000).decode() == expected and (tmp_path / "pipe").is_fifo()
    os.close(reader)
    assert says(*words, "out=-") == (0, expected, "")


def test_what_cannot_be_written_is_said_before_the_work(says, monkeypatch, tmp_path):
    monkeypatch.setattr(Run, "existing", None)
    for out in ("", "/", ".", str(tmp_path / "nowhere" / "file"), "x" * 300):
        code, _, err = says(f"out={out}")
        assert code == 2 and err.startswith(f"error: out={out}: cannot be written") and err.count("\n") == 1


def test_a_run_that_has_diverged_is_one_line(says, trained, tmp_path):
    checkpoint = torch.load(trained.best, weights_only=True)
    for value in checkpoint["state_dict"].values():
        value.fill_(float("nan"))
    torch.save(checkpoint, tmp_path / "nan.ckpt")
    code, out, err = says("prompt=the", f"checkpoint={tmp_path}/nan.ckpt")
    assert (code, out) == (2, "") and "logits are NaN" in err and err.count("\n") == 1


def test_prompts_from_a_file_and_from_standard_input(says, tmp_path, monkeypatch):
    (tmp_path / "prompts").write_text("the\ncat\n\nnoon.\n")
    code, out, _ = says(f"prompts={tmp_path}/prompts", "length=5", "temperature=0")
    texts = out[:-1].split(f"\n{RULE}\n")
    assert code == 0 and [text[: len(start)] for text, start in zip(texts, ("the", "cat", "", "noon."), strict=True)]
    assert [len(text) for text in texts] == [8, 8, 5, 10]
    monkeypatch.setattr("sys.stdin", io.StringIO((tmp_path / "prompts").read_text()))
    assert says("prompts=-", "length=5", "temperature=0")[1] == out


def test_beams_are_best_first(says):
    code, out, _ = says("prompt=the", "length=6", "num_beams=4", "num_samples=3", "format=jsonl")
    scores = [json.loads(line)["score"] for line in out.splitlines()]
    assert code == 0 and len(scores) == 3 and scores == sorted(scores, reverse=True)


def test_stops_before_the_string(says):
    rows = says("prompt=the", "length=200", 'stop=[" ", "c"]', "format=jsonl")[1]
    row = json.loads(rows)
    assert row["stopped_by"] == "stop" and not set(row["text"]) & {" ", "c"}


@pytest.mark.slow
def test_unknown_characters(says):
    code, out, err = says("prompt=th☃e")
    assert (code, out) == (2, "") and err.startswith("error: prompt=th☃e: the vocabulary lacks '☃' (U+2603)")
    assert err.count("\n") == 1
    assert says("prompt=th☃e", "unknown=skip", "length=3")[1].startswith("th☃e")
    greedy = ("length=9", "temperature=0")
    skipped, plain = (says(f"prompt={p}", "unknown=skip", *greedy)[1][-10:] for p in ("t☃he", "the"))
    assert skipped == plain
    assert says("prompt=THE", "unknown=nearest", *greedy)[1][-10:] == plain


WRONG = {
    "length=-1": "length=-1",
    "length=abc": "length=abc: allowed: an integer",
    "do_sample=maybe": "do_sample=maybe: allowed: true, false",
    "num_samples=1000000000": "num_samples=1000000000: allowed: less than or equal to 10000",
    "temperature=-1": "temperature",
    "temperature=nan": "temperature=nan",
    "temperature=0.5 inverse_temperature=2": "inverse_temperature",
    "top_p=2": "top_p",
    "num_samples=0": "num_samples",
    "num_beams=2 num_samples=3": "num_samples",
    "num_beams=2 top_k=3": "top_k",
    "num_beams=2 do_sample=true": "do_sample",
    "foo=1": "there is no key foo",
    "prompt": "prompt=VALUE",
    "checkpoint=nothing": "checkpoint=nothing",
    "prompts=/nowhere": "prompts=/nowhere",
    "prompt=a prompts=-": "prompts=-",
    "format=xml": "format=xml",
    "unknown=maybe": "unknown=maybe",
    "stop=☃": "stop=☃: the vocabulary lacks '☃' (U+2603)",
    "stop=a\\t": "stop=a\\t: the vocabulary lacks '\\t' (U+0009)",
    "out=/nowhere/at/all": "out=/nowhere/at/all",
    "seed=-1": "seed=-1",
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_input_is_one_line(says, words):
    code, out, err = says(*words.split(" "))
    assert (code, out) == (2, "") and err.startswith("error: ") and err.count("\n") == 1
    assert WRONG[words] in err


@pytest.mark.slow
def test_a_run_that_does_not_write(tmp_path, capsys):
    _, objects = train(compose(*TINY, f"root={tmp_path}", "trainer.max_steps=2"))
    assert main([f"run={objects['run'].path}"]) == 2
    assert "sequence_classifier" in capsys.readouterr().err
    assert main([f"run={tmp_path}"]) == 2 and main([]) == 2


def test_from_python(trained):
    parts: list[str] = []
    ((sample,),), vocabulary = generate(trained.path, "the", max_new_tokens=12, seed=3, on_text=parts.append)
    assert vocabulary.decode(sample.tokens) == "".join(parts) and len(sample.tokens) == 12
    with pytest.raises(UserError, match="max_new|length"):
        generate(trained, "the", max_new_tokens=-1)

"""Test that the arguments of `generate` get their types and the names of the decoding package."""

import pytest

from lightning_dl2.common import arguments
from lightning_dl2.common.errors import UserError
from lightning_dl2.inference.generate_arguments import GenerateArguments, read_prompts, read_stops


def parse(words):
    return arguments.parse(GenerateArguments, words)


def test_words_become_types():
    asked = parse(["run=x", "length=7", "temperature=0.5", "num_samples=2", "do_sample=false", "prompt=a=b"])
    assert (asked.length, asked.temperature, asked.do_sample, asked.prompt) == (7, 0.5, False, "a=b")
    decoding = asked.decoding()
    assert (decoding["max_new_tokens"], decoding["num_return_sequences"]) == (7, 2)
    assert not {"length", "num_samples", "prompt", "run", "checkpoint"} & set(decoding)


def test_beams_do_not_sample_unless_asked_to():
    assert parse(["run=x"]).decoding()["do_sample"] and not parse(["run=x", "num_beams=2"]).decoding()["do_sample"]
    assert parse(["run=x", "num_beams=2", "do_sample=true"]).decoding()["do_sample"]


@pytest.mark.slow
def test_every_argument_of_decoding_can_be_asked_for():
    from dataclasses import fields

    from lightning_dl2.decoding import Decoding

    defaults = {field.name: field.default for field in fields(Decoding)}
    assert parse(["run=x"]).decoding() == defaults


@pytest.mark.parametrize("words", [[], ["run="], ["run=x", "length"], ["run=x", "lenght=3"], ["run=x", "top_k=1.5"]])
def test_wrong_words(words):
    with pytest.raises(UserError):
        parse(words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["length=3"], "run=VALUE: is missing; allowed: a run directory, which train printed"),
        (["run=x", "unknown=skp"], "unknown=skp: did you mean skip? allowed: error, skip, nearest"),
        (["run=x", "format=json"], "format=json: did you mean jsonl? allowed: text, jsonl"),
        (["run=x", "prompt=a", "prompts=b"], "prompts=b: prompt is given too; fix: give one of the two"),
        (["run=x", "out=/nowhere/x"], "out=/nowhere/x: cannot be written; allowed: a file in a directory"),
        (["run=x", "seed=-1"], "seed=-1: allowed: greater than or equal to 0"),
        (["run=x", "temperature=nan"], "temperature=nan: allowed: a finite number"),
    ],
)
def test_wrong_values_are_told_with_their_keys(words, says):
    with pytest.raises(UserError) as error:
        parse(words)
    assert str(error.value).startswith(says)


def test_prompts(tmp_path):
    assert read_prompts(parse(["run=x"])) == [""]
    assert read_prompts(parse(["run=x", "prompt= a "])) == [" a "]
    (tmp_path / "marked").write_bytes("\ufeffone\r\ntwo\n".encode())
    assert read_prompts(parse(["run=x", f"prompts={tmp_path}/marked"])) == ["one", "two"]
    (tmp_path / "odd").write_bytes("one\x0cone\u2028\n\ntwo".encode())  # these characters end no line
    assert read_prompts(parse(["run=x", f"prompts={tmp_path}/odd"])) == ["one\x0cone\u2028", "", "two"]
    for content in (b"", b"\xff\xfe\xff"):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(UserError, match="prompts="):
            read_prompts(parse(["run=x", f"prompts={tmp_path}/bad"]))


def test_stops():
    assert read_stops(None) == () and read_stops("[") == ("[",) and read_stops("a b") == ("a b",)
    assert read_stops('["a", "\\n"]') == ("a", "\n")
    assert read_stops("\\n") == ("\n",) and read_stops("a\\tb\\r") == ("a\tb\r",)
    assert read_stops(r"\\n") == (r"\n",) and read_stops(r"\d\\") == ("\\d\\",) and read_stops(r"[\n") == ("[\n",)
    for wrong in ('["a", 1]', '["a", ""]'):
        with pytest.raises(UserError, match="stop="):
            read_stops(wrong)

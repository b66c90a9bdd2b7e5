"""What `generate` is asked for: words become types, and the names of the decoding package."""

import pytest

from lightning_dl2.common.errors import UserError
from lightning_dl2.inference.generate_arguments import parse, read_prompts, read_stops


def test_words_become_types():
    asked = parse(["run=x", "length=7", "temperature=0.5", "num_samples=2", "do_sample=false", "prompt=a=b"])
    assert (asked.length, asked.temperature, asked.do_sample, asked.prompt) == (7, 0.5, False, "a=b")
    decoding = asked.decoding()
    assert (decoding["max_new_tokens"], decoding["num_return_sequences"]) == (7, 2)
    assert not {"length", "num_samples", "prompt", "run", "checkpoint"} & set(decoding)


def test_beams_do_not_sample_unless_asked_to():
    assert parse(["run=x"]).decoding()["do_sample"] and not parse(["run=x", "num_beams=2"]).decoding()["do_sample"]
    assert parse(["run=x", "num_beams=2", "do_sample=true"]).decoding()["do_sample"]


def test_every_argument_of_decoding_can_be_asked_for():
    from dataclasses import fields

    from lightning_dl2.decoding import Decoding

    defaults = {field.name: field.default for field in fields(Decoding)}
    assert parse(["run=x"]).decoding() == defaults


@pytest.mark.parametrize("words", [[], ["run="], ["run=x", "length"], ["run=x", "lenght=3"], ["run=x", "top_k=1.5"]])
def test_wrong_words(words):
    with pytest.raises(UserError):
        parse(words)


def test_prompts(tmp_path):
    assert read_prompts(parse(["run=x"])) == [""]
    assert read_prompts(parse(["run=x", "prompt= a "])) == [" a "]
    (tmp_path / "marked").write_bytes("\ufeffone\r\ntwo\n".encode())
    assert read_prompts(parse(["run=x", f"prompts={tmp_path}/marked"])) == ["one", "two"]
    (tmp_path / "odd").write_bytes("one\x0cone\u2028\n\ntwo".encode())  # no ends of lines
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

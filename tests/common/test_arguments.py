"""Test that arguments become values of a model, and that a wrong one is reported in one line."""

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field, model_validator

from lightning_dl2.common.arguments import (
    AnyPath,
    Arguments,
    RunDirectory,
    Text,
    choices,
    parse,
    split_names,
    whole,
    wholes,
)
from lightning_dl2.common.errors import UserError


class Keys(Arguments):
    """A model with a key of each kind."""

    run: RunDirectory
    checkpoint: Text = "best"
    number: Annotated[int, whole(3, 5)] = 3
    size: Annotated[int, whole()] | Literal["none"] = "none"
    lengths: Annotated[tuple[int, ...], wholes(1)] = (5, 10)
    cells: Annotated[tuple[str, ...], choices(("gru", "lstm"))] = ("gru",)
    unknown: Literal["error", "skip"] = "error"
    sample: bool | None = None
    rate: float = 1.0
    path: Text | None = Field(None, alias="data.path")
    out: AnyPath = Path("out")

    @model_validator(mode="after")
    def rates_fit(self) -> "Keys":
        if self.rate > 1 and self.sample:
            raise UserError(f"rate={self.rate}: sample=true is given; fix: give one of the two")
        return self


def test_values_have_the_types_of_their_keys():
    words = "run=a=b number=4 size=7 lengths=3,1,3 cells=lstm,gru,lstm sample=false rate=0.5 data.path=x"
    found = parse(Keys, words.split())
    assert (found.run, found.checkpoint, found.number, found.size, found.path) == ("a=b", "best", 4, 7, "x")
    assert (found.lengths, found.cells, found.sample, found.rate) == ((1, 3), ("lstm", "gru"), False, 0.5)
    assert parse(Keys, ["run=x", "lengths=[3,1]"]).lengths == (1, 3)


def test_a_file_name_of_any_bytes_is_taken():
    """Python reads bytes that are no UTF-8 as surrogates, which pydantic's own str refuses."""
    found = parse(Keys, ["run=caf\udce9", "data.path=\udcff", "out=\udcff", "checkpoint=\udcff"])
    assert (found.run, found.path, str(found.out), found.checkpoint) == ("caf\udce9", "\udcff", "\udcff", "\udcff")


def test_the_last_of_two_values_counts():
    """The last of two values wins, as in `script.sh "$@"`."""
    assert parse(Keys, ["run=a", "run=b"]).run == "b"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("", "run=VALUE: is missing; allowed: a run directory, which train printed"),
        ("run=", "run=VALUE: is missing; allowed: a run directory, which train printed"),
        ("run=x checkpoint=", "checkpoint=VALUE: is missing"),
        ("run=x data.path=", "data.path=VALUE: is missing"),
        ("rum=a", "rum=a: there is no key rum; did you mean run? allowed: run, checkpoint, number, size, "),
        ("run=x path=y", "path=y: there is no key path; did you mean data.path"),
        ("run", "run: is not of the form run=VALUE"),
        ("run=x number=6", "number=6: allowed: whole numbers, 3 to 5"),
        ("run=x number=2", "number=2: allowed: whole numbers, 3 to 5"),
        ("run=x size=big", "size=big: allowed: whole numbers, 0 or more"),
        ("run=x cells=gru,lstn", "cells=gru,lstn: did you mean lstm? allowed: gru, lstm"),
        ("run=x unknown=skp", "unknown=skp: did you mean skip? allowed: error, skip"),
        ("run=x sample=maybe", "sample=maybe: allowed: true, false"),
        ("run=x rate=fast", "rate=fast: allowed: a number"),
        ("run=x rate=2 sample=true", "rate=2.0: sample=true is given; fix: give one of the two"),
    ],
)
def test_what_is_wrong_is_one_line(words, says):
    with pytest.raises(UserError, match=f"^{re.escape(says)}"):
        parse(Keys, words.split())


@pytest.mark.parametrize("word", ["-1", "1.0", "1_0", " 1", "+1", "٣", "²", "one", "", "1,2", "9" * 30])
def test_what_is_no_whole_number_is_refused(word):
    with pytest.raises(UserError, match="^size=.*: allowed: whole numbers, 0 or more$"):
        parse(Keys, ["run=x", f"size={word}"])


@pytest.mark.parametrize("word", ["3,0", "[3", "3]", "[]", "[[3]]", "[3],[4]"])
def test_a_wrong_one_among_many_is_refused(word):
    with pytest.raises(UserError) as error:
        parse(Keys, ["run=x", f"lengths={word}"])
    assert str(error.value) == f"lengths={word}: allowed: whole numbers N[,N...], 1 or more"


def test_defaults_are_told_as_they_are_typed():
    told = Keys.defaults()
    assert told["lengths"] == "5,10" and told["number"] == "3" and "run" not in told and "data.path" in told


def test_what_has_no_effect_is_refused_where_it_is_changed():
    found = parse(Keys, ["run=x", "number=3", "lengths=7,8"])
    assert found.changed("number", "lengths", "nothing") == {"lengths": "7,8"}
    found.refuse("number", why="has no effect")
    with pytest.raises(UserError, match="^lengths=7,8: has no effect$"):
        found.refuse("number", "lengths", why="has no effect")


def test_names_stand_before_keys():
    assert split_names(["b", "kills=1"], ("a", "b")) == (["b"], ["kills=1"])
    assert split_names(["kills=1"], {"a": 1, "b": 2}) == (["a", "b"], ["kills=1"])
    with pytest.raises(UserError, match="^text1: did you mean text"):
        split_names(["text1"], ("text", "graph"))

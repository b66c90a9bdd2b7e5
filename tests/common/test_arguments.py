import errno
import re
from pathlib import Path

import pytest

from lightning_dl2.common.arguments import choice, choices, natural, naturals, write_to
from lightning_dl2.common.errors import UserError


def test_numbers_and_names_are_read():
    values = {"number": "7", "numbers": "3,1,3", "cell": "gru", "cells": "lstm,gru,lstm"}
    assert natural(values, "number", least=7, most=7) == 7
    assert naturals(values, "numbers", least=1) == naturals({"key": "[3,1]"}, "key") == [1, 3]
    assert choice(values, "cell", ("gru", "lstm")) == "gru"
    assert choices(values, "cells", ("gru", "lstm")) == ["lstm", "gru"]


@pytest.mark.parametrize("word", ["-1", "1.0", "1_0", " 1", "+1", "٣", "²", "one", "", "1,2", "9" * 30])
def test_what_is_no_whole_number_is_refused(word):
    with pytest.raises(UserError, match="^key=.*: allowed: whole numbers, 0 or more$"):
        natural({"key": word}, "key")


@pytest.mark.parametrize("word", ["2", "6"])
def test_a_number_beyond_its_limits_is_refused(word):
    with pytest.raises(UserError, match=f"^key={word}: allowed: whole numbers, 3 to 5$"):
        natural({"key": word}, "key", least=3, most=5)


def test_a_wrong_one_among_many_is_refused():
    for word in ("3,0", "[3", "3]", "[]", "[[3]]", "[3],[4]"):
        says = f"^{re.escape(f'key={word}')}: allowed: whole numbers N\\[,N...\\], 1 or more$"
        with pytest.raises(UserError, match=says):
            naturals({"key": word}, "key", least=1)
    with pytest.raises(UserError, match="^key=gru,lstn: did you mean lstm"):
        choices({"key": "gru,lstn"}, "key", ("gru", "lstm"))
    with pytest.raises(UserError, match="^key=lstn: did you mean lstm"):
        choice({"key": "lstn"}, "key", ("gru", "lstm"))


def test_a_full_disk_is_no_wrong_input(tmp_path):
    with pytest.raises(OSError) as error:
        write_to(Path("/dev/full"), "text")
    assert error.value.errno == errno.ENOSPC
    with pytest.raises(UserError, match="^out=.*: cannot be written: Is a directory"):
        write_to(tmp_path, "text")

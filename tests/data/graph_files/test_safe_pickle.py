"""Test that a pickle gives data and runs no code."""

import os
import pickle
from collections import Counter

import numpy as np
import pytest

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.safe_pickle import NUMPY, read_pickle


class Command:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_command_is_refused_and_not_run(tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "evil"
    path.write_bytes(pickle.dumps([1, Command(marker)]))
    pickle.loads(path.read_bytes())
    assert marker.exists()  # the file does run code in plain pickle
    marker.unlink()
    with pytest.raises(
        UserError, match=rf"data.path={path}: is no list: it asks for (posix|nt).system; allowed: data"
    ) as caught:
        read_pickle(path, NUMPY, "list")
    assert not marker.exists() and "\n" not in str(caught.value)


@pytest.mark.parametrize("attribute", ["os.system", "eval", "__subclasses__"])
def test_no_way_leads_through_what_is_allowed(tmp_path, attribute):
    """`numpy.ndarray` is allowed; `numpy.ndarray.__subclasses__` and `numpy.os.system` are not."""
    path = tmp_path / "evil"
    for module in ("numpy", "numpy.ndarray"):
        path.write_bytes(
            b"\x80\x04\x8c"
            + bytes([len(module)])
            + module.encode()
            + b"\x8c"
            + bytes([len(attribute)])
            + attribute.encode()
            + b"\x93."
        )
        with pytest.raises(UserError, match=f"asks for {module}.{attribute}; allowed"):
            read_pickle(path, NUMPY, "list")


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_data(tmp_path, protocol):
    path = tmp_path / "good"
    content = {
        "a": np.arange(6).reshape(2, 3),
        "b": [1, "é", (None, True)],
        "c": np.float64(0.5),
        "d": np.zeros((0, 2), np.int8),
    }
    path.write_bytes(pickle.dumps(content, protocol))
    found = read_pickle(path, NUMPY, "list")
    assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]] and found["b"] == content["b"] and found["c"] == 0.5
    assert found["d"].shape == (0, 2) and found["d"].dtype == np.int8


def test_strings_of_python_2_are_bytes(tmp_path):
    (tmp_path / "old").write_bytes(b"U\x02\xe9\x00.")
    assert read_pickle(tmp_path / "old", {}, "list") == "é\0"


def test_what_else_is_allowed_is_said(tmp_path):
    path = tmp_path / "counter"
    path.write_bytes(pickle.dumps(Counter("aab")))
    with pytest.raises(UserError, match="asks for collections.Counter"):
        read_pickle(path, NUMPY, "list")
    assert read_pickle(path, {("collections", "Counter"): dict}, "list") == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    "content",
    [b"", b"no pickle", b"\x80\x04", pickle.dumps(np.arange(1000))[:500], b"\x80\x02X\x05\x00\x00\x00otherQ."],
)
def test_a_damaged_file_is_one_line(tmp_path, content):
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"data.path={path}: is damaged or no list") as caught:
        read_pickle(path, NUMPY, "list")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="cannot be read .No such file or directory.; allowed: a list"):
        read_pickle(tmp_path / "nothing", NUMPY, "list")

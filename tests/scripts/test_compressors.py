"""Test that `scripts/studies/compressors.py` prints the size of a text by each program, alone and primed."""

import sys
import zlib
from types import SimpleNamespace

import pytest

from lightning_dl2.data import baselines
from scripts.studies import compressors


class Encoder:
    """A made-up encoder in place of PPMd's."""

    def __init__(self, **settings) -> None:
        assert settings == compressors.PPMD

    def encode(self, text: bytes) -> bytes:
        return zlib.compress(text)

    def flush(self) -> bytes:
        return b""


@pytest.mark.slow
def test_prints_bits_a_character(book, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pyppmd", None)  # as if it were not installed
    assert compressors._main([f"data.path={book}"]) == 0
    told = capsys.readouterr()
    names = ["bpc_gzip", "bpc_bz2", "bpc_xz", "bpc_xz_primed"]
    assert [line.split()[0] for line in told.out.splitlines()] == names and "pyppmd is not installed" in told.err

    monkeypatch.setitem(sys.modules, "pyppmd", SimpleNamespace(Ppmd8Encoder=Encoder))
    assert compressors._main([f"data.path={book}"]) == 0
    found = dict(line.split() for line in capsys.readouterr().out.splitlines())
    text = book.read_text("utf-8")
    train, test = text[:3600].encode(), text[3600:].encode()
    primed = len(zlib.compress(train + test)) - len(zlib.compress(train))
    assert found["bpc_ppmd"] == f"{8 * len(zlib.compress(test)) / 400:.3f}"
    assert found["bpc_ppmd_primed"] == f"{8 * primed / 400:.3f}" and list(found)[:4] == names
    assert baselines.PRIMED > 3600

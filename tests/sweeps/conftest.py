"""Provide `sweeper` to the tests of sweeps."""

import pytest

from tests.sweeps.sweeping import Sweeper


@pytest.fixture
def sweeper(tmp_path, monkeypatch) -> Sweeper:
    return Sweeper(tmp_path / "runs", monkeypatch)

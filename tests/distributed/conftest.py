"""Hide the launcher of the machine from the tests."""

import pytest

from tests.distributed.ranks import VARIABLES


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for key in VARIABLES:
        monkeypatch.delenv(key, raising=False)

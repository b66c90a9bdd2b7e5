"""No launcher of the machine that the tests run on is seen by them."""

import pytest

from tests.distributed.ranks import VARIABLES


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for key in VARIABLES:
        monkeypatch.delenv(key, raising=False)

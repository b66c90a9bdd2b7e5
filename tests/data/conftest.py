"""Share what the tests of downloads need."""

from urllib.error import URLError

import pytest

from lightning_dl2.data import downloads


@pytest.fixture
def offline(monkeypatch):
    """Let every download fail as without a network."""

    def urlopen(url, timeout):
        raise URLError("Name or service not known")

    monkeypatch.setattr(downloads, "urlopen", urlopen)

"""Test that each wrong value of a launcher's variables is reported in one line before any work."""

import pytest

from lightning_dl2.common import launcher
from lightning_dl2.common.errors import UserError
from lightning_dl2.common.launcher import LAUNCH, is_rank_zero, restart_ids
from lightning_dl2.train import main
from tests.conftest import TINY

NUMBERS = ["abc", "", "-1", " 1", "1.0", "\u0661", "9" * 5000, "4294967296"]
WRONG = {
    **{key: NUMBERS for key in launcher.LIMITS},
    "WORLD_SIZE": ["0"],
    "MASTER_PORT": ["0", "99999"],
    "MASTER_ADDR": ["", "a b", "a;b"],
    "TORCHELASTIC_RUN_ID": ["", "a\nb"],
    "TORCHELASTIC_USE_AGENT_STORE": ["junk", ""],
}


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for key in (*launcher.LIMITS, *launcher.PATTERNS):
        monkeypatch.delenv(key, raising=False)


@pytest.mark.parametrize("key", WRONG)
def test_a_wrong_value_is_told_with_its_key(key, monkeypatch):
    for value in WRONG[key]:
        monkeypatch.setenv(key, value)
        with pytest.raises(UserError) as error:
            launcher.check()
        assert str(error.value).startswith(f"{key}={value[:100]}: allowed: ") and len(str(error.value)) < 200


@pytest.mark.parametrize("key", ["LOCAL_RANK", "SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT", "SLURM_JOB_ID"])
def test_a_command_ends_with_one_line(key, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(key, "abc")
    assert main([*TINY, f"root={tmp_path}/runs"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"error: {key}=abc: allowed: 0 to ") and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_what_launchers_set_is_taken(monkeypatch):
    right = {
        "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "GROUP_RANK": "0",
        "MASTER_ADDR": "gpu-07.cluster_2.example", "MASTER_PORT": "29500", "TORCHELASTIC_RUN_ID": "a b/c",
        "TORCHELASTIC_USE_AGENT_STORE": "True", "TORCHELASTIC_RESTART_COUNT": "0", "SLURM_JOB_ID": "40123",
    }  # fmt: skip
    for key, value in right.items():
        monkeypatch.setenv(key, value)
    launcher.check()
    for address in ("::1", "fe80::1%eth0", "10.0.0.1"):
        monkeypatch.setenv("MASTER_ADDR", address)
        launcher.check()
    assert launcher.number("RANK") == 1 and launcher.number("NODE_RANK") is None and not launcher.is_rank_zero()


def test_what_starts_a_command_again_has_a_name(monkeypatch):
    for key in ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", LAUNCH):
        monkeypatch.delenv(key, raising=False)
    assert restart_ids() == {}
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert restart_ids() == {"SLURM_JOB_ID=7": 0}
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv(LAUNCH, "y")
    assert restart_ids() == {"SLURM_JOB_ID=7": 2, "TORCHELASTIC_RUN_ID=x": 0, f"{LAUNCH}=y": 1}


def test_rank_zero_is_known_from_the_launcher(monkeypatch):
    for key in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(key, raising=False)
    assert is_rank_zero()
    for key in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.setenv(key, "0")
        assert is_rank_zero()
        monkeypatch.setenv(key, "1")
        assert not is_rank_zero()
        monkeypatch.delenv(key)

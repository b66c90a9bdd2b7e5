"""Test that a user's file under conf/ which Hydra would ignore or fail on is reported in one line."""

import re
import shutil

import pytest
import yaml

from lightning_dl2.common.errors import UserError
from lightning_dl2.config import conf_files, help, hydra_compose
from lightning_dl2.config.compose import compose

HEADER = "# @package _global_\n"
MINE = "conf/experiment/mine.yaml"


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Return `mine(text)`, which writes conf/experiment/mine.yaml of a separate conf/."""
    directory = tmp_path / "conf"
    shutil.copytree(conf_files.package_conf(), directory)
    monkeypatch.setattr(conf_files, "package_conf", lambda: directory)
    conf_files._conf_dirs.cache_clear()

    def write(text: str | bytes, name: str = "mine") -> None:
        content = text if isinstance(text, bytes) else text.encode()
        (directory / "experiment" / f"{name}.yaml").write_bytes(content)
        hydra_compose._composed.cache_clear()

    yield write
    monkeypatch.undo()
    conf_files._conf_dirs.cache_clear()


WRONG = {
    "trainer: {max_steps: 5}\nseed: 7\n": f'{MINE}: its keys have no effect, .*; fix: begin it with "{HEADER[:-1]}"',
    "# Mine.\n" + HEADER + "seed: 7\n": f"{MINE}: its keys have no effect, because its first line is not the header",
    "seed: 7\n# @package _global_\n": f"{MINE}: its keys have no effect",
    HEADER + "seed: ???\n": rf"seed=\?\?\?: {MINE} asks for a value; fix: type seed=VALUE",
    HEADER + "hydra: {run: {dir: x}}\n": f"{MINE}, line 2: Hydra's own keys have no effect here",
    HEADER + "trainer: {max_steps: 5\nseed: 7\n": f"{MINE}, line 3: is not YAML: ",
    HEADER + "trainer:\n\tmax_steps: 5\n": f"{MINE}, line 3: is not YAML: ",
    HEADER + "seed: 1\nseed: 2\n": f"{MINE}, line 3: is not YAML: found duplicate key seed",
    HEADER + "seed: *a\n": f"{MINE}, line 2: is not YAML: found undefined alias",
    HEADER + "root: !!python/object/apply:os.system [x]\n": f"{MINE}, line 2: is not YAML: ",
    HEADER + "root: !!binary aGVsbG8=\n": f"{MINE}: root=b'hello': allowed: text",
    HEADER + f"seed: {'9' * 5000}\n": f"{MINE}: is not YAML: Exceeds the limit",
    HEADER + "3: 4\n": f"{MINE}: key 3: allowed: a word",
    HEADER + "defaults: [mine]\n": f"{MINE}, line 2: the defaults lead back to experiment/mine",
    HEADER + "defaults: [other]\n": "conf/experiment/other.yaml, line 2: the defaults lead back to experiment/mine",
    HEADER + "defaults: [/experiment/other]\n": "conf/experiment/other.yaml, line 2: the defaults lead back",
    HEADER + "defaults: [/experiment/nowhere]\n": f"{MINE}, line 2: there is no experiment/nowhere.yaml; .*allowed: ",
    HEADER + "defaults: [nowhere]\n": f"{MINE}, line 2: there is no experiment/nowhere.yaml; .*allowed: ",
    HEADER + "defaults: [{override /dta: text}]\n": f"{MINE}, line 2: there is no group dta; did you mean data?",
    HEADER + "defaults: [{override /data: txt}]\n": f"{MINE}, line 2: there is no data/txt.yaml; did you mean text",
    HEADER + "defaults: 3\n": f"{MINE}: defaults=3: allowed: a list",
    HEADER + "seed: ${nope\n": "no viable alternative at input",
    HEADER + "seed: &a [*a]\n": f"{MINE}: line 2 has an alias; fix: write the values themselves",
    "- a\n": f"{MINE}: holds list; allowed: keys with values",
}


@pytest.mark.parametrize("text", WRONG)
def test_one_line_names_the_file(mine, text):
    mine(text)
    mine(HEADER + "defaults: [mine]\n", "other")
    with pytest.raises(UserError, match=f"^{WRONG[text]}") as told:
        compose("experiment=mine")
    assert "\n" not in str(told.value)


def test_bytes_that_are_no_utf8(mine):
    mine(HEADER.encode() + b"# \xe9\nseed: 3\n")
    with pytest.raises(UserError, match=f"^{MINE}, line 2: is not UTF-8; fix: save it as UTF-8"):
        compose("experiment=mine")


@pytest.mark.slow
def test_what_is_right_is_taken(mine):
    """A required value may be typed or set by an earlier file."""
    mine(HEADER + "# Mine.\nseed: ???\ntrainer: {max_steps: 5}\n")
    config = compose("experiment=mine", "seed=7")
    assert (config.seed, config.trainer.max_steps) == (7, 5)
    mine(HEADER + "defaults: [mine]\nseed: 3\n", "other")
    assert compose("experiment=other").seed == 3
    mine("")
    assert compose("experiment=mine").trainer.max_steps == 3000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cora_gat", "proteins", "course/baum_sweet", "/experiment/course/palindrome"])
def test_an_experiment_builds_on_another(mine, name):
    mine(HEADER + f"defaults: [{name}]\nseed: 3\n")
    other = compose(f"experiment={name.removeprefix('/experiment/')}")
    assert compose("experiment=mine") == other.model_copy(update={"experiment": "mine", "seed": 3})


@pytest.mark.parametrize("text", ["", "seed: 3\n", "defaults: [{debug: none}]\n"])
def test_a_main_file_without_its_defaults(mine, text):
    mine("")
    (conf_files.package_conf() / "train.yaml").write_text(text, "utf-8")
    with pytest.raises(UserError, match="^conf/train.yaml: its defaults have no experiment; fix: "):
        compose()


def test_a_directory_is_no_choice(mine):
    (conf_files.package_conf() / "experiment" / "mine.yaml").mkdir()
    with pytest.raises(UserError, match="^experiment=mine: ") as told:
        compose("experiment=mine")
    assert "mine, " not in str(told.value) and "mean mine" not in str(told.value)


@pytest.mark.parametrize("word", ["data=_node_set", "optimizer=_base", "experiment=course/_2020"])
def test_a_base_is_no_choice(word):
    with pytest.raises(UserError, match=f"^{word}: ") as told:
        compose(word)
    assert not re.search(r"[ /]_", str(told.value).removeprefix(word))


def test_files_build_on_bases_alone():
    """Files build on bases only, so a change for one member of a family does not reach others."""
    for file in conf_files.package_conf().rglob("*.yaml"):
        entries = (yaml.safe_load(file.read_text("utf-8")) or {}).get("defaults", [])
        names = [entry.rpartition("/")[2] for entry in entries if isinstance(entry, str)]
        assert all(name.startswith("_") for name in names), file


def test_help_stands_files_of_a_user(mine, capsys):
    """--help lists a user's files even if they are broken."""
    for number, text in enumerate(
        [b"defaults: [mine1]\n", b"defaults:\n  - mine0\n", b"defaults: [nowhere]\n", b"# \xe9\n"]
    ):
        (conf_files.package_conf() / "data" / f"mine{number}.yaml").write_bytes(text)
    assert help.print_help("") == 0
    assert "| mine0 | mine1 | mine2 | mine3 |" in " ".join(capsys.readouterr().out.split())

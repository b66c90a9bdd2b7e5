"""Run what the documentation says can be typed, shortened; check its links, files, pictures, sizes and the site."""

import ast
import importlib.util
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token

from lightning_dl2 import compose
from lightning_dl2.analyze import ANALYSES
from lightning_dl2.analyze import main as analyze
from lightning_dl2.common import command as frame
from lightning_dl2.evaluate import main as evaluate
from lightning_dl2.generate import main as generate
from lightning_dl2.predict import main as predict
from lightning_dl2.report import main as report
from lightning_dl2.train import main as train
from tests.graph_pairs import write_brec
from tests.reporting.made_up import PNG, made_up_run
from tests.scripts.test_slurm_scripts import script, started  # noqa: F401 - `script` is a fixture
from tests.small import NEEDS_DGL, write_graph
from tests.test_train import WRITTEN

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
DOCS = ROOT / "docs"
PAGES = [README, ROOT / "CONTRIBUTING.md"]
PAGES += sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
OWN_GRAPHS = DOCS / "experiments" / "own-graphs.md"
EXTENDING = DOCS / "extending.md"  # its blocks build on each other: tests/test_extending.py runs them
NO_COMMANDS = {"text", "yaml", "csv", "json", "python"}  # Python blocks have a test of their own
LARGEST_README = 12_000  # bytes: a reader's ten minutes
LARGEST_PICTURE = 400_000


@cache
def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark", {"html": True}).enable("table").parse(page.read_text(encoding="utf-8"))


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


class Line(NamedTuple):
    """A command of a page."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)


def blocks(page: Path, language: str | None = None) -> list[Token]:
    """The blocks of code of a page; of one language only, if it is given."""
    found = [token for token in tokens(page) if token.type in ("fence", "code_block")]
    return [token for token in found if language is None or token.info == language]


def typed(page: Path) -> Iterator[Line]:
    """Yield the commands in a page's blocks: those of indented blocks, too, and each of `one && another`."""
    for block in blocks(page):
        if block.info not in NO_COMMANDS and not block.info.startswith("{"):
            for line in block.content.replace("\\\n", " ").splitlines():
                yield from (Line(name(page), part.strip()) for part in line.split(" && ") if part.strip())


def mentioned(page: Path) -> Iterator[Line]:
    """Yield the commands within a page's text."""
    for token in tokens(page):
        for child in token.children or ():
            first = child.content.split(" ")[0].removeprefix(".venv/bin/")
            if (
                child.type == "code_inline"
                and first in ("python", "pip", "bash", "sphinx-build")
                and " " in child.content
            ):
                yield Line(name(page), child.content)


def once(lines: Iterator[Line]) -> list:
    """One parameter for each command, however often it is told."""
    return [pytest.param(line, id=f"{line.page}: {line.text}") for line in {line.text: line for line in lines}.values()]


ALONE = [page for page in PAGES if page != EXTENDING]
TYPED = once(line for page in ALONE for line in typed(page))
MENTIONED = once(line for page in ALONE for line in mentioned(page))
PYTHON = [
    pytest.param(
        block.content, id=f"{name(page)}:{block.map[0] + 1}", marks=NEEDS_DGL if "import dgl" in block.content else ()
    )
    for page in ALONE
    for block in blocks(page, "python")
]


# Short: two steps of small batches, on small files. A key that a line sets itself is left to it.
STEPS = ("trainer.max_steps=2", "trainer.val_check_interval=2", "trainer.limit_val_batches=2", "trainer.num_threads=1")
QUIET = ("callbacks.progress_bar=false", "callbacks.curves=false")
SIZES = {
    "sequence_classifier": ("data.batch_size=8", "data.validation_size=32", "data.test_size=32"),
    "sequence_transducer": (
        *("data.batch_size=8", "data.validation_size=32", "data.test_size=32", "data.length_test_size=2"),
        "task.hidden_size=16",
    ),
    "sequence_regressor": ("data.batch_size=8", "data.validation_size=32", "data.test_size=32", "task.hidden_size=16"),
    "text_generator": ("data.path=FILE", "data.cache_dir=.", "data.batch_size=4", "task.hidden_size=16"),
    "graph_net": ("task.hidden_size=16",),
}
NET_SIZES = {"sbm": ("data.block_model.num_nodes=500", "data.train_per_class=20", "data.validation_size=64")}
SHORT = {
    "analyze bptt": ("hidden_size=8", "steps=10", "batch_size=2", "seeds=1"),
    "analyze gradients": ("sequences=4", "seeds=1"),
    "analyze gates": ("run=runs/palindrome/default-44136fa3/seed=0", "size=8"),
    "analyze memory": ("run=runs/palindrome/default-44136fa3/seed=0", "size=8", "lengths=6"),
    "analyze external_memory": ("max_steps=25",),
    "analyze counter": ("cells=rnn", "max_steps=25", "lengths=4"),
    "analyze eigenvalues": ("cells=mingru", "max_steps=25", "steps=20"),
    "analyze tracking": ("cells=mingru", "max_steps=25", "size=16", "lengths=4,8"),
    "analyze graphs": ("part=spreading",),
    "analyze explain": ("limit=8",),
    "analyze expressiveness": ("data.path=BREC", "hops=1", "epochs=1", "num_layers=1", "parts=basic"),
    "generate": ("length=8", "num_samples=1", "num_beams=1"),
}


def with_words(words: list[str], *more: str) -> list[str]:
    """Add the words of `more` whose key `words` does not have."""
    keys = {word.partition("=")[0] for word in words}
    return [*words, *(word for word in more if word.partition("=")[0] not in keys)]


def small(words: list[str]) -> list[str]:
    """Shorten a training, so that it takes a second and needs no network."""
    config = compose(*words)
    data, task = config.data, config.task
    more = [*SIZES[task.name], *NET_SIZES.get(data.name, ())]
    if getattr(data, "level", None) == "link":  # no labels of nodes, and one layer
        more = [word for word in more if word.startswith("data.block_model.")] + ["task.embedding_size=16"]
    if task.name == "graph_net" and task.num_layers > 4:
        more.append("task.num_layers=4")
    if data.name in WRITTEN:
        more.append(f"data.path={WRITTEN[data.name](Path(data.name).absolute())}")
    if data.name == "graph_csv" and data.level == "node" and data.split_sizes is None:
        more += ["data.split=random", "data.train_per_class=8", "data.validation_size=30"]
    short = [*STEPS, *QUIET, *more, "root=trained"]
    if config.debug != "none":  # it sets the validations itself
        short = [word for word in short if "val_" not in word or word.startswith("data.")]
    refused = ("root=", "data.path=") if data.name in WRITTEN else ("root=",)
    return with_words([word for word in words if not word.startswith(refused)], *short)


def write_payments() -> None:
    """Write the graph of the page of own graphs into the current directory, as the page's program does."""
    exec(compile(blocks(OWN_GRAPHS, "python")[0].content, "docs", "exec"), {})


def drop_index() -> None:
    """Do what the page's `cut` does."""
    file = Path("payments/nodes.csv")
    rows = file.read_text(encoding="utf-8").splitlines()
    file.write_text("".join(f"{row.partition(';')[2]}\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> Path:
    """A directory in which the commands are typed: with small runs, a text, a graph and what they name."""
    here = tmp_path_factory.mktemp("docs")
    alphabet = "".join(map(chr, range(32, 127)))
    (here / "FILE").write_text(12 * (4 * alphabet[1:] + " The cat sat.\n"), encoding="utf-8")
    (here / "README.md").write_bytes(README.read_bytes())
    for folder in ("scripts", "tests", "docs", "requirements.txt", "constraints.txt"):
        (here / folder).symlink_to(ROOT / folder)
    (here / "jobs.txt").write_text("task.cell=lstm seed=3\n")
    write_graph(here / "DIR", [(node, (node + 1) % 90) for node in range(90)], 30 * "abc")
    write_brec(here / "BREC")
    nodes = here / "DIR" / "nodes.csv"
    first, *rows = nodes.read_text().splitlines()
    edges = here / "DIR" / "edges.csv"
    first_edge, *pairs = edges.read_text().splitlines()
    edges.write_text(
        "\n".join([f"{first_edge},label", *(f"{row},{number % 2}" for number, row in enumerate(pairs))]) + "\n"
    )
    nodes.write_text("\n".join([f"{first},income", *(f"{row},{number}.5" for number, row in enumerate(rows))]) + "\n")
    before = Path.cwd()
    os.chdir(here)
    write_payments()
    drop_index()
    try:
        for experiment in ("palindrome", "text", "graph"):
            assert train(small([f"experiment={experiment}"])) == 0
            (run,) = (here / "trained" / experiment).glob("*/seed=0")
            shutil.copytree(run, here / "runs" / experiment / "default-44136fa3" / "seed=0")
    finally:
        os.chdir(before)
    made_up_run(here / "runs", "experiment=mutag")
    (here / "analysis").mkdir()
    (here / "analysis" / "bptt.png").write_bytes(PNG)
    return here


# What each program makes of its words. `placed` is False for a command in a sentence, which is checked and not run: it
# may have placeholders, such as `run=DIR`, and `...`.


def told_by_help(words: list[str], file: Path) -> None:
    """Find each key and each other word of a command in the docstring of its module, which is its --help."""
    told = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    for word in words:
        key, equals, _ = word.partition("=")
        assert re.search(rf"(?<![\w.]){re.escape(key + equals)}", told), f"{name(file)} --help does not tell {word}"


def run_train(words: list[str], placed: bool = True, many_processes: bool = False) -> None:
    words = [word for word in words if word != "..."]
    if "-m" in words:  # the jobs of a sweep are checked and listed
        assert train([*with_words(words, "dry=true"), "root=swept"]) == 0
        return
    if "--help" in words or "--cfg" in words:
        assert train(words) == 0
        return
    config = compose(*words)
    # Several processes: tests/distributed. A GPU: there is none. W&B: tests/loggers, with a server of their own.
    elsewhere = many_processes or config.trainer.devices != 1 or config.trainer.accelerator == "gpu"
    if placed and not elsewhere and config.logger.name != "wandb":
        run_once(train, small(words))


def run_main(command: Callable[[list[str]], int], words: list[str], placed: bool) -> None:
    module = command.__module__
    short = module.rpartition(".")[2]
    if not placed and short == "analyze" and words[0] in ANALYSES:
        keys = import_module(f"lightning_dl2.analysis.{ANALYSES[words[0]]}").Arguments.model_fields
        assert {word.partition("=")[0] for word in words[1:]} <= {*keys, "--help"}
        return
    if not placed:
        told_by_help([word for word in words if "..." not in word], ROOT / f"{module.replace('.', '/')}.py")
        return
    if "--help" in words:
        assert command(words) == 0
        return
    if short == "analyze":
        assert words[0] in ANALYSES
        short += f" {words[0]}"
    for word in words:
        if word.startswith("run=") and not Path(word[4:], "result.json").exists():
            experiment = next((name for name in ("text", "graph") if name in word), "palindrome")
            experiment = {"generate": "text", "predict": "graph"}.get(short, experiment)
            source = Path("runs", experiment, "default-44136fa3", "seed=0")
            shutil.copytree(source, word[4:], dirs_exist_ok=True)
    run_once(command, with_words(words, *SHORT.get(short, ())))


DONE: set[tuple[str, ...]] = set()  # lines of several pages may be the same when they are shortened


def run_once(command: Callable[[list[str]], int], words: list[str]) -> None:
    if (line := (command.__module__, *words)) not in DONE:
        assert command(words) == 0
        DONE.add(line)


def run_python(words: list[str], placed: bool, request: pytest.FixtureRequest) -> None:
    if words[:2] == ["-m", "venv"]:
        return
    if words[:2] == ["-m", "pytest"]:
        run_pytest(words[2:])
    elif words[0] == "-m":
        module, *rest = words[1:]
        if not placed and module == "lightning_dl2.COMMAND":  # any of them
            return
        assert module in {f"lightning_dl2.{command}" for command in COMMANDS}, module
        command = COMMANDS[module.rpartition(".")[2]]
        if command is train:
            run_train(rest, placed)
        else:
            run_main(command, rest, placed)
    elif words[0] == "scripts/ray_train.py":  # Ray is not installed; it starts the workers of a composed configuration
        run_train([word for word in words[1:] if not word.startswith("max_failures=")], placed, many_processes=True)
    else:  # studies and benchmarks take hours; tests/scripts runs them small
        assert (ROOT / words[0]).is_file(), words[0]
        told_by_help([word for word in words[1:] if word != "--help"], ROOT / words[0])


def run_torchrun(words: list[str], placed: bool, request: pytest.FixtureRequest) -> None:
    from torch.distributed.run import get_args_parser

    asked = get_args_parser().parse_args([word for word in words if word != "..."])
    assert asked.module and asked.training_script == "lightning_dl2.train"
    run_train(asked.training_script_args, placed, many_processes=True)


def run_sbatch(words: list[str], placed: bool, request: pytest.FixtureRequest) -> None:
    """Let the script make its `srun` line from the options that SLURM would tell it; compose what that would train."""
    options = dict(word.removeprefix("--").split("=") for word in words if word.startswith("--"))
    path, *rest = (word for word in words if not word.startswith("--"))
    told = {
        "nodes": "SLURM_JOB_NUM_NODES",
        "gpus-per-node": "SLURM_GPUS_ON_NODE",
        "ntasks-per-node": "SLURM_NTASKS_PER_NODE",
        "cpus-per-task": "SLURM_CPUS_PER_TASK",
        "array": "SLURM_ARRAY_TASK_ID",
        "time": "TIME",
    }
    variables = {told[option]: value.partition("-")[0] for option, value in options.items()}
    variables |= {key: os.path.abspath(os.environ[key]) for key in ("JOBS",) if key in os.environ}
    assert Path(path).parent == Path("scripts/slurm")
    srun = started(request.getfixturevalue("script")(Path(path).stem, *rest, **variables))
    run_train(shlex.split(srun.partition("-m lightning_dl2.train")[2]), placed, many_processes=True)


def run_wandb(words: list[str], placed: bool, request: pytest.FixtureRequest) -> None:
    """Check a command of W&B, whose server is not at hand; its own sweeps run in tests/sweeps/test_wandb_files.py."""
    from wandb.cli.cli import cli

    assert words[0] in cli.commands, words
    if words[0] == "sweep":
        assert yaml.safe_load((ROOT / words[1]).read_text(encoding="utf-8"))["program"] == "lightning_dl2.train"
    if words[0] == "sync":
        assert words[1].endswith("/wandb")


def run_pytest(words: list[str]) -> None:
    paths = [word for word in words if word.startswith("tests")]
    assert all((ROOT / path).exists() for path in paths), words
    if "-m" in words:
        marks = re.findall(r"\w+", words[words.index("-m") + 1])
        settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        assert all(mark == "not" or f'"{mark}:' in settings for mark in marks), words


def run_pip(words: list[str], placed: bool, request: pytest.FixtureRequest) -> None:
    """Check that what is to be installed is a file, this package, or a package that the project's files name."""
    assert words[0] == "install"
    files = [ROOT / "requirements.txt", ROOT / "pyproject.toml", *ROOT.glob("scripts/**/*.py")]
    known = "".join(file.read_text(encoding="utf-8") for file in files)
    for word in words[1:]:
        package = re.match(r"[\w-]+|\.", word)[0]
        assert word.startswith("-") or package == "." or (ROOT / word).exists() or package in known, word


def run_sphinx(words: list[str], placed: bool, request: pytest.FixtureRequest) -> None:
    """Check that the site is built as `test_the_site_is_built` builds it."""
    assert words[-2] == "docs" and words[-1].startswith("docs/_build"), words


def run_bash(words: list[str], placed: bool, request: pytest.FixtureRequest) -> None:
    assert (ROOT / words[0]).is_file(), words


def run_source(words: list[str], placed: bool, request: pytest.FixtureRequest) -> None:
    assert words == [".venv/bin/activate"]


def run_ruff(words: list[str], placed: bool, request: pytest.FixtureRequest) -> None:
    assert words[0] in ("check", "format"), words


def run_mypy(words: list[str], placed: bool, request: pytest.FixtureRequest) -> None:
    """Check that mypy is to do what tests/test_types.py has it do: what pyproject.toml says."""
    assert not words, words


def run_installed(words: list[str], placed: bool, request: pytest.FixtureRequest) -> None:
    """Run the console script `lightning-dl2-train`, as pyproject.toml declares it."""
    assert 'lightning-dl2-train = "lightning_dl2.train:main"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    run_train(words, placed)


COMMANDS = {
    "train": train,
    "evaluate": evaluate,
    "generate": generate,
    "predict": predict,
    "report": report,
    "analyze": analyze,
}
RUN = {
    "python": run_python,
    "python3": run_python,
    "pip": run_pip,
    "source": run_source,
    "torchrun": run_torchrun,
    "sbatch": run_sbatch,
    "wandb": run_wandb,
    "sphinx-build": run_sphinx,
    "ruff": run_ruff,
    "mypy": run_mypy,
    "bash": run_bash,
    "pytest": lambda words, placed, request: run_pytest(words),
    "lightning-dl2-train": run_installed,
}


def run(line: Line, placed: bool, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    words = line.words
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):  # variables of the environment
        monkeypatch.setenv(*words.pop(0).split("=", 1))
    if words:
        program = words[0].removeprefix(".venv/bin/")
        assert program in RUN, (
            f"{line.page}: no test knows how to run {line.text!r}; fix: tell RUN, or use a text block"
        )
        RUN[program](words[1:], placed, request)


@pytest.mark.slow
@pytest.mark.parametrize("line", TYPED)
def test_commands_run(line, place, request, monkeypatch, as_before):
    monkeypatch.chdir(place)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    run(line, True, request, monkeypatch)


@pytest.mark.parametrize("line", MENTIONED)
def test_commands_in_the_text_are_right(line, request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(line, False, request, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("code", PYTHON)
def test_python_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    exec(compile(re.sub(r"max_steps=\d+", "max_steps=3", code), "docs", "exec"), {})


def test_what_is_refused_of_an_own_graph_is_what_train_says(tmp_path, monkeypatch, capsys):
    """The page's commands and errors, one after another."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(frame, "SILENCE", 60)  # torch may take long to load
    write_payments()
    (block,) = [block.content for block in blocks(OWN_GRAPHS, "text") if "$ cut" in block.content]
    for part in block.removeprefix("$ ").split("\n$ "):
        line, _, says = part.partition("\n")
        if line.startswith("cut "):
            drop_index()
            continue
        assert train(shlex.split(line)[3:]) == 2
        assert capsys.readouterr().err.strip() == says.strip()
    assert not Path("runs").exists()


def test_there_is_something_to_test():
    assert len(TYPED) >= 50 and len(MENTIONED) >= 5 and len(PYTHON) >= 5
    programs = {param.values[0].words[0] for param in TYPED}
    assert {"python", "torchrun", "sbatch", "wandb", "pip", "source"} <= programs
    analyses = {words[3] for words in (param.values[0].words for param in TYPED) if "lightning_dl2.analyze" in words}
    assert analyses >= set(ANALYSES)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_of_code_name_their_language(page):
    languages = {block.info for block in blocks(page) if block.type == "fence"}
    assert all(language == "bash" or language in NO_COMMANDS or language.startswith("{") for language in languages)


EXPERIMENT = re.compile(r"experiment=[\w/]+( [a-z][\w.]*=\S+)*")


@pytest.mark.slow
def test_experiments_in_the_text_compose():
    """`experiment=text data=...`, wherever a page says so."""
    children = (child for page in PAGES for token in tokens(page) for child in token.children or ())
    told = {child.content for child in children if child.type == "code_inline" and EXPERIMENT.fullmatch(child.content)}
    assert len(told) >= 10
    for words in (each for each in told if not each.endswith("NAME")):
        compose(*shlex.split(words))


# The README


def test_the_readme_is_short():
    assert len(README.read_bytes()) <= LARGEST_README


def test_the_first_block_installs_and_trains_the_second_tests():
    first, second, *_ = [block.content for block in blocks(README) if block.type == "fence"]
    for block in (first, second):
        assert block.count("\n") == 1
        assert block.startswith("python3 -m venv .venv && .venv/bin/pip install -q -r requirements.txt && .venv/bin/")
    assert first.rstrip().endswith("-m lightning_dl2.train") and "-m pytest" in second


@pytest.mark.slow
def test_the_output_of_the_first_block_is_what_train_prints(place, monkeypatch, capsys, as_before):
    """Its rows and its last line; the figures are those of the whole training."""
    monkeypatch.chdir(place)
    assert train(small([])) == 0
    rows = re.findall(r"^│ (\S.*?) +│", capsys.readouterr().out, re.MULTILINE)
    shown = next(block.content for block in blocks(README, "text"))
    assert [row for row in re.findall(r"^│ (\S.*?) +│", shown, re.MULTILINE) if row != "solved at"] == rows
    assert shown.splitlines()[-1] == "runs/palindrome/default-44136fa3/seed=0"


# Links, pictures, files


def heading_ids(page: Path) -> set[str]:
    """GitHub's names for the headings of a page."""
    found: list[str] = []
    parsed = tokens(page)
    for number, token in enumerate(parsed):
        if token.type == "heading_open":
            text = "".join(child.content for child in parsed[number + 1].children or ())
            found.append(re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-"))
    return {
        *found,
        *(f"{slug}-{found[:place].count(slug)}" for place, slug in enumerate(found) if slug in found[:place]),
    }


def links(page: Path) -> Iterator[str]:
    for token in tokens(page):
        for child in (token, *(token.children or ())):
            yield from (child.attrs[key] for key in ("href", "src") if key in child.attrs)
            if child.type in ("html_block", "html_inline"):
                yield from re.findall(r'(?:href|src)="([^"]+)"', child.content)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    wrong = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        if link.startswith(("https://", "http://")):
            continue
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in heading_ids(target)):
            wrong.append(link)
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_pictures_are_small_pictures(page):
    for link in links(page):
        if link.endswith(".png"):
            content = (page.parent / link).read_bytes()
            assert content.startswith(b"\x89PNG") and len(content) <= LARGEST_PICTURE, link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_exist(page):
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:scripts|tests|conf|docs|lightning_dl2)/[\w./-]*)`", text))
    if page == EXTENDING:
        named -= {path for path in named if path.startswith("conf/experiment/")}  # of the reader's own project
    assert not [path for path in named if "NAME" not in path and not (ROOT / path).exists()]


def test_the_places_of_architecture_exist():
    """Its paths begin below the package, or at the root."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(\w+(?:/\w+)*(?:/|\.py|\.yaml))`", text))
    assert len(named) >= 60
    assert not [path for path in named if not any((top / path).exists() for top in (ROOT / "lightning_dl2", ROOT))]


def test_the_functions_of_architecture_exist():
    """`name` in `file.py`, as in "`columns` in `reporting/tables.py`"."""
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"`(\w+)` in `([\w/]+\.py)`", text)
    assert len(named) >= 4
    assert not [(name, path) for name, path in named if name not in (ROOT / "lightning_dl2" / path).read_text("utf-8")]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Sphinx, about its extensions
@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("sphinx", "myst_parser", "furo", "sphinx_copybutton"))),
    reason="the site is built with sphinx, myst-parser, furo and sphinx-copybutton (pip install '.[dev]')",
)
def test_the_site_is_built(tmp_path, capfd):
    """Strictly: a warning, such as a link to nowhere or a page that no list has, is an error. It needs no network."""
    build = import_module("sphinx.cmd.build").main
    code = build(["-q", "-W", "--keep-going", "-d", str(tmp_path / "cache"), str(DOCS), str(tmp_path / "site")])
    assert code == 0, capfd.readouterr().err
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md") if "_build" not in path.parts}
    assert all((tmp_path / "site" / page).exists() for page in pages)
    assert (tmp_path / "site" / "searchindex.js").exists()
    reference = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "site" / "api").glob("*.html"))
    assert not [public for public in import_module("lightning_dl2").__all__ if f'.{public}"' not in reference]

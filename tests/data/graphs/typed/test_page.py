"""Test the page of heterogeneous graphs: its stranger's files are read, refused and learnt as it says."""

import re
from pathlib import Path

import pytest

from lightning_dl2 import GraphNet, NodeDataModule
from lightning_dl2.common.errors import UserError

PAGE = Path(__file__).parents[4] / "docs" / "experiments" / "heterogeneous.md"


def test_the_strangers_files_are_refused_and_read_as_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    program = re.search(r"```python\n(.+?)```", text, re.DOTALL)[1]
    exec(compile(program, str(PAGE), "exec"), {})
    told = [line.removeprefix("error: ") for line in text.splitlines() if line.startswith("error: cards/")]
    types = {"node": "type", "edge": "relation"}
    steps = [
        {},
        {"types": types},
        {"types": types, "features": {"one_hot": ["brand"]}},
        {"types": types, "features": {"one_hot": ["brand"], "fill": "mean"}},
    ]
    assert len(told) == len(steps)
    for line, options in zip(told, steps, strict=True):
        with pytest.raises(UserError, match=re.escape(line.split("; fix")[0].replace("cards/", "", 1))):
            NodeDataModule("graph_csv", "cards", **options)
    features = {"one_hot": ["brand"], "fill": "mean", "standardize": True, "edge_columns": []}
    data = NodeDataModule(
        "graph_csv", "cards", types=types, features=features, split="random", split_sizes=[0.6, 0.2, 0.2], split_seed=0
    )
    assert f"note: {data.note}" in text
    with pytest.raises(UserError) as error:
        GraphNet(data.spec, layer="gcn").check_data(data)
    assert f"error: {error.value}" in text

"""Read EXP and CEXP: planar graphs of formulas, each beside one that message passing cannot tell from it.

Abboud, Ceylan, Grohe and Lukasiewicz (2021), The Surprising Power of Graph Neural Networks with Random Node
Initialization, https://arxiv.org/abs/2010.01179; Data/{EXP,CEXP}/GRAPHSAT.txt of
https://github.com/ralphabb/GNN-RNI, in the text format of `ten_fold`. A graph is of class 1 if its formula can be
satisfied. The graphs 2 k and 2 k + 1 have other classes. In EXP the 1-WL test gives both the same colours, so that a
net that is no stronger is right for half of them. In CEXP it does so for every second pair.
"""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from lightning_dl2.common.errors import UserError
from lightning_dl2.data.graph_files.graph_sets import GraphSet
from lightning_dl2.data.graph_files.ten_fold import read_ten_fold

FOLDS = 10


def read_planar_sat(path: str | Path) -> GraphSet:
    """Read the graphs, and cut ten folds of consecutive graphs, as the paper's code does.

    Fold i validates on the i-th tenth of its training graphs. Both graphs of a pair stay in the same split: a net that
    has learnt the class of one would answer wrong for the other.

    Raises:
        UserError: a missing file, the first wrong line, or too few graphs.
    """
    found = read_ten_fold(path)
    count = len(found)
    if count % 2 or count < 2 * FOLDS:
        raise UserError(f"data.path={path}: has {count} graphs; allowed: pairs of graphs, {FOLDS} pairs or more")
    tests = _tenths(torch.arange(count))
    folds, validation = [], []
    for number, test in enumerate(tests):
        rest = torch.cat([part for other, part in enumerate(tests) if other != number])
        folds.append((rest, test))
        validation.append(_tenths(rest)[number])
    found = replace(found, folds=folds, validation=validation)
    found.check(f"data.path={path}")
    return found


def _tenths(graphs: Tensor) -> list[Tensor]:
    """Cut consecutive graphs into ten parts of whole pairs, whose numbers of pairs differ by one at most."""
    return [pairs.flatten() for pairs in graphs.view(-1, 2).tensor_split(FOLDS)]

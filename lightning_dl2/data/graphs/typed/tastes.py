"""Generate a graph with types, whose question nobody answers who ignores them."""

import numpy as np
import torch

from lightning_dl2.data.graph_files.graph_sets import NodeSet
from lightning_dl2.data.graph_files.own.reading import Reading
from lightning_dl2.data.graphs.typed.assemble import Asked, NodeType, Relation, assemble

USERS, FILMS, FEATS = 600, 120, 8
RATED = 5  # films that a user likes, and as many that she dislikes
SLIPS = 0.1  # share of these films that are of the wrong kind


def tastes(seed: int) -> NodeSet:
    """Draw users of two tastes, who like the films of one of two kinds and dislike those of the other.

    A film's features tell its kind, with noise; a user has none. Whatever her taste is, a user has rated as many films
    of either kind, so that her neighbours say nothing of it: only the relations do. Each relation has its reverse. Half
    of the users train, a quarter validates, and a quarter tests.
    """
    rng = np.random.default_rng(seed)
    kinds, users = np.arange(FILMS) % 2, np.arange(USERS) % 2
    features = rng.standard_normal((FILMS, FEATS)) + (2 * kinds - 1)[:, None]
    ends: dict[str, list[np.ndarray]] = {"likes": [], "dislikes": []}
    for taste in users:
        kept = {name: (rng.random(RATED) >= SLIPS) for name in ends}
        for name, right in kept.items():
            kind = taste if name == "likes" else 1 - taste
            chosen = np.where(right, kind, 1 - kind)
            films = np.concatenate(
                [rng.choice(FILMS // 2, (chosen == each).sum(), replace=False) * 2 + each for each in (0, 1)]
            )
            ends[name].append(films)
    raters = np.repeat(np.arange(USERS), RATED)
    relations = [Relation("user", name, "film", raters, np.concatenate(films)) for name, films in ends.items()]
    types = [
        NodeType("film", [str(number) for number in range(FILMS)], torch.from_numpy(features).float()),
        NodeType("user", [str(number) for number in range(USERS)]),
    ]
    order = torch.from_numpy(rng.permutation(USERS))
    splits = {
        name: part.sort().values
        for name, part in zip(("train", "val", "test"), order.split([300, 150, 150]), strict=True)
    }
    facts = {"class_names": ["action", "romance"], "target": "classification", "target_names": []}
    found, _ = assemble(
        types, relations, Asked("user", torch.from_numpy(users), splits, facts), Reading(undirected=True)
    )
    return found

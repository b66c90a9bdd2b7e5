"""Say how a net reads the relations of a graph, and make its layers read them.

Shapes: S sources, E edges, I in_feats, O out_feats, R relations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from lightning_dl2.graphs import Graph
from lightning_dl2.nets.checks import check_choice
from lightning_dl2.nets.graph.relations.per_relation import COMBINE, PerRelation
from lightning_dl2.nets.graph.relations.split import TYPES, Ends

if TYPE_CHECKING:
    from lightning_dl2.nets.graph.layers import Layer, Options

IGNORE = "ignore"
RELATIONS = (*COMBINE, IGNORE)
NOT_ALONE = "rgcn reads relations itself, gatedgcn and gcnii need more than features, mlp reads no edges"


@dataclass(frozen=True)
class Relations:
    """Hold how a net reads the types of edges.

    Attributes:
        combine: "sum" or "mean": each relation has a layer of its own, see `PerRelation`; "ignore" or None: as the
            layer does by itself.
        ends: the types of source and destination of each relation; None: every node may be either.
        decomposition, num_bases: of `rgcn`, see `RGCNConv`.
    """

    combine: str | None = None
    ends: Ends | None = None
    decomposition: str = "none"
    num_bases: int | None = None

    def apply(self, name: str, kind: "Layer", edge_types: int) -> "Layer":
        """Return the entry of a layer, or one that gives each of R relations such a layer.

        Raises:
            ValueError: there are no relations, or the layer cannot serve one alone.
        """
        if self.combine is None:
            return kind
        check_choice("relations", self.combine, RELATIONS)
        if not edge_types:
            raise ValueError(f"relations is {self.combine!r}, but the edges of these data have no types")
        if self.combine == IGNORE:
            return kind
        if kind.relations or kind.edge_states or kind.initial or name == "mlp":
            raise ValueError(f"relations is {self.combine!r}; not with layer={name!r}: {NOT_ALONE}")
        combine = self.combine

        def build(in_feats: int, out_feats: int, options: "Options") -> nn.Module:
            layers = [kind.build(in_feats, out_feats, options) for _ in range(edge_types)]
            return PerRelation(
                layers,
                ends=self.ends,
                combine=combine,
                loop=options.self_loop,
                sizes=(in_feats, out_feats),
                normalizes=kind.weights == "normalized",
            )

        weights = None if kind.weights is None else "given"
        return replace(kind, build=build, self_loops=False, weights=weights, sparse=False, lookup=False, relations=True)

    def options(self, own: "Layer", edge_types: int, self_loops: bool | None) -> dict[str, Any]:
        """Return the `Options` of relations; `own` is the layer's own entry.

        A layer of each relation gets W_0 where it needs self-loops to read a node itself, and where no relation leads
        to some type of nodes, which would else be lost.
        """
        if self_loops is None:
            into = {target for _, target in self.ends or ()}
            types = {end for pair in self.ends or () for end in pair}
            self_loops = own.relations or own.self_loops or into != types
        return {
            "num_relations": max(edge_types, 1),
            "decomposition": self.decomposition,
            "num_bases": self.num_bases,
            "self_loop": self_loops,
        }


AS_THE_LAYER = Relations()  # nothing is asked for


def keep_types(blocks: list[Graph]) -> list[Graph]:
    """Give each block the types of its sources, which are the first ones of the first block's."""
    if (types := blocks[0].ndata.get(TYPES)) is None:
        return blocks
    assert isinstance(types, Tensor)
    return [block.replace(ndata={**block.ndata, TYPES: types[: block.num_src]}) for block in blocks]


def rows_of_types(graph: Graph, sources: Tensor, edges: Tensor) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the types of some sources and edges of a graph, as parts of ndata and edata."""

    def rows(data: Mapping[str, Any], index: Tensor) -> dict[str, Any]:
        return {TYPES: data[TYPES][index]} if TYPES in data else {}

    return rows(graph.ndata, sources), rows(graph.edata, edges)

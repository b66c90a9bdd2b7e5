"""Build the nets that the command `expressiveness` measures, by their short names."""

from typing import NamedTuple

from torch import nn

from lightning_dl2.analysis.brec.comparison import OUTPUTS
from lightning_dl2.common.dotted import is_dotted
from lightning_dl2.common.errors import UserError, nearest
from lightning_dl2.graphs.positional_encodings import ENCODINGS
from lightning_dl2.nets import LAYERS, GraphNetwork
from lightning_dl2.nets.graph.subgraphs import MARKS, SubgraphNetwork

REFINEMENTS = ("1-wl", "3-wl")  # of colours, without a net


class Kind(NamedTuple):
    """A net's name, taken apart: [MARKS:]LAYER[+ENCODING]."""

    marks: str | None
    layer: str
    positional: str | None


def parse_net(name: str) -> Kind:
    """Take apart a name such as gin, gatedgcn+random_walk or edge:gin.

    Raises:
        UserError: a part that does not exist.
    """
    marks, colon, rest = name.rpartition(":")
    layer, plus, positional = rest.partition("+")
    if colon and marks not in MARKS:
        raise UserError(f"net={name}: {nearest(marks, list(MARKS))}, or none, before the colon")
    if layer not in LAYERS and not is_dotted(layer):
        raise UserError(f"net={name}: {nearest(layer, [*REFINEMENTS, *LAYERS])}, or the dotted path of a layer")
    if plus and positional not in ENCODINGS:
        raise UserError(f"net={name}: {nearest(positional, list(ENCODINGS))}, or nothing, after the plus sign")
    return Kind(marks or None, layer, positional or None)


def build_net(kind: Kind, *, num_layers: int, hidden_size: int, encoding_size: int, hops: int) -> nn.Module:
    """Build a net that maps graphs to OUTPUTS numbers each.

    It has a batch norm after each layer and adds up the nodes: both keep what a mean would lose.

    Raises:
        UserError: the net cannot be built so.
    """
    sizes = {"in_feats": 0 if kind.positional else 1, "positional_size": encoding_size if kind.positional else 0}
    none = {"node_types": 0, "edge_feats": 0, "edge_types": 0}
    form = {"norm": "batch", "readout": "sum", "level": "graph", "output_layer": "linear", "input_layer": True}
    settings = {"layer": kind.layer, "num_layers": num_layers, "hidden_size": hidden_size, "num_outputs": OUTPUTS}
    settings |= {"positional": kind.positional, **sizes, **none, **form}
    try:
        if kind.marks is None:
            return GraphNetwork(**settings)  # type: ignore[arg-type]  # of several types
        return SubgraphNetwork(marks=kind.marks, hops=hops, **settings)  # type: ignore[arg-type]  # likewise
    except ValueError as error:
        raise UserError(f"net: {error}") from error

"""Train GAT and GATv2 on the dictionary lookup of Brody, Alon & Yahav 2022: n queries, each for the value of its key.

Every query has an edge from every key. GAT ranks the keys in the same order for all queries; GATv2 need not.

Shapes: n keys, P dictionaries in one graph.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_dl2.common.figures import COLOURS, MARKERS, SEQUENTIAL, new_figure, save, write_csv
from lightning_dl2.graphs import Graph, edge_softmax
from lightning_dl2.nets import GATConv, GATv2Conv

NUM_KEYS, NUM_SEEDS = (2, 4, 8, 12), 3
STEPS, HIDDEN = 250, 64
DICTIONARIES = 8  # P of a batch
SHOWN = 8  # keys of the dictionary in the figure of the attention
LAYERS = {"gat": "GAT", "gatv2": "GATv2"}


def build_dictionaries(num_keys: int, values: Tensor) -> Graph:
    """Build a graph of P dictionaries of `values`, int64 [P, n]: nodes 0 to n - 1 are queries, n to 2 n - 1 keys."""
    first = 2 * num_keys * torch.arange(len(values))[:, None]
    query, key = torch.meshgrid(torch.arange(num_keys), torch.arange(num_keys, 2 * num_keys), indexing="ij")
    eye = torch.eye(num_keys)
    queries = torch.cat([eye, 0 * eye], 1).expand(len(values), -1, -1)
    keys = torch.cat([eye.expand(len(values), -1, -1), eye[values]], 2)
    return Graph(
        (first + key.flatten()).flatten(),
        (first + query.flatten()).flatten(),
        2 * num_keys * len(values),
        batch_num_nodes=torch.full((len(values),), 2 * num_keys),
        ndata={"features": torch.cat([queries, keys], 1).flatten(0, 1)},
    )


class _Seen:
    """A convolution that keeps the attention weights of its last call, [E, heads]."""

    def attend(self, graph: Graph, z: Tensor, scores: Tensor) -> Tensor:
        self.attention = edge_softmax(graph, scores).detach()
        return super().attend(graph, z, scores)  # type: ignore[misc]  # of the convolution that it stands before


class _SeenGAT(_Seen, GATConv):
    pass


class _SeenGATv2(_Seen, GATv2Conv):
    pass


class LookupNet(nn.Module):
    """A graph attention layer, `gat` or `gatv2`, with one head, and a linear layer."""

    def __init__(self, layer: str, num_keys: int) -> None:
        super().__init__()
        self.num_keys = num_keys
        self.convolution = {"gat": _SeenGAT, "gatv2": _SeenGATv2}[layer](2 * num_keys, HIDDEN)
        self.output = nn.Linear(HIDDEN, num_keys)

    def forward(self, graph: Graph) -> Tensor:
        """Return the logits of the value for each query, [P, n, n]."""
        logits = self.output(self.convolution(graph, graph.ndata["features"]))
        return logits.view(-1, 2 * self.num_keys, self.num_keys)[:, : self.num_keys]

    def attention(self, graph: Graph) -> Tensor:
        """Return the weight of each key (last dimension) for each query, [P, n, n]; rows sum to 1."""
        with torch.no_grad():
            self(graph)
        return self.convolution.attention.view(-1, self.num_keys, self.num_keys)


def fit_lookup(layer: str, num_keys: int, *, seed: int = 0, steps: int = STEPS) -> tuple[LookupNet, float]:
    """Train a net with new random values in each step; return it and its accuracy on 100 new dictionaries."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    net = LookupNet(layer, num_keys)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    structure = build_dictionaries(num_keys, draw_values(DICTIONARIES, num_keys, generator))
    for _ in range(steps):
        values = draw_values(DICTIONARIES, num_keys, generator)
        graph = structure.replace(ndata=build_dictionaries(num_keys, values).ndata)
        loss = nn.functional.cross_entropy(net(graph).flatten(0, 1), values.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 0.01:
            break
    values = draw_values(100, num_keys, generator)
    with torch.no_grad():
        return net, (net(build_dictionaries(num_keys, values)).argmax(2) == values).float().mean().item()


def draw_values(number: int, num_keys: int, generator: torch.Generator) -> Tensor:
    """Draw a random permutation of the values for each of `number` dictionaries, int64 [P, n]."""
    return torch.rand(number, num_keys, generator=generator).argsort(1)


def write(out: Path, seed: int) -> list[tuple[str, str]]:
    """Write `lookup.png`, `lookup.csv` and `attention.csv`; return rows of the table."""
    found, attention = [], {}
    for layer in LAYERS:
        for num_keys in NUM_KEYS:
            for run in range(seed, seed + NUM_SEEDS):
                net, accuracy = fit_lookup(layer, num_keys, seed=run)
                found.append((layer, num_keys, run, accuracy))
                if num_keys == SHOWN and run == seed:
                    attention[layer] = net.attention(build_dictionaries(num_keys, torch.arange(num_keys)[None]))[0]
    write_csv(out / "lookup.csv", ("layer", "keys", "seed", "accuracy"), found)
    cells = [
        (layer, query, key, attention[layer][query, key].item())
        for layer in LAYERS
        for query in range(SHOWN)
        for key in range(SHOWN)
    ]
    write_csv(out / "attention.csv", ("layer", "query", "key", "weight"), cells)

    figure = new_figure(3, width=4.2, height=3.8)
    left, *maps = figure.subplots(1, 3)
    left.plot(NUM_KEYS, [1 / n for n in NUM_KEYS], color=COLOURS[-1], linestyle=":", label="guessing")
    means = {}
    for (layer, name), colour, marker in zip(LAYERS.items(), COLOURS, MARKERS, strict=False):
        runs = torch.tensor([row[-1] for row in found if row[0] == layer]).view(len(NUM_KEYS), NUM_SEEDS)
        means[layer] = runs.mean(1)
        left.plot(NUM_KEYS, means[layer], color=colour, marker=marker, label=name)
        left.fill_between(NUM_KEYS, runs.amin(1), runs.amax(1), color=colour, alpha=0.2, linewidth=0)
    left.set_xticks(NUM_KEYS)
    left.set(xlabel="keys of the dictionary", ylabel=f"accuracy, mean and range of {NUM_SEEDS} seeds", ylim=(0, 1.05))
    left.legend()
    for axes, layer in zip(maps, LAYERS, strict=True):
        image = axes.imshow(attention[layer], cmap=SEQUENTIAL, vmin=0, vmax=1)
        axes.plot(attention[layer].argmax(1), range(SHOWN), "o", color=COLOURS[1], label="attended to most")
        axes.set(title=f"{LAYERS[layer]}: who looks at what", xlabel="key", ylabel="query")
    maps[-1].legend(loc="upper right", fontsize="small")
    figure.colorbar(image, ax=maps, label="attention weight")
    save(figure, out / "lookup.png")
    return [
        (f"dictionary of {n} keys, accuracy", ", ".join(f"{LAYERS[layer]} {means[layer][i]:.2f}" for layer in LAYERS))
        for i, n in enumerate(NUM_KEYS)
    ]

"""Test the parts of the package on a pretended CUDA device: no tensor is on the wrong one, and the numbers stay."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_dl2.config.schema.targets import METRICS
from lightning_dl2.decoding import Decoding, generate
from lightning_dl2.graphs import Graph, SparseMatrix, edge_softmax, gather, sddmm, segment_readout, spmm
from lightning_dl2.graphs.gated_mean import edge_sum, gated_mean
from lightning_dl2.graphs.positional_encodings import ENCODINGS as POSITIONS
from lightning_dl2.nets import LAYERS, Ensemble, LanguageModel, Recurrent, RecurrentClassifier, RecurrentRegressor
from lightning_dl2.nets.graph.layerwise import layerwise
from lightning_dl2.nets.graph.norms import NORMS as NORM_LAYERS
from lightning_dl2.nets.graph.readouts import READOUTS
from lightning_dl2.nets.graph.subgraphs import MARKS, SubgraphNetwork
from lightning_dl2.nets.recurrent.gradient_flow import gradient_flow
from lightning_dl2.tasks.graph_targets import KINDS
from lightning_dl2.tasks.metrics import (
    AccuracyByLength,
    F1Score,
    MacroAccuracy,
    Mean,
    RankingScore,
    SquaredErrorByLength,
)
from lightning_dl2.tasks.optimizers import build_optimizer, complete, parameter_groups
from lightning_dl2.tasks.text_generator import focal_cross_entropy
from tests.graphs.examples import ALL, batch_of_four, block
from tests.nets.graph.graph_cases import INPUTS, batch_of_graphs, build, papers, random_graph
from tests.nets.graph.relations.test_relational_layers import network, whole
from tests.pretended_device import Pretended, pretended_cuda
from tests.small import small_targets

SIZES = {"input_size": 3, "hidden_size": 4, "num_layers": 2}
CELLS: dict[str, dict[str, Any]] = {
    "rnn": {"cell": "rnn"},
    "lstm": {"cell": "lstm", "forget_bias": 1.0},
    "gru": {"cell": "gru"},
    "paper_gru": {"cell": "gru", "reset_after": False},
    "gers": {"cell": "peephole"},
    "assignment": {"cell": "peephole", "peephole": "assignment"},
}

NORMS = list(NORM_LAYERS)


@pytest.fixture
def deterministic():
    torch._C._set_deterministic_algorithms(True)  # torch.use_deterministic_algorithms would import its compiler
    yield
    torch._C._set_deterministic_algorithms(False)


def tensors(value: Any) -> list[Tensor]:
    """Return the tensors of nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return [value]
    values = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    return [tensor for item in values for tensor in tensors(item)]


def moved(value: Any, device: str) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(moved(item, device) for item in value)
    return value.to(device) if isinstance(value, (Tensor, Graph, SparseMatrix)) else value


def results(part: Any, inputs: Any, run: Callable[..., Any], device: str) -> list[Tensor]:
    """Return what `run` gives on a device, and the gradients of its sines in the parameters and the inputs."""
    torch.manual_seed(1)
    part = deepcopy(part).to(device) if isinstance(part, nn.Module) else part
    inputs = moved([x.clone() if isinstance(x, Tensor) else x for x in inputs], device)
    floats = [x.requires_grad_() for x in inputs if isinstance(x, Tensor) and x.is_floating_point()]
    found = tensors(run(part, *inputs))
    leaves = [*floats, *(part.parameters() if isinstance(part, nn.Module) else ())]
    used = [x for x in found if x.requires_grad]
    if used and leaves:
        loss = sum(x.sin().sum() for x in used)
        found += torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    assert all(isinstance(x, Pretended) == (device == "cuda") for x in found)
    return [x.detach().cpu() for x in found]


def check(part: Any, inputs: Any, run: Callable[..., Any] = lambda part, *inputs: part(*inputs)) -> None:
    """Compare outputs and gradients on the pretended device with those of the CPU."""
    expected = results(part, inputs, run, "cpu")
    with pretended_cuda():
        actual = results(part, inputs, run, "cuda")
    for mine, reference in zip(actual, expected, strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-5, rtol=1e-5)


def test_the_pretended_device_refuses_what_cuda_refuses(deterministic):
    x, on_cpu = torch.ones(2, 3), torch.ones(3)
    with pretended_cuda():
        x = x.cuda()
        wrong: list[Callable[[], Any]] = [
            lambda: x + on_cpu,
            lambda: torch.cat([x, on_cpu[None]]),
            lambda: on_cpu[x[0].long()],
            lambda: on_cpu.add_(x[0]),
            lambda: nn.Linear(3, 2)(x),
            lambda: x.numpy(),
            lambda: x.median(0),
            lambda: x[0].long().bincount(weights=x[0]),
            lambda: torch.rand(2, device="cuda", generator=torch.Generator()),
        ]
        for call in wrong:
            with pytest.raises((RuntimeError, TypeError)):
                call()
        x[0] = torch.tensor(2.0)
        x[torch.tensor([1])] += 1  # indices and numbers of the CPU are allowed
        assert (x * torch.tensor(2.0)).tolist() == [[4.0] * 3, [4.0] * 3]
        assert x.to("cuda") is x and x.to(x.device) is x and str(x.device) == "cuda:0" and x.is_cuda
        net = nn.Linear(3, 2)
        weight = net.weight
        assert net.cuda().weight is weight and isinstance(weight, nn.Parameter) and weight.is_cuda
        assert not net.cpu().weight.is_cuda and net.weight is weight


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_layers(cell):
    net = Recurrent(**SIZES, **CELLS[cell])
    x, state = torch.randn(3, 5, 3), torch.randn(2, 3, 4)
    states = (state, state.clone()) if len(net.cell.state) == 2 else state
    check(net, [x])
    check(net, [x, *tensors(states)], lambda net, x, *parts: net(x, parts if len(parts) > 1 else parts[0]))
    check(net, [x], lambda net, x: net.explicit(x)[0])
    both = Recurrent(**SIZES, **CELLS[cell], bidirectional=True)
    lengths = torch.tensor([5, 2, 4])
    check(both, [x, lengths], lambda net, x, lengths: net(x, None, lengths)[0])


@pytest.mark.parametrize("cell", CELLS)
def test_dropout_of_recurrent_layers(cell):
    net = Recurrent(**SIZES, **CELLS[cell], dropout=0.5, weight_dropout=0.5)
    check(net, [torch.randn(3, 5, 3)])


LANGUAGE_MODELS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tied": {"tie_weights": True},
    "projected": {"embedding_size": 3, "projection_size": 3, "tie_weights": True},
    "apart": {"layer_norm": True, "skip_connections": True},
    "locked": {"locked_dropout": True},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "cell"), zip(LANGUAGE_MODELS, ["lstm", "gru", "assignment", "lstm", "gru"], strict=True)
)
def test_language_models(options, cell):
    net = LanguageModel(7, hidden_size=4, num_layers=2, **CELLS[cell], **LANGUAGE_MODELS[options])
    tokens = torch.randint(7, (3, 5))
    check(net, [tokens])
    check(net, [tokens], lambda net, tokens: net.stepper()(tokens[:, 1], net(tokens)[1]))
    check(net, [tokens], lambda net, tokens: net.stepper()(tokens[:, 1], None))
    dropout = dict.fromkeys(("input_dropout", "dropout", "output_dropout"), 0.5)
    dropped = LanguageModel(7, hidden_size=4, num_layers=2, **CELLS[cell], **LANGUAGE_MODELS[options] | dropout)
    with pretended_cuda():  # a CPU draws the masks in another way
        results(dropped, [tokens], lambda net, tokens: net(tokens)[0], "cuda")


DECODINGS: dict[str, dict[str, Any]] = {
    "greedy": {"do_sample": False, "repetition_penalty": 1.5},
    "sampled": {"num_return_sequences": 2, "temperature": 0.5},
    "filtered": {"top_k": 5, "top_p": 0.8, "min_p": 0.05, "typical_p": 0.9, "repetition_penalty": 1.2},
    "beams": {"do_sample": False, "num_beams": 3, "num_return_sequences": 2, "repetition_penalty": 1.2},
}


@pytest.mark.slow
@pytest.mark.parametrize("method", DECODINGS)
def test_generated_texts(method, deterministic):
    net = Ensemble([LanguageModel(7, hidden_size=4, num_layers=2, cell="lstm") for _ in range(2)])
    arguments = [[1, 2], [], [3, 4, 5]], Decoding(max_new_tokens=8, seed=3, **DECODINGS[method])
    expected = generate(net, *arguments, start_token=0, stop=[[6, 6]])
    with pretended_cuda():
        actual = generate(net.cuda(), *arguments, start_token=0, stop=[[6, 6]])
    assert [[one.tokens for one in many] for many in actual] == [[one.tokens for one in many] for many in expected]


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["one_hot", "embedding", "scalar", "none", "linear"])
def test_classifiers(encoding):
    vectors = encoding in ("none", "linear")
    sizes = {"features": 3} if vectors else {"has_unknown": encoding != "scalar"}
    net = RecurrentClassifier(
        None if vectors else 5, 4, encoding=encoding, cell="lstm", hidden_size=4, bidirectional=True, **sizes
    )
    inputs = torch.randn(3, 6, 3) if vectors else torch.randint(5, (3, 6))
    check(net, [inputs])
    check(net, [inputs, torch.tensor([6, 2, 3])])


def test_regressors():
    net = RecurrentRegressor(None, features=2, encoding="none", cell="gru", hidden_size=4, mean=1.0, scale=0.4)
    check(net, [torch.randn(3, 6, 2), torch.tensor([4, 6, 5])])


def test_measures_at_lengths():
    def measured(kind, *batch):
        metric = kind([3, 5]).to(batch[0].device)
        metric.update(*batch, 5)
        return metric.compute()

    check(None, [torch.randn(6, 4), torch.randint(4, (6,))], lambda _, *batch: measured(AccuracyByLength, *batch))
    check(None, [torch.randn(6), torch.randn(6)], lambda _, *batch: measured(SquaredErrorByLength, *batch))


@pytest.mark.slow
def test_ensembles_and_the_flow_of_gradients():
    net = Ensemble([LanguageModel(5, hidden_size=4, cell=cell) for cell in ("gru", "gru")])
    tokens, labels = torch.randint(5, (3, 6)), torch.randint(5, (3,))
    check(net, [tokens])
    check(net, [tokens, labels], gradient_flow)
    classifier = RecurrentClassifier(5, 4, cell="lstm", hidden_size=4, bidirectional=True)
    check(classifier, [tokens, labels % 4, torch.tensor([2, 6, 4])], gradient_flow)


@pytest.mark.slow
@pytest.mark.parametrize("make", ALL)
def test_primitives(make, deterministic):
    graph = make()
    x, e = torch.randn(graph.num_src, 2, 3), torch.randn(graph.num_edges, 2, 1)
    y = torch.randn(graph.num_nodes, 2, 3)
    for reduce in ("sum", "mean", "max"):
        check(None, [graph, x], lambda _, graph, x, r=reduce: spmm(graph, x, reduce=r))
        check(None, [graph, x, e], lambda _, graph, x, e, r=reduce: spmm(graph, x, e, reduce=r))
        if not graph.is_block:
            check(None, [graph, x], lambda _, graph, x, r=reduce: segment_readout(graph, x, r))
    for op in ("add", "sub", "mul", "dot"):
        check(None, [graph, x, y], lambda _, graph, x, y, op=op: sddmm(graph, op, x, y))
    check(None, [graph, e], lambda _, graph, e: edge_softmax(graph, e))
    check(None, [graph, x], lambda _, graph, x: gather(graph, x))
    flat, scores = x.flatten(1), torch.randn(graph.num_edges, 6)
    check(None, [graph, flat, scores], lambda _, graph, x, scores: gated_mean(graph, x, scores))
    check(None, [graph, flat, y.flatten(1), scores], lambda _, graph, *rest: edge_sum(graph, *rest))


@pytest.mark.parametrize("sums", ["by segments", "by torch"])
def test_products_of_sparse_matrices(sums, request):
    if sums == "by segments":
        request.getfixturevalue("deterministic")
    matrix = SparseMatrix.from_dense(torch.randn(5, 7) * (torch.rand(5, 7) > 0.5))
    check(None, [matrix, torch.randn(7, 20)], lambda _, matrix, x: matrix @ x)
    check(
        None,
        [matrix],
        lambda _, matrix: (matrix.transpose().to_dense(), matrix.rows(matrix.indices[:3] % 5).to_dense()),
    )
    for make in (batch_of_four, block):
        graph = make().with_self_loops()
        check(None, [graph, torch.randn(graph.num_src, 3)], lambda _, graph, x: graph.normalized_adjacency() @ x)


@pytest.mark.parametrize("kind", POSITIONS)
def test_positional_encodings(kind):
    check(None, [batch_of_graphs()], lambda _, graph: POSITIONS[kind](graph, 3))


@pytest.mark.slow
@pytest.mark.parametrize("layer", LAYERS)
def test_graph_networks(layer, deterministic):
    """Norms, readouts and other parts do not depend on the layer: each layer has others."""
    place = list(LAYERS).index(layer)
    norm, other, readout = NORMS[place % 3], NORMS[(place + 1) % 3], READOUTS[place % 4]
    parts = {"feed_forward": place % 2 == 0, "virtual_node": place % 2 == 1, "readout": readout, "norm": other}
    check(build(layer, norm=norm, residual=True, engine="torch"), [random_graph()])
    check(build(layer, "graph", node_types=5, engine="torch", **parts), [batch_of_graphs()])


@pytest.mark.parametrize("marks", MARKS)
def test_graph_networks_of_subgraphs(marks, deterministic):
    form = {"layer": "gine", "level": "graph", "num_outputs": 3, "input_layer": True, "output_layer": "linear"}
    check(SubgraphNetwork(marks=marks, hops=2, engine="torch", **INPUTS, **form), [batch_of_graphs()])


@pytest.mark.parametrize("combine", ["sum", "mean"])
def test_a_layer_of_each_relation(combine, deterministic):
    check(network("sage", combine=combine, engine="torch"), [whole()])


@pytest.mark.slow
@pytest.mark.parametrize("layer", LAYERS)
def test_dropout_blocks_and_chunks_of_graph_networks(layer, deterministic):
    dropout = dict.fromkeys(("input_dropout", "dropout", "attention_dropout"), 0.5)
    position = {"positional": "laplacian", "positional_size": 3}
    net = build(layer, jumping_knowledge="cat", engine="torch", **dropout, **position)
    with pretended_cuda():
        results(net, [random_graph()], lambda net, graph: net(graph), "cuda")
    whole = random_graph().replace(edata={"types": random_graph().edata["types"]})
    ids = torch.arange(4)
    net = build(layer, num_layers=1, engine="torch").eval()

    def on_a_block(net: Any, graph: Graph) -> Tensor:
        part, sources, edges = graph.in_block(0, 4)
        ndata = {name: x[sources] for name, x in graph.ndata.items()}
        return net([part.replace(ndata=ndata, edata={"types": graph.edata["types"][edges]})])

    if not net.self_loops:
        check(net, [whole], on_a_block)
    net = build(layer, engine="torch").eval()
    for home in ("cpu", "cuda"):  # a large graph stays on the CPU
        expected = layerwise(net, whole, 7)
        with pretended_cuda():
            actual = layerwise(deepcopy(net).cuda(), whole.to(home), 7)
            torch.testing.assert_close(actual[ids].cpu(), expected[ids])


def test_sparse_features_of_graph_networks(deterministic):
    graph = random_graph()
    features = SparseMatrix.from_dense(graph.ndata["features"] * (graph.ndata["features"] > 0))
    graph = graph.replace(ndata={"features": features})
    for layer in ("gcn", "sage", "gat", "gin"):
        check(papers(layer, engine="torch"), [graph])
    net = papers("gcn", input_dropout=0.5, engine="torch")
    with pretended_cuda():
        results(net, [graph], lambda net, graph: net(graph), "cuda")


def test_losses_and_metrics(deterministic):
    logits, targets = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, -100, 1])
    logits[:2, 1] = torch.tensor([1.0, -1.0])  # both classes that the metrics ask for
    for gamma in (0.0, 2.0):
        check(None, [logits, targets], lambda _, x, y, gamma=gamma: focal_cross_entropy(x, y, gamma))
    check(None, [logits], lambda _, x: F.cross_entropy(x, x.argmax(-1), weight=x[0].detach().abs(), reduction="none"))

    def measured(metric: Any, x: Tensor) -> Tensor:
        metric.reset()
        for row in x:
            metric.update(row.mean(), 2) if isinstance(metric, Mean) else metric.update(x, (x > 0).long()[:, 1])
        return metric.compute()

    for metric in (
        Mean(),
        MacroAccuracy(4),
        F1Score(4, "macro"),
        RankingScore("auc"),
        RankingScore("average_precision"),
    ):
        with torch.no_grad():
            check(metric, [logits], measured)


@pytest.mark.parametrize("kind", ["regression", "multilabel"])
def test_targets_of_graph_networks(kind, deterministic):
    data = small_targets(kind)
    rules = {"class_weights": "balanced", "loss": "huber", "standardize": None}
    targets, wanted = KINDS[kind](data.spec, **rules), data.labels[data.splits["train"]]

    def measured(targets: Any, outputs: Tensor, wanted: Tensor) -> list[Tensor]:
        found = [targets.loss(outputs, wanted), *targets.training_losses(outputs, wanted).values()]
        for metric in targets.build_metrics(list(METRICS[kind])).values():
            metric.to(outputs.device).update(*targets.comparable(outputs.detach(), wanted))
            found.append(metric.compute())
        return [each.float() for each in found]

    check(targets, [torch.randn(len(wanted), 2), wanted], measured)


OPTIMIZERS = sorted(
    name
    for name, kind in vars(torch.optim).items()
    if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)
    if name not in ("Optimizer", "SparseAdam", "LBFGS")
)


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_and_their_states(name):
    """The state of an optimiser on the device is loaded from a checkpoint, whose tensors are on the CPU."""
    config = complete({"name": name, "learning_rate": 0.01})
    initial = LanguageModel(5, hidden_size=4, projection_size=3, cell="gru")

    def stepped(device: str) -> list[Tensor]:
        net = deepcopy(initial).to(device)
        tokens = torch.arange(6, device=device).view(2, 3) % 5
        optimizer = build_optimizer(parameter_groups(net, config), config)
        for number in range(4):
            if number == 2:
                state = moved_state(optimizer.state_dict())
                optimizer = build_optimizer(parameter_groups(net, config), config)
                optimizer.load_state_dict(state)
            optimizer.zero_grad()
            net(tokens)[0].square().mean().backward()
            optimizer.step()
        return [parameter.detach().cpu() for parameter in net.parameters()]

    expected = stepped("cpu")
    with pretended_cuda():
        actual = stepped("cuda")
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-5)


def moved_state(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: moved_state(item) for key, item in value.items()}
    if isinstance(value, list):
        return [moved_state(item) for item in value]
    return value.cpu() if isinstance(value, Tensor) else value

"""Test each primitive on each engine against loops over edges, and its gradient against differences."""

import pytest
import torch

from lightning_dl2.graphs import Graph, edge_softmax, gather, sddmm, segment_readout, spmm
from tests.graphs.examples import ALL, ENGINES, batch_of_four, block, needs_dgl, random_graph, undirected, without_edges

SHAPES = {  # shapes of x and e after the first dimension
    "copy x": ((3,), None),
    "copy x, numbers": ((), None),
    "copy x, heads": ((2, 3), None),
    "copy e": (None, (2, 2)),
    "weights": ((3,), ()),
    "weights, heads": ((2, 3), ()),
    "attention": ((2, 3), (2, 1)),
    "products": ((3,), (3,)),
    "e wider than x": ((1, 3), (2, 1)),
    "x with fewer dimensions": ((3,), (2, 3)),
}


def random_inputs(graph: Graph, *shapes: tuple[int, tuple[int, ...] | None]) -> list[torch.Tensor | None]:
    """Return float64 tensors that require gradients, with distinct entries, for each number of rows and shape."""
    generator = torch.Generator().manual_seed(3)
    return [
        None if shape is None else torch.randn(rows, *shape, generator=generator, dtype=torch.float64).requires_grad_()
        for rows, shape in shapes
    ]


def reduce_groups(messages: torch.Tensor, owner: torch.Tensor, count: int, reduce: str) -> torch.Tensor:
    """Reduce [E, ...] to [count, ...], one group after the other."""
    rows = []
    for group in range(count):
        members = messages[owner == group]
        if not len(members):
            rows.append(members.sum(0))  # zeros with a gradient
        else:
            rows.append(members.amax(0) if reduce == "max" else getattr(members, reduce)(0))
    return torch.stack(rows) if rows else messages[:0]


def agree(actual: torch.Tensor, expected: torch.Tensor, inputs: list[torch.Tensor | None]) -> None:
    """Check values and the gradients of a weighted sum."""
    assert actual.shape == expected.shape
    torch.testing.assert_close(actual, expected, atol=1e-10, rtol=0)
    inputs = [x for x in inputs if x is not None]
    weights = torch.randn(actual.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    grads = [torch.autograd.grad((result * weights).sum(), inputs) for result in (actual, expected)]
    for mine, reference in zip(*grads, strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-10, rtol=0)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
@pytest.mark.parametrize("shapes", SHAPES)
def test_spmm(engine, make, reduce, shapes):
    graph = make().using(engine)
    x, e = random_inputs(graph, *zip((graph.num_src, graph.num_edges), SHAPES[shapes], strict=True))
    if x is None:
        messages = e
    else:
        messages = x[graph.src]
        if e is not None:
            ndim = max(x.ndim, e.ndim)
            messages, e_aligned = (t.reshape(len(t), *(1,) * (ndim - t.ndim), *t.shape[1:]) for t in (messages, e))
            messages = messages * e_aligned
    expected = reduce_groups(messages, graph.dst, graph.num_nodes, reduce)
    agree(spmm(graph, x, e, reduce=reduce), expected, [x, e])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("op", ["add", "sub", "mul", "dot"])
@pytest.mark.parametrize("shapes", [((3,), (3,)), ((2, 3), (2, 1)), ((2, 3), (3,))])
def test_sddmm(engine, make, op, shapes):
    if op == "dot" and shapes[0][-1] != shapes[1][-1]:
        shapes = (shapes[0], shapes[0])
    graph = make().using(engine)
    x, y = random_inputs(graph, (graph.num_src, shapes[0]), (graph.num_nodes, shapes[1]))
    left, right = x[graph.src], y[graph.dst]
    if left.ndim != right.ndim:
        right = right.unsqueeze(1)
    expected = {"add": left + right, "sub": left - right, "mul": left * right}.get(op)
    expected = (left * right).sum(-1, keepdim=True) if expected is None else expected
    agree(sddmm(graph, op, x, y), expected, [x, y])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("shape", [(), (3,), (2, 1)])
def test_edge_softmax(engine, make, shape):
    graph = make().using(engine)
    (scores,) = random_inputs(graph, (graph.num_edges, shape))
    expected = torch.zeros_like(scores)
    for node in range(graph.num_nodes):
        mine = (graph.dst == node).view(-1, *(1,) * len(shape))
        expected = torch.where(mine, scores.masked_fill(~mine, -torch.inf).softmax(0), expected)
    agree(edge_softmax(graph, scores), expected, [scores])


@pytest.mark.parametrize("engine", ENGINES)
def test_edge_softmax_of_large_scores(engine):
    graph = undirected().using(engine)
    scores = torch.linspace(0, 1e4, 12).requires_grad_()
    weights = edge_softmax(graph, scores)
    weights.square().sum().backward()
    assert weights.isfinite().all() and scores.grad.isfinite().all()
    torch.testing.assert_close(spmm(graph, None, weights), torch.ones(6).where(graph.in_degrees > 0, torch.zeros(6)))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("make", [batch_of_four, undirected, without_edges])
@pytest.mark.parametrize("reduce", ["sum", "mean", "max"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 2)])
def test_segment_readout(engine, make, reduce, shape):
    graph = make().using(engine)
    (x,) = random_inputs(graph, (graph.num_nodes, shape))
    expected = reduce_groups(x, graph.graph_of_node, graph.batch_size, reduce)
    agree(segment_readout(graph, x, reduce), expected, [x])


@pytest.mark.parametrize("make", ALL)
def test_gather(make):
    graph = make()
    (x,) = random_inputs(graph, (graph.num_src, (2, 3)))
    agree(gather(graph, x), x[graph.src], [x])


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_gradcheck(engine):
    graph = random_graph(8, 14, batch_num_nodes=torch.tensor([3, 0, 5])).using(engine)
    x, y, e, scores = random_inputs(graph, (8, (2, 2)), (8, (2, 2)), (14, (2, 1)), (14, (2,)))

    def check(function, *inputs, twice=False):
        assert torch.autograd.gradcheck(function, inputs)
        if twice:  # second derivatives, as for a gradient penalty
            assert torch.autograd.gradgradcheck(function, inputs)

    for reduce in ("sum", "mean", "max"):
        check(lambda x, reduce=reduce: spmm(graph, x, reduce=reduce), x)
        check(lambda x, e, reduce=reduce: spmm(graph, x, e, reduce=reduce), x, e)
        check(lambda e, reduce=reduce: spmm(graph, None, e, reduce=reduce), e)
        check(lambda x, reduce=reduce: segment_readout(graph, x, reduce), x)
    for op in ("add", "sub", "mul", "dot"):
        check(lambda x, y, op=op: sddmm(graph, op, x, y), x, y)
    check(lambda scores: edge_softmax(graph, scores), scores)
    check(lambda x: gather(graph, x), x, twice=True)
    if engine == "torch":
        check(lambda x, e: spmm(graph, x, e), x, e, twice=True)
        check(lambda scores: edge_softmax(graph, scores), scores, twice=True)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_maximum_reached_twice_gives_its_gradient_to_one_edge_with_torch_the_first(engine):
    """One of two equal maxima gets the gradient: with torch the first, with DGL and AVX-512 possibly another."""
    graph = Graph(torch.tensor([2, 1, 0, 2]), torch.tensor([0, 0, 0, 1]), 3).using(engine)
    x = torch.ones(3, 2, requires_grad=True)
    e = torch.ones(4, 1, requires_grad=True)
    nodes = torch.ones(3, 2, requires_grad=True)
    spmm(graph, x, reduce="max").sum().backward()
    spmm(graph, None, e, reduce="max").sum().backward()
    segment_readout(graph, nodes, "max").sum().backward()
    assert e.grad[3] == 1  # the only edge into node 1, which comes from node 2
    found = [(x.grad[:, 0] - torch.tensor([0, 0, 1])).tolist(), e.grad[:3, 0].tolist(), nodes.grad[:, 0].tolist()]
    if engine == "torch":
        assert found == [[0, 0, 1], [1, 0, 0], [1, 0, 0]]
    assert [sorted(gradient) for gradient in found] == [[0, 0, 1]] * 3


@pytest.mark.parametrize("engine", ENGINES)
def test_infinities_of_features_are_no_missing_edges(engine):
    graph = undirected().using(engine)
    x = torch.full((6, 1), -torch.inf)
    assert torch.equal(spmm(graph, x, reduce="max") == 0, (graph.in_degrees == 0).unsqueeze(1))


@pytest.mark.parametrize(
    ("engine", "reduce"),
    [
        ("torch", "sum"),
        ("torch", "mean"),
        ("torch", "max"),
        *(pytest.param("dgl", r, marks=needs_dgl) for r in ("sum", "mean")),
    ],
)
def test_nan_is_not_hidden(engine, reduce):
    graph = undirected().using(engine)
    x = torch.zeros(6, 1)
    x[4] = torch.nan  # node E, whose only neighbour is A
    assert spmm(graph, x, reduce=reduce).isnan().squeeze(1).tolist() == [True, *[False] * 5]


@pytest.mark.parametrize("engine", ENGINES)
def test_bf16_sums_are_taken_in_float32(engine):
    """A sum over a star of 1000 ones is exact in bf16 mode; a bf16 sum stops at 256."""
    leaves = torch.arange(1, 1001)
    graph = Graph(leaves, torch.zeros_like(leaves), 1001).using(engine)
    x = torch.ones(1001, 2, dtype=torch.bfloat16).requires_grad_()
    for total in (spmm(graph, x), spmm(graph, x, x[1:]), segment_readout(graph, x)):
        assert total.dtype == torch.bfloat16 and total[0, 0] == 1000
        total[0].sum().backward()
        assert x.grad.dtype == torch.bfloat16
    weights = edge_softmax(graph, x[1:] * 0)
    assert weights.dtype == torch.bfloat16
    torch.testing.assert_close(weights.float(), torch.full((1000, 2), 1e-3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_and_mixed_dtypes(engine, dtype):
    """Attention as in GATv2 works within autocast: scores in float32 beside features in bf16."""
    torch.manual_seed(0)
    graph = random_graph().using(engine)
    x = torch.randn(40, 2, 4, requires_grad=True)
    linear, attention = torch.nn.Linear(4, 4), torch.randn(2, 4)

    def layer(x):
        h = linear(x)
        scores = sddmm(graph, "add", h, h).tanh() * attention  # a kink could change sides in bf16
        weights = edge_softmax(graph, scores.sum(-1, keepdim=True))
        return spmm(graph, h, weights), spmm(graph, h, weights.to(h.dtype)), spmm(graph, h, reduce="max")

    with torch.autocast("cpu", dtype):
        low = layer(x)
        sum(result.float().square().sum() for result in low[:2]).backward()
    low_grad, x.grad = x.grad, None
    full = layer(x)
    sum(result.square().sum() for result in full[:2]).backward()
    assert [result.dtype for result in low[1:]] == [dtype, dtype]
    for mine, reference in zip(low, full, strict=True):
        torch.testing.assert_close(mine.float(), reference, atol=0.05, rtol=0.05)
    torch.testing.assert_close(low_grad, x.grad, atol=0.03 * x.grad.abs().max().item(), rtol=0.05)


@pytest.mark.parametrize("engine", ENGINES)
def test_deterministic_algorithms_are_no_obstacle(engine):
    graph = random_graph().using(engine)
    x = torch.randn(40, 4, requires_grad=True)
    torch.use_deterministic_algorithms(True)
    try:
        results = []
        for _ in range(2):
            h = spmm(graph, x, edge_softmax(graph, sddmm(graph, "dot", x, x))) + spmm(graph, x, reduce="max")
            (grad,) = torch.autograd.grad(segment_readout(graph, h, "mean").sum(), x)
            results.append((h, grad))
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: spmm(g, torch.ones(3, 1)), r"x is \[3, 1\]; the graph has 6 source nodes"),
        (lambda g: spmm(g, None, torch.ones(6, 1)), r"e is \[6, 1\]; the graph has 5 edges"),
        (lambda g: spmm(g, None), "spmm needs x, e or both"),
        (lambda g: spmm(g, torch.ones(6, 1), reduce="min"), "reduce='min'; allowed: sum, mean, max"),
        (lambda g: sddmm(g, "div", torch.ones(6), torch.ones(3)), "op='div'; allowed: add, sub, mul, dot"),
        (lambda g: sddmm(g, "add", torch.ones(6), torch.ones(6)), r"y is \[6\]; the graph has 3 destination nodes"),
        (lambda g: sddmm(g, "dot", torch.ones(6), torch.ones(3)), "dot needs a feature dimension"),
        (lambda g: edge_softmax(g, torch.ones(4)), r"scores is \[4\]; the graph has 5 edges"),
        (lambda g: segment_readout(g, torch.ones(6)), r"x is \[6\]; the graph has 3 nodes"),
        (lambda g: gather(g, torch.ones(3)), r"x is \[3\]; the graph has 6 source nodes"),
    ],
)
def test_wrong_arguments_are_said(call, message):
    with pytest.raises(ValueError, match=message):
        call(block())

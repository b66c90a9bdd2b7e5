"""Test batches of sequences as path graphs for the graph task."""

import pytest
import torch

from lightning_dl2.data import SequenceDataModule
from lightning_dl2.data.graphs.path_graphs import path_batch, path_spec
from lightning_dl2.tasks import GraphNet


def test_the_view_has_the_tokens_in_their_order_and_asks_at_the_last():
    data = SequenceDataModule("decimal_palindrome", 6, 4)
    tokens, labels = data.train_batch(3)
    batch = path_batch((tokens, labels))
    graph = batch.graphs
    assert graph.batch_num_nodes.tolist() == [5] * 4
    assert torch.equal(batch.targets, labels)
    types = graph.ndata["types"]
    assert torch.equal(types[batch.index], tokens[:, -1])
    for row, last in enumerate(batch.index.tolist()):
        node, read = last, [types[last].item()]
        while (before := graph.src[graph.dst == node]).numel():  # walks the path backwards
            (node,) = before.tolist()
            read.insert(0, types[node].item())
        assert read == tokens[row].tolist()


@pytest.mark.slow
def test_the_graph_task_trains_on_it():
    data = SequenceDataModule("decimal_palindrome", 3, 16)
    torch.manual_seed(0)
    task = GraphNet(path_spec(data.spec), layer="sage", num_layers=1, output_layer="linear")
    optimizer = torch.optim.Adam(task.parameters(), lr=0.01)
    for step in range(150):
        result = task.training_step(path_batch(data.train_batch(step)), step)
        optimizer.zero_grad()
        result["loss"].backward()
        optimizer.step()
    assert result["loss"] < 0.1 and result["accuracy"] == 1

"""Test the sequence transducer: loss and metrics of the marked positions alone, ranks, checkpoints, resume."""

import pytest
import torch
from torch.nn import functional as F

from lightning_dl2 import SequenceTransducer, compose, evaluate, train
from lightning_dl2.decoding.vocabulary import NOT_COUNTED
from lightning_dl2.tasks.sequence_reader import Parts
from tests.comparison import checkpoint_differences, metrics_differences
from tests.conftest import TRANSDUCER
from tests.data.sequences.test_module import on_rank
from tests.small import small_data, small_trainer


def reverse(**options):
    sizes = {"shortest_length": 2, "test_lengths": [4, 9, 12], "length_test_size": 6, "evaluation_batch_size": 5}
    return small_data("reverse_string", 6, **sizes | options)


def transducer(data, **options):
    torch.manual_seed(0)
    return SequenceTransducer(spec=data.spec, **{"cell": "gru", "hidden_size": 8} | options)


def by_hand(task, batches):
    """Return the losses and whether each answer is right, by sequence, each read alone."""
    losses, right = [], []
    for batch in batches:
        for tokens, targets in zip(batch.tokens, batch.labels, strict=True):
            size = int((targets != NOT_COUNTED).sum())
            alone = tokens[: 2 * size]  # the string and as many empty places
            with torch.no_grad():
                logits = task.eval()(alone[None], None, torch.tensor([size]))[0, size:]
            losses += F.cross_entropy(logits, targets[size : 2 * size], reduction="none").tolist()
            right.append((logits.argmax(-1) == targets[size : 2 * size]).tolist())
    return losses, right


@pytest.mark.slow
@pytest.mark.parametrize("net", [{}, {"cell": "bilstm"}, {"cell": "tape_rnn"}])
def test_metrics_are_those_of_the_marked_positions_of_the_whole_set(net):
    data = reverse()
    task = transducer(data, **net)
    (test,) = small_trainer().test(task, data, verbose=False)
    losses, right = by_hand(task, data.evaluation_batches("test"))
    flat = sum(right, [])
    assert test["test/loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert test["test/accuracy"] == pytest.approx(sum(flat) / len(flat))
    assert test["test/sequence_accuracy"] == pytest.approx(sum(map(all, right)) / len(right))
    means = {}
    for at, found in data.sets_at.items():
        answers = sum(by_hand(task, [found.batch(torch.arange(6))])[1], [])
        means[at] = sum(answers) / len(answers)
        assert test[f"test/accuracy_at_{at}"] == pytest.approx(means[at])
    assert test["test/accuracy_beyond"] == pytest.approx((means[9] + means[12]) / 2)
    names = {"loss", "accuracy", "sequence_accuracy", "accuracy_beyond", "majority_baseline"}
    assert set(test) == {f"test/{name}" for name in names | {f"accuracy_at_{at}" for at in means}}
    (val,) = small_trainer().validate(task, data, verbose=False)
    assert set(val) == {"val/loss", "val/accuracy", "val/sequence_accuracy"}


def test_unmarked_positions_and_padding_have_no_gradient():
    data = reverse()
    task, batch = transducer(data), data.train_batch(0)
    loss = task.training_step(batch, 0)
    marked = batch.labels != NOT_COUNTED
    logits = task(batch.tokens)
    truth = F.cross_entropy(logits[marked], batch.labels[marked])
    assert torch.equal(loss["loss"], truth)
    assert loss["accuracy"] == (logits.argmax(-1) == batch.labels)[marked].float().mean()
    other = batch._replace(tokens=batch.tokens.clone())
    behind = torch.arange(batch.tokens.shape[1]) >= batch.lengths[:, None]
    other.tokens[behind] = 1
    assert behind.any() and torch.equal(task.training_step(other, 0)["loss"], truth)


def test_the_mean_over_ranks_is_the_loss_of_one_process():
    whole = reverse(batch_size=8).train_batch(2)
    task = transducer(reverse())
    parts = [on_rank(reverse(batch_size=4), rank, 2).train_batch(2) for rank in range(2)]
    losses = [task.training_step(part, 0)["loss"] for part in parts]
    torch.testing.assert_close(sum(losses) / 2, task.training_step(whole, 0)["loss"])


def test_next_symbols_weigh_as_much_as_the_answer_of_their_string():
    """Each string weighs the same, whatever its length, on one rank and on two; answers compete with answers alone."""
    options = {"shortest_length": 2, "next_symbols": True}
    data = small_data("dyck_2", 8, batch_size=6, **options)
    task, batch = transducer(data, label_smoothing=0.1), data.train_batch(1)
    by_string, right = [], []
    for tokens, targets in zip(batch.tokens, batch.labels, strict=True):
        end = int((targets >= 0).nonzero()[-1])
        logits = task.net(tokens[None, : end + 1])[0]
        answer = F.cross_entropy(logits[end, :2], targets[end], label_smoothing=0.1)
        more = F.cross_entropy(logits[:end, 2:], targets[:end] - 2, label_smoothing=0.1)
        by_string.append(answer + more)
        right.append(logits[end, :2].argmax() == targets[end])
    found = task.training_step(batch, 0)
    torch.testing.assert_close(found["loss"], sum(by_string) / 6)
    assert found["accuracy"] == sum(right) / 6
    ends = [int((targets >= 0).nonzero()[-1]) for targets in batch.labels]
    assert task.input_lengths(Parts(*batch)).tolist() == ends  # of the strings, for a cell that needs them
    ranks = [on_rank(small_data("dyck_2", 8, batch_size=3, **options), rank, 2).train_batch(1) for rank in range(2)]
    torch.testing.assert_close(sum(task.training_step(part, 0)["loss"] for part in ranks) / 2, found["loss"])
    test = data.evaluation_batches("test")[0]
    with torch.no_grad():
        task.net.output.bias[2:] += 100.0  # the sets of next symbols are no answer to the question at the end
        ids, answers, predicted = task.eval().predict_step(test, 0)
    assert set(predicted[answers >= 0].tolist()) <= {0, 1}


def test_a_classifier_reads_sequences_of_many_lengths_too():
    from lightning_dl2 import SequenceClassifier

    data = small_data("decimal_palindrome", 6, shortest_length=2, test_lengths=[9])
    torch.manual_seed(0)
    task = SequenceClassifier(spec=data.spec, cell="gru", hidden_size=8)
    trainer = small_trainer(max_steps=2)
    trainer.fit(task, data)
    (test,) = trainer.test(task, data, verbose=False)
    assert {"test/accuracy", "test/accuracy_at_9", "test/accuracy_beyond"} < set(test)


@pytest.mark.slow
def test_overfits_a_fixed_batch():
    data = reverse(batch_size=4)
    task = transducer(data, hidden_size=16, optimizer={"learning_rate": 0.03})
    small_trainer(overfit_batches=1, max_steps=80, limit_val_batches=0, gradient_clip_val=1.0).fit(task, data)
    with torch.no_grad():
        assert task.training_step(data.train_batch(0), 0)["accuracy"] == 1


@pytest.mark.slow
def test_a_checkpoint_is_all_that_is_needed(tmp_path):
    data = reverse()
    task = transducer(data)
    trainer = small_trainer(max_steps=2)
    trainer.fit(task, data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    loaded = SequenceTransducer.load_from_checkpoint(tmp_path / "a.ckpt", weights_only=True)
    tokens = data.train_batch(9).tokens
    assert torch.equal(loaded.eval()(tokens), task.eval()(tokens))


@pytest.mark.slow
def test_a_run_resumes_to_the_same_bits_and_is_evaluated(tmp_path):
    """A run that stops and resumes ends as one that never stopped, with a curriculum and its gradient flow."""
    words = [*TRANSDUCER, "data.curriculum.enabled=true", "data.curriculum.start=2", "data.curriculum.threshold=0.4"]
    words += ["callbacks.gradient_flow.enabled=true", "callbacks.gradient_flow.every_n_steps=10"]
    whole = train(compose(*words, f"root={tmp_path}/whole", "trainer.max_steps=12"))[1]["run"]
    for steps in (5, 12):
        run = train(compose(*words, f"root={tmp_path}/parts", f"trainer.max_steps={steps}"))[1]["run"]
    assert checkpoint_differences(whole, run) == [] and metrics_differences(whole, run) == []
    assert whole.result()["metrics"] == run.result()["metrics"]
    found = {name: value for name, value in run.result()["metrics"].items() if name.startswith("test/")}
    assert evaluate(run) == found and "test/accuracy_at_9" in found
    assert (run.path / "gradient_flow.csv").read_text() == (whole.path / "gradient_flow.csv").read_text()

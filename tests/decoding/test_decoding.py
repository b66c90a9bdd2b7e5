"""Test decoding against enumeration and plain loops, with a model whose logits are a table."""

import ast
import itertools
import math
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lightning_dl2 import decoding
from lightning_dl2.decoding import Decoding, generate, warp
from lightning_dl2.decoding.sampling import pick

V, START = 5, 4


class Table(nn.Module):
    """A model that looks its logits up by the last two tokens, which are the state [1, B, 2]."""

    def __init__(self, vocabulary_size=V, scale=1.5, seed=0, steps=True):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.table = nn.Parameter(scale * torch.randn((vocabulary_size,) * 3, generator=generator))
        self.calls = self.steps = 0
        if steps:
            self.stepper = lambda: self.step

    def forward(self, tokens, state=None):
        assert not self.training and tokens.shape[1] > 0
        self.calls += 1
        if state is None:
            state = torch.zeros(1, len(tokens), 2, dtype=torch.int64)
        read = torch.cat([state[0], tokens], 1)
        return self.table[read[:, 1:-1], read[:, 2:]], read[None, :, -2:]

    def step(self, tokens, state):
        self.steps += 1
        state = torch.stack([state[0, :, 1], tokens], 1)
        return self.table[state[:, 0], state[:, 1]], state[None]


class Net(nn.Module):
    """A small LSTM, whose state is a tuple."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.lstm = nn.Embedding(V, 8), nn.LSTM(8, 8, 2, batch_first=True, dropout=0.5)
        self.output = nn.Linear(8, V)
        self.double()
        with torch.no_grad():
            self.output.weight *= 10

    def forward(self, tokens, state=None):
        outputs, state = self.lstm(self.embedding(tokens), state)
        return self.output(outputs), state


def run(model, prompts, stop=(), on_token=None, **settings):
    return generate(model, prompts, Decoding(**settings), start_token=START, stop=stop, on_token=on_token)


def texts(results):
    return [[result.tokens for result in of_prompt] for of_prompt in results]


def log_probabilities(model, prompt, tokens):
    """Return the log-probability of each of `tokens` after the prompt from a single reading of both."""
    prompt = list(prompt) or [START]
    with torch.no_grad():
        logits, _ = model.eval()(torch.tensor([prompt + list(tokens)]))
    log_p = logits.double().log_softmax(2)[0, len(prompt) - 1 :].tolist()
    return [log_p[t][token] for t, token in enumerate(tokens)]


# --- the distribution ---------------------------------------------------------------------------------------------


def softmax(logits):
    weights = [math.exp(x - max(logits)) for x in logits]
    return [w / sum(weights) for w in weights]


def warped_by_loops(logits, seen, *, penalty=1.0, temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, typical_p=1.0):
    """Return the probabilities by the papers' definitions."""
    logits = [(x / penalty if x > 0 else x * penalty) if s else x for x, s in zip(logits, seen, strict=True)]
    p = softmax([x / temperature for x in logits])

    def restrict(kept):
        mass = sum(p[v] for v in kept)
        return [p[v] / mass if v in kept else 0.0 for v in range(len(p))]

    def smallest_set(order, mass):
        kept = []
        for v in order:
            kept.append(v)
            if sum(p[v] for v in kept) >= mass:
                break
        return restrict(kept)

    def by_probability():
        return sorted(range(len(p)), key=lambda v: -p[v])

    if top_k:
        p = restrict(by_probability()[:top_k])
    if top_p < 1:
        p = smallest_set(by_probability(), top_p)
    if min_p > 0:
        p = restrict([v for v in range(len(p)) if p[v] >= min_p * max(p)])
    if typical_p < 1:
        possible = [v for v in range(len(p)) if p[v] > 0]
        entropy = -sum(p[v] * math.log(p[v]) for v in possible)
        p = smallest_set(sorted(possible, key=lambda v: abs(-math.log(p[v]) - entropy)), typical_p)
    return p


WARPS = [
    {},
    {"temperature": 0.3},
    {"temperature": 2.5},
    {"top_k": 1},
    {"top_k": 4},
    {"top_k": 1000},
    {"top_p": 0.05},
    {"top_p": 0.8},
    {"min_p": 0.2},
    {"min_p": 1.0},
    {"typical_p": 0.05},
    {"typical_p": 0.7},
    {"penalty": 1.8},
    {"penalty": 0.6},
    {"penalty": 1.2, "temperature": 1.5, "top_k": 9, "top_p": 0.9, "min_p": 0.05, "typical_p": 0.8},
]


@pytest.mark.parametrize("options", WARPS, ids=str)
def test_warp_equals_loops(options):
    torch.manual_seed(0)
    logits, seen = 2 * torch.randn(50, 12, dtype=torch.float64), torch.rand(50, 12) < 0.4
    settings = {("repetition_penalty" if name == "penalty" else name): value for name, value in options.items()}
    ours = warp(logits, Decoding(**settings), seen)
    theirs = [warped_by_loops(*row, **options) for row in zip(logits.tolist(), seen.tolist(), strict=True)]
    torch.testing.assert_close(ours.exp(), torch.tensor(theirs, dtype=torch.float64), rtol=0, atol=1e-9)
    assert torch.equal(ours == -torch.inf, torch.tensor(theirs) == 0)


def test_warp_with_nothing_set_is_log_softmax():
    logits = torch.randn(3, V)
    assert torch.equal(warp(logits, Decoding()), logits.log_softmax(1))
    assert warp(logits.bfloat16(), Decoding()).dtype == torch.float32


def test_filters_keep_one_of_equal_tokens_and_the_lowest():
    flat = torch.zeros(1, V)
    for settings in ({"top_k": 1}, {"top_p": 0.01}, {"typical_p": 0.01}, {"temperature": 0.0}):
        assert warp(flat, Decoding(**settings)).exp().tolist() == [[1, 0, 0, 0, 0]], settings
    assert warp(flat, Decoding(min_p=1.0)).exp().tolist() == [pytest.approx([0.2] * 5)]


def test_extreme_temperatures_and_logits_give_no_nan():
    logits = torch.tensor([[3e38, -3e38, 0.0, -torch.inf, 3e38]])
    for settings in ({}, {"temperature": 5e-324}, {"temperature": 1e308}, {"inverse_temperature": 5e-324}):
        for more in ({}, {"top_k": 2}, {"top_p": 0.9}, {"min_p": 0.5}, {"typical_p": 0.9}):
            p = warp(logits, Decoding(**settings, **more)).exp()
            assert p.sum().item() == pytest.approx(1) and p[0, 3] == 0, (settings, more)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{}, {"inverse_temperature": 2.0}, {"top_k": 3, "temperature": 1.7}, {"top_p": 0.8}, {"repetition_penalty": 2.0}],
    ids=str,
)
def test_frequencies_are_the_probabilities_of_all_sequences(settings):
    model, n, num_samples, prompt = Table(), 3, 10_000, [1, 2]
    (results,) = run(model, [prompt], max_new_tokens=n, num_return_sequences=num_samples, **settings)
    counts = Counter(tuple(result.tokens) for result in results)

    options = {"penalty": settings.get("repetition_penalty", 1.0)}
    options |= {name: settings[name] for name in ("temperature", "top_k", "top_p") if name in settings}
    if "inverse_temperature" in settings:
        options["temperature"] = 1 / settings["inverse_temperature"]
    chi_square, degrees = 0.0, -1
    rest, rest_count = 0.0, 0
    for sequence in itertools.product(range(V), repeat=n):
        probability = 1.0
        for t, token in enumerate(sequence):
            read = prompt + list(sequence[:t])
            logits = model.table[read[-2], read[-1]].tolist()
            probability *= warped_by_loops(logits, [v in read for v in range(V)], **options)[token]
        expected = num_samples * probability
        if expected == 0:
            assert counts[sequence] == 0
        elif expected < 5:
            rest, rest_count = rest + expected, rest_count + counts[sequence]
        else:
            chi_square, degrees = chi_square + (counts[sequence] - expected) ** 2 / expected, degrees + 1
    if rest:
        chi_square, degrees = chi_square + (rest_count - rest) ** 2 / rest, degrees + 1
    # Wilson and Hilferty's approximation to the 99.9th percentile
    bound = degrees * (1 - 2 / (9 * degrees) + 3.09 * math.sqrt(2 / (9 * degrees))) ** 3
    assert degrees > 5 and chi_square < bound


def test_the_ends_of_the_unit_interval_pick_tokens_that_are_possible():
    torch.manual_seed(0)
    logits = torch.randn(10_000, 30).masked_fill(torch.rand(10_000, 30) < 0.5, -torch.inf)
    logits[:, 17] = 0
    for u in (0.0, 1 - 2**-53):
        tokens = pick(logits, torch.full((10_000, 1), u, dtype=torch.float64))
        ends = (logits > -torch.inf).int() if u == 0 else (logits > -torch.inf).int().flip(1)
        expected = ends.argmax(1) if u == 0 else 29 - ends.argmax(1)
        assert torch.equal(tokens, expected)


# --- greedy and sampling ------------------------------------------------------------------------------------------


def test_greedy_is_temperature_zero_and_takes_the_lowest_of_equal_tokens():
    model, prompts = Table(), [[1, 2], [], [3]]
    greedy = run(model, prompts, do_sample=False, max_new_tokens=12)
    assert greedy == run(model, prompts, temperature=0.0, max_new_tokens=12)
    for prompt, (result,) in zip(prompts, greedy, strict=True):
        read = [0, *prompt] if prompt else [0, START]
        for token in result.tokens:
            assert token == max(range(V), key=lambda v: model.table[read[-2], read[-1], v].item())
            read.append(token)
    nn.init.zeros_(model.table)
    assert texts(run(model, [[1]], do_sample=False, max_new_tokens=3)) == [[[0, 0, 0]]]


@pytest.mark.parametrize("settings", [{}, {"do_sample": False}, {"top_k": 2, "temperature": 2.0}], ids=str)
@pytest.mark.parametrize("n", [1, 70])
def test_log_probabilities_are_the_models_own(settings, n):
    for model in (Table(), Net()):
        for (result,) in run(model, [[1, 2], []], max_new_tokens=n, **settings):
            assert len(result.tokens) == n and result.stopped_by == "length"
            assert result.log_probabilities == pytest.approx(
                log_probabilities(model, result.prompt, result.tokens), abs=1e-5
            )
            assert result.score == pytest.approx(sum(result.log_probabilities))


PROMPTS = [[1], [], [2, 3, 3, 0, 1, 4, 2], [0, 0], [3, 1], [1, 2, 3]]
ALL_KINDS = [
    {},
    {"num_return_sequences": 2, "top_p": 0.9, "repetition_penalty": 1.3},
    {"do_sample": False},
    {"do_sample": False, "num_beams": 4, "num_return_sequences": 2, "repetition_penalty": 1.3},
]


@pytest.mark.parametrize("settings", ALL_KINDS, ids=str)
@pytest.mark.parametrize("stop", [(), [[0, 1], [2, 2]]], ids=["endless", "stop"])
def test_a_result_does_not_depend_on_the_batch(settings, stop):
    for model in (Table(), Net()):
        together = run(model, PROMPTS, stop, max_new_tokens=15, **settings)
        alone = [run(model, [prompt], stop, max_new_tokens=15, **settings)[0] for prompt in PROMPTS]
        backwards = run(model, PROMPTS[::-1], stop, max_new_tokens=15, **settings)[::-1]
        assert texts(together) == texts(alone) == texts(backwards)
        for left, right in zip(sum(together, []), sum(alone, []), strict=True):
            assert (left.prompt, left.stopped_by) == (right.prompt, right.stopped_by)
            assert left.score == pytest.approx(right.score) and left.seed == 0
            assert left.log_probabilities == pytest.approx(right.log_probabilities)


@pytest.mark.parametrize("size", [1, 4, 500])
def test_long_prompts_are_read_in_pieces(monkeypatch, size):
    monkeypatch.setattr(decoding.prompts, "READ_STEPS", size)
    torch.manual_seed(0)
    model, lengths = Net().eval(), []
    prompts = [torch.randint(V, (n,)).tolist() for n in (2 * size + 1, 1, size, 2 * size, 3, size + 1, 3 * size - 1)]

    def recording(tokens, state):
        lengths.append(tokens.shape[1])
        return model(tokens, state)

    with torch.no_grad():
        logits, state = decoding.prompts.read(recording, prompts, torch.device("cpu"))
        assert max(lengths) <= size and sum(lengths) == max(map(len, prompts))
        for row, prompt in enumerate(prompts):
            one_logits, one_state = model(torch.tensor([prompt]))
            torch.testing.assert_close(logits[row], one_logits[0, -1])
            torch.testing.assert_close([part[:, row] for part in state], [part[:, 0] for part in one_state])


@pytest.mark.parametrize("settings", ALL_KINDS, ids=str)
def test_without_a_stepper_the_model_itself_steps(settings):
    fast, slow = Table(), Table(steps=False)
    assert run(fast, PROMPTS, max_new_tokens=9, **settings) == run(slow, PROMPTS, max_new_tokens=9, **settings)
    assert fast.steps == 8 and slow.steps == 0
    assert fast.calls == slow.calls - 8 == 5  # one call for V and one per length; [] is read as [START]


def test_a_seed_gives_one_text_and_each_text_a_seed_of_its_own():
    model = Table(scale=0.1)
    first, again, other = (run(model, [[1]], max_new_tokens=30, seed=seed) for seed in (0, 0, 1))
    assert first == again and texts(first) != texts(other)
    assert other[0][0].seed == 1
    (many,) = texts(run(model, [[1]], max_new_tokens=30, num_return_sequences=20))
    repeated = texts(run(model, [[1]] * 20, max_new_tokens=30))
    assert len({tuple(text) for text in many}) == 20
    assert [[text] for text in many] == repeated  # 20 results at once equal 20 calls for one


@pytest.mark.slow
def test_the_draws_do_not_depend_on_how_many_are_made_at_a_time(monkeypatch):
    def draws(n, size):
        monkeypatch.setattr(decoding.sampling, "DRAWN_STEPS", size)
        settings, device = Decoding(max_new_tokens=n), torch.device("cpu")
        return torch.stack(list(decoding.sampling.draw_uniform([[1], [1], []], [0, 1, 0], settings, device)))

    at_once = draws(2500, 2500)
    assert at_once.shape == (2500, 3, 1) and at_once.unique().numel() == 7500
    for n in (1, 5, 17, 1023, 1024, 1025, 2500):
        for size in (1, 7, 16, 1024, 2500):
            assert torch.equal(draws(n, size), at_once[:n]), (n, size)


def test_torchs_own_random_state_is_neither_read_nor_written():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    run(Table(), [[1]], max_new_tokens=5)
    assert torch.equal(torch.get_rng_state(), before)


def test_repetition_penalty_counts_the_prompt_and_the_text():
    model = Table()
    nn.init.zeros_(model.table)
    ((result,),) = run(model, [[0, 2]], do_sample=False, repetition_penalty=5.0, max_new_tokens=3)
    assert result.tokens == [0, 0, 0]  # no probability is left to divide
    nn.init.ones_(model.table)
    ((result,),) = run(model, [[0, 2]], do_sample=False, repetition_penalty=5.0, max_new_tokens=4)
    assert result.tokens == [1, 3, 4, 0]
    assert result.log_probabilities == pytest.approx([-math.log(5)] * 4)


@pytest.mark.parametrize("settings", ALL_KINDS, ids=str)
def test_no_new_tokens_and_no_prompts(settings):
    n = settings.get("num_return_sequences", 1)
    for results in run(Table(), [[1], []], max_new_tokens=0, **settings):
        # beam search has only one empty text
        assert len(results) == (1 if "num_beams" in settings else n)
        assert all((r.tokens, r.log_probabilities, r.score, r.stopped_by) == ([], [], 0, "length") for r in results)
    assert run(Table(), [], **settings) == []


# --- stop strings and streaming -----------------------------------------------------------------------------------

STOPS = [[[0]], [[0, 1]], [[1, 1, 2], [1, 2], [3, 0, 3]], [[2, 2, 2, 2]], [[0, 0, 1], [0, 1, 0, 0]]]


@pytest.mark.parametrize("stop", STOPS, ids=str)
def test_a_text_ends_before_its_first_stop_string(stop):
    model, n = Table(scale=0.5), 40
    (endless,) = run(model, [[1]], max_new_tokens=n, num_return_sequences=30)
    (stopped,) = run(model, [[1]], stop, max_new_tokens=n, num_return_sequences=30)
    for whole, result in zip(endless, stopped, strict=True):
        ends = [t for t in range(1, n + 1) if any(whole.tokens[max(t - len(s), 0) : t] == s for s in stop)]
        length = ends[0] if ends else n
        cut = max((len(s) for s in stop if whole.tokens[:length][-len(s) :] == s), default=0)
        assert result.tokens == whole.tokens[: length - cut]
        assert result.stopped_by == ("stop" if ends else "length")
        assert result.log_probabilities == pytest.approx(whole.log_probabilities[: length - cut])
        assert result.score == pytest.approx(sum(whole.log_probabilities[:length]))


@pytest.mark.parametrize("n", [1000, 2**31 - 1])
def test_all_ended_costs_no_more_steps(n):
    model = Table()
    with torch.no_grad():
        model.table[..., 3] += 100
    run(model, [[1], [2]], [[3, 3]], max_new_tokens=n)
    assert model.steps == 1


@pytest.mark.slow
@pytest.mark.parametrize("settings", ALL_KINDS, ids=str)
@pytest.mark.parametrize("stop", [[], *STOPS], ids=str)
def test_the_stream_is_the_result(settings, stop):
    streamed = {}
    results = run(
        Table(scale=0.5), PROMPTS, stop, lambda row, token: streamed.setdefault(row, []).append(token), **settings
    )
    n = settings.get("num_return_sequences", 1)
    for p, of_prompt in enumerate(texts(results)):
        for r, tokens in enumerate(of_prompt):
            assert streamed.pop(p * n + r, []) == tokens
    assert not streamed


def test_tokens_come_as_soon_as_they_are_certain():
    model, log = Table(), []
    with torch.no_grad():  # 0 1 2 0 1 2 ...
        for token in range(3):
            model.table[:, token, (token + 1) % 3] += 100
    run(model, [[2]], [[0, 1, 3]], lambda row, token: log.append((token, model.steps)), max_new_tokens=5)
    # 0 and 1 wait for the 2, which two steps after the 0 shows that they begin no stop string; the end flushes
    assert log == [(0, 2), (1, 2), (2, 2), (0, 4), (1, 4)]


# --- beam search --------------------------------------------------------------------------------------------------


def exhaustive(model, prompt, n, length_penalty, stop):
    """Return all texts that end at a stop string or at n tokens, best first: (score, tokens, stopped_by)."""
    found = []

    def extend(tokens, total):
        ends = [len(s) for s in stop if tokens[-len(s) :] == s] if tokens else []
        if ends or len(tokens) == n:
            cut = max(ends, default=0)
            kept = tokens[: len(tokens) - cut]
            found.append((total / len(tokens) ** length_penalty, kept, "stop" if ends else "length"))
            return
        for v, log_p in enumerate(following(model, prompt, tokens)):
            extend([*tokens, v], total + log_p)

    extend([], 0.0)
    return sorted(found, key=lambda text: -text[0])


def following(model, prompt, tokens, penalty=1.0):
    read = [0, *(prompt or [START]), *tokens]
    seen = [v in (*prompt, *tokens) for v in range(len(model.table))]
    return [math.log(p) for p in warped_by_loops(model.table[read[-2], read[-1]].tolist(), seen, penalty=penalty)]


@pytest.mark.parametrize("length_penalty", [-1.0, 0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("stop", [[], [[0]], [[1, 0], [2, 2, 2], [0, 0]], [[0], [1], [2]]], ids=str)
def test_beams_that_are_enough_search_exhaustively(length_penalty, stop):
    model, n, V = Table(vocabulary_size=4), 4, 4
    prompts = [[1, 2], [3], [0, 0, 1]]
    settings = {"do_sample": False, "num_beams": V ** (n - 1), "length_penalty": length_penalty}
    found = generate(
        model, prompts, Decoding(max_new_tokens=n, num_return_sequences=30, **settings), start_token=0, stop=stop
    )
    for prompt, results in zip(prompts, found, strict=True):
        expected = exhaustive(model, prompt, n, length_penalty, stop)[:30]
        assert [result.score for result in results] == pytest.approx([score for score, *_ in expected], abs=1e-5)
        assert [(result.tokens, result.stopped_by) for result in results] == [tuple(text[1:]) for text in expected]
        for result in results:
            assert result.log_probabilities == pytest.approx(
                log_probabilities(model, result.prompt, result.tokens), abs=1e-5
            )


def beams_by_loops(model, prompt, n, K, length_penalty, stop, num_results, penalty=1.0):
    """Run a beam search that never ends early."""
    running, finished = [(0.0, [])], []
    for t in range(1, n + 1):
        extended = [
            (total + log_p, [*tokens, v])
            for total, tokens in running
            for v, log_p in enumerate(following(model, prompt, tokens, penalty))
        ]
        ended = [any(tokens[-len(s) :] == s for s in stop) for _, tokens in extended]
        finished += [(x[0] / t**length_penalty, x[1]) for x, end in zip(extended, ended, strict=True) if end]
        running = sorted((x for x, end in zip(extended, ended, strict=True) if not end), reverse=True)[:K]
    finished += [(total / n**length_penalty, tokens) for total, tokens in running]
    return [score for score, _ in sorted(finished, reverse=True)[:num_results]]


@pytest.mark.slow
@pytest.mark.parametrize("length_penalty", [-1.0, 0.0, 1.0, 3.0])
@pytest.mark.parametrize("stop", [[], [[0]], [[1, 0], [2, 2]]], ids=str)
def test_few_beams_equal_loops_and_end_early(length_penalty, stop):
    ended_early = 0
    for seed in range(3):
        model = Table(seed=seed, scale=2.5)
        for K in (2, 5):
            options = {"num_beams": K, "num_return_sequences": 2, "length_penalty": length_penalty}
            model.steps = 0
            found = run(model, PROMPTS, stop, do_sample=False, max_new_tokens=9, **options)
            ended_early += model.steps < 8
            for prompt, results in zip(PROMPTS, found, strict=True):
                expected = beams_by_loops(model, prompt, 9, K, length_penalty, stop, 2)
                assert [result.score for result in results] == pytest.approx(expected, abs=1e-5)
    if stop == [[0]] and length_penalty <= 0:
        assert ended_early


def test_many_beams_are_no_worse_than_greedy():
    model = Table()
    (greedy,), (best,) = (run(model, [[1]], do_sample=False, max_new_tokens=8, num_beams=K)[0] for K in (1, 50))
    assert best.score >= greedy.score / 8


def test_where_fewer_texts_exist_those_are_returned():
    model = Table(vocabulary_size=2)
    settings = {"do_sample": False, "num_beams": 20, "num_return_sequences": 20}
    (results,) = generate(model, [[1]], Decoding(max_new_tokens=3, **settings), start_token=0)
    assert sorted(result.tokens for result in results) == [list(x) for x in itertools.product(range(2), repeat=3)]
    (results,) = generate(model, [[1]], Decoding(max_new_tokens=3, **settings), start_token=0, stop=[[0], [1]])
    assert [result.tokens for result in results] == [[], []] and model.steps == 2
    with torch.no_grad():
        model.table[..., 0] = -torch.inf
    (results,) = generate(model, [[1]], Decoding(max_new_tokens=3, **settings), start_token=0)
    assert [result.tokens for result in results] == [[1, 1, 1]]


def test_beams_under_a_repetition_penalty_maximise_the_penalised_score():
    model, n, K, penalty = Table(), 6, 3, 2.0
    settings = {"do_sample": False, "num_beams": K, "num_return_sequences": K, "repetition_penalty": penalty}
    for prompt, results in zip(PROMPTS, run(model, PROMPTS, max_new_tokens=n, **settings), strict=True):
        expected = beams_by_loops(model, prompt, n, K, 1.0, [], K, penalty)
        assert [result.score for result in results] == pytest.approx(expected, abs=1e-5)
        for result in results:
            own = log_probabilities(model, prompt, result.tokens)
            assert result.log_probabilities == pytest.approx(own, abs=1e-5)


# --- around it ----------------------------------------------------------------------------------------------------


def test_the_modes_of_all_modules_are_restored():
    model = Net()
    model.train()
    model.lstm.eval()
    run(model, [[1]], max_new_tokens=2)
    assert model.training and model.output.training and not model.lstm.training

    def interrupt(row, token):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(model, [[1]], (), interrupt)
    assert model.training and not torch.is_inference_mode_enabled()
    model(torch.tensor([[1]]))[0].sum().backward()  # no weight is an inference tensor


WRONG = [
    ({"max_new_tokens": -1}, "max_new_tokens is -1; it must be a whole number from 0 to 2147483647"),
    ({"max_new_tokens": 2**31}, "max_new_tokens is 2147483648; it must be a whole number from 0 to 2147483647"),
    ({"max_new_tokens": 1.5}, "max_new_tokens is 1.5; "),
    ({"max_new_tokens": True}, "max_new_tokens is True; "),
    ({"do_sample": 1}, "do_sample is 1; it must be True or False"),
    ({"temperature": -0.1}, "temperature is -0.1; it must be a finite number of at least 0"),
    ({"temperature": math.nan}, "temperature is nan; "),
    ({"temperature": math.inf}, "temperature is inf; "),
    ({"temperature": True}, "temperature is True; "),
    ({"temperature": 10**400}, "temperature is 1000"),
    ({"temperature": "1"}, "temperature is '1'; "),
    ({"inverse_temperature": 0}, "inverse_temperature is 0; it must be None or a finite number above 0 (temp"),
    ({"inverse_temperature": math.inf}, "inverse_temperature is inf; "),
    ({"inverse_temperature": 2.0, "temperature": 0.5}, "temperature is 0.5 and inverse_temperature 2.0; only one"),
    ({"top_k": -1}, "top_k is -1; it must be a whole number of at least 0"),
    ({"top_p": 0.0}, "top_p is 0.0; it must be a number above 0 and at most 1"),
    ({"top_p": 1.1}, "top_p is 1.1; "),
    ({"typical_p": math.nan}, "typical_p is nan; "),
    ({"min_p": -0.1}, "min_p is -0.1; it must be a number from 0 to 1"),
    ({"repetition_penalty": 0.009}, "repetition_penalty is 0.009; it must be a number from 0.01 to 100"),
    ({"repetition_penalty": 101}, "repetition_penalty is 101; it must be a number from 0.01 to 100"),
    ({"repetition_penalty": math.nan}, "repetition_penalty is nan; "),
    ({"num_beams": 0}, "num_beams is 0; it must be a whole number of at least 1"),
    ({"length_penalty": 11}, "length_penalty is 11; it must be a number from -10 to 10"),
    ({"num_return_sequences": 0}, "num_return_sequences is 0; "),
    ({"seed": 0.5}, "seed is 0.5; it must be a whole number"),
    ({"seed": np.float64(3)}, "seed is 3.0; it must be a whole number"),
    ({"temperature": np.float32(math.inf)}, "temperature is inf; "),
    ({"top_k": np.True_}, "top_k is "),
    ({"num_beams": 2}, "num_beams is 2; it must be 1 unless do_sample=False"),
    ({"do_sample": False, "num_return_sequences": 2}, "num_return_sequences is 2; it must be 1: greedy"),
    ({"temperature": 0, "num_return_sequences": 2}, "num_return_sequences is 2; it must be 1: greedy"),
    ({"do_sample": False, "num_beams": 2, "num_return_sequences": 3}, "num_return_sequences is 3; it must be at most"),
    ({"do_sample": False, "num_beams": 2, "temperature": 0.5}, "temperature is 0.5; beam search, num_beams=2,"),
    ({"do_sample": False, "num_beams": 2, "inverse_temperature": 2}, "inverse_temperature is 2; beam search"),
    ({"do_sample": False, "num_beams": 2, "top_k": 1}, "top_k is 1; beam search"),
    ({"do_sample": False, "num_beams": 2, "top_p": 0.9}, "top_p is 0.9; beam search"),
    ({"do_sample": False, "num_beams": 2, "min_p": 0.1}, "min_p is 0.1; beam search"),
    ({"do_sample": False, "num_beams": 2, "typical_p": 0.9}, "typical_p is 0.9; beam search"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG, ids=lambda x: None if isinstance(x, str) else "-".join(x))
def test_wrong_settings_are_named_in_one_line(settings, message):
    with pytest.raises(ValueError) as error:
        Decoding(**settings)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompts": [[1], [2, V]]}, r"prompts\[1\] has the token 5; tokens must be from 0 to 4"),
        ({"prompts": [[-1]]}, r"prompts\[0\] has the token -1"),
        ({"start_token": V}, "start_token has the token 5"),
        ({"stop": [[0], []]}, r"stop\[1\] is empty"),
        ({"stop": [[0, 9]]}, r"stop\[0\] has the token 9"),
    ],
)
def test_wrong_tokens_are_named(arguments, message):
    for n in (0, 3):
        with pytest.raises(ValueError, match=message):
            generate(
                Table(), **{"prompts": [[]], "decoding": Decoding(max_new_tokens=n), "start_token": 0, **arguments}
            )


def test_numbers_of_other_types_are_stored_as_pythons_own():
    settings = Decoding(temperature=np.float32(0.5), seed=np.int64(3), max_new_tokens=np.int32(40))
    assert repr(settings) == repr(Decoding(temperature=0.5, seed=3, max_new_tokens=40))


@pytest.mark.parametrize("settings", [{}, {"do_sample": False}, {"do_sample": False, "num_beams": 2}], ids=str)
@pytest.mark.parametrize("penalty", [0.01, 100])
def test_extreme_repetition_penalties_give_no_nan(settings, penalty):
    for results in run(Table(scale=1000), PROMPTS, max_new_tokens=9, repetition_penalty=penalty, **settings):
        assert len(results[0].tokens) == 9 and math.isfinite(results[0].score)


@pytest.mark.parametrize("settings", [{}, {"do_sample": False}, {"do_sample": False, "num_beams": 2}], ids=str)
def test_a_diverged_model_is_named(settings):
    for value in (math.nan, math.inf):
        model = Table()
        with torch.no_grad():
            model.table[:, 1, 2] = value
        with pytest.raises(ValueError, match="the model's logits are NaN or infinite; it may have diverged"):
            run(model, [[3], [1]], **settings)
    with torch.no_grad():
        model.table[..., 2] = -math.inf
    for (result,) in run(model, [[3], [1]], **settings):
        assert 2 not in result.tokens and math.isfinite(result.score)


@pytest.mark.slow
def test_nothing_but_torch_is_imported():
    (folder,) = decoding.__path__
    for path in Path(folder).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                for name in names:
                    allowed = name.startswith("lightning_dl2.decoding") or name.split(".")[0] == "torch"
                    assert allowed or name in sys.stdlib_module_names or name == "collections.abc", (path, name)

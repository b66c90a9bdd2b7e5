"""Checks that recurrent nets compute on a device what they compute on the CPU: cells, models, decoding."""

import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lightning_dl2.decoding import Decoding, generate
from lightning_dl2.nets import LanguageModel, Recurrent, RecurrentClassifier
from lightning_dl2.nets.recurrent.classifier import TOKEN_ENCODINGS, VECTOR_ENCODINGS
from lightning_dl2.nets.recurrent.lookup import CELLS, PEEPHOLES
from scripts.gpu.checklist import Broken, Check, NotTried, Passed, Setting
from scripts.gpu.compare import compare, compare_repeats, deterministic, difference, run, seeded

HALF_TOLERANCES = {torch.bfloat16: 0.05, torch.float16: 0.01}
FORMS: dict[str, dict[str, Any]] = {
    **{cell: {"cell": cell} for cell in CELLS if cell != "peephole"},
    "gru, reset before": {"cell": "gru", "reset_after": False},
    **{f"peephole, {name}": {"cell": "peephole", "peephole": name} for name in PEEPHOLES},
}
BOTH_WAYS = {"num_layers": 2, "bidirectional": True}


def sequences(short: bool) -> tuple[Tensor, Tensor]:
    """Return x [B, T, D] in float64 and lengths [B]."""
    B, T, D = (3, 7, 5) if short else (16, 60, 24)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(B, T, D, generator=generator, dtype=torch.float64)
    return x, torch.randint(1, T + 1, (B,), generator=generator)


def check_cell(setting: Setting, form: str, options: dict[str, Any]) -> Passed:
    """Compare a cell's fast path with its explicit equations on the CPU."""
    x, lengths = sequences(setting.short)
    ends = lengths if options else None
    net = seeded(
        partial(Recurrent, input_size=x.shape[2], hidden_size=6 if setting.short else 32, **FORMS[form], **options)
    )
    mask = (torch.arange(x.shape[1]) < lengths[:, None]).unsqueeze(2) if options else torch.ones(1, 1, 1)

    def forward(net: Any, dtype: torch.dtype, device: torch.device, explicit: bool = False) -> Tensor:
        call = net.explicit if explicit else net
        outputs = call(x.to(device, dtype), None, None if ends is None else ends.to(device))[0]
        return outputs.masked_fill(~mask.bool().to(device), 0)

    return compare(net, forward, setting.device, partial(forward, explicit=True))


def check_autocast(setting: Setting, form: str, dtype: torch.dtype) -> Passed:
    """Compare a cell under autocast with float64 on the CPU."""
    if dtype == torch.float16 and setting.device == "cpu":
        raise NotTried("16-mixed needs a GPU")
    x, _ = sequences(setting.short)
    net = seeded(partial(Recurrent, input_size=x.shape[2], hidden_size=6 if setting.short else 32, **FORMS[form]))

    def forward(net: Any, kind: torch.dtype, device: torch.device, half: bool = True) -> Tensor:
        with torch.autocast(device.type, dtype, enabled=half):
            return net(x.to(device, kind))[0]

    expected = run(net, torch.float64, "cpu", partial(forward, half=False))
    away, where = difference(run(net, torch.float32, setting.device, forward), expected)
    if not away <= HALF_TOLERANCES[dtype]:
        raise Broken(f"{where} differs by {away:.1e} under {dtype}; allowed: {HALF_TOLERANCES[dtype]:g}")
    return Passed(f"{away:.1e} of {HALF_TOLERANCES[dtype]:g}", size=away / HALF_TOLERANCES[dtype])


def check_classifier(setting: Setting, encoding: str) -> Passed:
    """Compare a classifier with its explicit form on the CPU."""
    vectors, lengths = sequences(setting.short)
    tokens = torch.randint(0, 7, vectors.shape[:2], generator=torch.Generator().manual_seed(2))
    size = {"features": vectors.shape[2]} if encoding in VECTOR_ENCODINGS else {}
    build = partial(RecurrentClassifier, None if size else 7, 4, encoding=encoding, cell="lstm", hidden_size=8, **size)

    def forward(net: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
        inputs = vectors.to(device, dtype) if size else tokens.to(device)
        return net(inputs, lengths.to(device))

    return compare(
        seeded(build), forward, setting.device, lambda net, *_: net.explicit(vectors if size else tokens, lengths)[0]
    )


def language_model() -> LanguageModel:
    """Build a language model with everything between its layers."""
    options = {"layer_norm": True, "skip_connections": True, "projection_size": 8, "tie_weights": True}
    return seeded(partial(LanguageModel, 11, hidden_size=16, num_layers=2, embedding_size=8, cell="lstm", **options))


def check_language_model(setting: Setting) -> Passed:
    """Compare a language model with its explicit form on the CPU."""
    tokens = torch.randint(0, 11, (4, 20), generator=torch.Generator().manual_seed(2))
    return compare(
        language_model(),
        lambda net, dtype, device: net(tokens.to(device))[0],
        setting.device,
        lambda net, *_: net.explicit(tokens)[0],
    )


METHODS = {
    "greedy": {"do_sample": False},
    "sampling": {},
    "top_k": {"top_k": 5},
    "top_p": {"top_p": 0.8, "temperature": 1.3},
    "min_p and typical_p": {"min_p": 0.05, "typical_p": 0.9},
    "repetition_penalty": {"repetition_penalty": 1.3},
    "beams": {"do_sample": False, "num_beams": 4},
}


def check_decoding(setting: Setting, method: str) -> Passed:
    """Compare generated texts token by token, under deterministic algorithms as in training."""
    net, prompts = language_model().double(), [[1, 2, 3], [], [4]]
    decoding = Decoding(max_new_tokens=20 if setting.short else 200, **METHODS[method])
    with deterministic():
        texts = [
            generate(copy.deepcopy(net).to(device), prompts, decoding, start_token=0)
            for device in ("cpu", setting.device)
        ]
    (one, other) = ([result.tokens for results in text for result in results] for text in texts)
    if one != other:
        raise Broken("the device writes another text than the CPU")
    return Passed(f"{sum(map(len, one))} tokens are equal")


def check_cell_repeats(setting: Setting, form: str) -> Passed:
    """Repeat two layers of a cell with dropout between them."""
    x, _ = sequences(setting.short)
    build = partial(Recurrent, input_size=x.shape[2], hidden_size=32, num_layers=2, dropout=0.5, **FORMS[form])
    return compare_repeats(setting, build, lambda net, dtype, device: net(x.to(device, dtype))[0])


def checks() -> Iterator[Check]:
    """Yield the checks of recurrent nets."""
    new = partial(Check, "recurrent nets")
    for form in FORMS:
        yield new("a cell is its equations on the CPU", form, check_cell, (form, {}))
        yield new("a cell is its equations on the CPU", f"{form}, both ways, lengths", check_cell, (form, BOTH_WAYS))
    for dtype in HALF_TOLERANCES:
        kind = f"a cell under {str(dtype).removeprefix('torch.')} is near"
        yield from (new(kind, form, check_autocast, (form, dtype)) for form in FORMS)
    for form in FORMS:
        yield new("a cell with dropout repeats its bits", form, check_cell_repeats, (form,))
    for encoding in (*TOKEN_ENCODINGS, *VECTOR_ENCODINGS):
        yield new("a classifier is its equations", encoding, check_classifier, (encoding,))
    yield new("a language model is its equations", "all options", check_language_model)
    for method in METHODS:
        yield new("decoding writes what the CPU writes", method, check_decoding, (method,))

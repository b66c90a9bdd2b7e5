"""Recurrent layers of any cell: a fast path, and an explicit path with the same weights that returns every gate.

Shapes: B batch, T steps, D input_size, H hidden_size, L num_layers, N directions (1 or 2).
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_dl2.nets.checks import check_dropouts, check_sizes
from lightning_dl2.nets.recurrent import cells
from lightning_dl2.nets.recurrent.bfloat16 import lacks_bfloat16_lstm
from lightning_dl2.nets.recurrent.initialization import (
    check_known,
    initialize_forget_bias,
    initialize_recurrent,
    is_from_state,
)
from lightning_dl2.nets.recurrent.kernels import FUSED, KERNELS, run_fused
from lightning_dl2.nets.recurrent.lengths import input_lengths_of, reversing_within, run_packed
from lightning_dl2.nets.recurrent.lookup import find_cell
from lightning_dl2.nets.recurrent.own_cells import (
    INPUT_LENGTH,
    OPTIMIZER_STEP,
    TRAINING,
    ModuleCell,
    call,
    check_step,
    is_own,
    state_shapes,
    takes,
    weight_shapes,
)
from lightning_dl2.nets.recurrent.states import State, check_state, sweep_layers

Trace = list[list[dict[str, list[Tensor]]]]


class Recurrent(nn.Module):
    """L recurrent layers of one or two directions.

    `core` holds the parameters. Where torch.nn has the equations it is the torch.nn module, and state dicts are
    interchangeable. Elsewhere it holds parameters of the same names and layout (see `cells`), or the modules of a
    user's cell. For such a cell H below stands for `output_size` in outputs and for `state_shapes` in states.

    Args:
        cell: one of CELLS, whose equations and sources are in `cells`; or a user's, see `own_cells.load_own`.
        dropout: probability, between layers and in training only.
        bias: False leaves out every bias.
        reset_after: the GRU's reset gate acts after the matrix (torch.nn's form) or before (the paper's).
        peephole: `gers`, diagonal peepholes beside h, or `assignment`, full matrices from c in place of h.
        initialization: one of INITIALIZATIONS, see `initialization`.
        forget_bias: None, a number or `chrono`: the forget gate's total bias, in the GRU the update gate's.
            The plain RNN has no such gate and ignores it, as does a user's module.
        sequence_length: the longest length expected; for `chrono` alone.
        weight_dropout: probability, on the matrices from the state, one mask a call and in training only
            (DropConnect as in AWD-LSTM: Merity, Keskar & Socher 2018).

    Raises:
        ValueError: an unknown name, a size below 1, a dropout outside of [0, 1), a forget bias without biases, or a
            user's cell that is none, or that does not have what another argument acts on.
    """

    optimizer_step: int | None = None  # how many the training has made, see `set_optimizer_step`

    def __init__(
        self,
        cell: str | type | Mapping[str, Any],
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        bias: bool = True,
        reset_after: bool = True,
        peephole: str = "gers",
        initialization: str = "torch",
        forget_bias: float | str | None = None,
        sequence_length: int | None = None,
        weight_dropout: float = 0.0,
    ):
        super().__init__()
        check_sizes(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        check_dropouts(dropout=dropout, weight_dropout=weight_dropout)
        self.cell: Any = find_cell(cell, reset_after=reset_after, peephole=peephole)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.num_layers, self.num_directions = num_layers, 2 if bidirectional else 1
        self.dropout, self.weight_dropout = dropout, weight_dropout
        self.takes_input_length, self.takes_training = (takes(self.cell, name) for name in (INPUT_LENGTH, TRAINING))
        self.takes_optimizer_step = takes(self.cell, OPTIMIZER_STEP)

        self.is_fused = not is_own(self.cell) and self.cell in FUSED
        if self.is_fused:
            self.core: Any = FUSED[self.cell](
                input_size,
                hidden_size,
                num_layers,
                bias=bias,
                batch_first=True,
                dropout=dropout if num_layers > 1 else 0.0,
                bidirectional=bidirectional,
            )
            self.state_shapes = state_shapes(self.cell, self.cell.state, hidden_size)
        else:
            self._build_core(bias)
        self.output_size = self.state_shapes["h"][0]
        if weight_dropout and not any(is_from_state(name) for name in self.weights(0)):
            raise ValueError(f"weight_dropout is {weight_dropout}; without weight_hh or weight_ch it must be 0")
        if weight_dropout and isinstance(self.cell, ModuleCell):
            raise ValueError(f"weight_dropout is {weight_dropout}; with a module it must be 0")
        if isinstance(self.cell, ModuleCell):
            check_step(self.cell, self.part(0), input_size, self.state_shapes)
            return
        # torch.nn has drawn its weights: drawing again would give other weights for a seed than torch.nn's
        if not self.is_fused or initialization != "torch":
            initialize_recurrent(self.core, hidden_size, initialization)
        if is_own(self.cell):
            self._complete_own(initialization)
        if forget_bias is not None:
            initialize_forget_bias(self.core, self.cell, hidden_size, forget_bias, sequence_length)

    def _build_core(self, bias: bool) -> None:
        """Make the parameters of all layers, or the modules of a user's cell; set the shapes of the states."""
        modules, features = isinstance(self.cell, ModuleCell), self.input_size
        self.core = nn.ModuleDict() if modules else nn.ParameterDict()
        for layer in range(self.num_layers):
            for direction in range(self.num_directions):
                suffix = _suffix(layer, direction)
                if modules:
                    self.core[suffix[1:]] = self.cell.build(features, self.hidden_size, bias)
                    continue
                for name, shape in weight_shapes(self.cell, features, self.hidden_size).items():
                    if bias or not name.startswith("bias"):
                        self.core[name + suffix] = nn.Parameter(torch.empty(shape))
            if layer == 0:
                owner = self.part(0) if modules else self.cell
                self.state_shapes = state_shapes(owner, self.cell.state, self.hidden_size)
            features = self.state_shapes["h"][0] * self.num_directions

    def _complete_own(self, initialization: str) -> None:
        """Set what a user's `initialize` sets in every layer and direction, and check a step of her equations."""
        check_known(self.cell, self.weights(0), initialization)
        if initialize := getattr(self.cell, "initialize", None):
            with torch.no_grad():
                for layer in range(self.num_layers):
                    for direction in range(self.num_directions):
                        call(self.cell, "initialize", initialize, self.weights(layer, direction))
        check_step(self.cell, self.weights(0), self.input_size, self.state_shapes)

    def forward(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None, input_lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run all steps by the fastest path: torch.nn's kernels, else those of `kernels`, else autograd step by step.

        Args:
            x: [B, T, D].
            state: h [L*N, B, H], for the lstm and the peephole the tuple (h, c); zeros if None.
            lengths: steps of each sequence, int64 [B], where x is padded behind them; None: all have T. Outputs behind
                an end, and the final state of a shorter sequence, then mean nothing.
            input_lengths: steps of each sequence before its first answer, int64 [B], for a cell whose step takes an
                `input_length`; None: the sequence has no answer before its end.

        Returns:
            outputs [B, T, H*N] and the final state, like `state`. Under autocast torch.nn's kernels choose the dtype;
            the other paths compute in the parameters' dtype and return it. On CPUs without a bfloat16 LSTM torch.nn
            would fail under autocast: the LSTM is computed in float32 there.

        Raises:
            ValueError: `x`, `state` or `input_lengths` has another shape; or a cell that takes an `input_length` goes
                on from a state without it.
        """
        if self.is_fused:
            self._check(x, state)
            if self.cell is cells.LSTM and lacks_bfloat16_lstm(x.device):
                with torch.autocast("cpu", enabled=False):
                    state = None if state is None else tuple(part.float() for part in state)
                    return self.forward(x.float(), state, lengths)
            if lengths is not None and self.num_directions == 2:
                if self.weight_dropout:
                    raise ValueError("weight_dropout with two directions and lengths; it must be 0")
                return run_packed(self.core, x, state, lengths)
            if self.training and self.weight_dropout:
                return run_fused(self.core, self.cell, self._dropped(dict(self.core.named_parameters())), x, state)
            return self.core(x, state)
        own = is_own(self.cell)
        kernel = (getattr(self.cell, "sequence", None) if own else KERNELS.get(self.cell)) or self._unrolled
        given = self._given(x, state, lengths, input_lengths)
        run = reversing_within(lengths, lambda layer, direction, *args: kernel(*args, **given))
        return self._sweep(run, x, state)

    def _given(self, x: Tensor, state: State | None, *lengths: Tensor | None) -> dict[str, Any]:
        """Return the arguments by name that the cell's step takes beside the state."""
        given: dict[str, Any] = {TRAINING: self.training} if self.takes_training else {}
        if self.takes_optimizer_step:
            given[OPTIMIZER_STEP] = self.optimizer_step if self.training else None
        if self.takes_input_length:
            self._check(x, state)
            given[INPUT_LENGTH] = input_lengths_of(x, state, *lengths)
        return given

    def _unrolled(
        self, weights: cells.Weights, x: Tensor, *state: Tensor, **given: Any
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run one layer and direction by autograd, with the signature of KERNELS."""
        steps, end = self._unroll(weights, x, *state, **given)
        return torch.stack([step["h"] for step in steps]), end

    def _unroll(
        self, weights: cells.Weights, x: Tensor, *state: Tensor, **given: Any
    ) -> tuple[list[cells.Step], tuple[Tensor, ...]]:
        """Return every quantity of every step over x [T, B, D], and the state after the last step."""
        steps: list[cells.Step] = []
        end = state
        if prepare := getattr(self.cell, "prepare", None):
            weights = prepare(weights)
        for x_t in x:
            steps.append(self.cell.step(weights, x_t, *end, **given))
            end = tuple(steps[-1][name] for name in self.cell.state)
        return steps, end

    def explicit(
        self, x: Tensor, state: State | None = None, lengths: Tensor | None = None, input_lengths: Tensor | None = None
    ) -> tuple[Tensor, State, Trace]:
        """Run all steps in plain autograd operations, many times slower, and return every quantity of every step.

        Args:
            x, state, lengths, input_lengths: as of `forward`.

        Returns:
            outputs and final state as from `forward`, in the parameters' dtype, and the trace:
            trace[layer][direction][name][t], [B, H], is the quantity `name` of the cell at position t of the
            sequence. It is a node of the autograd graph: torch.autograd.grad(loss, trace[0][0]["h"]) gives dL/dh(t)
            for all t. Names: rnn h; gru r, z, n, h; lstm and peephole i, f, g, o, c, h. With `lengths` the second
            direction has its step for position t at t + T - length.
        """
        trace: Trace = [[{} for _ in range(self.num_directions)] for _ in range(self.num_layers)]
        given = self._given(x, state, lengths, input_lengths)

        def unroll(layer: int, direction: int, *inputs: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
            steps, end = self._unroll(*inputs, **given)
            in_order = steps[::-1] if direction else steps
            trace[layer][direction] = {name: [step[name] for step in in_order] for name in steps[0]}
            return torch.stack([step["h"] for step in steps]), end

        outputs, state = self._sweep(reversing_within(lengths, unroll), x, state)
        return outputs, state, trace

    def last(self, state: State) -> Tensor:
        """Return the last layer's final h of each direction, [h_fwd(T); h_bwd(0)]: [B, H*N]."""
        h = state if isinstance(state, Tensor) else state[0]
        return h[-self.num_directions :].transpose(0, 1).flatten(1)

    def weights(self, layer: int, direction: int = 0) -> cells.Weights:
        """Return the parameters of one layer and direction (1: backwards) by their names in `cells`, or a module's."""
        if isinstance(self.cell, ModuleCell):
            return dict(self.part(layer, direction).named_parameters())
        suffix = _suffix(layer, direction)
        parameters = dict(self.core.named_parameters())
        return {name.removesuffix(suffix): p for name, p in parameters.items() if name.endswith(suffix)}

    def part(self, layer: int, direction: int = 0) -> Any:
        """Return the weights of one layer and direction as the cell's `step` takes them: a dict, or a user's module."""
        if isinstance(self.cell, ModuleCell):
            return self.core[_suffix(layer, direction)[1:]]
        return self.weights(layer, direction)

    def _dropped(self, weights: Any) -> Any:
        """Drop entries of the matrices from the state, in training."""
        if not (self.training and self.weight_dropout):
            return weights
        return {n: F.dropout(w, self.weight_dropout) if is_from_state(n) else w for n, w in weights.items()}

    def _sweep(self, run: Callable[..., Any], x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Take x through all layers and directions, each by `run`.

        run(layer, direction, weights, x [T, B, D], *state of [B, H]) -> hs [T, B, H], state.
        """
        self._check(x, state)
        dtype = next(self.parameters(), x).dtype
        # rounding errors of half precision add up over the steps: the recurrence stays in the parameters' dtype
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(dtype).transpose(0, 1)
            if state is None:
                sizes = self.num_layers * self.num_directions, x.shape[1]
                state = tuple(x.new_zeros(*sizes, *shape) for shape in self.state_shapes.values())
            initial = [part.to(dtype) for part in ([state] if isinstance(state, Tensor) else state)]
            x, ends = sweep_layers(
                lambda layer, way, *args: run(layer, way, self._dropped(self.part(layer, way)), *args),
                x,
                initial,
                (self.num_layers, self.num_directions),
                lambda outputs: F.dropout(outputs, self.dropout, self.training),
            )
        return x.transpose(0, 1), ends if len(ends) > 1 else ends[0]

    def _check(self, x: Tensor, state: State | None) -> None:
        if x.dim() != 3 or x.shape[1] < 1 or x.shape[2] != self.input_size:
            raise ValueError(f"x is {list(x.shape)}; it must be [B, T >= 1, input_size={self.input_size}]")
        if state is not None:
            check_state(state, self.state_shapes, self.num_layers * self.num_directions, x.shape[0])


def set_optimizer_step(net: nn.Module, step: int) -> None:
    """Tell the recurrent layers of a net how many optimiser steps its training has made.

    A cell whose step has an argument `optimizer_step` gets it in training; otherwise, and in a training that does not
    call this before each batch, it gets None.
    """
    for module in net.modules():
        if isinstance(module, Recurrent):
            module.optimizer_step = step


def _suffix(layer: int, direction: int) -> str:
    """Return torch.nn's suffix of a parameter: _l0, _l0_reverse, _l1, ..."""
    return f"_l{layer}" + ("_reverse" if direction else "")

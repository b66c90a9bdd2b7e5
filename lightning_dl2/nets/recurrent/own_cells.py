"""Find and check a user's own cell: equations as in `cells`, or an nn.Module with a step.

Shapes: B batch, D input_size, H hidden_size, T steps.

A module has weights of its own, and each layer and direction has an instance of it, built by `(input_size,
hidden_size)`, with `bias` and other keys where the constructor takes them:

    class Gated(nn.GRUCell):
        state = ("h",)

        def step(self, x, h):
            return {"h": self(x, h)}

Its `step(x [B, D], *state)` returns every quantity by name, h and each state among them. `gates` and `forget_gate` may
be left out. `sequence(x [T, B, D], *state)`, `state_shapes(H)` and the arguments `input_length` and `training` mean
what they mean in `Cell`. The module draws its own weights: `initialization` and `forget_bias` do not change them.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lightning_dl2.common.dotted import find_callable, path_of
from lightning_dl2.common.errors import UserError
from lightning_dl2.nets.recurrent.cells import Shapes, Step

EQUATIONS = ("gates", "state", "forget_gate", "shapes", "step")
MODULE = ("state", "step")
INPUT_LENGTH, TRAINING, OPTIMIZER_STEP = "input_length", "training", "optimizer_step"
ROWS, STEPS = 3, 2  # of the batch that tests the shapes


class ModuleCell:
    """Give a user's class of nn.Module the interface of a cell; an instance of it stands for the weights.

    Args:
        kind: the class.
        arguments: of its constructor, beside the sizes.
    """

    def __init__(self, kind: type[nn.Module], arguments: dict[str, Any]) -> None:
        self.kind, self.arguments = kind, arguments
        self.state: tuple[str, ...] = tuple(getattr(kind, "state"))  # noqa: B009  # mypy knows no such attribute
        self.gates: tuple[str, ...] = tuple(getattr(kind, "gates", ()))
        self.forget_gate: str | None = getattr(kind, "forget_gate", None)
        self.memory: str | None = getattr(kind, "memory", None)
        self.written: str | None = getattr(kind, "written", None)
        self.sequence: Callable[..., Any] | None = self._sequence if hasattr(kind, "sequence") else None

    def build(self, input_size: int, hidden_size: int, bias: bool) -> nn.Module:
        """Build the module of one layer and direction.

        Raises:
            UserError: the constructor takes other arguments, takes no `bias` while it is False, or fails.
        """
        arguments = dict(self.arguments)
        if "bias" in inspect.signature(self.kind).parameters:
            arguments = {"bias": bias} | arguments
        elif not bias:
            raise UserError(f"bias=False: {name_of(self)} takes no argument `bias`; allowed: True")
        module: nn.Module = _construct(self.kind, input_size, hidden_size, **arguments)
        return module

    def step(self, module: Any, x: Tensor, *state: Tensor, **given: Any) -> Step:
        """Take one step, x [B, D]."""
        values: Step = module.step(x, *state, **given)
        return values

    def _sequence(self, module: Any, x: Tensor, *state: Tensor, **given: Any) -> tuple[Tensor, tuple[Tensor, ...]]:
        hs, end = module.sequence(x, *state, **given)
        return hs, end


def is_own(cell: Any) -> bool:
    """Tell whether a cell, as `find_cell` returns it, is a user's; those of the package are classes."""
    return not isinstance(cell, type)


def name_of(cell: Any) -> str:
    """Return the dotted path of a cell's class."""
    return path_of(cell.kind if isinstance(cell, ModuleCell) else cell if isinstance(cell, type) else type(cell))


def takes(cell: Any, argument: str) -> bool:
    """Tell whether the steps of a cell, as `find_cell` returns it, have such an argument, as INPUT_LENGTH is one."""
    step = getattr(cell.kind if isinstance(cell, ModuleCell) else cell, "step")  # noqa: B009  # as in ModuleCell
    return argument in inspect.signature(step).parameters


def load_own(cell: str | type | Mapping[str, Any]) -> Any:
    """Find a user's cell, and check that it is one.

    Args:
        cell: a dotted path, a class, or a dict of `_target_`, the path, and arguments of the constructor.

    Returns:
        An instance of a class of equations, or a ModuleCell.

    Raises:
        UserError: the path leads nowhere, the class lacks an attribute, or its constructor takes other arguments.
    """
    arguments = {key: value for key, value in cell.items() if key != "_target_"} if isinstance(cell, Mapping) else {}
    kind: Any = cell["_target_"] if isinstance(cell, Mapping) else cell
    if isinstance(kind, str):
        path = kind
        try:
            kind = find_callable(path)
        except UserError as error:
            raise UserError(f"cell={path}: {error}") from error
        if not isinstance(kind, type):
            raise UserError(f"cell={path}: is a function; allowed: a class")
    is_module = issubclass(kind, nn.Module)
    needed = MODULE if is_module else EQUATIONS
    if missing := [name for name in needed if not hasattr(kind, name)]:
        base = "nn.Module" if is_module else "lightning_dl2.nets.Cell"
        raise UserError(
            f"cell={path_of(kind)}: has no {' and no '.join(missing)}; fix: make it a {base} with {', '.join(needed)}"
        )
    _check_names(kind)
    return ModuleCell(kind, arguments) if is_module else _construct(kind, **arguments)


def _check_names(kind: Any) -> None:
    """Check `state`, `gates` and `forget_gate` of a class."""
    gates = getattr(kind, "gates", ())
    for key, names in (("state", kind.state), ("gates", gates)):
        if not isinstance(names, tuple | list) or not all(isinstance(name, str) for name in names):
            raise UserError(f"cell={path_of(kind)}: {key} is {names!r}; allowed: a tuple of names, as ('h',)")
    if not kind.state or kind.state[0] != "h":
        raise UserError(f"cell={path_of(kind)}: state is {kind.state!r}; allowed: names, h the first of them")
    forget_gate = getattr(kind, "forget_gate", None)
    if forget_gate is not None and forget_gate not in gates:
        raise UserError(f"cell={path_of(kind)}: forget_gate is {forget_gate!r}; allowed: None or one of gates, {gates}")
    memory = getattr(kind, "memory", None)
    if memory is not None and memory not in kind.state:
        raise UserError(f"cell={path_of(kind)}: memory is {memory!r}; allowed: None or one of state, {kind.state}")


def _construct(kind: Any, *sizes: int, **arguments: Any) -> Any:
    """Build an instance; one line says which arguments the constructor lacks, or why it fails."""
    given = ", ".join([*("input_size", "hidden_size")[: len(sizes)], *arguments])
    try:
        inspect.signature(kind).bind(*sizes, **arguments)
    except TypeError as error:
        raise UserError(f"cell={path_of(kind)}: its constructor is called with ({given}): {error}") from error
    return call(kind, "its constructor", kind, *sizes, **arguments)


def call(cell: Any, what: str, function: Callable[..., Any], *inputs: Any, **arguments: Any) -> Any:
    """Call the user's code; one line says which of it raises, and where."""
    try:
        return function(*inputs, **arguments)
    except UserError:
        raise
    except Exception as error:  # it may raise anything
        place = error.__traceback__
        while place and place.tb_next:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_filename}, line {place.tb_lineno}" if place else "elsewhere"
        says = " ".join(str(error).split())
        raise UserError(f"cell={name_of(cell)}: {what} raises {type(error).__name__} ({where}): {says}") from error


def state_shapes(owner: Any, state: tuple[str, ...], hidden_size: int) -> Shapes:
    """Return the shape of each state without the batch: those that `owner.state_shapes` tells, else [H].

    Raises:
        UserError: `state_shapes` gives no shapes, others than of the states, or an h of several dimensions.
    """
    shapes: Shapes = {name: (hidden_size,) for name in state}
    if not hasattr(owner, "state_shapes"):
        return shapes
    told = call(owner, "state_shapes", owner.state_shapes, hidden_size)
    _check_shapes(owner, "state_shapes", told)
    if unknown := told.keys() - shapes.keys():
        raise UserError(
            f"cell={name_of(owner)}: state_shapes has {', '.join(unknown)}; allowed: its states, {', '.join(state)}"
        )
    if len(told.get("h", (1,))) != 1:
        raise UserError(
            f"cell={name_of(owner)}: state_shapes gives h={told['h']}; allowed: one size, as ({hidden_size},)"
        )
    return shapes | {name: tuple(shape) for name, shape in told.items()}


def weight_shapes(cell: Any, input_size: int, hidden_size: int) -> Shapes:
    """Return the `shapes` of a class of equations.

    Raises:
        UserError: a user's are no shapes.
    """
    if not is_own(cell):
        shapes: Shapes = cell.shapes(input_size, hidden_size)
        return shapes
    told = call(cell, "shapes", cell.shapes, input_size, hidden_size)
    _check_shapes(cell, "shapes", told)
    return {name: tuple(shape) for name, shape in told.items()}


def _check_shapes(owner: Any, method: str, told: Any) -> None:
    if not isinstance(told, dict):
        raise UserError(f"cell={name_of(owner)}: {method} returns {told!r}; allowed: a dict of shapes by name")
    for name, shape in told.items():
        sizes = shape if isinstance(shape, tuple | list) else (0,)
        if not isinstance(name, str) or not name.isidentifier() or not all(type(n) is int and n > 0 for n in sizes):
            raise UserError(f"cell={name_of(owner)}: {method} gives {name}={shape!r}; allowed: NAME=(sizes >= 1)")


@torch.no_grad()
def check_step(cell: Any, weights: Any, input_size: int, shapes: Shapes) -> None:
    """Take a step, and a sequence of two, of a user's cell from zeros; check all that they return.

    Args:
        weights: of one layer and direction: a dict, or the module.
        shapes: of `state_shapes`.

    Raises:
        UserError: the step or the sequence fails, lacks a state, or returns other shapes.
    """
    parameters = weights.parameters() if isinstance(weights, nn.Module) else iter(weights.values())
    like = next(parameters, torch.empty(0))
    if like.is_meta:  # a net that is only counted: there are no values to look at
        return
    x, start = like.new_zeros(STEPS, ROWS, input_size), [like.new_zeros(ROWS, *shapes[name]) for name in cell.state]
    lengths = torch.full((ROWS,), STEPS, device=x.device)
    named: dict[str, Any] = {INPUT_LENGTH: lengths, TRAINING: True, OPTIMIZER_STEP: 0}
    given = {name: value for name, value in named.items() if takes(cell, name)}
    with torch.random.fork_rng(devices=[]):
        values = call(cell, "step", cell.step, weights, x[0], *start, **given)
        if not isinstance(values, dict):
            raise UserError(f"cell={name_of(cell)}: step returns a {type(values).__name__}; allowed: a dict by name")
        for name in cell.state:
            _check_value(cell, "step", name, values.get(name), (ROWS, *shapes[name]))
        if missing := [name for name in cell.gates if name not in values]:
            raise UserError(f"cell={name_of(cell)}: step returns no {', '.join(missing)}, of gates; fix: return it too")
        if cell.sequence if hasattr(cell, "sequence") else None:
            found = call(cell, "sequence", cell.sequence, weights, x, *start, **given)
            if not isinstance(found, tuple) or len(found) != 2 or len(found[1]) != len(cell.state):
                raise UserError(
                    f"cell={name_of(cell)}: sequence returns other things; allowed: (hs, ({', '.join(cell.state)},))"
                )
            _check_value(cell, "sequence", "hs", found[0], (STEPS, ROWS, *shapes["h"]))
            for name, value in zip(cell.state, found[1], strict=True):
                _check_value(cell, "sequence", name, value, (ROWS, *shapes[name]))


def _check_value(cell: Any, method: str, name: str, value: Any, shape: tuple[int, ...]) -> None:
    if value is None:
        raise UserError(f"cell={name_of(cell)}: {method} returns no {name}, of state; fix: return it too")
    got = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
    if got != list(shape):
        sizes = f"for a batch of {ROWS}" + (f" and {STEPS} steps" if method == "sequence" else "")
        raise UserError(f"cell={name_of(cell)}: {method} returns {name} of {got} {sizes}; allowed: {list(shape)}")

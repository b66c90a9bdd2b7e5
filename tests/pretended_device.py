"""A pretended CUDA device: tensors that say `cuda:0`, and compute on the CPU.

It finds, on a machine without a GPU, what fails first on one: an operation between tensors of both devices, a factory
call without `device=`, `.numpy()` of a tensor of the device, a generator of the wrong device, an operation without a
deterministic algorithm on CUDA. The numbers are the CPU's, so results can be compared bit by bit.

What it cannot show: cuDNN, cuBLAS and the kernels' own numbers, autocast (nothing is cast), streams, memory, NCCL.

    with pretended_cuda():
        net.cuda()(x.to("cuda")).sum().backward()

To torch's C++ a pretended tensor is on the device `meta`, since a build without CUDA cannot differentiate on `cuda`.
"""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

CUDA = torch.device("cuda:0")
aten = torch.ops.aten

# They take tensors of both devices.
BETWEEN_DEVICES = {"aten::copy_", "aten::_to_copy"}
CPU_INDICES = {"aten::index.Tensor", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}
CPU_LENGTHS = {"aten::_pack_padded_sequence"}
CPU_NUMBERS = {"fill_", "masked_fill", "masked_fill_", "where", "index_put", "index_put_", "index_fill", "index_fill_"}

# See torch.use_deterministic_algorithms; of the operations on images only those of common layers.
NOT_DETERMINISTIC = re.compile(
    r"aten::(nll_loss2d_forward|put_?|histc|median\.dim|nanmedian\.dim|kthvalue|_ctc_loss_backward|max_unpool.*"
    r"|adaptive_(avg|max)_pool[23]d_backward|avg_pool3d_backward|fractional_max_pool.*_backward|grid_sampler.*_backward"
    r"|reflection_pad.*_backward|upsample_(linear1d|bilinear2d|bicubic2d|trilinear3d)_backward)\b"
)


class Pretended(Tensor):
    """A tensor of the pretended device, whose data lie in the CPU tensor `held`."""

    held: Tensor
    device, is_cuda, is_cpu, is_meta = CUDA, True, False, False  # type: ignore[assignment]  # properties of Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> "Pretended":
        made = Tensor._make_subclass(cls, _shadow(held), False, device_for_backend_keys=CUDA)
        made.held = held
        return made

    def __init__(self, held: Tensor) -> None:
        super().__init__()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(func, args, kwargs or {})

    def __repr__(self, **_: Any) -> str:
        return f"{self.held!r} on {CUDA}"

    def __format__(self, form: str) -> str:
        return format(self.held, form)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        memo[id(self)] = copied = Pretended(self.held.detach().clone()).requires_grad_(self.requires_grad)
        if hasattr(self, "_is_param"):
            copied._is_param = True
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.held.__reduce_ex__(protocol)  # a file of it is read with map_location="cpu"

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def __array__(self, *_: Any, **__: Any) -> Any:
        self.numpy()

    def tolist(self) -> Any:
        return self.held.tolist()

    def data_ptr(self) -> int:
        return self.held.data_ptr()


def _shadow(held: Tensor) -> Tensor:
    """Return a tensor without data of the same shape and strides."""
    with torch._C._DisableTorchDispatch(), torch._C.DisableTorchFunction():
        if held.layout is not torch.strided:
            return held.detach().to("meta")
        storage = torch.UntypedStorage(0, device="meta")
        like = torch.empty(0, dtype=held.dtype, device="meta")
        return like.set_(storage, held.storage_offset(), held.size(), held.stride())


def compute(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operation on the CPU, and wrap what the pretended device would hold.

    Raises:
        RuntimeError: CUDA would refuse it.
    """
    name = func.name()
    known: dict[int, Pretended] = {}
    tensors: list[Tensor] = []
    inner = _unwrapped(args, tensors, known)
    inner_kwargs = {key: _unwrapped(value, tensors, known) for key, value in kwargs.items()}
    target = kwargs.get("device")
    # To C++ a pretended tensor's device is "meta": a gradient is brought there, or a number that x[0] = 2 writes.
    there = bool(known) if target is None else torch.device(target).type in ("cuda", "meta")
    if known:
        _check_devices(func, name, args, tensors)
        if torch.are_deterministic_algorithms_enabled():
            _check_deterministic(name, args, tensors)
    if name == "aten::copy_":
        there = isinstance(args[0], Pretended)
    if there and isinstance(kwargs.get("generator"), torch.Generator):
        raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
    if there or known:
        inner_kwargs |= {key: value for key, value in (("device", "cpu"), ("pin_memory", False)) if key in kwargs}

    found = func(*inner, **inner_kwargs)
    if name == "aten::_pack_padded_sequence":  # the second part, the sizes of the steps, stays on the CPU
        return Pretended(found[0]), found[1]
    return (
        [_wrapped(value, there, known) for value in found]
        if isinstance(found, (list, tuple))
        else _wrapped(found, there, known)
    )


def _unwrapped(value: Any, tensors: list[Tensor], known: dict[int, Pretended]) -> Any:
    """Replace pretended tensors by those that they hold; append all to `tensors`, and keep the former in `known`."""
    if isinstance(value, Tensor):
        tensors.append(value)
        if isinstance(value, Pretended):
            known[id(value.held)] = value
            return value.held
    elif type(value) in (list, tuple):
        return [_unwrapped(item, tensors, known) for item in value]
    return value


def _wrapped(value: Any, there: bool, known: dict[int, Pretended]) -> Any:
    """Wrap what an operation returns; one in place returns what it was given."""
    if not isinstance(value, Tensor):
        return value
    if id(value) not in known:
        return Pretended(value) if there else value
    changed = known[id(value)]
    if (changed.shape, changed.stride()) != (value.shape, value.stride()):  # by transpose_ and its like
        with torch._C._DisableTorchDispatch():
            changed.as_strided_(value.shape, value.stride())
    return changed


def _check_devices(func: Any, name: str, args: Any, tensors: list[Tensor]) -> None:
    """Raise RuntimeError where an operation of a pretended tensor also takes one of the CPU, which torch refuses."""
    if name in CPU_LENGTHS and isinstance(args[1], Pretended):
        raise RuntimeError(f"{name}: the lengths must be on the CPU")
    if all(isinstance(tensor, Pretended) for tensor in tensors) or name in BETWEEN_DEVICES | CPU_LENGTHS:
        return
    assert not any(tensor.is_meta for tensor in tensors), f"{name}: this way to make a tensor is not emulated"
    if name in CPU_INDICES:
        tensors = [args[0], *args[2:3]]
    base = name.partition("::")[2].partition(".")[0]
    takes_numbers = torch.Tag.pointwise in func.tags or base in CPU_NUMBERS or base.startswith("_foreach")
    others = [tensor for tensor in tensors if not isinstance(tensor, Pretended)]
    written = func._schema.is_mutable and isinstance(args[0], Tensor) and not isinstance(args[0], Pretended)
    if written or any(other.ndim or not takes_numbers for other in others):
        shapes = ", ".join(str(list(other.shape)) for other in others)
        raise RuntimeError(f"{name}: expected all tensors on the same device, but found cuda:0 and cpu: {shapes}")


def _check_deterministic(name: str, args: Any, tensors: list[Tensor]) -> None:
    """Raise RuntimeError where CUDA has no deterministic algorithm."""
    weighted = name == "aten::bincount" and len(tensors) > 1
    product = name.startswith("aten::scatter_reduce") and "prod" in args
    if weighted or product or NOT_DETERMINISTIC.match(name):
        raise RuntimeError(f"{name} does not have a deterministic implementation on cuda")


class PretendedOperations(TorchDispatchMode):
    """Let factories and copies make tensors of the pretended device."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # True would import torch's compiler

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not types and "device" not in kwargs:  # an operation of the CPU alone
            return func(*args, **kwargs)
        return compute(func, args, kwargs)


class PretendedFunctions(TorchFunctionMode):
    """Take the functions whose C++ would ask CUDA before the dispatcher can."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        return TAKEN[func](func, *args, **kwargs) if func in TAKEN else func(*args, **kwargs)


def _to(
    func: Any, x: Tensor, *args: Any, device: Any = None, dtype: Any = None, copy: bool = False, **other: Any
) -> Tensor:
    """Do as `Tensor.to` and `Tensor.cuda`."""
    for value in (*args, other.get("other")):
        if isinstance(value, Tensor):
            device, dtype = value.device, value.dtype
        elif isinstance(value, torch.dtype):
            dtype = value
        elif isinstance(value, (str, torch.device)):
            device = value
    if func is Tensor.cuda:
        device = CUDA
    device, dtype = torch.device(x.device if device is None else device), dtype or x.dtype
    if device.type == x.device.type and dtype == x.dtype and not copy:
        return x
    return aten._to_copy(x, dtype=dtype, device=CUDA if device.type == "cuda" else device)


def _made(func: Any, data: Any, *, device: Any = None, requires_grad: bool = False, **kwargs: Any) -> Tensor:
    """Do as `torch.tensor`, `torch.as_tensor` and `torch.asarray`."""
    if isinstance(data, Pretended):
        data, device = data.held, device or CUDA
    return _to(None, func(data, **kwargs), device=device).requires_grad_(requires_grad)


def _new_tensor(func: Any, x: Tensor, data: Any, **kwargs: Any) -> Tensor:
    place = {"device": CUDA, "dtype": x.dtype} if isinstance(x, Pretended) else {}
    return _made(torch.tensor, data, **place | kwargs) if place else func(x, data, **kwargs)


def _pin_memory(func: Any, x: Tensor, *_: Any) -> Tensor:
    if isinstance(x, Pretended):
        raise RuntimeError("cannot pin 'torch.cuda.FloatTensor' only dense CPU tensors can be pinned")
    return x


def _item(func: Any, x: Tensor, index: Any, *value: Any) -> Any:
    return func(x, _as_index(index) if isinstance(x, Pretended) else index, *value)


def _as_index(index: Any) -> Any:
    """Make tensors of lists of numbers, which C++ would put on the device "meta"."""
    if isinstance(index, tuple):
        return tuple(map(_as_index, index))
    return torch.tensor(index) if isinstance(index, list) else index


TAKEN: dict[Any, Any] = (
    dict.fromkeys((Tensor.to, Tensor.cuda), _to)
    | dict.fromkeys((torch.tensor, torch.as_tensor, torch.asarray), _made)
    | dict.fromkeys((Tensor.__getitem__, Tensor.__setitem__), _item)
    | {Tensor.new_tensor: _new_tensor, Tensor.pin_memory: _pin_memory}
)


_apply_as_torch = torch.nn.Module._apply


def _apply(self: Any, *args: Any, **kwargs: Any) -> Any:
    """Move a module; its parameters stay the same objects, as with a device whose tensors are plain ones."""
    before = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        return _apply_as_torch(self, *args, **kwargs)
    finally:
        torch.__future__.set_swap_module_params_on_conversion(before)


def _enter(self: Any) -> None:
    """Enter inference mode without its tensors, which cannot be wrapped once it has ended."""
    self.before = torch.is_grad_enabled()
    torch._C._set_grad_enabled(not self.mode)


def _exit(self: Any, *_: Any) -> None:
    torch._C._set_grad_enabled(self.before)


def _state(*_: Any) -> Tensor:
    return torch.get_rng_state()


# One generator serves both devices, so that draws are equal: who seeds CUDA's alone seeds nothing.
FACTS: dict[str, Any] = {
    "is_available": lambda: True,
    "is_initialized": lambda: True,
    "device_count": lambda: 1,
    "current_device": lambda: 0,
    "get_device_name": lambda *_: "pretended",
    "get_device_capability": lambda *_: (7, 0),
    "is_bf16_supported": lambda *_, **__: True,
    "get_rng_state": _state,
    "get_rng_state_all": lambda: [_state()],
    "memory_stats": lambda *_: {},
    "_is_in_bad_fork": lambda: False,
} | {
    name: lambda *_, **__: None  # each another: torch's compiler keeps a table of functions
    for name in "_lazy_init set_device synchronize empty_cache manual_seed manual_seed_all seed set_rng_state"
    " set_rng_state_all reset_peak_memory_stats".split()
}


@contextmanager
def pretended_cuda() -> Iterator[None]:
    """Let this process have a pretended CUDA device within the block."""
    with ExitStack() as stack:
        stack.enter_context(mock.patch.multiple("torch.cuda", **FACTS))
        stack.enter_context(mock.patch("torch.backends.cudnn.is_acceptable", lambda tensor: False))
        stack.enter_context(mock.patch.multiple(torch.inference_mode, __enter__=_enter, __exit__=_exit))
        for module in ("utils._foreach_utils", "optim.swa_utils"):  # optimisers and norms take all tensors at once
            function = f"torch.{module}._get_foreach_kernels_supported_devices"
            stack.enter_context(mock.patch(function, lambda: ["cuda", "meta"]))
        for module in ("utils._foreach_utils", "optim.optimizer"):
            kinds = f"torch.{module}._foreach_supported_types"
            stack.enter_context(mock.patch(kinds, [Tensor, torch.nn.Parameter, Pretended]))
        stack.enter_context(PretendedFunctions())
        stack.enter_context(PretendedOperations())
        stack.enter_context(mock.patch.object(torch.nn.Module, "_apply", _apply))
        yield

"""A device that computes on the CPU and refuses what a GPU refuses; for a process of its own.

Nothing here can show how a GPU rounds or how fast it is. It shows what runs there at all: tensors
of two devices in one operation, numpy's look into device memory, a CPU's generator or a CPU's
operator on the device end in an error, wherever in the engine they are. torch registers the device
for good, which is why a test starts a process for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "pretended"
# Tensors of another device are what these are for.
BETWEEN = {"aten::copy_", "aten::_to_copy", "aten::_copy_from"}
# A GPU takes indices from the CPU, as CUDA does.
INDEXING = {"aten::index", "aten::index_put", "aten::index_put_"}
LOOKS_INSIDE = (torch.Tensor.numpy, torch.Tensor.__array__)
# What torch cannot ask of a tensor that is none of its own.
BESIDE = (torch.Tensor.tolist, torch.Tensor.data_ptr, torch.Tensor.untyped_storage)


class OnDevice(torch.Tensor):
    """A tensor that says it is on the device and holds one of the CPU."""

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor, **_: Any):
        there = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=torch.device(NAME, 0),
        )
        there.held = held
        return there

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return _done(function, args, kwargs or {})


def _there(device: Any) -> bool:
    return device is not None and torch.device(device).type == NAME


def _check(function, args, kwargs) -> None:
    """Raises RuntimeError where a GPU would."""
    name = function._schema.name
    tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
    there = any(isinstance(t, OnDevice) for t in tensors)
    for t in tensors if there and name not in BETWEEN else ():
        index = name in INDEXING and t is not args[0] and not t.is_floating_point()
        if not isinstance(t, OnDevice) and t.dim() and not index:
            raise RuntimeError(f"{name}: tensors of two devices, {[type(t) for t in tensors]}")
    if there and name.startswith("mkldnn::"):
        raise RuntimeError(f"{name}: there is none on this device")
    if kwargs.get("generator") is not None and (there or _there(kwargs.get("device"))):
        raise RuntimeError(f"{name}: a generator of the CPU on this device")


def _done(function, args, kwargs):
    """The operation on what is held, its result where torch would put it."""
    _check(function, args, kwargs)
    owners: dict[int, OnDevice] = {}

    def held(t):
        if isinstance(t, OnDevice):
            owners[id(t.held)] = t
            return t.held
        return t

    device = kwargs.get("device")
    asked = kwargs if device is None else {**kwargs, "device": torch.device("cpu")}
    out = function(*tree_map(held, args), **tree_map(held, asked))
    name = function._schema.name
    if name == "aten::copy_":
        return args[0]
    there = bool(owners) if device is None else _there(device)

    def placed(t):
        if not (there and isinstance(t, torch.Tensor)):
            return t
        return owners[id(t)] if id(t) in owners else OnDevice(t)  # written to where it is

    return tree_map(placed, out)


class _Operations(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return _done(function, args, kwargs or {})


class _Calls(TorchFunctionMode):
    """What never gets to be an operation, or not on a device that torch does not know."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in (torch.tensor, torch.as_tensor) and _there(kwargs.get("device")):
            rest = {name: value for name, value in kwargs.items() if name != "device"}
            made = function(*args, **rest)
            return made if isinstance(made, OnDevice) else OnDevice(made)
        if args and isinstance(args[0], OnDevice):
            if function in LOOKS_INSIDE:
                raise TypeError("numpy cannot look into a device's memory")
            if function in BESIDE:
                return function(args[0].held)
            if function is torch.Tensor.new_tensor:
                return OnDevice(function(args[0].held, *args[1:], **kwargs))
            if function == torch.Tensor.data.__set__:
                args[0].held = args[1].held
                return None
        return function(*args, **kwargs)


def begin() -> None:
    """Register the device, for the rest of this process."""
    # Which refuses tensors that torch does not hold itself.
    torch.inference_mode = lambda *_: torch.no_grad()
    _setup_privateuseone_for_python_backend(NAME)


@contextmanager
def device() -> Iterator[None]:
    """In here, the device is there."""
    with _Calls(), _Operations():
        yield


def moved(module: torch.nn.Module) -> torch.nn.Module:
    """The module, its parameters and buffers on the device."""
    for part in module.modules():
        for name, p in part.named_parameters(recurse=False):
            setattr(part, name, torch.nn.Parameter(OnDevice(p.detach().clone())))
        for name, b in part.named_buffers(recurse=False):
            part.register_buffer(name, OnDevice(b.clone()))
    return module

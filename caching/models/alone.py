"""Small operations on the calling thread alone: waking the others takes longer than they do.

A product of a million multiplications takes 25 us on one thread; on two it takes as much again to
wake the second one, most of all where other programs compete for the processor. torch can only set
the threads of a whole process, so the thread's own setting is changed, of OpenMP and of MKL.
"""

import ctypes
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch

# Multiply-accumulates up to which one thread is quicker.
FEW_MACS = 2**21


class _Setters(NamedTuple):
    """Both set the threads of the calling thread's own operations, and of no other's."""

    openmp: Callable[[int], Any]
    mkl: Callable[[int], int]  # gives what was set before, 0 for the process's own setting


@cache
def _setters() -> _Setters | None:
    """Where torch's own libraries have them; None elsewhere, as on macOS."""
    try:
        # The one that is loaded already, with the OpenMP that belongs to it.
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        return _Setters(library.omp_set_num_threads, library.MKL_Set_Num_Threads_Local)
    except (OSError, AttributeError):
        return None


class Alone:
    """A context in which small operations of this thread stay on it, if `few` says they are small.

    Results do not depend on it being possible.
    """

    __slots__ = ("mkl", "setters", "threads")

    def __init__(self, *, few: bool) -> None:
        self.setters = _setters() if few else None
        self.threads, self.mkl = 1, 0

    def __enter__(self) -> None:
        if self.setters is not None:
            self.threads = torch.get_num_threads()
            if self.threads > 1:
                self.setters.openmp(1)
                self.mkl = self.setters.mkl(1)

    def __exit__(self, *_: object) -> None:
        if self.setters is not None and self.threads > 1:
            self.setters.openmp(self.threads)
            self.setters.mkl(self.mkl)

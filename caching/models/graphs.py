"""Steps as CUDA graphs: one per distinct row pattern, recorded once and then launched as one.

At batch 1 a processor launches the kernels of a DiT more slowly than a GPU runs them, and a branch
that is reused saves little of that. A graph launches a whole step at once. It works on fixed
places, so what differs between steps (latents, modulation) is copied there first, and stored
outputs have places of their own. Not run on a GPU yet: the tests replay recorded operations on a
CPU instead.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caching.errors import ModelError
from caching.models.family import Conditioning, Family

COMPUTED, STORED, REUSED = range(3)
"""What a cell does: it is computed, computed and stored for later steps, or reused."""

Pattern: TypeAlias = tuple[tuple[int, ...], ...]
"""What each cell of a step does, (L, R)."""

Recorded: TypeAlias = tuple[Callable[[], object], Tensor]
"""Does the recorded work again, and where its result then is."""

Record: TypeAlias = Callable[[Callable[[], Tensor]], Recorded]
"""Records the operations of some work; it is called at least once for that."""

# Graphs that a bench keeps for later runs: a painted schedule rarely has more rows that differ.
MOST_GRAPHS = 64
# Benches that wait for a run: one for a picture alone, one for both passes of guidance.
MOST_BENCHES = 2


def patterns_of(actions: NDArray[np.uint8], last_use: NDArray[np.int32]) -> tuple[Pattern, ...]:
    """The pattern of every step, from actions (S, L, R) where all but 0 reuse, and last uses."""
    later = last_use > np.arange(len(actions))[:, None, None]
    kinds = np.where(actions > 0, REUSED, np.where(later, STORED, COMPUTED))
    return tuple(tuple(map(tuple, row)) for row in kinds.tolist())


def cuda_graphs(device: torch.device) -> Record:
    """Records CUDA graphs, which share one pool of memory; they are never launched at once."""
    pool, stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream(device)

    def record(work: Callable[[], Tensor]) -> Recorded:
        here = torch.cuda.current_stream(device)
        stream.wait_stream(here)
        with torch.cuda.stream(stream):
            work()  # libraries set themselves up at a first call, which no graph can hold
        here.wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        # Errors of this thread alone: others may use the GPU meanwhile.
        with torch.cuda.graph(graph, pool, stream, "thread_local"):
            output = work()
        return graph.replay, output

    return record


class Bench:
    """The fixed places that steps of one size work on, and their graphs; held by one run."""

    def __init__(
        self, family: Family, given: Conditioning, latents: Tensor, record: Record
    ) -> None:
        self.family, self._record = family, record
        # Both passes of guidance may be one picture seen twice, which is embedded once.
        self.own = latents[: 1 if not latents.stride(0) else len(latents)].clone()
        self.latents = self.own.expand_as(latents)
        self.given = family.still(given)
        self.outputs: dict[tuple[int, int], Tensor] = {}  # (N, T, D) by block and branch
        self.recorded: OrderedDict[Pattern, Recorded] = OrderedDict()

    @torch.no_grad()
    def prepare(self, patterns: Sequence[Pattern]) -> None:
        """Record what is not recorded yet; drop what was not asked for longest."""
        size = (len(self.latents), self.family.tokens, self.family.width)
        for pattern in dict.fromkeys(patterns):
            for block, row in enumerate(pattern):
                for r, kind in enumerate(row):
                    if kind != COMPUTED and (block, r) not in self.outputs:
                        empty = self.own.new_zeros(size, dtype=self.family.dtype)
                        self.outputs[block, r] = empty
            if pattern not in self.recorded:
                self.recorded[pattern] = self._record(lambda row=pattern: self._work(row))  # type: ignore[misc]
            self.recorded.move_to_end(pattern)
        while len(self.recorded) > max(MOST_GRAPHS, len(set(patterns))):
            self.recorded.popitem(last=False)

    def _work(self, pattern: Pattern) -> Tensor:
        """A step of the pattern, from and to fixed places: model output (N, C', h, w)."""
        family, given = self.family, self.given
        x, own = family.embed(self.latents), False
        for block, row in enumerate(pattern):
            for r, kind in enumerate(row):
                out = None if kind == COMPUTED else self.outputs[block, r]
                if kind != REUSED:
                    fresh = family.branch(x, given, 0, block, r)
                    out = fresh if out is None else out.copy_(fresh)
                assert out is not None
                x, own = family.add(x, out, given, 0, block, r, own=own), True
        return family.head(x, given, 0)

    @torch.no_grad()
    def step(self, pattern: Pattern, latents: Tensor, given: Conditioning, s: int) -> Tensor:
        """Model output (N, C', h, w) of step `s`, whose pattern was prepared."""
        self.own.copy_(latents[: len(self.own)])
        self.given.load(given, s)
        again, output = self.recorded[pattern]
        again()
        return output.clone()  # the next graph writes where this one is


class Graphs:
    """The benches of one model that no run holds; runs at the same time each take their own.

    Raises:
        ModelError: the model is not on an NVIDIA GPU.
    """

    def __init__(self, family: Family, *, record: Record | None = None) -> None:
        device = family.device
        if record is None and device.type != "cuda":
            raise ModelError(
                f"CUDA graphs were asked for with a model on {device}, expected an NVIDIA GPU; "
                "load the model with device='cuda', or without graphs."
            )
        self.family, self._record = family, record
        self._free: list[Bench] = []
        self._lock = threading.Lock()

    def take(self, given: Conditioning, latents: Tensor, patterns: Sequence[Pattern]) -> Bench:
        """A bench for latents (N, C, h, w) of this size, with every pattern recorded.

        It is the caller's until it is given back; what its stored outputs hold is undefined.
        """
        layout, bench = (latents.shape, latents.stride(0) == 0), None
        with self._lock:
            for free in self._free:
                if (free.latents.shape, free.latents.stride(0) == 0) == layout:
                    bench = free
                    self._free.remove(free)
                    break
        if bench is None:
            record = self._record or cuda_graphs(latents.device)
            bench = Bench(self.family, given, latents, record)
        bench.prepare(patterns)
        return bench

    def give_back(self, bench: Bench) -> None:
        """The bench waits for another run; the one that waited longest is dropped."""
        with self._lock:
            self._free = [*self._free, bench][-MOST_BENCHES:]

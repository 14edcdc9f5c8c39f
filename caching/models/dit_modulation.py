"""adaLN modulation of a DiT: made for all steps of a run at once, and kept for the next run.

It depends on labels, timesteps and weights alone, so every schedule of one picture shares it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import TYPE_CHECKING, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from caching.models.dit import DiT

SHIFT_ATTN, SCALE_ATTN, GATE_ATTN, SHIFT_MLP, SCALE_MLP, GATE_MLP = range(6)
# Modulations are made for as many steps at a time as fit here; a run of one image needs far less.
MODULATION_MIB = 256
# What a model keeps of the last runs: 20 settings of the shipped model, 50 steps of DiT-XL/2.
KEPT_MIB = 96
# Steps whose modulations are cut out at once: between two steps it costs five times as much, when
# the processor has forgotten how.
CUT = 32


class Table:
    """Modulation of every block for some steps; nothing in it changes once it is made."""

    def __init__(self, made: Tensor, weight: Tensor, bias: Tensor) -> None:
        self.made = made  # (S, 6 L, U, 1, D)
        # Of the final layer: its projection with scale and shift in it, (S, U, D, P), (S, U, 1, P).
        self.weight, self.bias = weight, bias
        self._cut: dict[int, list[tuple[Tensor, ...]]] = {}

    @property
    def held_bytes(self) -> int:
        every = (self.made, self.weight, self.bias)
        return sum(tensor.untyped_storage().nbytes() for tensor in every)

    def at(self, i: int) -> tuple[Tensor, ...]:
        """Of the `i`-th step: 6 of each block, each (U, 1, D), then the final layer's two."""
        group = i // CUT
        cut = self._cut.get(group)
        if cut is None:
            few = slice(group * CUT, (group + 1) * CUT)
            some, last = self.made[few], (self.weight[few].unbind(0), self.bias[few].unbind(0))
            of_all, each = some.flatten(0, 1).unbind(0), some.shape[1]
            # Two threads may both do it: they put the same there.
            cut = [
                (*of_all[j * each : (j + 1) * each], *two)
                for j, two in enumerate(zip(*last, strict=True))
            ]
            self._cut[group] = cut
        return cut[i % CUT]

    def whole(self, i: int, rows: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Of the `i`-th step and those rows: (6 L, N, 1, D), (N, D, P) and (N, 1, P)."""
        made, weight, bias = self.made[i], self.weight[i], self.bias[i]
        return (made, weight, bias) if rows is None else (made[:, rows], weight[rows], bias[rows])


class Kept:
    """The tables of the last runs of one model, the longest unused ones dropped first."""

    def __init__(self) -> None:
        self._tables: OrderedDict[Hashable, Table] = OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Kept], tuple[()]]:
        return Kept, ()  # a copy of the model makes its own

    def __len__(self) -> int:
        return len(self._tables)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._tables.clear()

    @property
    def held_mib(self) -> float:
        """What the tables hold now."""
        with self._lock:
            return self._held() / 2**20

    def _held(self) -> int:
        return sum(table.held_bytes for table in self._tables.values())

    def recall(self, key: Hashable) -> Table | None:
        """The table, if it is still there."""
        with self._lock:
            if key in self._tables:
                self._tables.move_to_end(key)
            return self._tables.get(key)

    def keep(self, key: Hashable, table: Table) -> None:
        """Remember one more, within KEPT_MIB."""
        with self._lock:
            self._tables[key] = table
            while self._tables and self._held() > KEPT_MIB * 2**20:
                self._tables.popitem(last=False)


class Given:
    """Modulation of every block for a window of steps, found or made when it is reached."""

    def __init__(self, family: DiT, timesteps: Tensor, labels: Tensor) -> None:
        self.family, self.timesteps = family, timesteps
        self.size = len(labels)
        every = labels.tolist()
        self.unique = sorted(set(every))
        # One guided image has the rows [label, null], which are in order already.
        aligned = self.unique == every
        self.labels, self.rows = labels, None
        if not aligned:
            self.labels = torch.tensor(self.unique, dtype=labels.dtype, device=labels.device)
            self.rows = torch.tensor([self.unique.index(i) for i in every], device=labels.device)
        self.start = self.stop = 0
        self.table: Table | None = None
        self.step = -1
        self.now: tuple[Tensor, ...] = ()  # of one step, see `Table.at`

    def _find(self, s: int) -> Table:
        """The table of a window of steps around `s`, made unless the model has it still."""
        f = self.family
        size = torch.finfo(f.dtype).bits // 8 * 6 * f.width * f.blocks * len(self.labels)
        window = max(1, int(MODULATION_MIB * 2**20 / size))
        # Aligned, so that a step's modulation is the same to the bit wherever a run enters.
        self.start = s // window * window
        self.stop = min(len(self.timesteps), self.start + window)
        state = None if torch.is_grad_enabled() else f.state()
        if state is None:
            return self._make()
        times = self.timesteps[self.start : self.stop]
        setting = (times.dtype, *times.tolist(), *self.unique, torch.is_inference_mode_enabled())
        key = (setting, state)
        table = f.kept.recall(key)
        if table is None:
            table = self._make()
            f.kept.keep(key, table)
        return table

    def _make(self) -> Table:
        f = self.family
        times = self.timesteps[self.start : self.stop]
        n, u, d = len(times), len(self.labels), f.width
        clock = f.clock(times)  # (L, S, D)
        made = clock.new_empty(n, 6 * f.blocks, u, 1, d)
        for i, b in enumerate(f.parts):
            y = b.embedder.class_embedder(self.labels)  # (U, D)
            c = F.silu(clock[i, :, None] + y).view(-1, d)  # (S U, D)
            if not i:
                last = f.linear(c, f.module.proj_out_1.weight, f.module.proj_out_1.bias)
            m = f.linear(c, b.modulation.weight, b.modulation.bias).view(n, u, 6, 1, d)
            made[:, 6 * i : 6 * i + 6] = m.transpose(1, 2)
        made[:, SCALE_ATTN::3] += 1  # both scales of a block
        shift, scale = last.float().view(n, u, 2, d).unbind(2)
        weight, bias = f.proj_out.weight.float(), f.proj_out.bias.float()  # (P, D), (P,)
        # The product of what is modulated: ((1 + scale) x + shift) W + b, with the same x.
        bias = bias + (shift[:, :, None] * weight).sum(-1)  # (S, U, P)
        weight = (1 + scale)[..., None] * weight.T
        return Table(made, weight.to(made.dtype), bias[:, :, None].to(made.dtype))

    def _at(self, s: int) -> tuple[Tensor, ...]:
        if self.table is None or not self.start <= s < self.stop:
            self.table = self._find(s)
        i = s - self.start
        if self.rows is None:
            self.now = self.table.at(i)
        else:
            made, *last = self.table.whole(i, self.rows)
            self.now = (*made.unbind(0), *last)
        self.step = s
        return self.now

    def get(self, s: int, block: int, which: int) -> Tensor:
        """Modulation `which` of `block` at step `s`, (N, 1, D); scales have their 1 added."""
        now = self.now if s == self.step else self._at(s)
        return now[6 * block + which]

    def whole(self, s: int) -> tuple[Tensor, Tensor, Tensor]:
        """Everything at step `s`, as `Table.whole`; not to be written to."""
        self._at(s)
        assert self.table is not None
        return self.table.whole(s - self.start, self.rows)

    def last(self, s: int) -> tuple[Tensor, Tensor]:
        """Weight (N, D, P) and bias (N, 1, P) of the final layer, with step `s` in both."""
        weight, bias = (self.now if s == self.step else self._at(s))[-2:]
        return weight, bias


class Some:
    """Some of the rows of a conditioning, looking at the same modulation."""

    def __init__(self, whole: Rows, rows: slice | Tensor, size: int) -> None:
        self.whole, self.rows, self.size = whole, rows, size

    def get(self, s: int, block: int, which: int) -> Tensor:
        """As the whole's, (n, 1, D)."""
        return self.whole.get(s, block, which)[self.rows]

    def last(self, s: int) -> tuple[Tensor, Tensor]:
        """As the whole's, (n, D, P) and (n, 1, P)."""
        weight, bias = self.whole.last(s)
        return weight[self.rows], bias[self.rows]


class Still:
    """The modulation of one step in a place that stays the same whichever step it is."""

    def __init__(self, given: Given) -> None:
        self.held = tuple(tensor.clone() for tensor in given.whole(0))
        self.now, self.size = self.held[0].unbind(0), given.size

    def load(self, given: Given, s: int) -> None:
        """From here on, that of step `s`."""
        for held, tensor in zip(self.held, given.whole(s), strict=True):
            held.copy_(tensor)

    def get(self, s: int, block: int, which: int) -> Tensor:
        """Modulation `which` of `block`, (N, 1, D), of the step that was loaded."""
        return self.now[6 * block + which]

    def last(self, s: int) -> tuple[Tensor, Tensor]:
        """Likewise weight and bias of the final layer."""
        return self.held[1], self.held[2]


Rows: TypeAlias = Given | Some | Still

"""Router checkpoints as torch saves them: logits out of a zip, nothing of it ever run.

Learning-to-Cache and HarmoniCa save the same container: `routers`, with one vector of 2 L logits
under "{i}.prob" for each of S steps, the optimiser's state, and the `argparse.Namespace` of the
training. i counts upwards with the timestep, so the last executed step stands first; entry 2 l is
attention of block l, 2 l + 1 its feed-forward.
"""

from __future__ import annotations

import argparse
import re
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from caching.checks import MAX_BLOCKS, MAX_STEPS
from caching.errors import ScheduleError
from caching.formats.importers.base import Shape
from caching.formats.importers.source import MAX_BYTES, Source

MAX_ENTRIES = 8192
FIXED = 5.0
"""The logit that HarmoniCa gives, untrained, to every cell of the first executed step."""

_KEY = re.compile(r"(0|[1-9][0-9]{0,3})\.prob")
_UVIT_WIDTH = 58
_ALLOWING = threading.Lock()


@dataclass(frozen=True)
class Routers:
    """Logits of a checkpoint, and the arguments it was trained with."""

    logits: NDArray[np.float64]  # (S, 2 L), the last executed step first
    arguments: Mapping[str, Any]  # plain numbers, texts and None only

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """Sigmoid of the logits: how likely a cell is to be computed."""
        probabilities: NDArray[np.float64] = 1 / (1 + np.exp(-self.logits))
        return probabilities

    @property
    def fixed_first(self) -> bool:
        """Whether the first executed step has HarmoniCa's fixed logits."""
        return bool((self.logits[-1] == FIXED).all())

    def grid(self, flat: NDArray[np.bool_], shape: Shape) -> NDArray[np.bool_]:
        """Bool (S, 2 L) in the order of the file -> bool (S, L, R) in execution order."""
        blocks = shape.settle(flat.shape[1] // 2, "the router")
        attn, mlp = shape.pair("the router")
        grid = np.empty((len(flat), blocks, 2), bool)
        grid[:, :, [attn, mlp]] = flat[::-1].reshape(len(flat), blocks, 2)
        return grid

    def words(self) -> tuple[str, ...]:
        """What the file says of its training."""
        wanted = ("model", "image_size", "num_sampling_steps", "l1", "lr")
        known = [f"{n} {self.arguments[n]}" for n in wanted if n in self.arguments]
        return (f"Trained with {', '.join(known)}.",) if known else ()


def is_router(source: Source) -> bool:
    """Whether the file is a zip with a pickle in it, as torch.save makes it; nothing is opened."""
    if source.kind != "zip":
        return False
    try:
        with zipfile.ZipFile(BytesIO(source.data)) as file:
            return any(name.endswith("/data.pkl") for name in file.namelist()[:MAX_ENTRIES])
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return True  # a zip that is broken: reading it says so


def fixed_first(source: Source) -> bool:
    """Whether it is HarmoniCa's; False also for files that cannot be read."""
    try:
        return read_routers(source).fixed_first
    except ScheduleError:
        return False


def read_routers(source: Source) -> Routers:
    """The routers of a checkpoint.

    Raises:
        ScheduleError: not torch's zip, compressed or too large, holding more than tensors and
            arguments, or not routers of a DiT.
    """
    found = _load(source.data)
    state = found.get("routers", found) if isinstance(found, Mapping) else None
    if not isinstance(state, Mapping) or not state or len(state) > MAX_STEPS:
        raise ScheduleError(
            "the checkpoint has no routers: expected 'routers' with the entries 0.prob, 1.prob, …"
        )
    strange = [key for key in state if not isinstance(key, str) or not _KEY.fullmatch(key)]
    missing = [i for i in range(len(state)) if f"{i}.prob" not in state]
    if strange or missing:
        raise ScheduleError(
            f"the routers have {str((strange or ['no'])[0])[:40]!r} and lack "
            f"{f'{missing[0]}.prob' if missing else 'none'}: expected 0.prob to "
            f"{len(state) - 1}.prob"
        )
    rows = [_row(state[f"{i}.prob"], i) for i in range(len(state))]
    for i, row in enumerate(rows):
        if row.shape != rows[0].shape:
            raise ScheduleError(
                f"router {i} has {len(row)} entries and router 0 has {len(rows[0])}: expected the "
                "same number in all"
            )
    if state is found and len(rows[0]) == _UVIT_WIDTH:
        raise ScheduleError(
            "the checkpoint is Learning-to-Cache's for U-ViT: 29 layers without gates, in another "
            "step order; expected a router of a DiT"
        )
    return Routers(np.stack(rows), _arguments(found.get("args")))


def _row(value: Any, i: int) -> NDArray[np.float64]:
    """One router's logits (2 L,), its shape looked at before its numbers."""
    import torch

    fits = isinstance(value, torch.Tensor) and value.layout == torch.strided
    if not fits or value.ndim != 1 or not value.is_floating_point() or value.is_meta:
        given = tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
        raise ScheduleError(f"router {i} is {given}: expected a vector of floats")
    if len(value) % 2 or not 2 <= len(value) <= 2 * MAX_BLOCKS:
        raise ScheduleError(
            f"router {i} has {len(value)} entries: expected two for each of 1 to {MAX_BLOCKS} "
            "blocks"
        )
    row: NDArray[np.float64] = value.detach().double().cpu().numpy()
    if not np.isfinite(row).all():
        raise ScheduleError(f"router {i} holds NaN or infinity: expected finite numbers")
    return row


def _arguments(found: Any) -> Mapping[str, Any]:
    values = vars(found) if isinstance(found, argparse.Namespace) else {}
    return {
        key: value
        for key, value in values.items()
        if isinstance(key, str) and (isinstance(value, int | float | str) or value is None)
    }


def _load(data: bytes) -> Any:
    """What torch's weights-only reader makes of the file, after a look at the zip alone."""
    _check_zip(data)
    import torch

    try:
        # The allow-list is torch's own and global: one reader would take it from another.
        with _ALLOWING, torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch has a dozen kinds for a broken or forbidden file
        first = next(iter(str(error).splitlines()), "")
        raise ScheduleError(
            f"the checkpoint cannot be read ({type(error).__name__}: {first[:160]}): expected "
            "tensors and an argparse.Namespace alone; anything else is never opened"
        ) from error


def _check_zip(data: bytes) -> None:
    """Refuses a zip that is compressed, or larger inside than outside."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as file:
            entries = file.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ScheduleError(
            f"the zip cannot be read ({str(error)[:80]}): expected a checkpoint that torch.save "
            "wrote; was the file cut off?"
        ) from error
    if len(entries) > MAX_ENTRIES:
        raise ScheduleError(f"the zip has {len(entries)} entries: expected at most {MAX_ENTRIES}")
    packed = [e for e in entries if e.compress_type != zipfile.ZIP_STORED]
    inside = sum(e.file_size for e in entries)
    if packed or inside > min(MAX_BYTES, len(data)):
        raise ScheduleError(
            f"the zip is compressed or holds {inside / 2**20:.1f} MiB in {len(data) / 2**20:.1f} "
            "MiB: expected a checkpoint as torch.save writes it, which is neither"
        )

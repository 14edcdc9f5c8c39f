"""Pictures of latents, each decoded once: what was shown on the way is shown again at the end."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

    from caching.models.model import Model

MAX_MIB = 64.0


class Decoded:
    """Decodes for one model and keeps the last pictures, `max_mib` of them.

    Decoding takes as long as two or three steps of a small model, and a comparison shows the steps
    of its runs while they come, then all again as a trajectory; the full run's with every edit.
    """

    def __init__(self, model: Model, max_mib: float = MAX_MIB) -> None:
        self._model, self._max_mib = model, max_mib
        self._found: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._mib = 0.0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._found)

    def picture(self, latent: Tensor) -> np.ndarray:
        """One latent (C, h, w) as uint8 (H, W, 3), which nobody may write to."""
        key = latent.detach().float().cpu().contiguous().numpy().tobytes()
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        made: np.ndarray = self._model.decode(latent[None])[0].numpy()
        made.flags.writeable = False
        with self._lock:
            if key not in self._found:
                self._found[key] = made
                self._mib += made.nbytes / 2**20
            while self._mib > self._max_mib and len(self._found) > 1:
                _, gone = self._found.popitem(last=False)
                self._mib -= gone.nbytes / 2**20
        return made

"""What is known of judged pictures so far: one row for each picture of every arm."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from caching.formats.native import dumps
from caching.schedule import Schedule

if TYPE_CHECKING:
    from caching.dynamic.base import Policy

FULL = "full"
VERSION = 1

# Every array a picture may have, its dtype, and how many dimensions it has.
ARRAYS: Mapping[str, tuple[str, int]] = {
    "features": ("float32", 2),
    "spatial": ("float32", 2),
    "logits": ("float32", 2),
    "classes": ("int32", 1),
    "work": ("float64", 1),
    "psnr_db": ("float64", 1),
    "ssim": ("float64", 1),
    "latent_rel_l2": ("float64", 1),
    "lpips": ("float64", 1),
}
FIDELITY = ("psnr_db", "ssim", "latent_rel_l2", "lpips")


@dataclass(frozen=True)
class Conditions:
    """Everything the judged pictures depend on, besides what is cached.

    Attributes:
        model, weights_hash: what ran.
        steps, cfg_scale, sampler, dtype: of the runs.
        first_seed: picture i has seed first_seed + i and label i modulo the number of classes.
        net: key of the net that saw them.
        lpips: whether LPIPS was taken too.
    """

    model: str
    weights_hash: str
    steps: int
    cfg_scale: float
    sampler: str
    dtype: str
    first_seed: int
    net: str
    lpips: bool = False

    @property
    def key(self) -> str:
        """16 hex digits that stand for all of it."""
        text = json.dumps([VERSION, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Arm:
    """One way to run the model: a schedule, or a policy that decides on the way.

    Attributes:
        words: for people.
        schedule: what runs; all computed under a policy.
        policy: decides instead, one picture at a time.
        recipe: what stands for the policy in a file: its method and controls as text.
    """

    words: str
    schedule: Schedule
    policy: Policy | None = None
    recipe: str = ""

    @property
    def key(self) -> str:
        """16 hex digits of what runs, whatever it is called."""
        text = self.recipe if self.policy is not None else dumps(self.schedule)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Judged:
    """The pictures of one arm, all arrays of one length N; names as in ARRAYS."""

    arrays: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.arrays["work"]) if self.arrays else 0

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arrays

    def first(self, count: int) -> Judged:
        """The first pictures of it."""
        return Judged({name: values[:count] for name, values in self.arrays.items()})

    def and_then(self, more: Judged) -> Judged:
        """These pictures and those after them."""
        if not self.arrays:
            return more
        return Judged({n: np.concatenate([v, more[n]]) for n, v in self.arrays.items()})


NOTHING = Judged({})

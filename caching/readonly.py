"""Arrays of a finished value cannot be written to: others hold the same ones."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np


def read_only(value: Any) -> None:
    """Gives a frozen dataclass views of its arrays that refuse to be written to.

    For its `__post_init__`. What whoever made it holds itself stays as it was.
    """
    for field in dataclasses.fields(value):
        found = getattr(value, field.name)
        if isinstance(found, np.ndarray):
            view = found.view()
            view.setflags(write=False)
            object.__setattr__(value, field.name, view)

"""LPIPS between two sets of pictures, for whoever has its package and weights.

Nothing is downloaded: torchvision and AlexNet's weights have to be there. LPIPS's own weights come
with torchmetrics.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from caching.errors import ModelError

PACKAGE = "torchvision"
WEIGHTS = "alexnet-owt-7be5be79.pth"
"""AlexNet's file in torch.hub's folder, where torchvision looks for it."""

Net = Callable[[Tensor, Tensor], Tensor]
"""Pictures (N, 3, H, W) in -1..1, twice -> (N, 1, 1, 1)."""

BATCH = 16


class Lpips:
    """Perceptual distance (arXiv 1801.03924, AlexNet) of pictures uint8 (N, H, W, 3)."""

    def __init__(self, net: Net) -> None:
        self.net = net

    @classmethod
    def load(cls) -> Lpips:
        """Raises ModelError when the package or the weights are missing."""
        if find_spec(PACKAGE) is None:
            raise ModelError(
                "LPIPS was asked for and torchvision is not installed: pip install torchvision."
            )
        path = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS
        if not path.is_file():
            raise ModelError(
                f"AlexNet's weights for LPIPS are not at {path}: download {WEIGHTS} from "
                "download.pytorch.org/models and put it there; nothing is downloaded by itself."
            )
        from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity

        metric = LearnedPerceptualImagePatchSimilarity(net_type="alex", reduction="none")
        return cls(metric.net.eval())

    @torch.inference_mode()
    def __call__(self, images: np.ndarray, others: np.ndarray) -> np.ndarray:
        """(N,)."""
        parts = []
        for first in range(0, len(images), BATCH):
            a, b = (
                torch.tensor(x[first : first + BATCH]).permute(0, 3, 1, 2).float() / 127.5 - 1
                for x in (images, others)
            )
            parts.append(self.net(a, b).reshape(len(a)).double().numpy())
        return np.concatenate(parts)

"""InceptionV3 as the net that judges, for whoever has its weights: FID, sFID, Inception Score.

Nothing is downloaded: the package and the file have to be there.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from caching.errors import ModelError
from caching.quality.features import Seen, key_of

PACKAGE = "torch_fidelity"
WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
"""The file's name in torch-fidelity's releases on GitHub (v0.2.0)."""

FEATURES = 2048
SPATIAL = 7
"""Channels of the first convolution of the seventh mixed block, 17 x 17 each: sFID's features, as
in guided-diffusion's evaluator."""

BATCH = 32


@dataclass(frozen=True, eq=False)
class InceptionNet:
    """A net that gives 2048 features and logits, with the block that sFID listens to.

    Attributes:
        net: called with pictures uint8 (N, 3, H, W), gives (features (N, D), logits (N, C)).
        spatial: the part of it whose output, (N, >= 7, h, w), is sFID's.
        key: of its weights.
        width: D.
    """

    net: torch.nn.Module
    spatial: torch.nn.Module
    key: str
    name: str = "InceptionV3"
    width: int = FEATURES

    @classmethod
    def load(cls, weights: Path | None = None) -> InceptionNet:
        """The net of torch-fidelity, which FID is published with.

        Raises:
            ModelError: the package or the weights are missing, or the file is another one.
        """
        path = weights_at(weights)
        module = import_module(f"{PACKAGE}.feature_extractor_inceptionv3")
        try:
            net = module.FeatureExtractorInceptionV3(
                "inception-v3-compat",
                ["2048", "logits_unbiased"],
                feature_extractor_weights_path=str(path),
            ).eval()
        except Exception as error:  # whatever a strange file makes of torch's reader
            raise ModelError(
                f"{path} cannot be read as InceptionV3's weights ({type(error).__name__}: "
                f"{error!s:.200}): expected {WEIGHTS}."
            ) from error
        return cls(net, net.Mixed_6d.branch1x1, key_of(net))

    @torch.inference_mode()
    def see(self, images: np.ndarray) -> Seen:
        device = next(self.net.parameters()).device
        heard: list[Tensor] = []
        hook = self.spatial.register_forward_hook(lambda _m, _i, out: heard.append(out))
        parts: list[list[np.ndarray]] = []
        try:
            for first in range(0, len(images), BATCH):
                given = torch.tensor(images[first : first + BATCH]).permute(0, 3, 1, 2)
                features, logits = self.net(given.contiguous().to(device))[:2]
                places = heard.pop()[:, :SPATIAL].flatten(1)
                parts.append([x.float().cpu().numpy() for x in (features, places, logits)])
        finally:
            hook.remove()
        seen, spatial, scores = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Seen(seen, None, spatial, scores)


def weights_at(weights: Path | None) -> Path:
    """The file of weights, once the package is there.

    Raises:
        ModelError: one of both is missing.
    """
    if find_spec(PACKAGE) is None:
        raise ModelError(
            "InceptionV3 features were asked for and torch-fidelity is not installed: "
            "pip install torch-fidelity."
        )
    path = weights or Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS
    if not path.is_file():
        raise ModelError(
            f"InceptionV3's weights are not at {path}: download {WEIGHTS} from torch-fidelity's "
            "releases on GitHub and name it with --weights; nothing is downloaded by itself."
        )
    return path

"""What a feature net sees in pictures: numbers to compare sets by, and classes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from caching.measure.classifier import FEATURES, SceneClassifier

BATCH = 64


@dataclass(frozen=True, eq=False)
class Seen:
    """N pictures as a net sees them.

    Attributes:
        features: float32 (N, D), what distances are taken between.
        classes: int32 (N,), the most likely class; None where the net knows other classes than
            the model draws.
        spatial: float32 (N, E), features that still know places (sFID), or None.
        logits: float32 (N, C) of classes for the Inception Score, or None.
    """

    features: np.ndarray
    classes: np.ndarray | None = None
    spatial: np.ndarray | None = None
    logits: np.ndarray | None = None


class Net(Protocol):
    """A net that judges.

    Attributes:
        name: for people.
        key: of its weights; numbers of two nets must never be compared.
        width: D.
    """

    @property
    def name(self) -> str: ...

    @property
    def key(self) -> str: ...

    @property
    def width(self) -> int: ...

    def see(self, images: np.ndarray) -> Seen:
        """What it sees in pictures uint8 (N, H, W, 3)."""


@dataclass(frozen=True, eq=False)
class ClassifierNet:
    """The convolutional classifier that ships with a model: 128 features, and the classes."""

    classifier: SceneClassifier
    key: str
    name: str = "the shipped classifier"
    width: int = FEATURES

    @classmethod
    def load(cls, folder: Path) -> ClassifierNet:
        """Raises ModelError when `folder` holds no classifier."""
        return cls.of(SceneClassifier.load(folder))

    @classmethod
    def of(cls, classifier: SceneClassifier) -> ClassifierNet:
        return cls(classifier, key_of(classifier))

    @torch.inference_mode()
    def see(self, images: np.ndarray) -> Seen:
        parts = []
        for first in range(0, len(images), BATCH):
            given = torch.tensor(images[first : first + BATCH]).permute(0, 3, 1, 2)
            features = self.classifier.features(given)
            classes = self.classifier.head(features).argmax(1).to(torch.int32)
            parts.append((features.numpy(), classes.numpy()))
        return Seen(*(np.concatenate(part) for part in zip(*parts, strict=True)))


@torch.no_grad()
def key_of(module: torch.nn.Module) -> str:
    """16 hex digits of the sha256 of all weights."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().float().numpy().tobytes())
    return digest.hexdigest()[:16]

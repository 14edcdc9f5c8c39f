"""Judge the shipped model: does it draw what it is asked, and do its pictures look like renders?

Class agreement by the shipped classifier, and Frechet distance (arXiv 1706.08500) in the
classifier's features against fresh renders that nothing was trained on, beside what other fresh
renders and autoencoded ones score.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from caching import load_model, sample
from caching.measure.classifier import FEATURES, SceneClassifier
from presets.train.classifier import agreement
from presets.train.data import FRESH_SEED, pictures


@dataclass(frozen=True)
class Evaluation:
    samples: int
    steps: int
    cfg_scale: float
    agreement: float  # of the samples
    agreement_renders: float  # of fresh renders: the classifier's own ceiling
    frechet_samples: float
    frechet_renders: float
    frechet_autoencoded: float


class _Features(nn.Module):
    def __init__(self, classifier: SceneClassifier) -> None:
        super().__init__()
        self.classifier, self.num_features = classifier, FEATURES

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier.features(images)


def frechet(classifier: SceneClassifier, real: Tensor, other: Tensor) -> float:
    """Frechet distance of two sets of uint8 pictures (M, 3, H, W) in the classifier's features."""
    metric = FrechetInceptionDistance(feature=_Features(classifier), normalize=False)
    for is_real, images in ((True, real), (False, other)):
        for part in images.split(250):
            metric.update(part, real=is_real)
    return float(metric.compute())


def evaluate(folder: Path, *, samples: int, steps: int, cfg_scale: float, batch: int) -> Evaluation:
    """Sample from the model in `folder` and compare with 5,000 fresh renders."""
    model = load_model(folder)
    classifier = SceneClassifier.load(folder / "classifier")
    real, real_labels = pictures(FRESH_SEED, 5000)
    fresh, _ = pictures(FRESH_SEED + 1, samples)
    labels = torch.arange(samples) % len(model.class_names)
    made = []
    for part in labels.split(batch):
        first = 10_000_000 + sum(len(m) for m in made)
        run = sample(model, label=part.tolist(), seed=first, steps=steps, cfg_scale=cfg_scale)
        made.append(run.images)
        sys.stderr.write(f"evaluate {sum(len(m) for m in made)}/{samples} samples\n")
    images = torch.from_numpy(np.concatenate(made)).permute(0, 3, 1, 2)
    with torch.no_grad():
        coded = [model.vae.encoder(p.float() / 127.5 - 1) for p in fresh.split(50)]
        coded_images = torch.cat([model.decode(z) for z in coded]).permute(0, 3, 1, 2)
        return Evaluation(
            samples=samples,
            steps=steps,
            cfg_scale=cfg_scale,
            agreement=agreement(classifier, images, labels),
            agreement_renders=agreement(classifier, real, real_labels),
            frechet_samples=frechet(classifier, real, images),
            frechet_renders=frechet(classifier, real, fresh),
            frechet_autoencoded=frechet(classifier, real, coded_images),
        )


def write(evaluation: Evaluation, folder: Path) -> None:
    text = json.dumps(asdict(evaluation), indent=2)
    (folder / "evaluation.json").write_text(text + "\n", encoding="utf-8")


def table(e: Evaluation) -> str:
    """The bar and where the model stands, as text."""
    return "\n".join(
        [
            f"{e.samples} samples, {e.steps} steps, guidance {e.cfg_scale:g}",
            f"class agreement      samples {e.agreement:7.1%}   fresh renders "
            f"{e.agreement_renders:.1%}   bar 95 %",
            f"Frechet distance     samples {e.frechet_samples:7.3f}   fresh renders "
            f"{e.frechet_renders:.3f}   autoencoded {e.frechet_autoencoded:.3f}   "
            f"aim {3 * e.frechet_renders:.3f}",
        ]
    )

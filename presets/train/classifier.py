"""Train the convolutional classifier that judges the generator, on renders."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from caching.measure.classifier import SceneClassifier
from presets.scenes import CLASS_NAMES
from presets.train.common import Progress, load_checkpoint, save_whole, warm_cosine

BATCH = 64
RATE = 3e-3


def _vary(x: Tensor, generator: torch.Generator) -> Tensor:
    """Flip, blur, brighten and add noise (N, 3, H, W) so that shape alone decides the class."""
    if torch.rand((), generator=generator) < 0.5:
        x = x.flip(-1)
    if torch.rand((), generator=generator) < 0.3:
        x = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    gain = 0.85 + 0.3 * torch.rand(len(x), 1, 1, 1, generator=generator).to(x.device)
    level = 8 * torch.rand(len(x), 1, 1, 1, generator=generator)
    noise = (level * torch.randn(x.shape, generator=generator)).to(x.device)
    return (x * gain + noise).clamp(0, 255)


def train(
    images: Tensor, labels: Tensor, work: Path, *, steps: int, seed: int, device: str
) -> SceneClassifier:
    """Train on uint8 pictures (M, 3, H, W) and labels (M,), resuming from `work`."""
    torch.manual_seed(seed)
    model = SceneClassifier(len(CLASS_NAMES)).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.05)
    path, start = work / "classifier.pt", 0
    if saved := load_checkpoint(path):
        model.load_state_dict(saved["model"])
        optimiser.load_state_dict(saved["optimiser"])
        start = saved["step"]
    report = Progress("classifier", start, steps)
    for step in range(start, steps):
        g = torch.Generator().manual_seed(seed * 1_000_003 + step)
        rows = torch.randint(len(images), (BATCH,), generator=g)
        x = _vary(images[rows].to(device).float(), g)
        for group in optimiser.param_groups:
            group["lr"] = RATE * warm_cosine(step, steps, 100)
        loss = F.cross_entropy(model(x), labels[rows].to(device), label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        report(step + 1, loss=loss.item())
        if (step + 1) % 250 == 0 or step + 1 == steps:
            state = {"model": model.state_dict(), "optimiser": optimiser.state_dict()}
            save_whole(path, {**state, "step": step + 1})
    return model.eval()


@torch.inference_mode()
def agreement(model: SceneClassifier, images: Tensor, labels: Tensor) -> float:
    """Share of uint8 pictures (M, 3, H, W) whose most likely class is the intended one."""
    hits = [
        (model(x).argmax(-1) == y).sum()
        for x, y in zip(images.split(250), labels.split(250), strict=True)
    ]
    return float(sum(hits)) / len(labels)

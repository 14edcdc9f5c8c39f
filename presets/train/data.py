"""Render the training pictures in parallel processes, in seeded shards kept on disk."""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from torch import Tensor

from presets.scenes import CLASS_NAMES, draw_scenes, render
from presets.train.common import save_whole

SHARDS = 4
PER_SHARD = 4800
BATCH = 4 * len(CLASS_NAMES)
FIRST_SEED = 1000
FRESH_SEED = 77  # never used for training


def pictures(seed: int, count: int, *, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """`count` pictures uint8 (count, 3, 128, 128) and labels (count,), classes in turn."""
    g = torch.Generator().manual_seed(seed)
    images, labels = [], []
    for start in range(0, count, BATCH):
        label = torch.arange(len(CLASS_NAMES)).repeat(4)[: count - start]
        images.append(render(draw_scenes(label, g).to(device)).cpu())
        labels.append(label)
    return torch.cat(images), torch.cat(labels)


def _shard(work: Path, index: int) -> Path:
    path = work / f"data{index}.pt"
    if not path.exists():
        torch.set_num_threads(1)
        save_whole(path, pictures(FIRST_SEED + index, PER_SHARD))
    return path


def training_set(work: Path, *, processes: int) -> tuple[Tensor, Tensor]:
    """All training pictures (19,200, 3, 128, 128) and labels, rendered when not yet on disk."""
    with ProcessPoolExecutor(processes) as pool:
        paths = list(pool.map(_shard, [work] * SHARDS, range(SHARDS)))
    parts = [torch.load(p, weights_only=True) for p in paths]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])

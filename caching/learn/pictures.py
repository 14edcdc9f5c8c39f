"""Pictures to learn from where none are at hand: the model draws them itself."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from caching.learn.base import Data, Diary, Job, LearnStep

if TYPE_CHECKING:
    from caching.models.model import Model

POOL_SEED = 2**31 + 2_000_000  # of pictures the model draws for itself: no seed of a page
POOL_BATCH = 16


@dataclass(frozen=True, eq=False)
class _Drawing:
    """Pictures drawn so far, of how many."""

    done: int
    total: int


def drawn_data(
    model: Model,
    count: int,
    *,
    steps: int,
    cfg_scale: float,
    seed: int,
    stopped: Callable[[], bool] | None,
) -> Iterator[_Drawing | Data]:
    """The model's own pictures to learn from, classes in turn; ends early when stopped."""
    import torch

    from caching.engine.run import Run, iter_sample

    found, classes = [], len(model.class_names)
    labels = [n % classes for n in range(count)]
    for start in range(0, count, POOL_BATCH):
        some = labels[start : start + POOL_BATCH]
        for event in iter_sample(
            model,
            label=some,
            seed=POOL_SEED + 10_000 * seed + start,
            steps=steps,
            cfg_scale=cfg_scale,
            stopped=stopped,
        ):
            if isinstance(event, Run):
                found.append(event.latents)
        if stopped is not None and stopped():
            return
        yield _Drawing(start + len(some), count)
    words = f"{count} pictures of its own ({steps} steps, guidance {cfg_scale:g})"
    yield Data(torch.cat(found), torch.tensor(labels), words)


def pictures_for(
    job: Job, diary: Diary, count: int, probs: np.ndarray
) -> Generator[LearnStep, None, Data | None]:
    """What a job learns from: its data, else so many pictures of the model's own.

    Yields what is done on the way, with `probs` (S, L, R) as they are; returns None when stopped.
    """
    data = job.data
    if data is None:
        for item in drawn_data(
            job.model, count,
            steps=job.steps, cfg_scale=job.cfg_scale, seed=job.seed, stopped=job.stopped,
        ):  # fmt: skip
            if isinstance(item, Data):
                data = item
            else:
                words = f"drawing pictures to learn from: {item.done} of {item.total}"
                yield diary.preparing(words, probs)
    if data is not None:
        diary.words = data.words
    return data

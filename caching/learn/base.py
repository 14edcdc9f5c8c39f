"""The base of all trainings: what one is asked with, what it tells on the way, how it ends."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from caching.errors import RequestError
from caching.fields import choice_field, number_field, whole_field
from caching.learn.store import Learned
from caching.methods.base import Source, controls

if TYPE_CHECKING:
    from torch import Tensor

    from caching.models.model import Model

Stop = Callable[[], bool]
"""Says whether the training should stop; asked at every iteration."""

MAX_CURVE = 200  # points of a curve in a file
MAX_SEED = 2**62  # others are counted up from it


@dataclass(frozen=True, eq=False)
class Data:
    """Pictures to learn from, as the model's autoencoder encodes them.

    Attributes:
        latents: (M, C, h, w), scaled as the model reads them.
        labels: (M,) int64.
        words: where they come from, for people.
    """

    latents: Tensor
    labels: Tensor
    words: str

    def check(self, model: Model) -> None:
        """Raises RequestError unless the latents and labels are of this model."""
        count, expected = len(self.labels), tuple(model.family.latent_shape)
        if not count or tuple(self.latents.shape) != (count, *expected):
            raise RequestError(
                f"latents of shape {tuple(self.latents.shape)} with {count} labels were given to "
                f"learn from, expected (M, {', '.join(map(str, expected))}) and M labels."
            )
        if not 0 <= int(self.labels.min()) <= int(self.labels.max()) < model.family.classes:
            raise RequestError(
                f"labels {int(self.labels.min())} to {int(self.labels.max())} were given to learn "
                f"from, expected 0 to {model.family.classes - 1}."
            )


@dataclass(frozen=True, eq=False)
class LearnStep:
    """One iteration that has just been done.

    Attributes:
        iteration, iterations: done so far, of how many; 0 while it prepares.
        loss: of this iteration; NaN where nothing was learned since the last one.
        share: of all cells that would be reused at the threshold.
        probs: float32 (S, L, R) in the order of execution, the probability to compute; read-only.
        seconds_left: as the pace so far has it; NaN likewise.
        doing: what is being done, in words.
    """

    iteration: int
    iterations: int
    loss: float
    share: float
    probs: np.ndarray
    seconds_left: float
    doing: str = "learning"


@dataclass(frozen=True, eq=False)
class Job:
    """One training, as `Trainer.learn` was asked for it and checked it."""

    model: Model
    steps: int
    cfg_scale: float
    data: Data | None  # only for trainings that take some
    seed: int
    command: str
    stopped: Stop | None

    @property
    def is_over(self) -> bool:
        """Whether it was asked to stop."""
        return self.stopped is not None and self.stopped()


@dataclass(frozen=True)
class Trainer(ABC):
    """Base of all trainings: a frozen dataclass whose fields are its options.

    To add one, add one module to this folder that imports torch inside functions only. Make fields
    with `whole`, `number` and `choice` of `caching.methods.base`, so that the page and the shell
    find them by `controls`; a field `iterations` is there in all.

    Attributes:
        name: of the training, and of the method that reads what was learned.
        title: as its paper names it.
        about: what is trained on what, one or two sentences for people.
        source: where it is from.
        takes_data: whether it learns from pictures where there are some; image-free otherwise.
        takes_guidance: whether its runs are guided.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    about: ClassVar[str]
    source: ClassVar[Source | None]
    takes_data: ClassVar[bool] = False
    takes_guidance: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for one in controls(type(self)):  # type: ignore[arg-type]
            if one.choices:
                choice_field(self, one.name, one.choices)
            elif one.whole:
                whole_field(self, one.name, int(one.least), int(one.most))
            else:
                number_field(self, one.name, one.least, one.most)

    def learn(
        self,
        model: Model,
        *,
        steps: int,
        cfg_scale: float,
        data: Data | None = None,
        seed: int = 0,
        command: str = "",
        stopped: Stop | None = None,
    ) -> Iterator[LearnStep | Learned]:
        """Train for runs of `steps` steps; a LearnStep for every iteration, then the Learned.

        When `stopped` says so, the next item is the Learned of what there is so far, which whoever
        stopped may keep or not; nothing comes when not one iteration was done. Closing the iterator
        leaves nothing behind: the model is not changed.

        Args:
            model: what it is for; its weights are only read.
            steps, cfg_scale: of the runs; DDIM as in DiT is the sampler.
            data: pictures to learn from, for those that take them.
            seed: of everything drawn.
            command: what was called, to do it again; kept in what was learned.
            stopped: asked at every iteration.

        Raises:
            RequestError: a value out of range, before anything is trained.
        """
        from caching.engine.request import MAX_GUIDANCE, MAX_STEPS, check_model, real, whole

        check_model(model)
        if isinstance(steps, int) and steps < 2:
            raise RequestError(f"{self.name}: {steps} steps were given, expected at least 2.")
        steps, seed = whole("steps", steps, 2, MAX_STEPS), whole("seed", seed, 0, MAX_SEED)
        cfg_scale = real("guidance", cfg_scale, 0, MAX_GUIDANCE)
        if not self.takes_data:
            data = None
        elif data is not None:
            data.check(model)
        return self._learn(Job(model, steps, cfg_scale, data, seed, command, stopped))

    @abstractmethod
    def _learn(self, job: Job) -> Iterator[LearnStep | Learned]:
        """As `learn`."""

    def _diary(self, job: Job, words: str = "", **more: Any) -> Diary:
        """An empty one for a job; `words` of the data, `more` options than the controls."""
        options = {**asdict(self), **more}
        cfg_scale = job.cfg_scale if self.takes_guidance else 1.0
        return Diary(
            self.name, job.model, job.steps, cfg_scale, words, job.command, job.seed,
            options["iterations"], options,
        )  # fmt: skip


@dataclass(eq=False)
class Diary:
    """What a training notes of itself: the curve, the pace, and the Learned at the end."""

    name: str
    model: Model
    steps: int
    cfg_scale: float
    words: str  # of the data
    command: str
    seed: int
    iterations: int
    options: Mapping[str, Any]
    done: int = 0
    losses: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    learning_since: float = 0.0

    def preparing(self, doing: str, probs: np.ndarray) -> LearnStep:
        """Something done before or between iterations."""
        nan, share = float("nan"), self.shares[-1] if self.shares else 0.0
        return LearnStep(self.done, self.iterations, nan, share, frozen(probs), nan, doing)

    def step(self, loss: float, share: float, probs: np.ndarray) -> LearnStep:
        """An iteration done."""
        now = time.monotonic()
        self.learning_since = self.learning_since or self.began
        self.done += 1
        self.losses.append(loss)
        self.shares.append(share)
        left = (now - self.learning_since) / self.done * (self.iterations - self.done)
        return LearnStep(self.done, self.iterations, loss, share, frozen(probs), left)

    def start(self) -> None:
        """The preparations are over."""
        self.learning_since = time.monotonic()

    def learned(self, values: Mapping[str, np.ndarray]) -> Learned:
        """What there is now."""
        return Learned(
            method=self.name,
            model=self.model.name,
            weights_hash=self.model.weights_hash,
            steps=self.steps,
            cfg_scale=self.cfg_scale,
            sampler="ddim",
            data=self.words,
            command=self.command,
            seed=self.seed,
            iterations=self.done,
            seconds=round(time.monotonic() - self.began, 1),
            setting=setting_words(self.model),
            options=dict(self.options),
            curve=self._curve(),
            values=dict(values),
        )

    def _curve(self) -> dict[str, tuple[float, ...]]:
        """The loss in the mean over stretches, and the share at the end of each."""
        ends = np.unique(np.linspace(0, self.done, min(self.done, MAX_CURVE) + 1).round())[1:]
        stretches = np.split(np.array(self.losses), ends[:-1].astype(int)) if self.done else []
        return {
            "iteration": tuple(float(end) for end in ends),
            "loss": tuple(float(part.mean()) for part in stretches),
            "share": tuple(float(self.shares[int(end) - 1]) for end in ends),
        }


def frozen(array: np.ndarray) -> np.ndarray:
    """A read-only float32 copy."""
    kept = np.array(array, np.float32)
    kept.setflags(write=False)
    return kept


def setting_words(model: Model) -> str:
    """Device, threads and dtype, for people."""
    import torch

    where = (
        torch.cuda.get_device_name(model.device)
        if model.device.type == "cuda"
        else f"CPU, {torch.get_num_threads()} threads"
    )
    return f"{where}, {str(model.dtype).removeprefix('torch.')}"

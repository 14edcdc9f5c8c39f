"""A painted cache schedule for a diffusers DiT: torch and diffusers are all it needs.

    from diffusers import DiTPipeline
    from diffusers_hooks import apply_schedule, remove_schedule, STEPS

    pipe = DiTPipeline.from_pretrained(...)
    apply_schedule(pipe.transformer, pipe.scheduler)
    pipe(class_labels=[207], num_inference_steps=STEPS)
    remove_schedule(pipe.transformer)

At every step each branch of each block is computed, or gives what it gave when it was last
computed, before its gate: COMPUTED has a row of 1 and 0 per block, a digit per step. Made with
Cachebrush; checked with diffusers 0.42.1.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from diffusers.hooks import HookRegistry, ModelHook

# -- the schedule: begin
STEPS = 2
COMPUTED = {
    "attn1": ("10",),
    "ff": ("10",),
}
# -- the schedule: end

NAME = "cachebrush_schedule"


class Clock(ModelHook):  # type: ignore[misc]
    """On the transformer: finds the step from the timestep and latents that come in.

    A plain count would be off for good after one cancelled run. A timestep that falls is the next
    step; one that rises, or other latents at step 0, a new picture; the same timestep and latents
    again are another pass of guidance. With a scheduler, the number of steps and every timestep
    are checked against its own.
    """

    _is_stateful = True

    def __init__(self, scheduler: Any) -> None:
        super().__init__()
        self.scheduler = scheduler
        self.run = 0  # counts pictures, so that nothing of one is used for the next
        self.clear()

    def clear(self) -> None:
        self.step, self.last = -1, float("-inf")
        self.latents: torch.Tensor | None = None
        self.times: list[float] = []
        self.labels: tuple[float, ...] = ()

    def pre_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        latents = kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]
        timestep = kwargs["timestep"] if "timestep" in kwargs else args[1]
        labels = kwargs["class_labels"] if "class_labels" in kwargs else args[2]
        # Two passes of guidance differ in their labels, and each has its own cache.
        self.labels = tuple(torch.as_tensor(labels).flatten().tolist())
        self.tick(float(torch.as_tensor(timestep).flatten()[0]), latents)
        return args, kwargs

    def tick(self, time: float, latents: torch.Tensor) -> None:
        if self.step < 0 or time > self.last:
            self.start()
        elif time < self.last:
            self.step += 1
        elif self.same(latents):
            return
        elif self.step == 0:
            self.start()  # the picture before was stopped within its first step
        else:
            self.step += 1  # a scheduler that visits a timestep twice
        self.last, self.latents = time, latents
        if self.step >= STEPS:
            raise ValueError(
                f"the schedule has {STEPS} steps and the pipeline is at step {self.step + 1}: "
                f"run it with num_inference_steps={STEPS}"
            )
        if self.times and abs(self.times[self.step] - time) > 0.5:
            raise ValueError(
                f"step {self.step} has timestep {time:g} and the scheduler says "
                f"{self.times[self.step]:g}: give apply_schedule the scheduler that is in use"
            )

    def same(self, latents: torch.Tensor) -> bool:
        before = self.latents
        return before is not None and before.shape == latents.shape and torch.equal(before, latents)

    def start(self) -> None:
        if 0 <= self.step < STEPS - 1:
            warnings.warn(
                f"the picture before ended after {self.step + 1} of {STEPS} steps: if it was not "
                f"stopped, run the pipeline with num_inference_steps={STEPS}",
                stacklevel=2,
            )
        self.step, self.run = 0, self.run + 1
        if self.scheduler is not None:
            self.times = [float(t) for t in self.scheduler.timesteps]
            if len(self.times) != STEPS:
                self.step = -1
                raise ValueError(
                    f"the schedule has {STEPS} steps and the scheduler {len(self.times)}: run it "
                    f"with num_inference_steps={STEPS}"
                )

    def reset_state(self, module: torch.nn.Module) -> torch.nn.Module:
        self.clear()
        return module


class Branch(ModelHook):  # type: ignore[misc]
    """On one branch of one block: computes it or gives what it gave before."""

    _is_stateful = True

    def __init__(self, clock: Clock, row: str) -> None:
        super().__init__()
        self.clock, self.row = clock, row
        self.kept: dict[tuple[float, ...], Any] = {}  # an output for each pass of guidance
        self.run = 0

    def new_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
        clock = self.clock
        if self.run != clock.run:
            self.run, self.kept = clock.run, {}
        output = self.kept.get(clock.labels)
        if self.row[clock.step] == "1" or output is None:
            output = self.fn_ref.original_forward(*args, **kwargs)
        if self.row[clock.step + 1 : clock.step + 2] == "0":
            self.kept[clock.labels] = output
        else:
            self.kept.pop(clock.labels, None)  # not needed again
        return output

    def reset_state(self, module: torch.nn.Module) -> torch.nn.Module:
        self.kept.clear()
        return module


def apply_schedule(transformer: Any, scheduler: Any = None) -> None:
    """Put the schedule on a DiT's transformer; a scheduler lets it check the number of steps."""
    blocks = transformer.transformer_blocks
    expected = len(next(iter(COMPUTED.values())))
    if len(blocks) != expected:
        raise ValueError(f"the schedule has {expected} blocks and the transformer {len(blocks)}")
    remove_schedule(transformer)
    clock = Clock(scheduler)
    HookRegistry.check_if_exists_or_initialize(transformer).register_hook(clock, NAME)
    for branch, rows in COMPUTED.items():
        for block, row in zip(blocks, rows, strict=True):
            registry = HookRegistry.check_if_exists_or_initialize(getattr(block, branch))
            registry.register_hook(Branch(clock, row), NAME)


def remove_schedule(transformer: Any) -> None:
    """Take the schedule off again; the transformer is then as it was."""
    HookRegistry.check_if_exists_or_initialize(transformer).remove_hook(NAME, recurse=True)

"""`python -m tests.bench.speed`: the shipped model, 20 steps with guidance, ours beside diffusers'.

Two threads, everything in turn, medians with the fastest and slowest. Bar: 20 full steps in about a
second on two free cores.
"""

import argparse
import statistics
import sys
import time

import numpy as np
import torch
from diffusers import DDIMScheduler, DiTTransformer2DModel

from caching import Schedule, cost_of, load_model, sample
from caching.measure.timing import setting_of
from caching.models.loading import SHIPPED_FOLDER
from tests.caching import tiny

STEPS, GUIDANCE, BAR_S = 20, 2.0, 1.0


@torch.no_grad()
def pipeline_loop(module, latents, label):
    """The steps of diffusers' DiTPipeline, without the autoencoder."""
    scheduler = DDIMScheduler(**tiny.V)
    scheduler.set_timesteps(STEPS)
    x = latents
    labels = torch.tensor([label, 1000])
    for t in scheduler.timesteps:
        output = module(torch.cat([x, x]), timestep=t[None].expand(2), class_labels=labels).sample
        cond, null = output.chunk(2)
        x = scheduler.step(null + GUIDANCE * (cond - null), t, x).prev_sample
    return x


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.speed", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = load_model()
    plain = DiTTransformer2DModel.from_pretrained(
        SHIPPED_FOLDER / "transformer", torch_dtype=torch.float32, local_files_only=True
    ).eval()
    latents = torch.randn(1, *model.family.latent_shape)
    everything = np.ones((STEPS, model.blocks, 2), np.uint8)
    everything[0] = 0
    schedules = {
        "ours, full": Schedule.full(STEPS, model.blocks),
        "ours, every 2nd step (FORA)": Schedule.every(STEPS, model.blocks, 2),
        "ours, everything reused": Schedule(everything),
    }

    def timed(schedule):
        if schedule is None:
            began = time.perf_counter()
            pipeline_loop(plain, latents, 1)
            return time.perf_counter() - began
        run = sample(model, schedule, label=1, latents=latents, cfg_scale=GUIDANCE)
        return run.step_ms.sum() / 1e3

    plan = {"diffusers' own loop": None, **schedules}
    taken = {name: [] for name in plan}
    for turn in range(args.repeats + 1):
        for name, schedule in plan.items():
            seconds = timed(schedule)
            if turn:  # the first turn warms up
                taken[name].append(seconds)
    sys.stdout.write(f"{STEPS} steps with guidance on {setting_of(model)}\n")
    base = taken["ours, full"]
    for name, seconds in taken.items():
        work = cost_of(model, plan[name]).work if plan[name] else 1.0
        ratio = statistics.median(b / s for b, s in zip(base, seconds, strict=True))
        sys.stdout.write(
            f"{name:28} {statistics.median(seconds):6.3f} s  ({min(seconds):.3f} to "
            f"{max(seconds):.3f})  {ratio:5.2f}x the speed of ours, full   work {work:6.1%}\n"
        )
    sys.stdout.write(f"bar: ours, full in about {BAR_S:g} s on two free cores\n")


if __name__ == "__main__":
    main()

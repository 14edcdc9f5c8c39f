"""`python -m tests.bench.full_size`: one full-size DiT-XL/2-256 step, ours beside diffusers' own.

Random weights of the published shape (28 blocks, width 1152, 256 tokens, learned sigma); nothing is
downloaded. Prints the largest relative error and the seconds of each. Needs about 4.5 GiB in
float32; takes bfloat16 with half of that when memory is short, and says so. Exit code 1 when the
bar fails.
"""

import sys
import time
from pathlib import Path

import torch
from diffusers import DiTTransformer2DModel

from caching import Model
from caching.engine.executor import Executor
from caching.schedule import Schedule
from tests.caching.spy import relative
from tests.caching.tiny import EPSILON, stirred

PARAMETERS = 750e6  # diffusers holds a label table in every block
# Float32 rounds at 6e-8, bfloat16 at 4e-3, and 28 blocks add up.
BARS = {torch.float32: 1e-4, torch.bfloat16: 5e-2}


def free_gib() -> float:
    """Memory that may be taken without swapping, in GiB; infinite where it cannot be asked."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return float("inf")
    (kib,) = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable")]
    return kib / 2**20


def build(dtype: torch.dtype) -> DiTTransformer2DModel:
    """The transformer of facebook/DiT-XL-2-256 with random weights."""
    before = torch.get_default_dtype()
    torch.manual_seed(0)
    torch.set_default_dtype(dtype)
    try:
        module = DiTTransformer2DModel(
            out_channels=8
        )  # the class's defaults are DiT-XL/2 at 256 px
    finally:
        torch.set_default_dtype(before)
    return stirred(module, 0)


@torch.no_grad()
def main() -> int:
    torch.set_num_threads(2)
    free = free_gib()
    # Weights, one fused matrix while it is copied, and the activations of a step.
    dtype = torch.float32 if free > 1.25 * PARAMETERS * 4 / 2**30 + 1 else torch.bfloat16
    if free < 1.25 * PARAMETERS * 2 / 2**30 + 1:
        sys.stdout.write(f"{free:.1f} GiB are free: not enough, nothing was measured.\n")
        return 1
    module = build(dtype)
    count = sum(p.numel() for p in module.parameters())
    x = torch.randn(1, 4, 32, 32).to(dtype).repeat(2, 1, 1, 1)
    t, y = torch.tensor([801.0]), torch.tensor([207, 1000])
    began = time.perf_counter()
    expected = module(x, timestep=t.expand(2), class_labels=y).sample
    theirs = time.perf_counter() - began
    # The adapter makes the weights views of fused ones, equal in value, after diffusers has run.
    model = Model.from_modules(module, scheduler=EPSILON)
    given = model.family.condition(t.repeat(2), y)
    executor = Executor(model.family, Schedule.every(2, model.blocks, 2, align="start"), given)
    began = time.perf_counter()
    got = executor.step(x, 0).output
    ours = time.perf_counter() - began
    error = relative(got.float(), expected.float())
    sys.stdout.write(
        f"DiT-XL/2-256, {count / 1e6:.0f} M parameters, {str(dtype).removeprefix('torch.')}, "
        f"2 threads, {free:.1f} GiB free\n"
        f"one step with guidance: diffusers {theirs:.2f} s, ours {ours:.2f} s\n"
        f"largest relative error {error:.2e}, bar {BARS[dtype]:g}: "
        f"{'ok' if error <= BARS[dtype] else 'FAILED'}\n"
    )
    return int(error > BARS[dtype])


if __name__ == "__main__":
    sys.exit(main())

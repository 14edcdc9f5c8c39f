"""`python -m tests.bench.engine`: what a schedule promises, what the engine and its peers deliver.

Everything in turn in one process, one picture with guidance unless told: our runs, diffusers' own
DiTPipeline (without its autoencoder), the same mask of whole steps in cache-dit (where installed)
and in diffusers' MagCache hooks, and the bare matrix products of the blocks as the floor. "reached"
is the measured speed-up over the own full run, as a share of what the multiply-accumulates promise,
full runs being timed right before and after every schedule; "by its parts" is that share by the
times of single parts, measured as at a model's load. A model keeps the modulation of the last runs,
so no run here makes it, the full ones neither; "first run" is what is reached where both have to,
as with a label, step count or sampler that was not run lately. The shipped model has trained
weights, the others random ones of the published shapes. --compile, --attention and --graphs time
runs at other speeds too, --dtype, --device and --images take everything elsewhere.
"""

import argparse
import sys

import numpy as np
import torch

from caching.models.speed import Speed
from tests.bench.engine_rows import SHAPES, SHIPPED, SHIPPED_STEPS, Place, rows_of, take_turn
from tests.bench.engine_said import say
from tests.bench.full_size import free_gib


def speeds_of(args: argparse.Namespace) -> list[Speed]:
    """Every combination of what was asked for, but the plain one."""
    kernels = ("auto", *args.attention)
    compiled, graphs = ((False, True)[: 1 + asked] for asked in (args.compile, args.graphs))
    _, *speeds = (
        Speed(attention=kernel, compiled=way, graphs=launched)
        for launched in graphs
        for way in compiled
        for kernel in kernels
    )
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.engine", description=__doc__)
    names = (SHIPPED, *SHAPES)
    parser.add_argument("--models", nargs="+", choices=names, default=names)
    parser.add_argument("--steps", type=int, help="of every model; default: few for large ones")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--images", type=int, default=1, help="a batch (default: %(default)s)")
    parser.add_argument("--compile", action="store_true", help="compiled too")
    parser.add_argument("--graphs", action="store_true", help="launched as CUDA graphs too")
    parser.add_argument("--attention", nargs="+", default=(), help="by these kernels too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    place = Place(args.device, getattr(torch, args.dtype), args.images)
    for name in args.models:
        steps = args.steps or (SHIPPED_STEPS if name == SHIPPED else SHAPES[name].steps)
        needed = 2.5 if name == SHIPPED else 2 + 2 * SHAPES[name].gib
        if free_gib() < needed:
            sys.stdout.write(f"\n{name}: needs {needed:.0f} GiB of free memory, skipped\n")
            continue
        model, rows, left_out = rows_of(name, steps, place, speeds_of(args))
        rng = np.random.default_rng(0)
        for turn in range(args.repeats + 1):
            take_turn(rows, rng.permutation(len(rows)).tolist())
            if not turn:  # the first warms up
                for row in rows:
                    row.forget()
        say(name, model, steps, rows, left_out)


if __name__ == "__main__":
    main()

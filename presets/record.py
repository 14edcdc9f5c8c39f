"""`python -m presets.record`: make the recorded comparison that the page opens on."""

import argparse
import datetime
import sys
from dataclasses import replace
from pathlib import Path

import torch

from caching import load_model, sample
from caching.engine.run import context_of
from caching.measure.comparison import LAGS, Comparison, iter_compare
from caching.measure.known import Known
from caching.measure.result import result_of, save_result
from caching.measure.timing import measure_branches
from caching.policies.threshold import smoothcache
from caching.schedule import Schedule

FIRST = Path(__file__).parent / "runs" / "first"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m presets.record", description=__doc__)
    parser.add_argument("--out", type=Path, default=FIRST)
    parser.add_argument("--label", default="mushroom")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--alpha", type=float, default=0.165, help="SmoothCache threshold")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = load_model()
    times = measure_branches(model)
    label = model.label_of(args.label)
    full = sample(
        model, label=label, seed=args.seed, steps=args.steps, cfg_scale=args.guidance, lags=LAGS
    )
    assert full.trace is not None
    planned = smoothcache(full.trace.rel_l1, args.alpha)
    context = context_of(full.request, full.timesteps)
    schedule = Schedule(planned.actions, planned.legend, planned.branches, context)
    known = Known()
    known.keep(full)
    for item in iter_compare(
        model,
        schedule,
        label=label,
        seed=args.seed,
        cfg_scale=args.guidance,
        sampler="ddim",
        known=known,
        repeats=5,
    ):
        if isinstance(item, Comparison):
            result = result_of(model, item, times)
            words = f"recorded on {result.setting}, {datetime.date.today().isoformat()}"
            tables = replace(result.tables, source=words)
            save_result(replace(result, recorded=words, tables=tables), args.out)
            for name, f in result.figures.items():
                sys.stdout.write(
                    f"{name:7} {f.steps} steps  work {f.work:.1%}  {f.median_ms:.0f} ms  "
                    f"{f.speedup:.2f}x  PSNR {f.psnr_db}  SSIM {f.ssim}\n"
                )


if __name__ == "__main__":
    main()

"""`python -m presets.predict`: learn how the shipped model answers schedules, for predictions.

Writes presets/predictions/scenes-dit-<steps>.npz. Minutes on two CPU threads.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from pathlib import Path

import torch

from caching import load_model
from caching.measure.timing import setting_of
from caching.predict.calibration import calibrations
from caching.predict.kept import SHIPPED, For, Kept

GUIDANCE = 2.0  # what the page opens with


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m presets.predict", description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--schedules", type=int, default=320)
    parser.add_argument("--pool", type=int, default=24)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, began = load_model(), time.monotonic()
    last = None
    for got in calibrations(
        model, steps=args.steps, cfg_scale=GUIDANCE, schedules=args.schedules, pool=args.pool
    ):
        if got.estimator is None:
            continue
        last, e = got, got.estimator
        sys.stderr.write(
            f"{got.schedules} schedules after {time.monotonic() - began:.0f} s: left out in turn, "
            f"Spearman {e.spearman:.4f}, median error {e.median_db:.2f} dB\n"
        )
    assert last is not None and last.estimator is not None
    words = (
        f"{last.schedules} schedules on {args.pool} pictures, {datetime.date.today():%Y-%m-%d}, "
        f"{setting_of(model)}"
    )
    of = For(model.weights_hash, args.steps, GUIDANCE, "ddim")
    args.out.mkdir(parents=True, exist_ok=True)
    target = args.out / f"{model.name}-{args.steps}.npz"
    target.write_bytes(Kept(of, last.response, last.estimator, words).to_bytes())
    sys.stderr.write(f"wrote {target}, {target.stat().st_size / 2**20:.1f} MiB\n")


if __name__ == "__main__":
    main()

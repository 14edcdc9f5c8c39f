"""`trace`: how much every branch output changes between steps, as CSV."""

from __future__ import annotations

import argparse
from pathlib import Path

from caching.cli import asked as shared
from caching.cli.places import check_places
from caching.cli.terminal import Terminal

NAME = "trace"
HELP = "record how much each branch changes between steps, as CSV"
EXAMPLES = """\
examples:
  python -m caching trace > similarity.csv
  python -m caching trace --steps 50 --lags 3 --label 2 -o trace.csv
  python -m caching trace --steps 20 --json -q > trace.json

A row per step, block, branch and lag: relative L1, relative L2 and cosine of the output before its
gate against that of `lag` steps before. SmoothCache's threshold is on the first of them.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    shared.add_picture(parser, steps=shared.ALWAYS)
    parser.add_argument("--lags", type=int, default=3, help="steps to look back (default: 3)")
    parser.add_argument("--out", "-o", metavar="FILE", help="a file instead of the output")


def act(asked: argparse.Namespace, terminal: Terminal) -> None:
    from caching.engine.request import whole
    from caching.engine.run import MAX_LAGS, Run, iter_sample
    from caching.formats.tables import trace_csv

    lags = whole("lags", asked.lags, 1, MAX_LAGS)
    check_places("--out", asked.out)
    model = shared.load(asked)
    picture = shared.picture_of(asked, model)
    steps = asked.steps if asked.steps is not None else 20
    for item in iter_sample(model, None, steps=steps, lags=lags, **picture):
        if not isinstance(item, Run):
            terminal.progress("full run", item.step + 1, item.steps)
            continue
        assert item.trace is not None
        found = item.trace
        text = trace_csv(found, model.branches)
        value = {
            "steps": steps,
            "blocks": model.blocks,
            "branches": list(model.branches),
            "lags": found.rel_l1.shape[-1],
            "timesteps": list(found.timesteps),
            "rel_l1": found.rel_l1.tolist(),
            "rel_l2": found.rel_l2.tolist(),
            "cosine": found.cosine.tolist(),
        }
        if asked.out:
            shared.write(Path(asked.out), text)
            terminal.result({**value, "file": asked.out}, f"wrote {asked.out}")
        else:
            terminal.result(value, text)

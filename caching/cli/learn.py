"""`learn`: train what a learned method needs, with progress; Ctrl-C keeps what there is."""

from __future__ import annotations

import argparse
import dataclasses
import math
import shlex
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from caching.cli import asked as shared
from caching.cli.places import check_places
from caching.cli.terminal import Terminal
from caching.errors import RequestError
from caching.methods.base import Control, controls

if TYPE_CHECKING:
    from caching.learn.base import LearnStep, Trainer
    from caching.learn.store import Learned

NAME = "learn"
HELP = "train routers, gates and whatever else a learned method needs"
EXAMPLES = """\
examples:
  python -m caching learn --list
  python -m caching learn l2c --steps 20 --iterations 1000 --lambda 1e-4 --out learned
  python -m caching learn harmonica --guidance 2 --lambda 2e-8 --seed 1 --out learned
  python -m caching learn l2c --set rate=0.02 --set batch=16

It writes <method>-<steps>.json and .npz into the folder. Ctrl-C ends it early and keeps what there
is. Methods that learn from pictures draw some with the model itself; `python -m presets.learn`
trains on rendered ones.
"""

OUT = Path("learned")
SAY_EVERY_S = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("training", nargs="?", help="what to train (see --list)")
    parser.add_argument("--list", action="store_true", help="every training and its options")
    parser.add_argument(
        "--lambda", dest="weight", metavar="λ", help="price of computing (λ; HarmoniCa's β)"
    )
    parser.add_argument("--theta", metavar="θ", help="at most this probability is reused")
    parser.add_argument("--iterations", metavar="N", help="when to end")
    parser.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: 0)")
    parser.add_argument("--out", "-o", type=Path, default=OUT, help="folder (default: %(default)s)")
    shared.add_options(parser, "the training", listed="--list")
    shared.add_model(parser, steps=shared.ALWAYS)


def act(asked: argparse.Namespace, terminal: Terminal) -> None:
    from caching.learn.store import save_learned

    if asked.list:
        _list(terminal)
        return
    trainer = _trainer(asked)
    if shared.sampler_of(asked) != shared.SAMPLER:
        raise RequestError(
            f"sampler {asked.sampler!r:.60} was given, expected {shared.SAMPLER}: trainings run "
            "as DiT's authors do; leave --sampler out."
        )
    steps = 20 if asked.steps is None else asked.steps
    check_places(
        "--out", *(asked.out / f"{asked.training}-{steps}{end}" for end in (".json", ".npz"))
    )
    model = shared.load(asked)
    with interrupted() as stopped:
        learned = watched(
            trainer.learn(
                model,
                steps=steps,
                cfg_scale=shared.guidance_of(asked),
                seed=asked.seed,
                command="python -m caching " + shlex.join(sys.argv[1:]),
                stopped=stopped,
            ),
            terminal,
            f"{trainer.title}",
        )
    if learned is None:
        raise KeyboardInterrupt
    path = save_learned(learned, asked.out)
    share = learned.curve.get("share") or (0.0,)
    value = {"file": str(path), **_summary(learned), "share": share[-1]}
    early = "" if learned.iterations >= getattr(trainer, "iterations", 0) else ", ended early"
    terminal.result(
        value, f"wrote {path}: {learned.title}{early}; reuses {share[-1]:.1%} of all cells"
    )


def _trainer(asked: argparse.Namespace) -> Trainer:
    from caching.learn.trainers import TRAINERS, trainer_of

    if asked.training not in TRAINERS:
        given = f"training {asked.training!r:.40}" if asked.training else "no training"
        raise RequestError(f"{given} was given, expected one of: {', '.join(TRAINERS)}.")
    known = {one.name: one for one in controls(TRAINERS[asked.training])}  # type: ignore[arg-type]
    texts = [item.partition("=")[::2] for item in asked.set]
    named = (("weight", asked.weight), ("theta", asked.theta), ("iterations", asked.iterations))
    texts += [(name, text) for name, text in named if text is not None]
    options: dict[str, Any] = {}
    for name, text in texts:
        if name not in known:
            raise RequestError(
                f"option {name!r:.40} is not known for {asked.training}: expected one of: "
                f"{', '.join(known)}."
            )
        try:
            options[name] = shared.value_of(text, known[name].default)
        except ValueError as error:
            raise RequestError(
                f"option {name} {text!r:.40} was given, expected {_range(known[name])}."
            ) from error
    return trainer_of(asked.training, **options)


def watched(
    events: Iterator[LearnStep | Learned], terminal: Terminal, title: str
) -> Learned | None:
    """Runs a training to its end, and says how it goes on."""
    from caching.learn.store import Learned

    said, doing = time.monotonic(), ""
    for event in events:
        if isinstance(event, Learned):
            return event
        if math.isnan(event.loss):
            terminal.progress(f"{title}: {event.doing}", event.iteration, event.iterations)
            if event.doing != doing and not terminal.err.isatty():
                terminal.say(f"{title}: {event.doing}")
            doing = event.doing
            continue
        words = (
            f"{title}: loss {event.loss:.3g}, {event.share:.0%} reused, "
            f"{_time(event.seconds_left)} left"
        )
        terminal.progress(words, event.iteration, event.iterations)
        if not terminal.err.isatty() and time.monotonic() - said > SAY_EVERY_S:
            said = time.monotonic()
            terminal.say(f"{words} ({event.iteration} of {event.iterations})")
    return None


@contextmanager
def interrupted() -> Iterator[Callable[[], bool]]:
    """What says whether Ctrl-C was pressed; a second one ends the command at once."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return

    def press(_signal: int, _frame: FrameType | None) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    before = signal.signal(signal.SIGINT, press)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes else f"{rest} s"


def _summary(learned: Learned) -> dict[str, Any]:
    names = ("method", "model", "weights_hash", "steps", "cfg_scale", "data", "seed", "seconds")
    kept = {name: getattr(learned, name) for name in names}
    return {**kept, "iterations": learned.iterations, "options": dict(learned.options)}


def _range(control: Control) -> str:
    if control.choices:
        return "one of " + ", ".join(control.choices)
    kind = "a whole number" if control.whole else "a number"
    return f"{kind} from {control.least:g} to {control.most:g}"


def _list(terminal: Terminal) -> None:
    from caching.learn.trainers import TRAINERS

    values, lines = [], []
    for name, kind in TRAINERS.items():
        options = controls(kind)  # type: ignore[arg-type]
        values.append(
            {
                "name": name,
                "title": kind.title,
                "about": kind.about,
                "options": [dataclasses.asdict(one) for one in options],
            }
        )
        lines += [f"{name:<12} {kind.title}: {kind.about}"]
        lines += [
            f"{'':<12} {one.name}={one.default:g}  {_range(one)}: {one.label}"
            + (f", {one.about}" if one.about else "")
            if not one.choices
            else f"{'':<12} {one.name}={one.default}  {_range(one)}: {one.label}"
            for one in options
        ]
    terminal.result(values, "\n".join(lines))

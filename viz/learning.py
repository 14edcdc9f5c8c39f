"""Learning as the page shows it: its options, a training that reports, the curve and the words."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from caching.errors import RequestError
from caching.learn.base import Data, Trainer
from caching.learn.store import Learned
from caching.learn.trainers import TRAINERS, trainer_of
from caching.methods import METHODS
from caching.methods.base import Control, controls
from viz.grid.encode import grid_layer
from viz.state import ViewState
from viz.work import Asked, time_words

if TYPE_CHECKING:
    from caching.models.model import Model

MOST_ITERATIONS = 5000  # on the page; the shell takes any number
PRICES = ("weight", "penalty")  # of a computed branch against the error: L2C's λ
POWERS = 3.0  # they go this many powers of ten up and down from the default
POINTS = 120  # of the curve
NOTHING_YET = "nothing was learned yet when the training was asked to end."
WIDTH, HEIGHT = 200, 56


@dataclass(frozen=True)
class Options:
    """What the panel says. `power`: the price as a power of ten; useful ones lie far apart."""

    name: str
    power: float
    theta: float
    iterations: int


@dataclass(frozen=True, eq=False)
class Learning:
    """A training as it stands.

    Attributes:
        done, total: iterations.
        losses: (done,) of all iterations so far.
        share: of the cells that would be reused.
        probs: float32 (S, L, R), the probability to compute.
        left_s: NaN while it prepares.
        doing: in words.
    """

    done: int
    total: int
    losses: Sequence[float]
    share: float
    probs: np.ndarray
    left_s: float
    doing: str

    @property
    def words(self) -> str:
        """How far it is, for people."""
        if not self.done:
            return self.doing[:1].upper() + self.doing[1:] + " …"
        left = f", about {time_words(self.left_s)} left" if self.done < self.total else ""
        return f"Learning: {self.done} of {self.total}{left}; {self.share:.0%} of the cells reused"


def offered() -> list[tuple[str, str]]:
    """Title and name of every training that a method reads."""
    kinds = sorted((kind for kind in TRAINERS.values() if kind.name in METHODS), key=_place)
    return [(kind.title, kind.name) for kind in kinds]


def _place(kind: type[Trainer]) -> tuple[bool, str]:
    return kind.name != "l2c", kind.title


def control_of(kind: type[Trainer], name: str) -> Control | None:
    """One of a training's options, if it has it."""
    return next((c for c in controls(kind) if c.name == name), None)  # type: ignore[arg-type]


def price_of(kind: type[Trainer]) -> Control | None:
    """What a training pays for computing a branch, its λ, if it has one."""
    return next((found for name in PRICES if (found := control_of(kind, name))), None)


def power_of(price: Control) -> float:
    """The default price as a power of ten."""
    return round(math.log10(price.default), 1)


def trainer_from(name: Any, power: Any, theta: Any, iterations: Any) -> Trainer:
    """The training that the panel asks for.

    Raises:
        RequestError: an unknown one, or a value out of range; anybody may send anything.
    """
    if not isinstance(name, str) or name not in dict(map(reversed, offered())):  # type: ignore[arg-type]
        raise RequestError(
            f"training {name!r:.40} is not known, expected one of: "
            f"{', '.join(n for _, n in offered())}."
        )
    kind = TRAINERS[name]
    count = _between("iterations", iterations, 1, 10**5)
    if count != math.floor(count):
        raise RequestError(f"iterations is {count:g}, expected a whole number.")
    found: dict[str, Any] = {"iterations": int(count)}
    if (price := price_of(kind)) is not None:
        middle = power_of(price)
        found[price.name] = 10 ** _between(price.label, power, middle - POWERS, middle + POWERS)
    if (limit := control_of(kind, "theta")) is not None:
        found["theta"] = _between("θ", theta, limit.least, limit.most)
    return trainer_of(name, **found)


def _between(label: str, value: Any, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        shown = "a huge number" if isinstance(value, int) else f"{value!r:.40}"
        raise RequestError(f"{label} is {shown}, expected {low:g} to {high:g}.")
    return float(value)


def train(
    trainer: Trainer,
    model: Model,
    state: ViewState,
    report: Callable[[Learning], None],
    stopped: Asked,
    pictures: dict[Hashable, Any],
) -> Learned:
    """Train for the page's number of steps and guidance, reporting every iteration.

    Args:
        trainer, model: what to train for what.
        state: of the page.
        report: told of every iteration.
        stopped: ends the training, with what there is.
        pictures: keeps those that were drawn to learn from, for the next training.

    Raises:
        RequestError: the training was stopped before it had learned anything.
    """
    losses: list[float] = []
    data = _pictures(trainer, model, state, report, stopped, pictures)
    for item in trainer.learn(
        model,
        steps=state.schedule.steps,
        cfg_scale=state.settings.cfg_scale,
        data=data,
        command="Learn, on the page",
        stopped=stopped,
    ):
        if isinstance(item, Learned):
            return item
        if item.iteration:
            losses.append(item.loss)
        seen = losses[:]
        report(
            Learning(
                item.iteration, item.iterations, seen, item.share, item.probs, item.seconds_left,
                item.doing,
            )
        )  # fmt: skip
    raise RequestError(NOTHING_YET)


def _pictures(
    trainer: Trainer,
    model: Model,
    state: ViewState,
    report: Callable[[Learning], None],
    stopped: Asked,
    kept: dict[Hashable, Any],
) -> Data | None:
    """The model's own pictures for a training that takes some, drawn once for a step count."""
    from caching.learn.pictures import drawn_data

    count = getattr(trainer, "pool", 0)
    if not trainer.takes_data or not count:
        return None
    steps, cfg_scale = state.schedule.steps, state.settings.cfg_scale
    key = ("pictures to learn from", count, model.weights_hash, steps, cfg_scale)
    if key not in kept:
        unknown = np.full((steps, model.blocks, len(model.branches)), np.nan, np.float32)
        doing = "drawing pictures to learn from"
        report(Learning(0, 1, (), 0.0, unknown, math.nan, doing))
        for item in drawn_data(
            model, count, steps=steps, cfg_scale=cfg_scale, seed=0, stopped=stopped
        ):
            if isinstance(item, Data):
                kept[key] = item
            else:
                words = f"{doing}, {item.done} of {item.total}"
                report(Learning(0, 1, (), 0.0, unknown, math.nan, words))
    found: Data | None = kept.get(key)
    if found is None:
        raise RequestError(NOTHING_YET)
    return found


def layer_of(learning: Learning) -> dict[str, Any]:
    """The router as the painter's colours: how likely each cell is computed."""
    return grid_layer(learning.probs, label="probability to compute", low=0.0, high=1.0)


def smoothed(losses: Sequence[float], points: int = POINTS) -> np.ndarray:
    """The mean loss of at most `points` stretches of the same length."""
    values = np.asarray(losses, np.float64)
    if not len(values):
        return values
    return np.array([part.mean() for part in np.array_split(values, min(points, len(values)))])


def panel_html(learning: Learning | None, learned: Learned | None = None) -> str:
    """Loss curve and figures of a training: as it stands, or as it ended."""
    if learned is not None:
        losses: Sequence[float] = learned.curve.get("loss", ())
        shares = learned.curve.get("share", (0.0,))
        words = (
            f"Learned in {time_words(learned.seconds)} and {learned.iterations} iterations; "
            f"{shares[-1]:.0%} of the cells reused."
        )
    elif learning is not None:
        losses, words = learning.losses, learning.words
    else:
        return ""
    return (
        f'<div class="cb-learning" data-testid="learning" data-done="{str(bool(learned)).lower()}">'
        f"{_curve_svg(smoothed(losses))}<p>{html.escape(words)}</p></div>"
    )


def _curve_svg(losses: np.ndarray) -> str:
    """A line of losses on a logarithmic axis, first and last value written beside it."""
    losses = losses[np.isfinite(losses) & (losses > 0)]
    if len(losses) < 2:
        return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="no loss yet"></svg>'
    heights = np.log(losses)
    low, high = float(heights.min()), float(heights.max())
    y = 4 + (HEIGHT - 8) * (1 - (heights - low) / ((high - low) or 1.0))
    x = np.linspace(0, WIDTH, len(losses))
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    label = f"loss, from {losses[0]:.3g} to {losses[-1]:.3g}"
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}"><polyline points="{line}"/></svg>'
        f'<p class="cb-learning-loss"><span>loss</span> {losses[0]:.3g} → {losses[-1]:.3g}</p>'
    )

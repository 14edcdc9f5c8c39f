"""Why is it bad here: finding what causes a region's error, and saying it in words and colours."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from caching.errors import ModelError
from caching.measure.result import Result
from viz import text
from viz.compare.values import Region
from viz.glossary import terms_html
from viz.grid.encode import grid_layer
from viz.work import Asked, Pace, Told, in_turn

if TYPE_CHECKING:
    from caching.measure.causes import Causes
    from viz.live import Engine, Loaded

TOP = 12  # cells that are measured and repaired together
LISTED = 5
NAMES = {"attn": "attention", "mlp": "MLP"}


@dataclass(frozen=True, eq=False)
class Found:
    """What was found for a region of a result.

    Attributes:
        result: whose picture it is.
        region: of the picture.
        causes: what its error is made of.
        before, after: the region's mean squared error as painted and with the worst cells
            computed, measured; None until somebody asked.
    """

    result: Result
    region: Region
    causes: Causes
    before: float | None = None
    after: float | None = None

    @property
    def worst(self) -> list[tuple[int, int, int]]:
        """(step, block, branch) of the cells with the largest parts, all above 0."""
        parts = np.nan_to_num(self.causes.cells, nan=-np.inf).reshape(-1)
        order = np.argsort(-parts, kind="stable")[:TOP]
        return [
            tuple(int(n) for n in np.unravel_index(k, self.causes.cells.shape))  # type: ignore[misc]
            for k in order
            if parts[k] > 0
        ]

    @property
    def mask(self) -> np.ndarray:
        """Bool (S, L, R), the worst cells."""
        found = np.zeros(self.causes.cells.shape, bool)
        for cell in self.worst:
            found[cell] = True
        return found


def find(engine: Engine, result: Result, region: Region, stopped: Asked) -> Iterator[Any]:
    """Trace a region's error back; yields Told on the way and Made[Found] at last."""

    def work(loaded: Loaded, report: Callable[[Told], None], halt: Asked) -> Found:
        from caching.measure.causes import causes, region_mask

        pace = Pace()
        found = causes(
            loaded.model, result.schedule, region_mask(loaded.model, region.box),
            **_asked(result), known=loaded.known, stopped=halt,
            tell=lambda what, done, total: report(pace.told(what, done, total)),
        )  # fmt: skip
        return Found(result, region, found)

    yield from _work(engine, result, work, stopped)


def measure(engine: Engine, found: Found, stopped: Asked) -> Iterator[Any]:
    """Run it with the worst cells computed; yields Made[Found] at last."""

    def work(loaded: Loaded, report: Callable[[Told], None], halt: Asked) -> Found:
        from caching.measure.causes import measured, region_mask

        report(Told("running it with these cells computed", 0, 0))
        result = found.result
        mask = region_mask(loaded.model, found.region.box)
        before, after = measured(
            loaded.model, result.schedule, mask, found.mask, fits=loaded.known.fits, stopped=halt,
            **_asked(result),
        )  # fmt: skip
        return Found(result, found.region, found.causes, before, after)

    yield from _work(engine, found.result, work, stopped)


def _work(
    engine: Engine, result: Result, do: Callable[..., Found], stopped: Asked
) -> Iterator[Any]:
    loaded = engine.wait_unless(result.model, stopped)
    if loaded is None:
        return
    if result.schedule.blocks != loaded.model.blocks:
        raise ModelError(f"the result is of another {result.model}: press Run.")
    yield from in_turn(lambda report, halt: do(loaded, report, halt), engine.turn, stopped)


def _asked(result: Result) -> dict[str, Any]:
    return {
        "label": result.label,
        "seed": result.seed,
        "cfg_scale": result.cfg_scale,
        "sampler": result.sampler,
    }


def layer_of(found: Found, run: str) -> dict[str, Any]:
    """The painter's colours: what computing each cell alone takes off the region's error."""
    shares = 100 * found.causes.shares
    sizes = np.abs(shares[np.isfinite(shares)])
    high = max(0.1, float(np.percentile(sizes, 98))) if sizes.size else 1.0
    return grid_layer(shares, label=text.WHY_LAYER, high=high, signed=True, of=run)


def found_html(found: Found) -> str:
    """What was found, in words: how much, where from, the worst cells, what measuring them said."""
    c, result = found.causes, found.result
    esc = html.escape
    if not np.isfinite(c.cells).any() and not c.steps.any():
        return _panel(f"<p>{esc(text.WHY_FULL)}</p>")
    if c.error <= 0:
        return _panel(f"<p>{esc(text.WHY_EQUAL)}</p>")
    known = np.maximum(np.nan_to_num(c.shares), 0)
    psnr = 10 * np.log10(255**2 / c.error)
    lines = [
        text.WHY_REGION.format(
            region=found.region.words, error=f"{c.error:.2f}", psnr=f"{psnr:.1f}",
            share=f"{1 - c.rest:.0%}",
        ),
    ]  # fmt: skip
    if known.any():
        lines.append(text.WHY_WHERE.format(parts=_branches(result, known), steps=_steps(known)))
    if (whole := float(c.steps.sum() / c.error)) > 0.005:
        lines.append(text.WHY_WHOLE.format(share=f"{whole:.0%}"))
    items = "".join(_item(result, cell, known[cell]) for cell in found.worst[:LISTED])
    body = "".join(f"<p>{esc(line)}</p>" for line in lines)
    body += f'<ol class="cb-why-cells" aria-label="{esc(text.WHY_LIST)}">{items}</ol>'
    if found.after is not None and found.before:
        body += f'<p class="cb-why-measured" role="status">{esc(_measured(found))}</p>'
    note = f'<p class="cb-source">{esc(text.WHY_NOTE)}</p>'
    return _panel(body + note + terms_html("cause", "difference"))


def _panel(body: str) -> str:
    return f'<div class="cb-why" data-testid="why" data-done="true">{body}</div>'


def _measured(found: Found) -> str:
    assert found.before is not None and found.after is not None
    return text.WHY_MEASURED.format(
        count=len(found.worst), before=f"{found.before:.2f}", after=f"{found.after:.2f}",
        change=_signed(found.after / found.before - 1),
        asked=_signed(found.causes.together(found.mask) - 1),
    )  # fmt: skip


def _branches(result: Result, shares: np.ndarray) -> str:
    sums = shares.sum((0, 1)) / shares.sum()
    return ", ".join(
        f"{NAMES.get(name, name)} {one:.0%}"
        for name, one in zip(result.branches, sums, strict=True)
    )


def _steps(shares: np.ndarray) -> str:
    """The shortest stretch of steps that holds two thirds of all parts above 0."""
    sums = shares.sum((1, 2)) / shares.sum()
    count = len(sums)
    for length in range(1, count + 1):
        held = np.convolve(sums, np.ones(length), "valid")
        start = int(held.argmax())
        if held[start] >= 2 / 3:
            break
    words = f"step {start}" if length == 1 else f"steps {start}–{start + length - 1}"
    return f"{words} ({held[start]:.0%})"


def _signed(share: float) -> str:
    return f"{share:+.1%}".replace("-", "−")


def _item(result: Result, cell: tuple[int, int, int], share: float) -> str:
    """A cell of the list; hovering or focusing it lights it everywhere."""
    step, block, branch = cell
    name = result.branches[branch]
    age = int(result.schedule.age()[cell])
    title = text.WHY_FORMULA.format(share=_signed(-share), step=step, block=block, branch=name)
    action = result.schedule.legend[int(result.schedule.actions[cell]) - 1]
    how = f"{action.title.lower()}, age {age}"
    return (
        f'<li><button type="button" class="cb-cell-link" data-cell="{block},{branch},{step}" '
        f'title="{html.escape(title)}">block {block} {html.escape(NAMES.get(name, name))}, step '
        f"{step}</button> <b>{_signed(-share)}</b> <span>({html.escape(how)})</span></li>"
    )

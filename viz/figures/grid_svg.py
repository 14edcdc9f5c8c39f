"""The grid as SVG: what was asked for, and beside it what ran, with the key of its brushes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from caching.marks import COVERED, LOWERED, PARTLY
from viz.brushes import Canvas
from viz.figures import faces
from viz.figures.faces import Face, Size
from viz.figures.svg import PRINT, Ink, document, tag, text
from viz.grid.show import cell_brushes, step_brushes

LABEL_PX = 74
HEAD_PX = 34
GAP_PX = 28
MAX_WIDE_PX = 1040  # two grids side by side, as long as a page is that wide
COMPUTE = Face("compute", "computed")
COVER = Face("covered", "left out by the whole step")


@dataclass(frozen=True)
class Executed:
    """What ran: uint8 (S, L, R) and (S,), marks as in `caching.engine.Run`, in the same legends."""

    cells: np.ndarray
    steps: np.ndarray | None = None


def grid_svg(
    canvas: Canvas,
    *,
    title: str,
    executed: Executed | None = None,
    name: str = "grid",
    ink: Ink = PRINT,
) -> str:
    """A schedule as SVG, and what ran of it.

    Args:
        canvas: the schedule with the colours of its brushes.
        title: what it shows.
        executed: None where nothing ran.
        name: of the picture in its page; ids begin with it.
        ink: PRINT for a file, PAGE inside a page.
    """
    return _Drawing(canvas, executed, name, ink).whole(title)


class _Drawing:
    """One picture in the making; every distinct cell is drawn once and then used."""

    def __init__(self, canvas: Canvas, executed: Executed | None, name: str, ink: Ink) -> None:
        self.schedule, self.executed, self.name, self.ink = canvas.schedule, executed, name, ink
        steps = self.schedule.steps
        self.size = Size(20, 13) if steps <= 24 else Size(14, 9) if steps <= 56 else Size(8, 6)
        self.cells = [
            COMPUTE, *(Face(b.kind, b.label, b.letter, b.hue) for b in cell_brushes(canvas))
        ]  # fmt: skip
        self.steps = [
            Face("run", "blocks run"),
            *(Face("whole", b.label, b.letter, b.hue) for b in step_brushes(canvas)),
        ]
        self.used: dict[Face, str] = {}
        self.shown: dict[Face, None] = {}

    def whole(self, title: str) -> str:
        """The picture."""
        width = LABEL_PX + self.schedule.steps * self.size.width
        height = HEAD_PX + self._top + self._rows * self.size.height + self._gaps
        parts = [self._panel("Requested", self._asked(), 0, 0, labels=True)]
        total_width, total_height = width, height
        if self.executed is not None:
            beside = 2 * width + GAP_PX <= MAX_WIDE_PX
            x, y = (width + GAP_PX, 0.0) if beside else (0.0, height + GAP_PX)
            differ = int(np.count_nonzero(self._differing()))
            words = "Executed" if not differ else f"Executed: {differ} not as requested (framed)"
            parts.append(self._panel(words, self._ran(), x, y, labels=True, frames=True))
            total_width, total_height = (
                (2 * width + GAP_PX, height) if beside else (width, y + height)
            )
        key, key_height, key_width = self._key(total_height + 8, total_width)
        defs = tag("defs", *(self._def(face, name) for face, name in self.used.items()))
        return document(
            max(total_width, key_width), total_height + 8 + key_height, title, defs, *parts, key,
            ink=self.ink, style="",
        )  # fmt: skip

    # -- what stands where -------------------------------------------------------------------

    @property
    def _rows(self) -> int:
        return self.schedule.blocks * len(self.schedule.branches)

    @property
    def _top(self) -> float:
        return self.size.height + 4 if self.schedule.step_legend else 0

    @property
    def _gaps(self) -> float:
        return 2 * (self.schedule.blocks - 1)

    def _row_y(self, block: int, branch: int) -> float:
        row = block * len(self.schedule.branches) + branch
        return HEAD_PX + self._top + row * self.size.height + 2 * block

    def _asked(self) -> tuple[list[Face], list[list[list[Face]]]]:
        """The faces (S,) of the step row and (S, L, R) of the cells, as requested."""
        schedule = self.schedule
        rows = [self.steps[a] for a in schedule.step_actions]
        return rows, [
            [
                [self._covered(s, block, self.cells[a]) for a in cells]
                for block, cells in enumerate(step)
            ]
            for s, step in enumerate(schedule.actions)
        ]

    def _covered(self, step: int, block: int, face: Face) -> Face:
        action = int(self.schedule.step_actions[step])
        if not action:
            return face
        covers = self.schedule.step_legend[action - 1].covers(self.schedule.blocks)
        return COVER if block in covers else face

    def _ran(self) -> tuple[list[Face], list[list[list[Face]]]]:
        assert self.executed is not None
        found = self.executed
        marks = found.steps if found.steps is not None else self.schedule.step_actions
        rows = [_face(self.steps, int(m)) for m in marks]

        def ran(mark: int) -> Face:
            if mark == COVERED:
                return COVER
            if mark == PARTLY:
                return Face("partly", "computed for some pictures only")
            return _face(self.cells, mark)

        return rows, [
            [[ran(int(mark)) for mark in cells] for cells in step] for step in found.cells
        ]

    def _differing(self) -> np.ndarray:
        """Where what ran is not what was asked for, bool (S, L, R)."""
        assert self.executed is not None
        marks = self.executed.cells
        wanted = self.schedule.actions.copy()
        for s, action in enumerate(self.schedule.step_actions):
            if action:
                covers = self.schedule.step_legend[int(action) - 1].covers(self.schedule.blocks)
                wanted[s, covers.start : covers.stop] = COVERED
        found: np.ndarray = marks != wanted
        return found

    # -- drawing -----------------------------------------------------------------------------

    def _def(self, face: Face, name: str) -> str:
        return tag("g", faces.cell(face, _inner(self.size), self.ink), id=name)

    def _use(self, face: Face, x: float, y: float) -> str:
        name = self.used.setdefault(face, f"{self.name}-{len(self.used)}")
        self.shown[face] = None
        return tag("use", href=f"#{name}", x=x, y=y)

    def _panel(
        self,
        words: str,
        drawn: tuple[list[Face], list[list[list[Face]]]],
        x: float,
        y: float,
        *,
        labels: bool,
        frames: bool = False,
    ) -> str:
        schedule, size, left = self.schedule, self.size, x + LABEL_PX
        rows, cells = drawn
        soft = self.ink["ink-soft"]
        parts = [text(words, left, y + 12, font_weight=700, font_size=12)]
        every = 1 if size.width >= 18 else 5
        parts += [
            text(str(s), left + (s + 0.5) * size.width, y + 28, text_anchor="middle", fill=soft,
                 font_size=9)
            for s in range(0, schedule.steps, every)
        ]  # fmt: skip
        if self._top:
            parts += [text("whole step", left - 6, y + HEAD_PX + size.height - 2.5,
                           text_anchor="end", fill=soft, font_size=9)]  # fmt: skip
            parts += [
                self._use(face, left + s * size.width, y + HEAD_PX) for s, face in enumerate(rows)
            ]
        frame = self._differing() if frames else None
        for block in range(schedule.blocks):
            for r, branch in enumerate(schedule.branches):
                top = y + self._row_y(block, r)
                if labels:
                    parts.append(self._label(block, r, branch, left, top))
                for s in range(schedule.steps):
                    at = left + s * size.width
                    parts.append(self._use(cells[s][block][r], at, top))
                    if frame is not None and frame[s, block, r]:
                        parts.append(self._frame(at, top))
        return tag("g", *parts)

    def _label(self, block: int, r: int, branch: str, left: float, top: float) -> str:
        soft, small = self.ink["ink-soft"], 9 if self.size.height >= 9 else 6
        base = top + self.size.height / 2 + small / 3
        words = text(branch[:8], left - 6, base, text_anchor="end", fill=soft, font_size=small)
        if r:
            return words
        return words + text(str(block), left - 46, base, text_anchor="end", font_size=small)

    def _frame(self, x: float, y: float) -> str:
        inner = _inner(self.size)
        return tag(
            "rect", x=x + 0.75, y=y + 0.75, width=inner.width - 1.5, height=inner.height - 1.5,
            fill="none", stroke=self.ink["differ"], stroke_width=1.5,
        )  # fmt: skip

    def _key(self, y: float, width: float) -> tuple[str, float, float]:
        """What the looks on show mean, in lines no longer than the grids; SVG, height and width."""
        parts, x, line, widest = [], 0.0, 0, 0.0
        size = Size(18, 13)
        known = (*self.cells, *self.steps)  # in this order, what else was drawn behind it
        for face in sorted(self.shown, key=lambda f: known.index(f) if f in known else len(known)):
            long = 26 + 6 * len(face.label) + 12
            if x and x + long > width:
                x, line = 0.0, line + 1
            at = y + 4 + 20 * line
            drawn = tag("g", faces.cell(face, size, self.ink), transform=f"translate({x} {at})")
            parts += [drawn, text(face.label, x + 24, at + 10.5)]
            x += long
            widest = max(widest, x)
        return tag("g", *parts), 20 * (line + 1) + 6, widest


def _inner(size: Size) -> Size:
    """A cell without the gap to the next one."""
    gap = 1.5 if size.width >= 14 else 0.75
    return Size(size.width - gap, size.height - gap)


def _face(known: Sequence[Face], mark: int) -> Face:
    """The look of what ran; one that ran at a lower order says so."""
    number = mark & ~LOWERED
    if number >= len(known):
        return Face("unknown", "something else")
    face = known[number]
    if mark & LOWERED:
        return Face(face.kind, f"{face.label}, at a lower order", face.letter, face.hue)
    return face

"""The glossary: every term of the page in two sentences, one file, ready for translation.

Any element with `data-term` opens it there; see viz/pages/glossary.js.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Term:
    """A term as people read it, and what it means."""

    title: str
    words: str


TERMS: Mapping[str, Term] = {
    "step": Term(
        "step",
        "A picture is made from noise in S steps; step 0 is the noisiest and runs first. All "
        "blocks run at every step, unless something is reused.",
    ),
    "timestep": Term(
        "timestep",
        "How noisy the picture is at a step, from 999 (noise) down to 0. The model is told this "
        "number; the step is only where in the order it comes.",
    ),
    "block": Term(
        "block", "One of the layers of the transformer, each with two branches: attn and mlp."
    ),
    "attn": Term(
        "attn",
        "The attention branch of a block: every patch of the picture looks at all others. About "
        "a third of a block's work.",
    ),
    "mlp": Term(
        "mlp",
        "The feed-forward branch of a block: every patch is worked on by itself. About two thirds "
        "of a block's work.",
    ),
    "cell": Term("cell", "One branch of one block at one step: the smallest thing you can paint."),
    "compute": Term("compute", "The branch runs, as in the full model."),
    "reuse": Term(
        "reuse",
        "The branch does not run; its last computed output is taken again. Costs nearly nothing.",
    ),
    "forecast": Term(
        "forecast",
        "The branch does not run; its output is extrapolated from the last few computed ones. "
        "Costs a little more than reuse and can be closer.",
    ),
    "schedule": Term(
        "schedule", "The whole painted grid: what each cell does. It can be saved and shared."
    ),
    "whole step": Term(
        "whole step",
        "An action for all blocks of a step at once, such as adding again what all of them added "
        "before.",
    ),
    "age": Term("age", "How many steps ago a reused output was computed."),
    "work": Term(
        "work",
        "Multiply-accumulates, as a share of those of the full run. Exact: it follows from the "
        "grid alone. Time follows it closely only when the model is large enough.",
    ),
    "speed-up": Term(
        "speed-up",
        "How many times as fast as the full run. Predicted from measured times of the branches, "
        "then measured: the median of several runs in turn.",
    ),
    "drift": Term(
        "predicted drift",
        "How much reused outputs had changed since they were computed, in the last full run, as a "
        "mean over all cells. A proxy: it orders schedules well, it is no picture quality.",
    ),
    "similarity": Term(
        "similarity",
        "How little a branch's output changes from one step to the next. Where neighbours are "
        "alike, reuse costs little; the grid can be coloured by it.",
    ),
    "lag": Term(
        "lag",
        "How many steps before an output is compared with. At lag 1 with the step before; a cell "
        "of age k reuses what lag k says of it.",
    ),
    "threshold": Term(
        "threshold α",
        "The most a branch may have changed to be reused. SmoothCache holds the mean over blocks "
        "of the relative change against it; drag the line on the curves to see what it paints.",
    ),
    "foreground": Term(
        "foreground",
        "The parts of a picture whose colour is far from that of its rim. Blocks differ in how "
        "much of their attention goes there; the background often changes less.",
    ),
    "difference": Term(
        "difference",
        "Cached minus full, pixel by pixel: blue where the cached picture is darker, red where it "
        "is brighter. Drag over it to ask which cells are to blame.",
    ),
    "cause": Term(
        "cause",
        "A cell to blame for the error in a region of the picture: the error falls when it is "
        "computed. Estimated for all cells at once from how far off each stand-in was and how "
        "strongly the region answers to it.",
    ),
    "full": Term("full run", "Every cell computed. The picture everything else is compared with."),
    "fewer": Term(
        "plain steps",
        "The rival: the same work spent on fewer steps, all of them computed. If it is closer to "
        "the full picture, caching was not worth it.",
    ),
    "PSNR": Term(
        "PSNR",
        "How close a picture is to the full one of the same noise, in decibels: closeness, not "
        "beauty. Of the shipped model's pictures, we see hardly any difference above 40, and a "
        "plain one below 26; that is no standard.",
    ),
    "SSIM": Term("SSIM", "Structural similarity to the full picture; 1 is equal."),
    "seed": Term(
        "seed", "The number the starting noise is made from. The same seed, the same noise."
    ),
    "class": Term("class", "What the picture is to show; this model knows a list of things."),
    "guidance": Term(
        "guidance",
        "How strongly the picture is pulled towards its class. Above 1 the model runs twice per "
        "step, with the class and without.",
    ),
    "sampler": Term(
        "sampler", "The rule that takes the picture from one step to the next, given the model."
    ),
    "method": Term(
        "method",
        "A published recipe for schedules, or one of ours. It paints the grid; you can go on "
        "painting.",
    ),
    "policy": Term(
        "policy", "A rule that decides what to compute while the run goes on, not before."
    ),
    "calibration": Term(
        "calibration",
        "Runs of the model from which a method learns where to reuse, or the page what PSNR to "
        "expect of a schedule. It holds for one model, number of steps, guidance and sampler.",
    ),
    "router": Term(
        "router",
        "A trained table: for each cell, whether computing it is worth its cost. Learned by "
        "gradient descent with the model itself frozen.",
    ),
    "baseline": Term("FORA", "The simplest method: compute every N-th step, reuse all in between."),
}


def term_html(name: str, words: str | None = None) -> str:
    """A button that opens the glossary at a term; KeyError for an unknown one."""
    return _button(name, TERMS[name].title if words is None else words)


def opener_html(words: str) -> str:
    """A button that opens the glossary at its beginning."""
    return _button("", words)


def _button(name: str, shown: str) -> str:
    return (
        f'<button type="button" class="cb-term" data-term="{html.escape(name)}" '
        f'aria-haspopup="dialog">{html.escape(shown)}</button>'
    )


def terms_html(*names: str) -> str:
    """One quiet line that links to some terms."""
    links = " · ".join(term_html(name) for name in names)
    return f'<p class="cb-terms">What is: {links}?</p>'


def glossary_html() -> str:
    """The dialog with all terms in the order of the alphabet, closed."""
    entries = "".join(
        f'<dt id="term-{html.escape(name.replace(" ", "-"))}" data-name="{html.escape(name)}" '
        f'tabindex="-1">{html.escape(term.title)}</dt><dd>{html.escape(term.words)}</dd>'
        for name, term in sorted(TERMS.items(), key=lambda item: item[1].title.lower())
    )
    return (
        '<dialog id="cb-glossary" aria-labelledby="cb-glossary-title">'
        '<form method="dialog"><h2 id="cb-glossary-title">Glossary</h2>'
        '<button class="cb-close" aria-label="Close the glossary">×</button></form>'
        f'<dl tabindex="0" aria-label="Terms">{entries}</dl></dialog>'
    )

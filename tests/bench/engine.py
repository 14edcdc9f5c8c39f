"""`python -m tests.bench.engine`: what a schedule promises, what the engine and its peers deliver.

Everything in turn in one process on the CPU, one picture with guidance: our runs, diffusers' own
DiTPipeline (without its autoencoder), the same mask of whole steps in cache-dit (where installed)
and in diffusers' MagCache hooks, and the bare matrix products of the blocks as the floor. "reached"
is the measured speed-up over the own full run, as a share of what the multiply-accumulates promise,
full runs being timed right before and after every schedule; "by its parts" is that share by the
times of single parts, measured as at a model's load. A model keeps the modulation of the last runs,
so no run here makes it, the full ones neither; "first run" is what is reached where both have to,
as with a label, step count or sampler that was not run lately. The shipped model has trained
weights, the others random ones of the published shapes. --compile and --attention time some runs by
other kernels too, --dtype takes everything to another one.
"""

import argparse
import copy
import dataclasses
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DiTTransformer2DModel

from caching import Model, Schedule, cost_of, sample
from caching.engine.run import Run
from caching.measure.cost import branch_macs
from caching.measure.result import tables_of
from caching.measure.timing import measure_branches, setting_of
from caching.models.loading import SHIPPED_FOLDER
from caching.models.speed import Speed
from caching.predict.proxy import Tables, predict
from caching.predictors.taylor import Taylor
from tests.bench.full_size import free_gib
from tests.bench.peers import GUIDANCE, drawn, obeys, pipeline_of, with_cache_dit, with_mag_cache
from tests.caching import tiny

# Bars of the shipped model: full over diffusers' time, a reused step over a full one, and reached.
BAR_FULL, BAR_REUSED, BAR_REACHED, BAR_TAYLOR = 0.75, 0.05, 0.97, 0.90


@dataclass(frozen=True)
class Shape:
    """A published DiT at 256 px, patch 2."""

    blocks: int
    heads: int
    head_width: int
    steps: int  # few enough for minutes
    gib: float  # weights in float32, with the label table that diffusers holds in every block


SHAPES = {
    "DiT-S/2": Shape(12, 6, 64, 20, 0.2),
    "DiT-B/2": Shape(12, 12, 64, 10, 0.6),
    "DiT-XL/2": Shape(28, 16, 72, 4, 2.8),
}
SHIPPED, SHIPPED_STEPS = "shipped", 20
DIFFUSERS, OURS, REUSED = "diffusers' DiTPipeline", "ours, full", "ours, everything reused"
OTHERWISE = (OURS, "ours, FORA-2")  # what is timed at other speeds too


def module_of(name: str, dtype: torch.dtype) -> DiTTransformer2DModel:
    """diffusers' own module of a model's name, as plain as diffusers has it."""
    if name == SHIPPED:
        asked = {"local_files_only": True, "torch_dtype": dtype}
        return DiTTransformer2DModel.from_pretrained(SHIPPED_FOLDER / "transformer", **asked)
    shape, latents = SHAPES[name], {"in_channels": 4, "out_channels": 8, "sample_size": 32}
    torch.manual_seed(0)
    module = DiTTransformer2DModel(
        num_layers=shape.blocks,
        num_attention_heads=shape.heads,
        attention_head_dim=shape.head_width,
        **latents,
    )
    return torch.nn.Module.to(module, dtype).eval()  # diffusers' own `to` logs


def l2c_like(steps: int, blocks: int) -> Schedule:
    """The pattern of Learning-to-Cache's published router of 50 steps, for any number of steps.

    Every second step may reuse: all of its cells until 0.44 of the way, then fewer, none from 0.6.
    """
    actions = np.zeros((steps, blocks, 2), np.uint8)
    cells = np.random.default_rng(0).permutation(blocks * 2)
    for s in range(1, steps, 2):
        share = np.clip((0.6 - s / steps) / 0.16, 0, 1)
        actions[s].reshape(-1)[cells[: round(share * len(cells))]] = 1
    return Schedule(actions)


def at_random(steps: int, blocks: int, share: float = 0.5) -> Schedule:
    """A share of the cells, anywhere, after the first step."""
    actions = (np.random.default_rng(0).random((steps, blocks, 2)) < share).astype(np.uint8)
    actions[0] = 0
    return Schedule(actions)


def forecast(schedule: Schedule, order: int) -> Schedule:
    """The same cells, forecast instead of reused."""
    return dataclasses.replace(schedule, legend=(Taylor(order),))


def all_reused(steps: int, blocks: int) -> Schedule:
    actions = np.ones((steps, blocks, 2), np.uint8)
    actions[0] = 0
    return Schedule(actions)


# -- what is timed -------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """What runs, the row it is compared with, and the share of work that was promised."""

    name: str
    run: Callable[[], object]
    base: str
    work: float | None = None  # None: nothing is reused
    seconds: list[float] = field(default_factory=list)
    # Of our runs: the steps without what comes before and after, and each step but the first.
    stepped: list[float] = field(default_factory=list)
    step_ms: list[float] = field(default_factory=list)
    # Of our schedules: full runs around each, whole and the steps without the rest.
    around: list[tuple[float, float]] = field(default_factory=list)
    schedule: Schedule | None = None

    def turn(self) -> None:
        began = time.perf_counter()
        result = self.run()
        self.seconds.append(time.perf_counter() - began)
        if isinstance(result, Run):
            self.stepped.append(result.step_ms.sum() / 1e3)
            self.step_ms.extend(result.step_ms[1:])

    def forget(self) -> None:
        for kept in (self.seconds, self.stepped, self.step_ms, self.around):
            kept.clear()


def take_turn(rows: list[Row], full: Row, order: list[int]) -> None:
    """Every row once; each of our schedules with a full run right before and after it."""
    beside = Row(full.name, full.run, full.base)
    last = -1  # whose full run after is the next one's before
    for place, i in enumerate(order):
        row = rows[i]
        if row.schedule is None or row.work is None:
            row.turn()
            continue
        if last != place:
            beside.turn()
        row.turn()
        beside.turn()
        whole, stepped = (float(np.mean(kept[-2:])) for kept in (beside.seconds, beside.stepped))
        row.around.append((whole, stepped))
        last = place + 1


def bare(family, linears, product, steps: int) -> Callable[[], None]:
    """The products of every step with inputs that are already there, and nothing else."""
    wide, size = {weight.shape[1] for weight, _ in linears}, (2, family.heads, family.tokens)
    x = {d: torch.randn(2, family.tokens, d).to(family.dtype) for d in wide}
    heads = torch.randn(*size, family.width // family.heads).to(family.dtype)

    @torch.no_grad()
    def run():
        for _ in range(steps):
            for weight, bias in linears:
                product(x[weight.shape[1]], weight, bias)
            for _ in range(family.blocks):
                F.scaled_dot_product_attention(heads, heads, heads)

    return run


def our_linears(family):
    parts = family.parts
    fused = [(p.qkv_weight, p.qkv_bias) for p in parts]
    rest = [m for p in parts for m in (p.out, p.activation.proj, p.down)]
    return [*fused, *((m.weight, m.bias) for m in rest)]


def their_linears(module):
    blocks = [(b.attn1, b.ff.net) for b in module.transformer_blocks]
    each = [(a.to_q, a.to_k, a.to_v, a.to_out[0], f[0].proj, f[2]) for a, f in blocks]
    return [(m.weight, m.bias) for block in each for m in block]


def peers_of(plain, noise, mask, work: float, work_but_first: float) -> tuple[list[Row], list[str]]:
    """The mask in cache-dit and in diffusers' hooks, and a line for each that cannot be timed."""
    steps, rows, left_out = len(mask), [], []
    for name, enable, share in (
        ("diffusers' MagCache, FORA-2", with_mag_cache, work),
        ("cache-dit F1B0, FORA-2", with_cache_dit, work_but_first),
    ):
        if enable is with_cache_dit and not importlib.util.find_spec("cache_dit"):
            left_out.append("cache-dit not installed, skipped")
            continue
        pipe = pipeline_of(plain, noise)
        enable(pipe, mask)
        if obeys(pipe, mask):
            rows.append(Row(name, partial(drawn, pipe, steps), DIFFUSERS, share))
        else:
            left_out.append(f"{name}: did not run the mask it was given, skipped")
    return rows, left_out


def rows_of(name: str, steps: int, dtype, speeds) -> tuple[Model, list[Row], list[str]]:
    """The model, what to time on it, at other speeds besides, and what was left out."""
    plain, noise = module_of(name, dtype), tiny.V if name == SHIPPED else tiny.EPSILON
    model = Model.from_modules(copy.deepcopy(plain), scheduler=noise)
    family, blocks = model.family, model.blocks
    latents = torch.randn(1, *family.latent_shape, generator=torch.Generator().manual_seed(0))
    fora = Schedule.every(steps, blocks, 2)
    but_first = fora.actions.copy()
    but_first[:, 0] = 0
    schedules = {
        OURS: Schedule.full(steps, blocks),
        "ours, FORA-2": fora,
        "ours, FORA-3": Schedule.every(steps, blocks, 3),
        "ours, FORA-5": Schedule.every(steps, blocks, 5),
        "ours, L2C-like": l2c_like(steps, blocks),
        "ours, 20 % at random": at_random(steps, blocks, 0.2),
        "ours, 50 % at random": at_random(steps, blocks),
        "ours, 80 % at random": at_random(steps, blocks, 0.8),
        "ours, FORA-2, Taylor 1": forecast(fora, 1),
        "ours, FORA-2, Taylor 2": forecast(fora, 2),
        REUSED: all_reused(steps, blocks),
    }
    pipe = pipeline_of(plain, noise)
    theirs, ours = their_linears(plain), our_linears(family)
    rows = [
        Row("bare products, by F.linear", bare(family, theirs, F.linear, steps), DIFFUSERS),
        Row("bare products, as ours", bare(family, ours, family.linear, steps), OURS),
        Row(DIFFUSERS, partial(drawn, pipe, steps), DIFFUSERS),
    ]
    asked = {"label": 1, "latents": latents, "cfg_scale": GUIDANCE}
    for label, schedule in schedules.items():
        run = partial(sample, model, schedule, **asked)
        work = None if label == OURS else cost_of(model, schedule).work
        rows.append(Row(label, run, OURS, work, schedule=schedule))
    for speed in speeds:
        other = Model.from_modules(copy.deepcopy(plain), scheduler=noise, speed=speed)
        for label in OTHERWISE:
            run = partial(sample, other, schedules[label], **asked)
            rows.append(Row(f"{label}, {', '.join(speed.words)}", run, label))
    peers, left_out = peers_of(
        plain,
        noise,
        (fora.actions == 0).all((1, 2)).tolist(),
        cost_of(model, fora).work,
        cost_of(model, Schedule(but_first)).work,
    )
    return model, [*rows, *peers], left_out


# -- what is said --------------------------------------------------------------------------


def ratio(over: list[float], under: list[float]) -> float:
    """Median of the turns' own ratios: what slows a whole turn down cancels."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


def reached(row: Row, base: Row) -> tuple[float, float | None]:
    """Measured over promised speed-up: of the whole run, and of our steps alone."""
    if not row.around:
        return ratio(base.seconds, row.seconds) * row.work, None
    whole, stepped = zip(*row.around, strict=True)
    return ratio(whole, row.seconds) * row.work, ratio(stepped, row.stepped) * row.work


def modulation_s(model: Model, steps: int) -> float:
    """Seconds that the modulation of a first run takes, median of nine."""
    family, took = model.family, []
    times, labels = torch.linspace(999, 0, steps), torch.tensor([1, family.classes])
    with torch.no_grad():
        for _ in range(9):
            family.kept.clear()
            given = family.condition(times, labels)
            began = time.perf_counter()
            given.get(0, 0, 0)
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def reached_first(row: Row, more_s: float) -> float:
    """As `reached` of the whole run, if it and the full run take that much more."""
    pairs = zip(row.around, row.seconds, strict=True)
    return statistics.median((w + more_s) / (t + more_s) for (w, _), t in pairs) * row.work


def kept_by_parts(row: Row, tables: Tables) -> float:
    """The share of the promised speed-up that the times of single parts make."""
    return predict(row.schedule, tables).speedup * row.work


def made_of(model: Model, tables: Tables, steps: int) -> str:
    """What a full run's time is made of, where that is not in proportion to its products."""
    cells_ms, macs = tables.compute_ms.sum(axis=0), branch_macs(model).sum(axis=0)
    fixed_ms = tables.start_ms + steps * (tables.fixed_ms + tables.busy_ms)
    full_ms, own = fixed_ms + steps * cells_ms.sum(), model.family.fixed_macs()
    attn, mlp = cells_ms / macs
    return (
        f"outside the branches a full run spends {fixed_ms / full_ms:.1%} of its {full_ms:.0f} ms "
        f"for {own / (own + macs.sum()):.1%} of its products ({tables.start_ms:.1f} ms once, "
        f"{tables.fixed_ms:.2f} ms a step and {tables.busy_ms:.2f} ms more where it computes); "
        f"attention takes {attn / mlp:.2f} times as long per product as an mlp; a reused cell "
        f"{tables.reuse_ms.mean() * 1e3:.0f} us, a computed one {tables.compute_ms.mean():.2f} ms"
    )


def say(name: str, model: Model, steps: int, rows: list[Row], left_out: list[str]) -> None:
    by_name = {row.name: row for row in rows}
    diffusers, ours = by_name[DIFFUSERS].seconds, by_name[OURS]
    tables = tables_of(model, measure_branches(model), np.zeros((steps, model.blocks, 2, 1)))
    out = [f"\n{name}: {steps} steps with guidance on {setting_of(model)}"]
    out.append(
        f"{'':33} {'seconds':>8} {'fastest':>8} {'of diffusers':>13} {'speed-up':>9} "
        f"{'promised':>9} {'reached':>8} {'steps alone':>12} {'first run':>10} {'by its parts':>13}"
    )
    more_s = modulation_s(model, steps)
    cached = [row for row in rows if row.work is not None]
    for row in rows:
        text = f"{row.name:33} {statistics.median(row.seconds):8.3f} {min(row.seconds):8.3f} "
        text += f"{ratio(row.seconds, diffusers):13.2f}"
        if row in cached:
            whole, alone = reached(row, by_name[row.base])
            text += f" {whole / row.work:8.2f}x {1 / row.work:8.2f}x {whole:8.1%}"
            if alone:
                first, parts = reached_first(row, more_s), kept_by_parts(row, tables)
                text += f" {alone:12.1%} {first:10.1%} {parts:13.1%}"
        out.append(text)
    reused = statistics.median(by_name[REUSED].step_ms) / statistics.median(ours.step_ms)
    out.append(f"a step with everything reused takes {reused:.1%} of a full step")
    out.append(made_of(model, tables, steps))
    out.append(f"a first run takes {more_s * 1e3:.1f} ms more, to make its modulation")
    for row in (row for row in rows if row.name.startswith(f"{row.base}, ")):
        out.append(f"{row.name}: {ratio(row.seconds, by_name[row.base].seconds):.3f} of the time")
    out.extend(left_out)
    if name == SHIPPED and model.dtype == torch.float32:
        full = ratio(ours.seconds, diffusers)
        mine = [row for row in cached if row.base == OURS and row.name != REUSED]
        bars = []
        for bar, forecasts in ((BAR_REACHED, False), (BAR_TAYLOR, True)):
            of = [row for row in mine if ("Taylor" in row.name) == forecasts]
            shares = {row.name: reached(row, ours)[0] for row in of}
            worst = min(shares, key=shares.get)
            held = sum(share >= bar for share in shares.values())
            text = f"{held} of {len(of)} schedules reach {bar:.0%}, {worst} {shares[worst]:.1%}"
            bars.append((text, held == len(of)))
        for text, holds in (
            (f"full at {full:.2f} of diffusers' time (bar {BAR_FULL})", full <= BAR_FULL),
            (f"reused step {reused:.1%} (bar {BAR_REUSED:.0%})", reused <= BAR_REUSED),
            *bars,
        ):
            out.append(f"{text}: {'holds' if holds else 'MISSED'}")
    sys.stdout.write("\n".join(out) + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.engine", description=__doc__)
    names = (SHIPPED, *SHAPES)
    parser.add_argument("--models", nargs="+", choices=names, default=names)
    parser.add_argument("--steps", type=int, help="of every model; default: few for large ones")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--compile", action="store_true", help="compiled too")
    parser.add_argument("--attention", nargs="+", default=(), help="by these kernels too")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    kernels, ways = ("auto", *args.attention), (False, True)[: 1 + args.compile]
    _, *speeds = (Speed(attention=kernel, compiled=way) for way in ways for kernel in kernels)
    for name in args.models:
        steps = args.steps or (SHIPPED_STEPS if name == SHIPPED else SHAPES[name].steps)
        needed = 2.5 if name == SHIPPED else 2 + 2 * SHAPES[name].gib
        if free_gib() < needed:
            sys.stdout.write(f"\n{name}: needs {needed:.0f} GiB of free memory, skipped\n")
            continue
        model, rows, left_out = rows_of(name, steps, getattr(torch, args.dtype), speeds)
        full, rng = next(row for row in rows if row.name == OURS), np.random.default_rng(0)
        for turn in range(args.repeats + 1):
            take_turn(rows, full, rng.permutation(len(rows)).tolist())
            if not turn:  # the first warms up
                for row in rows:
                    row.forget()
        say(name, model, steps, rows, left_out)


if __name__ == "__main__":
    main()

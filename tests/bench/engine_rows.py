"""What the engine bench times: models of published shapes, schedules, and a row for each runner."""

import copy
import dataclasses
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DiTTransformer2DModel

from caching import Model, Schedule, cost_of, sample
from caching.engine.run import Run, now
from caching.models.loading import SHIPPED_FOLDER
from caching.models.speed import Speed
from caching.predictors.taylor import Taylor
from tests.bench.peers import GUIDANCE, drawn, obeys, pipeline_of, with_cache_dit, with_mag_cache
from tests.caching import tiny


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
PRODUCTS = "bare products, as ours"
FORA, FORA_3, FORA_5, L2C = "ours, FORA-2", "ours, FORA-3", "ours, FORA-5", "ours, L2C-like"
HALF = "ours, 50 % at random"
# What is timed at other speeds too; launched as graphs, with the schedules of their bar.
OTHERWISE, LAUNCHED = (OURS, FORA), (OURS, FORA, FORA_3, FORA_5, L2C, HALF, REUSED)


@dataclass(frozen=True)
class Place:
    """Where everything runs, in which dtype, and on how many pictures at once."""

    device: torch.device
    dtype: torch.dtype
    images: int


def module_of(name: str, place: Place) -> DiTTransformer2DModel:
    """diffusers' own module of a model's name, as plain as diffusers has it."""
    if name == SHIPPED:
        asked = {"local_files_only": True, "torch_dtype": place.dtype}
        module = DiTTransformer2DModel.from_pretrained(SHIPPED_FOLDER / "transformer", **asked)
    else:
        shape, latents = SHAPES[name], {"in_channels": 4, "out_channels": 8, "sample_size": 32}
        torch.manual_seed(0)
        module = DiTTransformer2DModel(
            num_layers=shape.blocks,
            num_attention_heads=shape.heads,
            attention_head_dim=shape.head_width,
            **latents,
        )
    return torch.nn.Module.to(module, place.device, place.dtype).eval()  # diffusers' own `to` logs


# -- schedules -----------------------------------------------------------------------------


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


def schedules_of(steps: int, blocks: int) -> dict[str, Schedule]:
    """Every schedule by its row's name, the full one first."""
    fora = Schedule.every(steps, blocks, 2)
    return {
        OURS: Schedule.full(steps, blocks),
        FORA: fora,
        FORA_3: Schedule.every(steps, blocks, 3),
        FORA_5: Schedule.every(steps, blocks, 5),
        L2C: l2c_like(steps, blocks),
        "ours, 20 % at random": at_random(steps, blocks, 0.2),
        HALF: at_random(steps, blocks),
        "ours, 80 % at random": at_random(steps, blocks, 0.8),
        "ours, FORA-2, Taylor 1": forecast(fora, 1),
        "ours, FORA-2, Taylor 2": forecast(fora, 2),
        REUSED: all_reused(steps, blocks),
    }


# -- rows ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """What runs, the row it is compared with, and the share of work that was promised."""

    name: str
    run: Callable[[], object]
    base: str
    device: torch.device
    work: float | None = None  # None: nothing is reused
    seconds: list[float] = field(default_factory=list)
    # Of our runs: the steps without what comes before and after, and each step but the first.
    stepped: list[float] = field(default_factory=list)
    step_ms: list[float] = field(default_factory=list)
    # Of our schedules: full runs around each, whole and the steps without the rest.
    around: list[tuple[float, float]] = field(default_factory=list)
    schedule: Schedule | None = None
    plain: str | None = None  # the same run at no special speed

    def turn(self) -> None:
        began = now(self.device)
        result = self.run()
        self.seconds.append(now(self.device) - began)
        if isinstance(result, Run):
            self.stepped.append(result.step_ms.sum() / 1e3)
            self.step_ms.extend(result.step_ms[1:])

    def forget(self) -> None:
        for kept in (self.seconds, self.stepped, self.step_ms, self.around):
            kept.clear()


def take_turn(rows: list[Row], order: list[int]) -> None:
    """Every row once; each of our schedules with a full run right before and after it."""
    by_name = {row.name: row for row in rows}
    last = None  # the full run that was timed just now, if it was the last thing
    for i in order:
        row = rows[i]
        if row.schedule is None or row.work is None:
            row.turn()
            last = None
            continue
        full = by_name[row.base]
        if last is None or last.name != full.name:
            last = Row(full.name, full.run, full.base, full.device)
            last.turn()
        row.turn()
        last.turn()
        whole, stepped = (float(np.mean(kept[-2:])) for kept in (last.seconds, last.stepped))
        row.around.append((whole, stepped))


def bare(family, linears, product, steps: int, place: Place) -> Callable[[], None]:
    """The products of every step with inputs that are already there, and nothing else."""
    rows, wide = 2 * place.images, {weight.shape[1] for weight, _ in linears}
    there = {"device": place.device, "dtype": place.dtype}
    x = {d: torch.randn(rows, family.tokens, d, **there) for d in wide}
    size = (rows, family.heads, family.tokens, family.width // family.heads)
    heads = torch.randn(*size, **there)

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


def peers_of(
    plain, noise, mask, work: float, work_but_first: float, place: Place
) -> tuple[list[Row], list[str]]:
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
            run = partial(drawn, pipe, steps, images=place.images)
            rows.append(Row(name, run, DIFFUSERS, place.device, share))
        else:
            left_out.append(f"{name}: did not run the mask it was given, skipped")
    return rows, left_out


def rows_of(
    name: str, steps: int, place: Place, speeds: list[Speed]
) -> tuple[Model, list[Row], list[str]]:
    """The model, what to time on it, at other speeds besides, and what was left out."""
    plain, noise = module_of(name, place), tiny.V if name == SHIPPED else tiny.EPSILON
    model = Model.from_modules(copy.deepcopy(plain), scheduler=noise)
    family, device = model.family, place.device
    draw, size = torch.Generator().manual_seed(0), (place.images, *model.family.latent_shape)
    asked = {
        "label": [1] * place.images,
        "latents": torch.randn(size, generator=draw),
        "cfg_scale": GUIDANCE,
    }
    schedules = schedules_of(steps, model.blocks)
    pipe = pipeline_of(plain, noise)
    theirs, ours = their_linears(plain), our_linears(family)
    rows = [
        Row(
            "bare products, by F.linear",
            bare(family, theirs, F.linear, steps, place),
            DIFFUSERS,
            device,
        ),
        Row(PRODUCTS, bare(family, ours, family.linear, steps, place), OURS, device),
        Row(DIFFUSERS, partial(drawn, pipe, steps, images=place.images), DIFFUSERS, device),
    ]
    for speed in (Speed(), *speeds):
        other = model
        if speed.words:
            other = Model.from_modules(copy.deepcopy(plain), scheduler=noise, speed=speed)
        after = "".join(f", {word}" for word in speed.words)
        for label, schedule in schedules.items():
            if speed.words and label not in (LAUNCHED if speed.graphs else OTHERWISE):
                continue
            run, is_full = partial(sample, other, schedule, **asked), label == OURS
            work = None if is_full else cost_of(model, schedule).work
            base = OURS + ("" if is_full else after)
            plainly = label if after else None
            row = Row(label + after, run, base, device, work, schedule=schedule, plain=plainly)
            rows.append(row)
    fora = schedules[FORA]
    but_first = fora.actions.copy()
    but_first[:, 0] = 0
    peers, left_out = peers_of(
        plain,
        noise,
        (fora.actions == 0).all((1, 2)).tolist(),
        cost_of(model, fora).work,
        cost_of(model, Schedule(but_first)).work,
        place,
    )
    return model, [*rows, *peers], left_out

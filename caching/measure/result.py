"""A comparison as plain data: what the page draws and what a recorded run keeps on disk.

Needs no torch, so a page can open on a recorded result before any model is loaded.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from caching.errors import RequestError
from caching.formats.native import dumps, load_schedule_file
from caching.measure.decoded import Decoded
from caching.predict.proxy import Tables
from caching.readonly import read_only
from caching.schedule import Schedule

if TYPE_CHECKING:
    from caching.engine.run import Run
    from caching.measure.comparison import Comparison
    from caching.measure.timing import BranchTimes
    from caching.models.model import Model

NAMES = ("full", "cached", "fewer")
# Decoding the trajectory is for looking at; models with a heavy autoencoder show fewer frames.
DECODE_BUDGET_S = 4.0


@dataclass(frozen=True)
class Figures:
    """The numbers of one run. `psnr_db` and `ssim` are against the full run of the same seed."""

    steps: int
    work: float  # share of the full run's multiply-accumulates
    nfe: int
    cache_mib: float
    total_ms: tuple[float, ...]  # transformer and sampler, every repetition
    speedup: float  # median of full / this over repetitions that followed each other
    psnr_db: float | None  # None for the full run itself, infinite when equal to it
    ssim: float | None
    latent_rel_l2: float | None

    @property
    def median_ms(self) -> float:
        return float(np.median(self.total_ms))


@dataclass(frozen=True, eq=False)
class Pictures:
    """What one run looked like on its way, and at its end."""

    frames: np.ndarray  # uint8 (F, H, W, 3), predicted clean pictures, the last is the final one
    steps: tuple[int, ...]  # (F,), the step each frame was taken after

    def __post_init__(self) -> None:
        read_only(self)

    @property
    def final(self) -> np.ndarray:
        last: np.ndarray = self.frames[-1]
        return last


@dataclass(frozen=True, eq=False)
class Result:
    """One full / cached / fewer-steps comparison, ready to be shown."""

    model: str
    blocks: int
    branches: tuple[str, ...]
    class_names: tuple[str, ...]
    label: int
    seed: int
    cfg_scale: float
    sampler: str
    schedule: Schedule  # requested; of a policy, what it decided
    executed: np.ndarray  # uint8 (S, L, R), what really ran, marks as in caching.engine.Run
    timesteps: tuple[float, ...]  # (S,)
    step_ms: tuple[float, ...]  # (S,), of the cached run
    tables: Tables  # what a prediction sums over: times, products, the full run's changes
    drift: tuple[float, ...]  # (S,), relative L2 of the predicted clean latents, cached to full
    figures: Mapping[str, Figures]  # by NAMES
    pictures: Mapping[str, Pictures]  # by NAMES
    setting: str  # device, threads, dtype of the times
    executed_actions: np.ndarray | None = None  # uint8 (S,), likewise of whole steps
    policy: str | None = None  # in words, when a policy decided while the run went on
    decided: tuple[tuple[float | None, float | None], ...] = ()  # (S,) its score and limit
    resumed_from: int = 0  # steps before it were shown from an earlier run
    # (L, R, S, S) inner products of the full run's branch outputs, see caching.measure.likeness
    products: np.ndarray | None = None
    recorded: str | None = None  # "recorded on …, 2026-11-21"; None: this session's own run

    def __post_init__(self) -> None:
        read_only(self)


def _pictures(run: Run, decoded: Decoded) -> Pictures:
    """A run's trajectory decoded, fewer frames when decoding is slow."""
    began = time.perf_counter()
    decoded.picture(run.clean[0])
    each_s = time.perf_counter() - began
    count = len(run.clean)
    keep = max(1, min(count, int(DECODE_BUDGET_S / 3 / max(each_s, 1e-6))))
    steps = sorted({round(i) for i in np.linspace(0, count - 1, keep)} - {count - 1})
    frames = [decoded.picture(run.clean[s]) for s in steps]
    return Pictures(np.stack([*frames, run.image]), (*steps, count - 1))


def tables_of(model: Model, times: BranchTimes, change: np.ndarray) -> Tables:
    """Prediction tables from a model's shapes, its measured times and a trace (S, L, R, K)."""
    blocks, branches = range(model.blocks), range(len(model.branches))
    macs = [[model.family.branch_macs(b, r) for r in branches] for b in blocks]
    embed_macs, head_macs = model.family.end_macs()
    return Tables(
        fixed_ms=times.fixed_ms,
        compute_ms=times.compute_ms,
        reuse_ms=times.reuse_ms,
        forecast_ms=times.forecast_ms,
        busy_ms=times.busy_ms,
        start_ms=times.start_ms,
        fixed_macs=model.family.fixed_macs(),
        compute_macs=np.array(macs, np.int64),
        change=change,
        source=times.source,
        embed_macs=embed_macs,
        head_macs=head_macs,
    )


def result_of(
    model: Model, comparison: Comparison, times: BranchTimes, decoded: Decoded | None = None
) -> Result:
    """A finished comparison as plain data; decodes the trajectories, but what `decoded` has."""
    decoded = decoded or Decoded(model)
    full, cached = comparison.full, comparison.cached
    if full.trace is None:
        raise RequestError("the full run of this comparison has no trace; run it with lags > 0.")
    request = cached.request
    took = comparison.timing.total_ms[comparison.timing.names.index("full")]
    if took:
        times = times.anchored(float(np.median(took)), request.steps)
    runs = {"full": full, "cached": cached, "fewer": comparison.fewer}
    fidelities = {"cached": comparison.cached_fidelity, "fewer": comparison.fewer_fidelity}
    figures = {}
    for name, run in runs.items():
        f = fidelities.get(name)
        figures[name] = Figures(
            steps=run.request.steps,
            work=run.cost.macs / full.cost.macs,
            nfe=run.cost.nfe,
            cache_mib=run.cost.cache_mib,
            total_ms=comparison.timing.total_ms[comparison.timing.names.index(name)],
            speedup=comparison.timing.speedup(name, "full"),
            psnr_db=None if f is None else f.psnr_db,
            ssim=None if f is None else f.ssim,
            latent_rel_l2=None if f is None else f.latent_rel_l2,
        )
    return Result(
        model=model.name,
        blocks=model.blocks,
        branches=model.branches,
        class_names=model.class_names,
        label=request.labels[0],
        seed=0 if request.seeds is None else request.seeds[0],
        cfg_scale=request.cfg_scale,
        sampler=request.sampler,
        schedule=cached.schedule if cached.policy is None else cached.painted,
        executed=cached.executed,
        executed_actions=cached.executed_actions,
        policy=None if cached.policy is None else cached.policy.title,
        decided=tuple((choice.score, choice.limit) for choice in cached.choices),
        resumed_from=cached.resumed_from,
        timesteps=cached.timesteps,
        step_ms=tuple(float(t) for t in cached.step_ms),
        tables=tables_of(model, times, full.trace.rel_l1),
        drift=tuple(float(d) for d in comparison.cached_fidelity.drift),
        figures=figures,
        pictures={name: _pictures(run, decoded) for name, run in runs.items()},
        setting=comparison.timing.setting,
        products=full.trace.likeness.products,
    )


def _plain(value: Any) -> Any:
    """JSON has no infinity; a picture equal to the full one is written as the word."""
    return "infinite" if isinstance(value, float) and math.isinf(value) else value


def save_result(result: Result, folder: Path) -> None:
    """Write `result.json` and `result.npz` (plain arrays) into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    keep = ("model", "blocks", "branches", "class_names", "label", "seed", "cfg_scale", "sampler")
    text: dict[str, Any] = {name: getattr(result, name) for name in keep}
    text |= {name: getattr(result, name) for name in ("timesteps", "step_ms", "drift", "setting")}
    text["recorded"] = result.recorded
    text["figures"] = {
        name: {k: _plain(v) for k, v in asdict(f).items()} for name, f in result.figures.items()
    }
    text["tables"] = {k: v for k, v in result.tables.to_json().items() if k != "change"}
    text["frame_steps"] = {name: p.steps for name, p in result.pictures.items()}
    (folder / "result.json").write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
    (folder / "schedule.json").write_text(dumps(result.schedule), encoding="utf-8")
    arrays: dict[str, Any] = {f"frames_{name}": p.frames for name, p in result.pictures.items()}
    arrays |= {"executed": result.executed, "change": result.tables.change}
    for name in ("executed_actions", "products"):
        if getattr(result, name) is not None:
            arrays[name] = getattr(result, name)
    np.savez_compressed(folder / "result.npz", **arrays)


def _tables(values: Mapping[str, Any], change: np.ndarray) -> Tables:
    shape = change.shape[1:3]
    return Tables(
        fixed_ms=values["fixed_ms"],
        compute_ms=np.array(values["compute_ms"]).reshape(shape),
        reuse_ms=np.array(values["reuse_ms"]).reshape(shape),
        fixed_macs=values["fixed_macs"],
        compute_macs=np.array(values["compute_macs"]).reshape(shape),
        change=change,
        source=values["source"],
        forecast_ms=values.get("forecast_ms", 0.0),
        busy_ms=values.get("busy_ms", 0.0),  # older recordings have these two in fixed_ms
        start_ms=values.get("start_ms", 0.0),
        embed_macs=values.get("embed_macs", 0),  # older recordings count them as always run
        head_macs=values.get("head_macs", 0),
    )


def load_result(folder: Path) -> Result:
    """Read what `save_result` wrote; arrays only, never pickles."""
    text = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    with np.load(folder / "result.npz", allow_pickle=False) as file:
        arrays = dict(file)
    figures = {}
    for name, values in text["figures"].items():
        values = {k: math.inf if v == "infinite" else v for k, v in values.items()}
        figures[name] = replace(Figures(**values), total_ms=tuple(values["total_ms"]))
    return Result(
        model=text["model"],
        blocks=text["blocks"],
        branches=tuple(text["branches"]),
        class_names=tuple(text["class_names"]),
        label=text["label"],
        seed=text["seed"],
        cfg_scale=text["cfg_scale"],
        sampler=text["sampler"],
        schedule=load_schedule_file((folder / "schedule.json").read_bytes()),
        executed=arrays["executed"],
        executed_actions=arrays.get("executed_actions"),
        products=arrays.get("products"),
        timesteps=tuple(text["timesteps"]),
        step_ms=tuple(text["step_ms"]),
        tables=_tables(text["tables"], arrays["change"]),
        drift=tuple(text["drift"]),
        figures=figures,
        pictures={
            name: Pictures(arrays[f"frames_{name}"], tuple(steps))
            for name, steps in text["frame_steps"].items()
        },
        setting=text["setting"],
        recorded=text["recorded"],
    )

"""Draw random scenes from a seed and ray-march them into pictures.

One object stands on a patterned floor under one light. Class decides the shape; viewpoint, place,
size, turn, colours, floor and light vary freely, so early denoising steps decide layout and late
ones detail. Only rays that meet the object's bounding sphere are marched.
"""

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from presets.scenes.shapes import BOUND_CENTRE_Y, BOUND_RADIUS, SHAPES

MARCH_STEPS = 40
SHADOW_STEPS = 20
COMPACT_EVERY = 5


@dataclass(frozen=True)
class Scenes:
    """Parameters of N scenes; every tensor has N rows. Angles in radians, colours linear 0..1."""

    label: Tensor  # (N,) int64, index into CLASS_NAMES
    azimuth: Tensor  # (N,) camera
    elevation: Tensor  # (N,)
    distance: Tensor  # (N,)
    place: Tensor  # (N, 2) object x, z
    size: Tensor  # (N,)
    turn: Tensor  # (N,) object yaw
    light: Tensor  # (N, 3) unit vector towards the light
    body: Tensor  # (N, 3)
    accent: Tensor  # (N, 3)
    floor: Tensor  # (N, 2, 3) the two tile colours
    tile: Tensor  # (N,) tile size
    stripes: Tensor  # (N,) bool: stripes instead of a chequer
    sky: Tensor  # (N, 2, 3) horizon, zenith

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, rows: Tensor | slice) -> "Scenes":
        return Scenes(*(getattr(self, f.name)[rows] for f in fields(self)))

    def to(self, device: torch.device | str) -> "Scenes":
        return Scenes(*(getattr(self, f.name).to(device) for f in fields(self)))


def _hsv(h: Tensor, s: Tensor, v: Tensor) -> Tensor:
    """(N,) each in 0..1 -> (N, 3) RGB."""
    k = (h[:, None] * 6 + h.new_tensor([5.0, 3.0, 1.0])) % 6
    return v[:, None] * (1 - s[:, None] * torch.minimum(k, 4 - k).clamp(0, 1))


def draw_scenes(labels: Tensor, generator: torch.Generator) -> Scenes:
    """Random scenes for the given class labels (N,), drawn on the CPU from `generator`."""
    n = len(labels)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(n, generator=generator)

    azimuth, elevation = uniform(-0.45, 0.45), uniform(0.3, 0.62)
    # The light stays on the camera's side, so that the lit face and the shadow are both seen.
    light_turn = azimuth + uniform(0.35, 1.25) * torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    light_height = uniform(0.65, 1.05)
    light = torch.stack(
        [
            light_turn.sin() * light_height.cos(),
            light_height.sin(),
            light_turn.cos() * light_height.cos(),
        ],
        -1,
    )
    ground, value = uniform(0, 1), uniform(0.72, 0.95)
    tint = uniform(0.08, 0.4)
    contrast = uniform(0.1, 0.32)
    floor = torch.stack([_hsv(ground, tint, value), _hsv(ground, tint * 1.15, value - contrast)], 1)
    air = uniform(0, 1)
    sky = torch.stack(
        [_hsv(air, uniform(0.03, 0.12), uniform(0.88, 0.98)), _hsv(air, uniform(0.2, 0.5), value)],
        1,
    )
    accent = _hsv(uniform(0.05, 0.12), uniform(0.25, 0.6), uniform(0.4, 0.95))
    return Scenes(
        label=labels.clone(),
        azimuth=azimuth,
        elevation=elevation,
        distance=uniform(3.5, 4.1),
        place=torch.stack([uniform(-0.4, 0.4), uniform(-0.3, 0.3)], -1),
        size=uniform(0.9, 1.2),
        turn=azimuth + uniform(-0.7, 0.7),
        light=light,
        body=_hsv(uniform(0, 1), uniform(0.65, 1.0), uniform(0.6, 1.0)),
        accent=accent,
        floor=floor,
        tile=uniform(1.3, 1.9),
        stripes=uniform(0, 1) < 0.3,
        sky=sky,
    )


def _distance(scenes: Scenes, p: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """World points (M, 3) of scene `rows` (M,), sorted by class -> distance (M,), accent? (M,)."""
    c, s = scenes.turn[rows].cos(), scenes.turn[rows].sin()
    x, z = p[:, 0] - scenes.place[rows, 0], p[:, 2] - scenes.place[rows, 1]
    size = scenes.size[rows]
    local = torch.stack([c * x - s * z, p[:, 1], s * x + c * z], -1) / size[:, None]
    d, accent = torch.empty_like(x), torch.zeros_like(x, dtype=torch.bool)
    counts = torch.bincount(scenes.label[rows], minlength=len(SHAPES)).tolist()
    start = 0
    for (_, shape), count in zip(SHAPES, counts, strict=True):
        if not count:
            continue
        part = slice(start, start + count)
        body, second = shape(local[part])
        d[part] = body if second is None else torch.minimum(body, second)
        if second is not None:
            accent[part] = second < body
        start += count
    return d * size, accent


def _span(scenes: Scenes, origin: Tensor, ray: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Entry and exit of rays (M, 3) through the bounding sphere; entry > exit where they miss."""
    size = scenes.size[rows]
    place = scenes.place[rows]
    centre = torch.stack([place[:, 0], BOUND_CENTRE_Y * size, place[:, 1]], -1)
    to = origin - centre
    b = (to * ray).sum(-1)
    h = b.square() - to.square().sum(-1) + (BOUND_RADIUS * size).square()
    root = h.clamp(min=0).sqrt()
    missed = (h <= 0) | (root - b < 0)
    return torch.where(missed, 1.0, (-b - root).clamp(min=0)), torch.where(missed, 0.0, root - b)


def _shadow(scenes: Scenes, p: Tensor, rows: Tensor) -> Tensor:
    """Light that reaches points (M, 3), 0..1, with soft edges."""
    lit = torch.ones_like(p[:, 0])
    light = scenes.light[rows]
    near, far = _span(scenes, p, light, rows)
    live = (near <= far).nonzero()[:, 0]
    p, rows, light, far = p[live], rows[live], light[live], far[live]
    t = near[live].clamp(min=0.03)
    for step in range(SHADOW_STEPS):
        if step % COMPACT_EVERY == 0:  # rays that left the sphere or are dark are done
            keep = ((t < far) & (lit[live] > 0.01)).nonzero()[:, 0]
            live, p, rows, light = live[keep], p[keep], rows[keep], light[keep]
            far, t = far[keep], t[keep]
        d, _ = _distance(scenes, p + t[:, None] * light, rows)
        soft = (9 * d / t.clamp(min=0.3)).clamp(0, 1)
        lit[live] = torch.where(t < far, torch.minimum(lit[live], soft), lit[live])
        t = t + d.clamp(0.04, 0.25)
    return lit


def _floor_colour(scenes: Scenes, p: Tensor, rows: Tensor, width: Tensor) -> Tensor:
    """Chequer or stripes, box-filtered over `width` so that far tiles fade instead of flicker."""
    q = p[:, [0, 2]] / scenes.tile[rows, None]
    w = (width / scenes.tile[rows])[:, None].clamp(min=1e-3)

    def triangle(x: Tensor) -> Tensor:  # integral of the square wave
        return 2 * ((x / 2 - (x / 2).floor()) - 0.5).abs()

    wave = (triangle(q + w / 2) - triangle(q - w / 2)) / w  # (M, 2) in -1..1
    mix = torch.where(scenes.stripes[rows], wave[:, 0], wave[:, 0] * wave[:, 1])
    mix = (0.5 + 0.5 * mix)[:, None]
    return mix * scenes.floor[rows, 0] + (1 - mix) * scenes.floor[rows, 1]


def _render_sorted(scenes: Scenes, side: int) -> Tensor:
    """Scenes sorted by class -> linear RGB (N, side * side, 3)."""
    n, dev = len(scenes), scenes.label.device
    u = (torch.arange(side, device=dev) + 0.5) / side * 2 - 1
    ca, sa = scenes.azimuth.cos(), scenes.azimuth.sin()
    ce, se = scenes.elevation.cos(), scenes.elevation.sin()
    zero = torch.zeros_like(ca)
    back = torch.stack([sa * ce, se, ca * ce], -1)  # (N, 3) from target to camera
    right = torch.stack([ca, zero, -sa], -1)
    up = torch.linalg.cross(back, right)
    eye = back * scenes.distance[:, None] + back.new_tensor([0, 0.52, 0])
    tan = math.tan(0.36)
    ray = (
        right[:, None, None] * u[None, None, :, None] * tan
        - up[:, None, None] * u[None, :, None, None] * tan
        - back[:, None, None]
    )  # (N, side, side, 3)
    ray = (ray / ray.norm(dim=-1, keepdim=True)).reshape(-1, 3)
    rows = torch.arange(n, device=dev).repeat_interleave(side * side)
    origin = eye[rows]

    # Floor and sky everywhere, then the object over them.
    down = (-ray[:, 1]).clamp(min=1e-4)
    t_floor = torch.where(ray[:, 1] < -1e-4, origin[:, 1] / down, torch.inf)
    height = ray[:, 1].clamp(0, 0.35)[:, None] / 0.35
    colour = scenes.sky[rows, 0] * (1 - height) + scenes.sky[rows, 1] * height
    seen = (t_floor < 60).nonzero()[:, 0]
    r, t = rows[seen], t_floor[seen]
    p = origin[seen] + t[:, None] * ray[seen]
    base = _floor_colour(scenes, p, r, t * (2 * tan / side) / down[seen])
    away = (p[:, [0, 2]] - scenes.place[r]).norm(dim=-1) / scenes.size[r]
    contact = 1 - 0.35 * torch.exp(-(away / 0.55).square())
    light = 0.48 * contact + 0.52 * _shadow(scenes, p, r) * (0.4 + 0.6 * scenes.light[r, 1])
    haze = 1 - torch.exp(-(t / 9).square())[:, None]
    colour[seen] = base * light[:, None] * (1 - haze) + scenes.sky[r, 0] * haze

    near, far = _span(scenes, origin, ray, rows)
    hit = (near <= far).nonzero()[:, 0]
    o, v, r, t, far = origin[hit], ray[hit], rows[hit], near[hit], far[hit]
    live, gap = torch.arange(len(hit), device=dev), torch.ones_like(t)
    for step in range(MARCH_STEPS):
        if step % COMPACT_EVERY == 0:  # rays that arrived or passed by are done
            live = live[(gap[live] > 1e-3) & (t[live] < far[live])]
            lo, lv, lr = o[live], v[live], r[live]
        d, _ = _distance(scenes, lo + t[live, None] * lv, lr)
        gap[live], t[live] = d, t[live] + d
    on = ((gap < 0.01) & (t < far)).nonzero()[:, 0]
    hit, r, v, p = hit[on], r[on], v[on], o[on] + t[on, None] * v[on]
    normal = torch.zeros_like(p)
    for sign in ((1, -1, -1), (-1, -1, 1), (-1, 1, -1), (1, 1, 1)):
        e = p.new_tensor(sign)
        normal += e * _distance(scenes, p + 2e-3 * e, r)[0][:, None]
    normal = normal / normal.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    accent = _distance(scenes, p, r)[1][:, None]
    base = torch.where(accent, scenes.accent[r], scenes.body[r])
    to_light = scenes.light[r]
    facing = (normal * to_light).sum(-1).clamp(min=0) * _shadow(scenes, p + 0.02 * normal, r)
    half = to_light - v
    shine = (normal * half / half.norm(dim=-1, keepdim=True)).sum(-1).clamp(min=0) ** 40
    ambient = 0.34 + 0.12 * normal[:, 1] - 0.1 * torch.exp(-3 * p[:, 1])
    bounce = 0.1 * (0.5 - 0.5 * normal[:, 1])[:, None] * scenes.floor[r, 0]
    colour[hit] = base * (ambient + 0.7 * facing)[:, None] + base * bounce
    colour[hit] += 0.3 * (shine * (facing > 0))[:, None]
    return colour.clamp(0, 1).reshape(n, side * side, 3)


@torch.no_grad()
def render(scenes: Scenes, size_px: int = 128, *, supersample: float = 1.5) -> Tensor:
    """Pictures of the scenes: uint8 (N, 3, size_px, size_px), on the scenes' device."""
    order = scenes.label.argsort(stable=True)
    side = round(size_px * supersample)
    flat = _render_sorted(scenes[order], side)
    images = flat.reshape(len(scenes), side, side, 3).permute(0, 3, 1, 2)
    images = torch.nn.functional.interpolate(
        images, (size_px, size_px), mode="bilinear", antialias=True
    )
    out = torch.empty_like(images)
    out[order] = images
    return (out * 255).round().to(torch.uint8)

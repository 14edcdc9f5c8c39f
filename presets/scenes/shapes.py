"""Signed distance functions of the twelve shapes, one function each.

Every function maps points in the shape's own frame (M, 3) to one or two distances: the body and,
for two-tone shapes, the accent (stem, hat, trunk). Shapes stand on y = 0 and fit into the sphere of
`BOUND_CENTRE_Y` and `BOUND_RADIUS`.
Formulas follow the public catalogue of distance functions by Inigo Quilez.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Distance = Callable[[Tensor], tuple[Tensor, Tensor | None]]

BOUND_CENTRE_Y = 0.66
BOUND_RADIUS = 0.98


def _length(x: Tensor, y: Tensor) -> Tensor:
    return (x.square() + y.square()).sqrt()


def _box(p: Tensor, half: tuple[float, float, float], round_by: float) -> Tensor:
    q = p.abs() - p.new_tensor(half) + round_by  # (M, 3)
    return q.clamp(min=0).norm(dim=-1) + q.amax(-1).clamp(max=0) - round_by


def _capped_cone(p: Tensor, height: float, low: float, high: float) -> Tensor:
    """Cone frustum along y from 0 to `height`, radii `low` and `high` (exact)."""
    h = height / 2
    qx, qy = _length(p[:, 0], p[:, 2]), p[:, 1] - h
    rim = torch.where(qy < 0, p.new_tensor(low), p.new_tensor(high))
    ax, ay = qx - torch.minimum(qx, rim), qy.abs() - h
    kx, ky = high - low, 2 * h
    f = (((high - qx) * kx + (h - qy) * ky) / (kx * kx + ky * ky)).clamp(0, 1)
    bx, by = qx - high + kx * f, qy - h + ky * f
    inside = (bx < 0) & (ay < 0)
    d2 = torch.minimum(ax.square() + ay.square(), bx.square() + by.square())
    return torch.where(inside, -d2.sqrt(), d2.sqrt())


def _sphere(p: Tensor, y: float, radius: float) -> Tensor:
    return (p - p.new_tensor([0.0, y, 0.0])).norm(dim=-1) - radius


def _smooth_min(a: Tensor, b: Tensor, k: float) -> Tensor:
    h = (k - (a - b).abs()).clamp(min=0) / k
    return torch.minimum(a, b) - h * h * k / 4


def ball(p: Tensor) -> tuple[Tensor, None]:
    return _sphere(p, 0.62, 0.62), None


def cube(p: Tensor) -> tuple[Tensor, None]:
    return _box(p - p.new_tensor([0, 0.5, 0]), (0.5, 0.5, 0.5), 0.03), None


def ring(p: Tensor) -> tuple[Tensor, None]:
    """A torus standing upright, its hole facing z."""
    y = p[:, 1] - 0.66
    return _length(_length(p[:, 0], y) - 0.46, p[:, 2]) - 0.2, None


def cone(p: Tensor) -> tuple[Tensor, None]:
    return _capped_cone(p, 1.35, 0.58, 0.01), None


def cylinder(p: Tensor) -> tuple[Tensor, None]:
    return _capped_cone(p, 1.05, 0.44, 0.44), None


def diamond(p: Tensor) -> tuple[Tensor, None]:
    """An octahedron balanced on its tip (a bound, exact on faces)."""
    q = p - p.new_tensor([0, 0.78, 0])
    return (q.abs().sum(-1) - 0.78) * 0.57735, None


def capsule(p: Tensor) -> tuple[Tensor, None]:
    y = p[:, 1] - p[:, 1].clamp(0.27, 1.1)
    return (p[:, 0].square() + y.square() + p[:, 2].square()).sqrt() - 0.27, None


def snowman(p: Tensor) -> tuple[Tensor, Tensor]:
    body = _smooth_min(_sphere(p, 0.4, 0.42), _sphere(p, 0.98, 0.27), 0.1)
    hat = p - p.new_tensor([0, 1.2, 0])
    return body, torch.minimum(
        _capped_cone(hat, 0.3, 0.19, 0.19), _capped_cone(hat, 0.05, 0.33, 0.33)
    )


def pyramid(p: Tensor) -> tuple[Tensor, None]:
    """Square base of half width 0.62, height 1.15, as an intersection of half-spaces (a bound)."""
    side = (torch.maximum(p[:, 0].abs(), p[:, 2].abs()) - 0.62 * (1 - p[:, 1] / 1.15)) * 0.88
    return torch.maximum(side, -p[:, 1]), None


def mushroom(p: Tensor) -> tuple[Tensor, Tensor]:
    q = (p - p.new_tensor([0, 0.62, 0])) / p.new_tensor([1, 0.85, 1])
    cap = torch.maximum((q.norm(dim=-1) - 0.64) * 0.85, 0.6 - p[:, 1])
    return cap, _capped_cone(p, 0.65, 0.24, 0.18)


def tree(p: Tensor) -> tuple[Tensor, Tensor]:
    low = _capped_cone(p - p.new_tensor([0, 0.3, 0]), 0.62, 0.56, 0.12)
    high = _capped_cone(p - p.new_tensor([0, 0.76, 0]), 0.72, 0.42, 0.01)
    return torch.minimum(low, high), _capped_cone(p, 0.34, 0.15, 0.15)


def cross(p: Tensor) -> tuple[Tensor, None]:
    q = p - p.new_tensor([0, 0.6, 0])
    arms = [_box(q, tuple(0.6 if i == j else 0.19 for j in range(3)), 0.02) for i in range(3)]
    return torch.stack(arms).amin(0), None


SHAPES: tuple[tuple[str, Distance], ...] = (
    ("ball", ball),
    ("cube", cube),
    ("ring", ring),
    ("cone", cone),
    ("cylinder", cylinder),
    ("diamond", diamond),
    ("capsule", capsule),
    ("snowman", snowman),
    ("pyramid", pyramid),
    ("mushroom", mushroom),
    ("tree", tree),
    ("cross", cross),
)
CLASS_NAMES: tuple[str, ...] = tuple(name for name, _ in SHAPES)

"""A seeded, class-conditional picture set: lit 3-D scenes rendered from distance functions."""

from presets.scenes.render import Scenes, draw_scenes, render
from presets.scenes.shapes import CLASS_NAMES

__all__ = ["CLASS_NAMES", "Scenes", "draw_scenes", "render"]

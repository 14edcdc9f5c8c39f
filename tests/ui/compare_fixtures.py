"""Data of the compare tests: rendered scenes with a made-up trajectory, known arrays, curves."""

from __future__ import annotations

import numpy as np
import torch

from presets.scenes import CLASS_NAMES, draw_scenes, render

STEPS, FEWER, BLOCKS = 20, 12, 12


def scene(name: str = "mushroom", seed: int = 7, size_px: int = 128) -> np.ndarray:
    """One rendered scene, uint8 (H, H, 3)."""
    label = torch.tensor([CLASS_NAMES.index(name)])
    scenes = draw_scenes(label, torch.Generator().manual_seed(seed))
    return render(scenes, size_px)[0].permute(1, 2, 0).numpy()


def trajectory(final: np.ndarray, steps: int, *, seed: int = 0, error: float = 0.0) -> np.ndarray:
    """Frames (S, H, H, 3) from blur and noise to the scene; `error` is what caching left behind."""
    rng = np.random.default_rng(seed)
    height = final.shape[0]
    clean = final.astype(np.float64)
    wave = np.hypot(*np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(height)))
    spectrum = np.fft.fft2(clean, axes=(0, 1))
    noise = rng.normal(0, 1, (4, 4, 3)).repeat(height // 4, 0).repeat(height // 4, 1)
    wrong = np.fft.ifft2(
        np.fft.fft2(noise, axes=(0, 1)) * np.exp(-((wave * 40) ** 2))[..., None], axes=(0, 1)
    ).real
    frames = []
    for step in range(steps):
        left = 1 - (step + 1) / steps
        blur = np.exp(-((wave * 90 * left**1.4) ** 2))[..., None]
        picture = np.fft.ifft2(spectrum * blur, axes=(0, 1)).real
        frames.append(picture + wrong * error * (1 - left) + rng.normal(0, 18 * left, clean.shape))
    return np.clip(np.stack(frames), 0, 255).round().astype(np.uint8)


def known(shift: int, size_px: int = 32, steps: int = 4) -> np.ndarray:
    """Random frames (S, H, H, 3) whose difference from shift 0 is known to the last bit."""
    rng = np.random.default_rng(3)
    base = rng.integers(0, 256, (steps, size_px, size_px, 3))
    change = np.random.default_rng(4).integers(-shift, shift + 1, base.shape)
    return np.clip(base + change, 0, 255).astype(np.uint8)


def change(steps: int = STEPS, blocks: int = BLOCKS) -> np.ndarray:
    """Relative change (S, L, 2) as a trained model has it: late steps of outer blocks worst."""
    s = np.arange(steps)[:, None, None] / (steps - 1)
    block = np.arange(blocks)[None, :, None] / (blocks - 1)
    branch = np.array([1.0, 0.7])[None, None]
    outer = 0.5 + 2 * (block - 0.45) ** 2
    out = (0.22 * np.exp(-s / 0.12) + 0.05 + 0.32 * s**5) * outer * branch
    out *= np.random.default_rng(0).uniform(0.9, 1.1, out.shape)
    out[0] = np.nan
    return out

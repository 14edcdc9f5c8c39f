"""Every longer text of the page, in one place, ready for translation."""

from __future__ import annotations

import html

HEADER = (
    "<h1>Cachebrush</h1><p>A diffusion transformer runs the same blocks at every step. Paint which "
    "it may reuse, and see what that does to the picture and the time.</p>"
)
FOOTER = (
    "<p>Step 0 is the noisiest. Reused cells keep the branch output from before its gate. "
    "PSNR and SSIM say how close a picture is to the uncached one of the same noise, not how good "
    "it is. Predicted numbers are sums over the last full run; measured ones name their device.</p>"
)
PRESET_INFO = "Repaints the grid. Undo brings yours back."
MODEL_INFO = (
    "Any class-conditional DiT in diffusers' layout. A hub id is downloaded when you press Load, "
    "and only then. DiT-XL/2 takes minutes per picture on a CPU."
)
STOPPED = "Stopped. The last finished result stays."
STOCHASTIC = (
    "{sampler} draws noise at every step: caching errors are amplified, and published schedules "
    "were not made for it. Prefer DDIM to compare schedules."
)


def figure_words(words: str) -> str:
    """The figure in words, for those who cannot see it and those in a hurry."""
    return f'<p class="cb-figure-words">{html.escape(words)}</p>'

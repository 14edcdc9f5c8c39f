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
METHOD_INFO = "★ ours · ● as published · ◐ recalibrated here · ○ analogue · – does not apply"
CHOOSE = (
    '<div class="cb-about"><p>Choose one to repaint the grid; Undo brings yours back.</p></div>'
)
NO_LICENCE = "no licence"
STILL_LOADING = "this needs the live model, which is still loading: choose it again in a moment"
CALIBRATED = "Calibrated and painted."
CALIBRATED_POLICY = "Calibrated: Run policy lets it decide step by step."
NO_POLICY = "This method paints the grid; it decides nothing while it runs. Press Run."
NOTHING_TO_BAKE = "No policy has run yet: let one decide, then bake it."
NOT_TRAINABLE = "Choose a method that is trained, such as Learning-to-Cache, to learn it."
NOTHING_TO_KEEP = "Nothing is being learned: press Learn first."
KEEPING = "Ending the training with what has been learned …"
STOPPED_LEARNING = "Stopped; what was being learned is gone. Keep ends a training with its result."
LEARNED = "{title}: learned for {steps} steps, and painted."
PRICE = "log₁₀ {label}"
LEARN_INFO = (
    "While it learns, the grid shows how likely each cell is computed. It takes minutes on a CPU "
    "and everybody else's runs wait; Keep ends it early with what there is."
)
MODEL_INFO = (
    "Any class-conditional DiT in diffusers' layout. A hub id is downloaded when you press Load, "
    "and only then. DiT-XL/2 takes minutes per picture on a CPU."
)
STUDY_TITLE = "Study: every method at the same work"
PUBLISHED_TITLE = "The papers' own tables, quoted"
NO_STUDY = "No study ships with this copy: make one with python -m caching study."
STUDY_OF_OTHER_MODEL = "The study is of {model}, and another model is loaded: load it first."
HOME_MODEL = "scenes-dit"
RECORDED = "You see a recorded result. Paint already; the live model is loading."
LINK_COPIED = (
    "The address of this page now holds its state, {count} characters, and is on the clipboard "
    "where the browser allows it."
)
LINK_OPENED = "Opened from the link. Press Run to see it measured here."
LINK_REFUSED = "The link was not opened: {why}"
LINK_OF_OTHER_MODEL = (
    "This link is for the model {model}, which is not loaded: load it under Another model, then "
    "open the link again."
)
SEEING_TITLE = "Look closer: drift, time, similar steps"
SEEN_NOTHING = "Nothing to show yet: press Run, which measures a full run."
SEEN_OTHER = (
    "The result on show is of another model or number of steps than the grid: press Run to see it."
)
SEEN_NO_DRIFT = "The cached run gave the same latents as the full run at every step."
SEEN_DRIFT = (
    "After the last step the clean latents are {last} from the full run's (relative L2). They "
    "moved apart most at step {step}; at the farthest they were {most} apart."
)
SEEN_TIME = (
    "Each part is the time of one branch, measured alone, times how often it ran; what is not "
    "explained is the measured median less their sum, such as brushes that compute a part. "
    "{setting}."
)
SEEN_ALIKE = (
    "Dark: nearly the same output, a good stand-in; bright: a bad one. Circles show which one the "
    "grid uses."
)
SEEN_PATH = (
    "Each dot is the branch's output at one step, in the plane of its two main directions (PCA). "
    "A hollow dot is not computed; its dotted line leads to the output that stands in."
)
STOPPED = "Stopped. The last finished result stays."
STOCHASTIC = (
    "{sampler} draws noise at every step: caching errors are amplified, and published schedules "
    "were not made for it. Prefer DDIM to compare schedules."
)


def figure_words(words: str) -> str:
    """The figure in words, for those who cannot see it and those in a hurry."""
    return f'<p class="cb-figure-words">{html.escape(words)}</p>'

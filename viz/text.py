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
    "it is. Predicted drift is a mean over the last full run, predicted time a sum of measured "
    "parts, predicted PSNR learned from measured schedules. Measured numbers name their device.</p>"
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
BAKES_NOT = (
    "The policy ran some cells for one half of guidance and not for the other, which no paint "
    "says: let it decide with guidance 1 or less to bake it."
)
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
LIVE_HINT = "Paint, then release or press Run."
RECORDED = "You see a recorded result. Paint already; the live model is loading."
CURVES_CARRIED = (
    "Not measured: carried over from a run of {steps} steps. Press Run to measure them."
)
CURVES_OTHER = "Measured with guidance {cfg} and {sampler}; press Run to measure them anew."
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
SEEING_TITLE = "Look closer: drift, time, similar steps, attention"
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
    "Each part is the time of one branch, measured at load, times how often it ran; what is not "
    "explained is the measured median less their sum, such as brushes that compute a part. "
    "{setting}."
)
SEEN_CELLS = "{count} cells × {each} ms in the mean, measured at load = {ms} ms"
SEEN_FIXED = "{steps} steps × {each} ms for embedding, modulation, final layer, sampler = {ms} ms"
SEEN_ALIKE = (
    "Dark: nearly the same output, a good stand-in; bright: a bad one. Circles show which one the "
    "grid uses."
)
SEEN_PATH = (
    "Each dot is the branch's output at one step, in the plane of its two main directions (PCA). "
    "A hollow dot is not computed; its dotted line leads to the output that stands in."
)
RECALLED = "This schedule has run before: here is its result again."
STOPPED = "Stopped. The last finished result stays."
STOCHASTIC = (
    "{sampler} draws noise at every step: caching errors are amplified, and published schedules "
    "were not made for it. Prefer DDIM to compare schedules."
)

# The Pareto box.
PARETO_TITLE = "Is it worth it? Every run against the time it took"
PARETO_INFO = (
    "Right is faster, up is closer to the full run. Orange is the same model simply taking fewer "
    "steps: a schedule is worth having where it lies above that line. Filled points are of this "
    "page's class, seed, steps and guidance, timed here; hollow ones are not. Small points are "
    "recorded: means over many pictures, timed on another machine, so every time here is a "
    "speed-up over its own full run. The dashed line is predicted. Click a point to get it back; "
    "Undo returns."
)
PARETO_RECORDED = "recorded on {setting}, {date}, mean of {pictures} pictures"
PARETO_BETTER = "mean of {pictures} other pictures, time predicted"
PARETO_PREDICTED = "predicted, mean over pictures; click to paint it"
PARETO_PREDICTED_HERE = "predicted for this picture; click to paint it"
PARETO_TABLE = "Table of your runs and of what is predicted ({count})"
PARETO_RECORDED_TABLE = "Table of the recorded study's points ({count})"
PARETO_GONE = "That run is no longer kept."
PARETO_OTHER_MODEL = "That run is of {model}, and another model is loaded: load it first."
PARETO_RESTORED = "Restored “{what}” with its settings. Undo brings back what was there."
PARETO_PAINTED = "Painted “{what}”. Undo brings back what was there."
PARETO_NO_PLAIN = "A row of plain steps has no grid of its own: set Steps instead."
RIVALS_RUN = "Run FORA, TaylorSeer, SmoothCache and L2C at this work"
RIVALS_INFO = (
    "Tunes each to compute as much as your grid does, as nearly as its controls allow, and runs it "
    "on this picture: a point of the plot each."
)
RIVALS_TUNING = "Looking for {title} at this work …"
RIVALS_RUNNING = "Running {title} at this work …"
RIVALS_FULL = "Everything is computed: paint a schedule first, so that there is a work to match."
RIVALS_FAR = "comes no nearer to this work than {speedup:.2f}× fewer MACs."
RIVALS_MINE = "Your schedule"
RIVALS_RECORDED = "Your schedule, recorded"
RIVALS_PLAIN = "{steps} plain steps"
RIVALS_HEADS = ("method", "work", "faster", "PSNR")
RIVALS_ONE = "One picture; the study below has means over many. The table below restores any run."
RIVALS_DONE = "Done: the rivals stand in the plot and its table."
IMPROVE_TITLE = "Improve by measuring"
IMPROVE_INFO = (
    "Looks for a better grid that computes no more than this one: small changes, ranked by the "
    "prediction, the first of them measured on pictures that no seed gives, and kept where it "
    "gains more than luck would. Locked cells stay. "
    "Each better grid is painted at once; Stop keeps the best, and one Undo takes it all back."
)
IMPROVING = (
    "{trials} grids tried{again}: {start:.2f} → {best:.2f} dB ({gain:+.2f}) on {pictures} other "
    "pictures{left}. Ranked by {by}."
)
IMPROVE_BUSY = "Improving: {gain:+.2f} dB after {trials} grids …"
IMPROVED = (
    "Improved by {gain:.2f} dB on {pictures} other pictures after {trials} grids. Run measures it "
    "on yours; Undo brings your grid back."
)
IMPROVE_EQUAL = "Nothing better was found in {trials} grids; yours stays as it is."
IMPROVE_OVERTAKEN = (
    "Improving has ended because the page changed: {gain:+.2f} dB by then, and the best grid is "
    "among the points of the plot."
)
IMPROVE_NOTHING = "Stopped before anything was measured."
PINS_HOW = (
    "Pin two runs with A and B in the table below, or with the keys A and B while a point is under "
    "the pointer: the cells that differ show here, with what each difference is worth."
)
PINS_OTHER_SHAPE = "Their grids are of different shapes: only schedules of as many steps compare."
PINS_EQUAL = "Both paint the same."
PINS_DIFFER = "From A to B: {worth}."
PINS_WORTH = (
    "Predicted: what A would gain or lose by taking these cells over from B, one row or step at a "
    "time. The parts do not add up to the whole, because errors meet."
)
PINS_UNKNOWN = "No prediction is known for this model and setting, so PSNR is not valued."


def figure_words(words: str) -> str:
    """The figure in words, for those who cannot see it and those in a hurry."""
    return f'<p class="cb-figure-words">{html.escape(words)}</p>'


# -- three ways in -------------------------------------------------------------------------

DEMO_TITLE = "The picture on the right skipped {share} of the work. Can you see where?"
DEMO_NOTHING = "Every cell was computed. Choose how much to skip, or paint the grid."
DEMO_FASTER = "Is it faster?"
DEMO_WORSE = "Is it worse?"
DEMO_BY = "going by [[PSNR]] alone: {psnr} to the full picture"
DEMO_WORTH = "Was it worth it?"
DEMO_EVEN = "as close to the full picture as [[fewer|{steps} plain steps]] of the same work."
DEMO_CLOSER = "{by} closer to the full picture than [[fewer|{steps} plain steps]] of the same work."
DEMO_FARTHER = (
    "{by} farther from the full picture than [[fewer|{steps} plain steps]] of the same work."
)
DEMO_STALE = "From before your last change; new answers follow its run."
DEMO_PRESETS = "How many times less work?"
DEMO_PAINT = (
    "Blue cells are computed, grey ones take their last output again. Drag over the grid to paint "
    "your own, with a finger after a tap on its pencil. All methods and controls are in the Studio."
)
LESSONS_INTRO = (
    "Short lessons, each finished by doing. A lesson sets its own picture and grid; Undo brings "
    "your grid back."
)
LESSONS_DONE = "{done} of {count} done."
LESSON_NUMBER = "Lesson {number} of {count}"
LESSON_AT = "Task {step} of {of}."
LESSON_ENDED = "Done: what you have just seen"
LESSON_SHARE = "Copy link takes this grid and these settings to somebody else."
LESSON_OPENED = "{title}. Do the first task."
LESSON_REFUSED = "The lesson was not opened: {why}"
LESSON_UNKNOWN = "there is no lesson {name} here."
HINT = "Hint"
START_AGAIN = "start again"
NOTHING_BEGUN = "Nothing has begun yet: open a lesson."
BOARD = "Your runs of this picture, the closest to the full one first"
BOARD_EMPTY = "No run of this picture yet."
BOARD_PLACE = "#"
BOARD_WHAT = "schedule"
TEACH_TITLE = "For teachers"
TEACH_INFO = (
    "Makes a link to this page as it stands: view, lesson, picture and grid. What you tick is put "
    "away for those who open it; Start again brings them back to this grid."
)
TEACH_HIDE = "Put away"
TEACH_KEEP = "Lock class and seed"
TEACH_COPY = "Copy a link for a class"
TEACH_LINK = "The link for a class"
TEACH_SEE = "See it as the class does"
TEACH_COPIED = (
    "The link for a class stands under its button, {count} characters, and is on the clipboard "
    "where the browser allows it. Your own page stays as it is."
)
DEMO_ANOTHER = "Another picture"
GLOSSARY = "Glossary"
SAYS = '<p class="cb-hide" id="cb-says" role="status" aria-live="polite"></p>'
LESSONS = "Lessons"
LESSON_NEXT = "Next lesson"
LESSON_AGAIN = "Start again"
LESSON_LEAVE = "All lessons"
LESSON_OPEN = "Open a lesson file"

# Why is it bad here?
WHY_LAYER = "% of the region's error that computing it takes away"
WHY_FULL = "Every cell was computed: there is no error to find a cause of."
WHY_EQUAL = "The pictures do not differ here."
WHY_REGION = (
    "Region {region}: mean squared error {error} (PSNR {psnr} dB inside), {share} of the whole "
    "picture's."
)
WHY_WHERE = (
    "What computing single cells would win comes from {parts}; two thirds of it from {steps}."
)
WHY_WHOLE = "Running the blocks instead of whole-step actions would win {share}."
WHY_LIST = "The cells to blame first, with what the error does if they are computed"
WHY_NOTE = (
    "Estimated, first order: what the region's error does when that cell alone is computed. One "
    "derivative of the cached run for all cells, times how far off each stand-in was. Parts do not "
    "add up; cells above 0 make good for others. Cached minus full, final pictures."
)
WHY_FORMULA = (
    "ΔE / E = −⟨∂E/∂F, stand-in − F⟩ / E = {share}, for E = ‖region of cached − full‖² and F = "
    "{branch} of block {block} at step {step}"
)
WHY_MEASURED = (
    "Measured: with the {count} worst cells computed the region's error goes from {before} to "
    "{after} ({change}); the estimate said {asked}."
)
WHY_MEASURE = "Measure the worst"
WHY_PAINT = "Compute the worst"
WHY_PAINTED = "compute the worst cells"
WHY_DONE = "Found what causes the error there: the grid shows each cell's part."
WHY_GONE = "What was found was of another picture: ask again."

# Attention to foreground and background, in Look closer.
FOCUS_ASK = (
    "How much of each block's attention goes to the foreground? Press Measure: it takes one full "
    "run of this picture."
)
FOCUS_FLAT = "All parts of this picture look alike, so there is no foreground to attend to."
FOCUS_WORDS = (
    "The foreground is {area} of the tokens. Block {most} attends to it most ({by} times its "
    "share), block {least} least ({under}); over all blocks {early} in the first half of the "
    "steps, {late} in the second."
)
FOCUS_HOW = (
    "lift = attention that foreground tokens receive / (their share of the tokens), mean over "
    "heads and queries, with the class; 1 where attention does not care. After ProfilingDiT (arXiv "
    "2504.03140), which sorts blocks once, over videos and prompts, by given masks; here it is one "
    "picture, every step, and the foreground is what differs in colour from the rim (Otsu's "
    "threshold)."
)
FOCUS_DONE = "Measured where attention goes: see Look closer."
FOCUS_MEASURE = "Measure"
FOCUS_ALT = "The picture with its background faint"

# How sure predictions are, under the grid.
CALIBRATE = "Calibrate"
SURE_NOT = "Predicted PSNR is not calibrated for this setting ({takes}); until then go by {proxy}."
SURE_DRIFT = "Predicted drift, the mean of relative changes"
SURE_CELLS = "Cells not computed, since no run has shown yet how much each output changes"
SURE = (
    "Predicted PSNR is calibrated here: ±{db} dB (median, schedules left out in turn) from {count} "
    "schedules."
)
SURE_MORE = "More make it surer ({takes})."
SURE_BUSY = "Calibrating predicted PSNR"
SURE_RESPONSE = "first-order response, "
SURE_SO_FAR = "So far ±{db} dB from {count} schedules."
SURE_LATER = "once the model is loaded"
SURE_NOT_LIVE = "the live model is still loading: calibrate in a moment."

# Where the predicted front of the Pareto box is from.
FRONT = (
    "Dashed: the best of the budget slider's schedules, PSNR predicted {moved}; learned from "
    "{source}."
)
FRONT_MEAN = "in the mean over pictures"
FRONT_HERE = "for this picture ({level} dB on the mean over pictures, from {runs} of it)"
FRONT_BUSY = "Working out the dashed line, the budget slider's schedules, by {source} …"
FRONT_EMPTY = "No dashed line: at this number of steps there is nothing to choose from."
FRONT_NONE = (
    "No dashed line yet: nothing predicts PSNR at {steps} steps, guidance {cfg}, {sampler} of this "
    "model. Until then the budget slider goes by {proxy}; Calibrate, under the grid, measures what "
    "it takes."
)
FRONT_CHANGES = "the relative changes of the last full run, a proxy"
FRONT_AGES = "how old each output gets, a proxy"
FRONT_GRADIENTS = "gradients that ship for this setting"
FRONT_NOT_LIVE = "The dashed line, which is predicted, comes once the live model is loaded."
OLDER = "The grid was painted before this was known: choose {title} again, or move its slider."
SETTLED = "Worked out: the grid is the budget's best now."

# -- coming back to a page in the same browser ------------------------------------------------

MEMORY_BACK = "You are where you left off. Press Run to see this grid measured again."
MEMORY_STEP = "where you left off"
MEMORY_REFUSED = "Where you left off was not opened: {why}"
AFRESH = "Start afresh"
AFRESH_TIP = (
    "Forget view, lesson and ticks that this browser remembers, for instance because somebody else "
    "has used it. What was painted last is offered again afterwards."
)

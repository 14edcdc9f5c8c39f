"""The words of a report, in one place, ready for translation."""

TITLE = "A cached run beside the full one"
PICTURES = "Pictures"
NUMBERS = "Numbers"
GRID = "The schedule: requested and executed"
GRID_WORDS = (
    "Columns are steps in the order they run, step 0 is the noisiest; every block has a row for "
    "each of its branches. What did not run as requested is framed."
)
METHOD = "Where the schedule is from"
CURVES = "How much each branch changes from step to step"
CURVES_WORDS = (
    "Relative L1 change of the branch output, before its gate, in the full run; a line per block."
)
REPEAT = "Repeat it, open it again"
SETTINGS = "Settings"
COLUMNS = (
    "Run",
    "Work",
    "Median ms",
    "Faster",
    "PSNR",
    "SSIM",
    "Latent error",
    "Cache MiB",
    "All times, ms",
)
MEASURED = (
    "Times: medians of {count} runs of each in turn on {where}, transformer and sampler, without "
    "the autoencoder. PSNR, SSIM and the relative L2 error of the latents are against the full run "
    "of the same noise: closeness to it, not beauty."
)
RECORDED = (
    "Times: medians of {count} runs of each in turn, {where}, transformer and sampler, without the "
    "autoencoder. PSNR, SSIM and the relative L2 error of the latents are against the full run of "
    "the same noise: closeness to it, not beauty."
)
DIFFERENCE = "Cached less full"
DIFFERENCE_WORDS = "{gain}× enlarged, grey is no difference; {apart}"
OWN_PAINT = "Painted by hand."
MADE = "Of no method as it stands; what last changed the grid: {what}."
SAVE_FIRST = (
    "Save the cached picture above as {name}: its recipe, with the whole schedule, is inside."
)
DROP = "Dropped on a page of Cachebrush, that picture restores the schedule and the settings."
FRAGMENT = "The same state as a link: put this behind the address of a page of Cachebrush."
FOOTER = (
    "Made by Cachebrush. Work is the share of the full run's multiply-accumulates; the last row "
    "spends the cached run's work on fewer plain steps, the rival every schedule has to beat. One "
    "picture says little: the study compares over many."
)

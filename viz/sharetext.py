"""The words of what is saved, opened, fetched and kept, in one place, ready for translation."""

DOWNLOADS = "Figures and numbers"
WHAT = "What"
DOWNLOAD = "Download"
PICTURE = "Picture"
REPORT = "Report"
SAVED = "Saved as {name}."
SAVED_OTHER = (
    "Saved as {name}. It is of what was last measured, not of the changes since: press "
    "Run first to have them in it."
)
UNKNOWN_DOWNLOAD = "the download {name} is not known."
NO_CURVES = "Nothing has been measured of this model yet: press Run first."
OTHER_CURVES = "The curves were measured at {had} steps and the grid has {has}: press Run first."

RESTORED = "The settings of the picture are restored with it: {words}."
OTHER_MODEL = (
    "It was made with the model {model}, so its class and settings are left out; only the schedule "
    "is taken."
)
OTHER_WEIGHTS = "It was made with other weights of that name, so the picture will differ."
BAD_SETTINGS = "Its settings were left out: {why}"
DROP = "Drop to open: a schedule, or a picture saved here"

AUTHORS = "Fetch from the authors"
AUTHORS_INFO = (
    "Schedules that authors published, not shipped here. One is downloaded when you press the "
    "button, and only then; its length and SHA-256 are checked, and it is kept in the cache of the "
    "machine that runs this page."
)
AUTHORS_WHICH = "File"
AUTHORS_BUTTON = "Fetch and open"
AUTHORS_HERE = "Open"
AUTHORS_FITS = "It is for {blocks} blocks and this model has {here}: load its model first."
FETCHING = "Fetching {title}, {size} bytes …"
ADDRESS, SIZE, SHA256, LICENCE, FOR = "Address", "Size", "SHA-256", "Licence", "For"
BYTES = "{size:,} bytes"
STEPS_AND_BLOCKS = "{steps} steps, {blocks}"
ANY_BLOCKS = "any number of blocks"
BLOCKS = "{count} blocks"
ALREADY_HERE = "Fetched before and unchanged: opening it needs no network."

DRAFT = "Restore your draft of {when}"
DRAFT_BACK = "Your draft is back. Press Run to see it measured here."
DRAFT_TIP = "What you last painted here, kept in this browser only."

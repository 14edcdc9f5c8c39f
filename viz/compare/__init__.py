"""CompareView: full, cached and "same budget, fewer steps" pictures side by side on one page."""

from viz.compare.compare import CompareView
from viz.compare.values import Comparison, LiveFrame, Source, live_frame, pending, source

__all__ = ["CompareView", "Comparison", "LiveFrame", "Source", "live_frame", "pending", "source"]

"""Figures: plain arrays in, plotly figures and their words out."""

from viz.figures.budget import BudgetPoint, budget_curve
from viz.figures.curves import similarity_curves, text_summary
from viz.figures.page import FIGURE_CSS, HOVER_HEAD

__all__ = [
    "FIGURE_CSS",
    "HOVER_HEAD",
    "BudgetPoint",
    "budget_curve",
    "similarity_curves",
    "text_summary",
]

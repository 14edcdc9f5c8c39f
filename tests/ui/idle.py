"""Servers of the browser tests that cost next to nothing while nobody asks them for anything.

Gradio looks into its queue, and for progress to tell, a thousand times a second. That is 6 % of a
core for each server, and each worker of the suite has three. The app has a setting of its own.
"""

from __future__ import annotations

from typing import Any

from gradio import blocks, queueing

LOOK_S, TELL_S = 0.02, 0.1


class _Queue(queueing.Queue):
    """Gradio's queue, looked into less often."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.sleep_when_free, self.progress_update_sleep_when_free = LOOK_S, TELL_S


def look_less_often() -> None:
    """Have every queue that is made from now on be one of these."""
    blocks.queueing.Queue = _Queue

"""What comparisons of one model share: full runs, snapshots to go on from, and fitted tables."""

from collections import OrderedDict

from caching.engine.fits import Fits
from caching.engine.record import Run
from caching.engine.request import Request
from caching.engine.states import States, free_mib

MAX_FULL_RUNS = 24
MAX_STATES = 3
SHARE_OF_FREE = 0.4


class Known:
    """Kept by whoever compares often; not to be used by two comparisons at the same time.

    The full run of a request is made once and shared by everything that is judged against it. For
    the last few requests the snapshots of the last run are kept within `budget_mib`, so that an
    edited schedule runs only from where it differs.
    """

    def __init__(self, *, budget_mib: float | None = None, offload: bool = False) -> None:
        self.fits = Fits()
        self.offload = offload
        total_mib = SHARE_OF_FREE * free_mib() if budget_mib is None else budget_mib
        self.budget_mib = total_mib / MAX_STATES
        self._full: OrderedDict[Request, Run] = OrderedDict()
        self._states: OrderedDict[Request, States] = OrderedDict()

    def full(self, request: Request) -> Run | None:
        """The full run of a request, if it has been made."""
        found = self._full.get(request)
        if found is not None:
            self._full.move_to_end(request)
        return found

    def keep(self, run: Run) -> None:
        """Remember a full run."""
        self._full[run.request] = run
        self._full.move_to_end(run.request)
        while len(self._full) > MAX_FULL_RUNS:
            self._full.popitem(last=False)

    def states(self, request: Request) -> States:
        """Where runs of a request leave their snapshots."""
        if request not in self._states:
            self._states[request] = States(budget_mib=self.budget_mib, offload=self.offload)
        self._states.move_to_end(request)
        while len(self._states) > MAX_STATES:
            self._states.popitem(last=False)
        return self._states[request]

"""What a policy may look at in the running step, and nothing else of it."""

from torch import Tensor

from caching.engine.running import RunningStep


class EngineView:
    """A `caching.dynamic.base.View` of the executor's running step."""

    def __init__(self, run: RunningStep) -> None:
        self._run = run

    @property
    def s(self) -> int:
        return self._run.s

    @property
    def latents(self) -> Tensor:
        return self._run.latents.contiguous()

    def tokens(self, block: int) -> Tensor:
        return self._run.embed() if block == 0 else self._run.at[block]

    def modulated(self) -> Tensor:
        run = self._run
        return run.executor.family.modulated(run.embed(), run.given, run.s, 0, 0)

    def computed(self, x: Tensor, block: int) -> Tensor:
        run = self._run
        family, given, s = run.executor.family, run.given, run.s
        for r in range(run.branches):
            run.extra_macs += len(x) * family.branch_macs(block, r)
            x = family.add(x, family.branch(x, given, s, block, r), given, s, block, r)
        return x

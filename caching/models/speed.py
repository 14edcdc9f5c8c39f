"""How a model's steps are computed: compiled or not, by which attention kernel, in CUDA graphs.

None of them changes what is computed, but kernels round differently, so a run belongs with runs of
the same `Speed`: to the last bit it is equal to those alone.
"""

from dataclasses import dataclass

from caching.errors import ModelError

ATTENTION = {
    "auto": "torch's own choice",
    "math": "plain operations; compiled, the quickest on a CPU at 64 tokens",
    "flash": "FlashAttention, which has a form for CPUs too",
    "efficient": "memory-efficient attention, GPUs only",
    "cudnn": "cuDNN's, NVIDIA GPUs only",
    "products": "two batched products; on a CPU the quickest in bfloat16 at 256 tokens",
}
"""What computes softmax(q k / sqrt d) v, by name; all but the last are torch's own."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Three choices that leave what a model computes as it is.

    Attributes:
        compiled: whether torch.compile makes the branches; the schedule stays outside of it.
        attention: auto, math, flash, efficient, cudnn or products; `ATTENTION` says what each is.
        graphs: whether steps are launched as CUDA graphs, one per distinct row of a schedule. Where
            anything but reuse stands in, or a run can be gone on from, steps run without.

    Raises:
        ModelError: no such name, or no True or False.
    """

    compiled: bool = False
    attention: str = "auto"
    graphs: bool = False

    def __post_init__(self) -> None:
        for name in ("compiled", "graphs"):
            if not isinstance(value := getattr(self, name), bool):
                raise ModelError(f"{name} is {value!r:.40}, expected True or False.")
        if not isinstance(self.attention, str) or self.attention not in ATTENTION:
            raise ModelError(
                f"attention {self.attention!r:.40} was given, expected one of: "
                f"{', '.join(ATTENTION)}."
            )

    @property
    def words(self) -> tuple[str, ...]:
        """What differs from a plain model, for beside a measured time; nothing where nothing."""
        kernel = f"{self.attention} attention"
        compiled, graphs = ("compiled",) * self.compiled, ("CUDA graphs",) * self.graphs
        return compiled + (kernel,) * (self.attention != "auto") + graphs


PLAIN = Speed()

"""The model card that stands beside the weights, with the numbers of the last evaluation."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import safe_open

from presets.scenes import CLASS_NAMES
from presets.train.evaluate import Evaluation

AIM = 3  # times the distance of fresh renders
CARD = Path(__file__).with_suffix(".md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Making:
    """What the weights were made with, kept beside them."""

    pictures: int
    vae_steps: int
    vae_batch: int
    dit_steps: int
    dit_batch: int
    classifier_steps: int
    machine: str


def write_making(folder: Path, making: Making) -> None:
    text = json.dumps(asdict(making), indent=2)
    (folder / "training.json").write_text(text + "\n", encoding="utf-8")


def parameters_m(folder: Path) -> float:
    """Millions of numbers in the safetensors files below `folder`."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="np") as file:
            for key in file.keys():  # noqa: SIM118 - safe_open is no mapping
                count = 1
                for side in file.get_slice(key).get_shape():
                    count *= side
                total += count
    return total / 1e6


def write_card(folder: Path, evaluation: Evaluation, *, size_mib: float) -> None:
    """Write `README.md` into `folder`, from its own training.json and weights."""
    making = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    coded = evaluation.frechet_autoencoded / evaluation.frechet_samples
    ratio = evaluation.frechet_samples / evaluation.frechet_renders
    text = CARD.format(
        transformer_m=parameters_m(folder / "transformer"),
        vae_m=parameters_m(folder / "vae"),
        classifier_m=parameters_m(folder / "classifier"),
        size_mib=size_mib,
        last=len(CLASS_NAMES) - 1,
        names=", ".join(CLASS_NAMES),
        aim=AIM * evaluation.frechet_renders,
        remark=(
            f"Its Fréchet distance is {ratio:.1f} times that of as many fresh renders, where "
            f"{AIM} times is the aim: the autoencoder alone makes up "
            f"{coded:.0%} of it, and edges are a little soft and floor tiles not quite straight."
        ),
        **making,
        **vars(evaluation),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")

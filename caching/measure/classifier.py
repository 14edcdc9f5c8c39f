"""The shipped convolutional classifier: names a scene's class, gives features to compare sets."""

import json
from itertools import pairwise
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from caching.errors import ModelError

FEATURES = 128


class SceneClassifier(nn.Module):
    """Pictures uint8 (N, 3, H, W) -> class logits (N, classes); `features` gives (N, 128)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        widths = (3, 32, 64, 128, FEATURES)
        layers: list[nn.Module] = []
        for low, high in pairwise(widths):
            layers += [
                nn.Conv2d(low, high, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(high),
                nn.ReLU(),
            ]
        layers += [
            nn.Conv2d(FEATURES, FEATURES, 3, padding=1, bias=False),
            nn.BatchNorm2d(FEATURES),
            nn.ReLU(),
        ]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(FEATURES, classes)

    def features(self, images: Tensor) -> Tensor:
        """Mean-pooled activations before the head, (N, 128)."""
        x = images.float() / 127.5 - 1
        pooled: Tensor = self.body(x).mean((2, 3))
        return pooled

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {k: v.contiguous() for k, v in self.state_dict().items()},
            folder / "model.safetensors",
        )
        text = json.dumps({"classes": self.head.out_features})
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "SceneClassifier":
        """Raises ModelError when `folder` holds no classifier."""
        try:
            classes = int(
                json.loads((folder / "config.json").read_text(encoding="utf-8"))["classes"]
            )
            model = cls(classes)
            model.load_state_dict(load_file(folder / "model.safetensors"))
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(
                f"no classifier could be read from {folder} ({error}), expected config.json and "
                "model.safetensors; make them with `python -m presets.train`."
            ) from error
        return model.eval()

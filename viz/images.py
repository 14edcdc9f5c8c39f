"""Pictures as text: uint8 arrays become PNG or WebP data URIs and sprite sheets of limited size.

A trajectory travels as one sheet: frames left to right, then top to bottom. Sheets are lossless as
long as they fit, because the page subtracts frames; a lossy one says so in `Sheet.lossless`.
"""

from __future__ import annotations

import base64
import io
import math
import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

Form = Literal["png", "webp"]

MAX_SIDE_PX = 4096  # what every phone's canvas still decodes
MAX_SHEET_BYTES = 1_500_000  # three sheets on one page stay below 5 MB
LOSSY_QUALITIES = (92, 80, 65)
_URI = re.compile(r"data:image/(?:png|webp|jpeg);base64,[A-Za-z0-9+/]+={0,2}")


@dataclass(frozen=True)
class Sheet:
    """A trajectory of S square frames in one picture."""

    src: str  # data URI
    frames: int  # S
    columns: int
    size_px: int  # width and height of one frame
    lossless: bool

    def __post_init__(self) -> None:
        require_uri(self.src, "src")
        if self.frames < 1 or not 1 <= self.columns <= self.frames or self.size_px < 1:
            raise ValueError(
                f"sheet of {self.frames} frames in {self.columns} columns, {self.size_px} px: "
                "expected at least 1 frame, 1 to `frames` columns and 1 px"
            )


def is_uri(text: object) -> bool:
    """True for a base64 data URI of a PNG, WebP or JPEG picture."""
    return isinstance(text, str) and _URI.fullmatch(text) is not None


def require_uri(text: object, name: str) -> None:
    """Raise ValueError unless `text` is a picture as a data URI: the page fetches nothing."""
    if not is_uri(text):
        raise ValueError(
            f"{name} = {str(text)[:40]!r}: expected data:image/png|webp|jpeg;base64,…; "
            "make one with picture_uri() or bytes_uri()"
        )


def bytes_uri(data: bytes, form: Literal["png", "webp", "jpeg"]) -> str:
    """A picture file's bytes as a data URI."""
    return f"data:image/{form};base64,{base64.b64encode(data).decode('ascii')}"


def picture_uri(image: np.ndarray, *, form: Form = "png") -> str:
    """One picture, uint8 (H, W, 3), as a lossless data URI.

    PNG for what people save (every program reads it), WebP for previews (a third smaller).
    """
    _check(image, "image", "(H, W, 3)", ndim=3)
    return bytes_uri(_encode(image, form, quality=None), form)


def sprite_sheet(frames: np.ndarray, *, max_bytes: int = MAX_SHEET_BYTES) -> Sheet:
    """Frames uint8 (S, H, H, 3) as one WebP sheet, lossless if that takes at most `max_bytes`.

    Raises ValueError when the frames are not square, or fit neither side nor byte limit.
    """
    _check(frames, "frames", "(S, H, H, 3)", ndim=4)
    count, size = frames.shape[0], frames.shape[1]
    if frames.shape[2] != size:
        raise ValueError(f"frames of {size} x {frames.shape[2]} px: expected square ones; crop")
    columns = math.ceil(math.sqrt(count))
    if columns * size > MAX_SIDE_PX:
        raise ValueError(
            f"{count} frames of {size} px need a sheet {columns * size} px wide; expected at most "
            f"{MAX_SIDE_PX}: send smaller frames or every n-th one"
        )
    sheet = arrange(frames, columns)
    data, lossless = _encode(sheet, "webp", quality=None), True
    for quality in LOSSY_QUALITIES:
        if len(data) <= max_bytes:
            break
        data, lossless = _encode(sheet, "webp", quality=quality), False
    if len(data) > max_bytes:
        raise ValueError(
            f"sheet of {count} frames takes {len(data)} bytes at quality {LOSSY_QUALITIES[-1]}; "
            f"expected at most {max_bytes}: send smaller frames or every n-th one"
        )
    return Sheet(bytes_uri(data, "webp"), count, columns, size, lossless)


def arrange(frames: np.ndarray, columns: int) -> np.ndarray:
    """Frames (S, H, W, 3) side by side, `columns` in a row: (rows * H, columns * W, 3)."""
    count, height, width, _ = frames.shape
    rows = -(-count // columns)
    padded = np.zeros((rows * columns, height, width, 3), np.uint8)
    padded[:count] = frames
    grid = padded.reshape(rows, columns, height, width, 3)
    return grid.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, 3)


def decode_uri(uri: str) -> np.ndarray:
    """The picture in a data URI: uint8 (H, W, 3)."""
    require_uri(uri, "uri")
    data = base64.b64decode(uri.partition(",")[2])
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def _encode(image: np.ndarray, form: Form, quality: int | None) -> bytes:
    """`image` uint8 (H, W, 3) as file bytes; lossless where `quality` is None."""
    out = io.BytesIO()
    options: dict[str, Any] = {}
    if form == "webp":
        # 20 frames of 128 px: 45 ms and 128 kB; slower ones save a tenth in twice the time.
        options = {"method": 1, "lossless": quality is None, "quality": quality or 20}
    Image.fromarray(np.ascontiguousarray(image)).save(out, form.upper(), **options)
    return out.getvalue()


def _check(images: np.ndarray, name: str, shape: str, *, ndim: int) -> None:
    if (
        not isinstance(images, np.ndarray)
        or images.dtype != np.uint8
        or images.ndim != ndim
        or images.shape[-1] != 3
        or 0 in images.shape
    ):
        given = f"{getattr(images, 'dtype', type(images).__name__)} {getattr(images, 'shape', '')}"
        raise ValueError(
            f"{name} is {given}: expected uint8 {shape}; "
            "scale 0..1 floats with (x * 255).round().astype(np.uint8)"
        )

"""Pictures as data URIs and sheets: lossless where promised, refused where too large."""

import numpy as np
import pytest

from viz.images import Sheet, arrange, bytes_uri, decode_uri, is_uri, picture_uri, sprite_sheet


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("form", ["png", "webp"])
def test_a_picture_survives_its_uri(form):
    image = noise(9, 14, 3)
    uri = picture_uri(image, form=form)
    assert uri.startswith(f"data:image/{form};base64,")
    assert np.array_equal(decode_uri(uri), image)


@pytest.mark.parametrize(
    ("count", "columns", "shape"), [(1, 1, (8, 8)), (5, 3, (16, 24)), (20, 5, (32, 40))]
)
def test_a_sheet_holds_every_frame_in_reading_order(count, columns, shape):
    frames = noise(count, 8, 8, 3)
    sheet = sprite_sheet(frames)
    assert (sheet.frames, sheet.columns, sheet.size_px, sheet.lossless) == (count, columns, 8, True)
    picture = decode_uri(sheet.src)
    assert picture.shape == (*shape, 3)
    for k, frame in enumerate(frames):
        y, x = k // columns * 8, k % columns * 8
        assert np.array_equal(picture[y : y + 8, x : x + 8], frame)


def test_empty_places_are_black():
    assert arrange(noise(3, 4, 4, 3), 2)[4:, 4:].sum() == 0


def test_a_sheet_over_its_limit_becomes_lossy_and_says_so():
    frames = noise(4, 64, 64, 3)
    exact = len(sprite_sheet(frames).src)
    sheet = sprite_sheet(frames, max_bytes=exact // 2)
    assert not sheet.lossless
    assert len(sheet.src) < exact
    assert decode_uri(sheet.src).shape == (128, 128, 3)


def test_a_sheet_that_cannot_fit_is_refused():
    with pytest.raises(ValueError, match=r"at quality 65; expected at most 100"):
        sprite_sheet(noise(4, 64, 64, 3), max_bytes=100)
    with pytest.raises(ValueError, match=r"4100 px wide; expected at most 4096"):
        sprite_sheet(np.zeros((1, 4100, 4100, 3), np.uint8))


@pytest.mark.parametrize(
    ("image", "match"),
    [
        (np.zeros((4, 4, 3)), r"float64 \(4, 4, 3\).*expected uint8 \(H, W, 3\)"),
        (np.zeros((4, 4), np.uint8), r"uint8 \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), r"uint8 \(4, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), r"uint8 \(0, 4, 3\)"),
        ("picture.png", r"image is str"),
    ],
)
def test_what_is_no_picture_is_refused(image, match):
    with pytest.raises(ValueError, match=match):
        picture_uri(image)


def test_oblong_frames_are_refused():
    with pytest.raises(ValueError, match="8 x 4 px: expected square"):
        sprite_sheet(noise(2, 8, 4, 3))


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (bytes_uri(b"abc", "jpeg"), True),
        ("https://example.org/a.png", False),
        ("data:text/html;base64,YWJj", False),
        ("data:image/svg+xml;base64,YWJj", False),
        ('data:image/png;base64,YWJj" onerror=x', False),
        (None, False),
    ],
)
def test_only_embedded_pictures_are_uris(text, fits):
    assert is_uri(text) is fits


@pytest.mark.parametrize(
    ("frames", "columns", "size"), [(0, 1, 8), (2, 3, 8), (2, 0, 8), (2, 1, 0)]
)
def test_a_sheet_checks_its_numbers(frames, columns, size):
    with pytest.raises(ValueError, match="expected at least 1 frame"):
        Sheet(bytes_uri(b"abc", "webp"), frames, columns, size, True)

"""Where a command writes: what cannot be written is said before the work, and nothing is left."""

import pytest

from tests.caching.shell import cli

PLACES = {
    # What stands for {} and why nothing can be written there; "file" is one and "folder" a folder.
    "file/x": "file is a file and no folder",
    "file/deep/x": "file is a file and no folder",
    "/proc/nothing/x": "No such file",
    "y" * 300: "File name too long",
}
ASIS = {"folder": "it is a folder", "": "it is a folder", **PLACES}
BEGINNINGS = {"": "expected how the names", "a/..": "expected how the names", **PLACES}
WRITING = [
    (("run", "-o", "{}"), BEGINNINGS),
    (("compare", "-o", "{}"), BEGINNINGS),
    (("compare", "--csv", "{}"), ASIS),
    (("trace", "-o", "{}"), ASIS),
    (("improve", "mine.json", "-o", "{}"), ASIS),
    (("improve", "mine.json", "--storage", "{}"), ASIS),
    (("learn", "l2c", "-o", "{}"), PLACES | {"file": "file is a file and no folder"}),
    (("evaluate", "-o", "{}"), ASIS),
    (("evaluate", "--report", "{}"), ASIS),
    (("evaluate", "--reference", "folder", "--keep", "{}"), ASIS),
    (("study", "-o", "{}"), ASIS),
    (("study", "--work", "{}"), PLACES | {"file": "file is a file and no folder"}),
]


@pytest.mark.parametrize(
    ("argv", "place", "why"),
    [(argv, place, why) for argv, places in WRITING for place, why in places.items()],
)
def test_a_place_is_looked_at_before_the_work(argv, place, why, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    # A model that is not there: whoever speaks of the place has looked at it first.
    code, out, err = cli(*(word.replace("{}", place) for word in argv), "--model", "/nowhere")
    assert (code, out) == (2, "") and len(err.splitlines()) == 1, err
    option = {"-o": "--out"}.get(argv[-2], argv[-2])
    assert err.startswith(f"error: {option} ") and why in err
    assert sorted(tmp_path.iterdir()) == [tmp_path / "file", tmp_path / "folder"]


@pytest.mark.parametrize("argv", [argv for argv, _ in WRITING], ids=" ".join)
def test_a_place_that_can_be_written_is_left_as_it_is(argv, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "old").write_text("kept")
    for place in ("new/deep/x", "old", "folder/x"):
        if place == "old" and argv[0] in ("learn", "study"):  # which take a folder
            continue
        _, _, err = cli(*(word.replace("{}", place) for word in argv), "--model", "/nowhere")
        assert "'/nowhere'" in err
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "folder", tmp_path / "old"]
    assert (tmp_path / "old").read_text() == "kept"

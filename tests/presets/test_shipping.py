"""Files for one step count: asked for, named and written alike by whatever makes one."""

from types import SimpleNamespace

import pytest

from caching.predict.kept import For
from presets import shipping

MODEL = SimpleNamespace(name="scenes-dit", weights_hash="0123456789abcdef")


def test_what_every_maker_is_asked(tmp_path):
    parser = shipping.parser_of("fronts", "About.", out=tmp_path)
    parser.add_argument("--runs", type=int, default=16)
    asked = parser.parse_args(["--steps", "50"])
    assert (asked.steps, asked.threads, asked.out, asked.runs) == (50, 2, tmp_path, 16)
    assert asked.work.parts == ("build", "fronts")
    assert parser.prog == "python -m presets.fronts"


def test_a_folder_that_cannot_be_is_said_before_the_model_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(shipping, "load_model", lambda: pytest.fail("loaded"))
    (tmp_path / "file").write_text("")
    asked = SimpleNamespace(work=tmp_path / "work", out=tmp_path / "file" / "x", threads=1)
    with pytest.raises(NotADirectoryError):
        shipping.begin(asked)


def test_the_file_is_named_after_model_and_steps(tmp_path, capsys):
    asked = SimpleNamespace(out=tmp_path, steps=50)
    shipping.ship(MODEL, asked, b"x" * 3000)
    assert (tmp_path / "scenes-dit-50.npz").read_bytes() == b"x" * 3000
    assert capsys.readouterr().err == f"wrote {tmp_path / 'scenes-dit-50.npz'}, 3 KiB\n"
    assert shipping.setting_for(MODEL, 50) == For("0123456789abcdef", 50, 2.0, "ddim")

"""load_model: the shipped model, folders of the DiT-XL kind, hub ids, and strangers' files."""

import json
import os
import pickletools
import shutil
import warnings
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DiTTransformer2DModel
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

from caching import Model, ModelError, RequestError, Schedule, load_model, sample
from caching.models.loading import MAX_CONFIG_BYTES, SHIPPED, SHIPPED_FOLDER
from tests.caching import tiny
from tests.caching.spy import remarks

WEIGHTS = "diffusion_pytorch_model"


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """The one way to the network ends the test; a test that wants it puts its own in its place."""

    def refuse(*args, **kwargs):
        raise AssertionError(f"the hub was asked for {args}")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A DiT-XL kind of folder with safetensors, and the modules it was made of."""
    folder = tmp_path_factory.mktemp("dit-xl")
    return folder, *tiny.save_pipeline(folder)


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of that folder which a test may spoil."""
    return Path(shutil.copytree(saved[0], tmp_path / "model"))


def edit(path, **changes):
    """Changes keys of a JSON file; None removes one."""
    value = json.loads(path.read_text(encoding="utf-8")) | changes
    kept = {k: v for k, v in value.items() if v is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")


# -- what loads ----------------------------------------------------------------------------


def test_the_shipped_model_loads_by_name_and_by_folder():
    model, same = load_model(), load_model(SHIPPED_FOLDER)
    assert model.name == SHIPPED
    assert same.config_hash == model.config_hash
    assert model.blocks >= 12
    assert len(model.class_names) >= 10
    assert len(set(model.class_names)) == len(model.class_names)
    assert model.dtype == torch.float32
    run = sample(model, Schedule.every(4, model.blocks, 2), label=model.class_names[-1], steps=4)
    assert run.image.shape == (128, 128, 3)
    assert run.request.labels == (len(model.class_names) - 1,)


def test_loading_says_nothing(folder):
    edit(folder / "transformer" / "config.json", of_an_older_version=7)
    with remarks() as said:
        load_model(folder)
        load_model()
    assert said == []
    with remarks() as said:  # diffusers alone does remark on it
        DiTTransformer2DModel.from_pretrained(folder / "transformer", local_files_only=True)
    assert "of_an_older_version" in said[0]


@pytest.mark.parametrize("kind", ["DiTTransformer2DModel", "Transformer2DModel"])
def test_a_folder_of_the_dit_xl_kind_loads(saved, folder, kind):
    _, transformer, vae = saved
    edit(folder / "transformer" / "config.json", _class_name=kind)
    model = load_model(str(folder))
    memory = Model.from_modules(transformer, vae, scheduler=tiny.EPSILON)
    assert model.config_hash == memory.config_hash
    assert model.family.learned_sigma
    assert len(model.class_names) == 1000
    run = sample(model, label="thing 207", steps=3, seed=1)
    assert run.request.labels == (207,)
    assert np.array_equal(run.image, sample(memory, label=207, steps=3, seed=1).image)
    with pytest.raises(RequestError, match="one of: thing 99, thing 990,"):
        model.label_of("thing 99x"[:-1].upper())


def test_weights_in_bin_files_are_read(saved, tmp_path):
    transformer, vae = tiny.save_pipeline(tmp_path, safe=False)
    assert not list(tmp_path.rglob("*.safetensors"))
    assert len(list(tmp_path.rglob("*.bin"))) == 2
    memory = Model.from_modules(transformer, vae, scheduler=tiny.EPSILON)
    image = sample(load_model(tmp_path), label=3, steps=2).image
    assert np.array_equal(image, sample(memory, label=3, steps=2).image)


def test_dtype_is_asked_for(folder):
    model = load_model(folder, dtype=torch.bfloat16)
    assert model.dtype == model.vae.dtype == torch.bfloat16
    assert sample(model, label=1, steps=2).image.shape == (16, 16, 3)


@pytest.mark.parametrize("given", ["bfloat16", torch.bfloat16], ids=str)
def test_a_dtype_may_be_named(folder, given):
    assert load_model(folder, dtype=given).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"dtype": "bf16"}, "dtype 'bf16' was given, expected torch.float32 or one of: float32, "),
        ({"dtype": torch.int8}, "dtype torch.int8 was given"),
        ({"dtype": None}, "dtype None was given"),
        ({"device": "gpu"}, "device 'gpu' is not known, expected cpu or cuda"),
        ({"device": "cuda:0"}, "'cuda:0' was asked for and torch sees no NVIDIA GPU here"),
        ({"device": []}, r"device \[\] is not known"),
    ],
    ids=str,
)
def test_another_place_or_precision_is_refused(folder, asked, words, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ModelError, match=words):
        load_model(folder, **asked)


@pytest.mark.parametrize("name", [None, 7, b"scenes-dit"], ids=str)
def test_what_is_no_name_is_refused(name):
    with pytest.raises(ModelError, match="was given, expected 'scenes-dit', the path"):
        load_model(name)


@pytest.mark.parametrize("part", ["transformer", "vae"])
def test_weights_that_are_not_finite_are_refused(folder, part):
    path = folder / part / f"{WEIGHTS}.safetensors"
    tensors = load_file(path)
    name = sorted(tensors)[-1]
    tensors[name].view(-1)[-1] = float("nan")
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(ModelError, match=f"{part}: the weights .* hold NaN or infinity"):
        load_model(folder)


def test_without_names_classes_are_numbered(folder):
    edit(folder / "model_index.json", id2label=None)
    assert load_model(folder).class_names[999] == "class 999"


# -- hub ids -------------------------------------------------------------------------------


@pytest.mark.parametrize("safe", [True, False])
def test_a_hub_id_is_fetched_and_loaded(safe, tmp_path, monkeypatch):
    """Only what is asked for arrives, as from the hub; weights come in one form."""
    hub, cache = tmp_path / "hub", tmp_path / "cache"
    tiny.save_pipeline(hub, safe=safe)
    for part in ("transformer", "vae"):
        (hub / part / "flax_model.msgpack").write_bytes(b"not wanted")
    if safe:  # the hub's DiT-XL has both forms
        (hub / "transformer" / f"{WEIGHTS}.bin").write_bytes(b"not wanted")
    names = []

    def download(name, *, allow_patterns):
        names.append(name)
        for path in (p for p in hub.rglob("*") if p.is_file()):
            inside = str(path.relative_to(hub))
            if any(fnmatch(inside, pattern) for pattern in allow_patterns):
                (cache / inside).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, cache / inside)
        return str(cache)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    model = load_model("facebook/DiT-XL-2-256")
    assert model.name == "facebook/DiT-XL-2-256"
    assert model.class_names[1] == "thing 1"
    assert set(names) == {"facebook/DiT-XL-2-256"}
    ends = {p.suffix for p in cache.rglob("*") if p.is_file()}
    assert ends == {".json", ".safetensors" if safe else ".bin"}


@pytest.mark.parametrize(
    "error",
    [
        LocalEntryNotFoundError("no connection"),
        HFValidationError("not an id"),
        OSError("disk full"),
    ],
)
def test_a_hub_that_does_not_answer_is_a_model_error(error, monkeypatch):
    def fail(*args, **options):
        raise error

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(ModelError, match=r"'some/model' could not be fetched.*Check the id"):
        load_model("some/model")


@pytest.mark.parametrize(
    "name",
    [
        *("nothing", "./some/model", "../model", "/no/such/folder", "a/b/c", "~/model", "x" * 5000),
        *("x\0/y", "x\n/y", "x y/z", "a/.b", "a//b", ".", "", __file__),
    ],
    ids=lambda n: repr(n[-20:]),
)
def test_what_is_neither_a_folder_nor_an_id_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="expected"):
        load_model(name)


# -- strangers' folders --------------------------------------------------------------------

TRANSFORMER = "transformer/config.json"
VAE = "vae/config.json"
NOISE = "scheduler/scheduler_config.json"
INDEX = "model_index.json"


@pytest.mark.parametrize("name", [INDEX, TRANSFORMER, VAE, NOISE])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is missing, expected"),
        ("{", "cannot be read as JSON"),
        ("", "cannot be read as JSON"),
        (b"\xff\xfe{}", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ('{"a": ' + "9" * 5000 + "}", "cannot be read as JSON"),
        ("[1]", "holds a list, expected an object"),
        ("3", "holds a int, expected an object"),
        (" " * (MAX_CONFIG_BYTES + 1), "is larger than"),
    ],
    ids=["missing", "cut off", "empty", "not text", "deep", "digits", "list", "number", "large"],
)
def test_spoilt_configs_are_refused(folder, name, content, words):
    path = folder / name
    path.unlink()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ModelError, match=words) as caught:
        load_model(folder)
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        (TRANSFORMER, {"_class_name": "UNet2DConditionModel"}, "expected a DiT"),
        (TRANSFORMER, {"_class_name": None}, "holds a None"),
        (TRANSFORMER, {"_class_name": ["DiTTransformer2DModel"]}, "expected a DiT"),
        (TRANSFORMER, {"norm_type": "ada_norm_single"}, "norm_type 'ada_norm_single'"),
        (TRANSFORMER, {"norm_type": None}, "norm_type None"),
        (TRANSFORMER, {"num_layers": 3}, r"(lacks \d+ weights|could not be loaded)"),
        (TRANSFORMER, {"attention_head_dim": 16}, "could not be loaded as DiTTransformer2DModel"),
        (TRANSFORMER, {"num_layers": "many"}, "could not be loaded"),
        (TRANSFORMER, {"patch_size": 0}, "could not be loaded"),
        (TRANSFORMER, {"activation_fn": "none"}, "could not be loaded"),
        (VAE, {"_class_name": "AutoencoderDC"}, "AutoencoderKL, AutoencoderTiny"),
        (VAE, {"_class_name": None}, "holds a None"),
        (VAE, {"latent_channels": 5}, "could not be loaded as AutoencoderKL"),
        (NOISE, {"prediction_type": "score"}, "'score'.*epsilon, v_prediction, sample"),
        (NOISE, {"prediction_type": {}}, "one of: epsilon"),
        (NOISE, {"num_train_timesteps": 10**12}, "expected 1 to 100000"),
        (NOISE, {"num_train_timesteps": "1000"}, "'1000' timesteps"),
        (NOISE, {"beta_schedule": "made up"}, "describes no noise schedule"),
        (NOISE, {"beta_end": float("nan")}, "not finite"),
        (INDEX, {"id2label": {"a": "cat"}}, "a key that is no number"),
        (INDEX, {"id2label": {"0": "cat", "2": "dog"}}, "does not number its classes"),
        (INDEX, {"id2label": tiny.imagenet(1001)}, "1001 class names were given"),
    ],
    ids=lambda v: str(v)[:30],
)
def test_configs_of_something_else_are_refused(folder, name, changes, words):
    edit(folder / name, **changes)
    with pytest.raises(ModelError, match=words):
        load_model(folder)


@pytest.mark.parametrize("part", ["transformer", "vae"])
def test_missing_weights_are_refused(folder, part):
    (folder / part / f"{WEIGHTS}.safetensors").unlink()
    with pytest.raises(ModelError, match=f"{part}.*could not be loaded"):
        load_model(folder)


@pytest.mark.parametrize(
    ("part", "key"),
    [("transformer", "transformer_blocks.1.ff.net.2.weight"), ("vae", "decoder.conv_in.bias")],
)
def test_a_single_missing_weight_is_refused(folder, part, key):
    path = folder / part / f"{WEIGHTS}.safetensors"
    weights = load_file(path)
    del weights[key]
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(ModelError, match=rf"lacks 1 weights.*'{key}'"):
        load_model(folder)


@pytest.mark.parametrize("content", [b"", b"junk", b"version https://git-lfs.github.com/spec/v1"])
def test_spoilt_weights_are_refused(folder, content):
    (folder / "transformer" / f"{WEIGHTS}.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match="could not be loaded as DiTTransformer2DModel"):
        load_model(folder)


# -- weights that are programs -------------------------------------------------------------


class Evil:
    """When unpickled without care, makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("part", ["transformer", "vae"])
def test_a_malicious_bin_is_refused_and_never_executed(folder, tmp_path, part):
    mark = tmp_path / "executed"
    (folder / part / f"{WEIGHTS}.safetensors").unlink()
    bad = folder / part / f"{WEIGHTS}.bin"
    torch.save({"weight": torch.zeros(2), "trap": Evil(mark)}, bad)
    with pytest.raises(ModelError, match=r"could not be loaded.*hold tensors only"):
        load_model(folder)
    assert not mark.exists()
    # The trap is one: a reader that follows pickle's orders would call mkdir.
    with zipfile.ZipFile(bad) as archive:
        (orders,) = [n for n in archive.namelist() if n.endswith("data.pkl")]
        found = list(pickletools.genops(archive.read(orders)))
    assert any("mkdir" in str(argument) for _, argument, _ in found)
    assert any(order.name == "REDUCE" for order, _, _ in found)


def test_a_bin_beside_safetensors_is_not_even_read(folder, tmp_path):
    mark = tmp_path / "executed"
    torch.save({"trap": Evil(mark)}, folder / "transformer" / f"{WEIGHTS}.bin")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_model(folder).blocks == 2
    assert not mark.exists()

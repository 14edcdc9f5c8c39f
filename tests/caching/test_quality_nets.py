"""The nets that judge, the data they judge against, and the doors that say what is missing."""

import json
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from caching.errors import ModelError, RequestError
from caching.measure.classifier import FEATURES, SceneClassifier
from caching.quality import inception, perceptual
from caching.quality import reference as data
from caching.quality.features import ClassifierNet
from caching.quality.inception import InceptionNet
from caching.quality.perceptual import Lpips
from tests.caching.judging import Colours, reference


def pictures(count=5, size=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def test_the_classifier_gives_its_features_and_classes_for_any_batch():
    torch.manual_seed(0)
    classifier = SceneClassifier(4).eval()
    net, images = ClassifierNet.of(classifier), pictures(70)
    seen = net.see(images)
    given = torch.from_numpy(images).permute(0, 3, 1, 2)
    with torch.no_grad():
        features, logits = classifier.features(given).numpy(), classifier(given)
    np.testing.assert_allclose(seen.features, features, rtol=1e-4, atol=1e-6)
    assert seen.classes.tolist() == logits.argmax(1).tolist()
    assert seen.features.shape == (70, FEATURES) == (70, net.width)
    again = ClassifierNet.of(SceneClassifier(4))
    assert len(net.key) == 16 and again.key != net.key


# -- InceptionV3 ---------------------------------------------------------------------------


class Small(torch.nn.Module):
    """As torch-fidelity's net is called and answers, with ten weights."""

    def __init__(self, *args, **kwargs):
        super().__init__()
        self.asked = args, kwargs
        conv = torch.nn.Conv2d(3, 9, 2, stride=2)
        self.Mixed_6d = SimpleNamespace(branch1x1=conv)
        self.conv = conv

    def forward(self, images):
        assert images.dtype == torch.uint8
        out = self.conv(images.float() / 255)
        return out.mean((2, 3)), out.amax((2, 3))


@pytest.fixture
def installed(monkeypatch):
    """torch-fidelity as if it were installed, with a small net in it."""
    module = ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = Small
    monkeypatch.setitem(sys.modules, "torch_fidelity", ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(inception, "find_spec", lambda name: object())


def test_without_the_package_or_the_weights_the_door_says_what_to_get(monkeypatch, tmp_path):
    monkeypatch.setattr(inception, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="torch-fidelity is not installed: pip install"):
        InceptionNet.load()
    monkeypatch.setattr(inception, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    for given in (None, tmp_path / "mine.pth"):
        with pytest.raises(ModelError, match=r"weights are not at .*nothing is downloaded"):
            InceptionNet.load(given)


def test_inception_gives_features_places_and_logits(installed, tmp_path):
    weights = tmp_path / "w.pth"
    weights.write_bytes(b"weights")
    net = InceptionNet.load(weights)
    assert net.net.asked[1] == {"feature_extractor_weights_path": str(weights)}
    images = pictures(37, 8)
    seen = net.see(images)
    with torch.no_grad():
        out = net.net.conv(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)
    np.testing.assert_allclose(seen.features, out.mean((2, 3)).numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(seen.spatial, out[:, :7].flatten(1).numpy(), rtol=1e-5, atol=1e-6)
    assert seen.logits.shape == (37, 9) and seen.classes is None
    assert not net.spatial._forward_hooks  # nothing is left behind


def test_weights_that_are_something_else_are_refused(installed, monkeypatch, tmp_path):
    def broken(*args, **kwargs):
        raise RuntimeError("size mismatch")

    module = sys.modules["torch_fidelity.feature_extractor_inceptionv3"]
    monkeypatch.setattr(module, "FeatureExtractorInceptionV3", broken)
    (tmp_path / "w.pth").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"cannot be read as InceptionV3's weights.*size mismatch"):
        InceptionNet.load(tmp_path / "w.pth")


# -- LPIPS ---------------------------------------------------------------------------------


def test_lpips_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(perceptual, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="torchvision is not installed"):
        Lpips.load()
    monkeypatch.setattr(perceptual, "find_spec", lambda name: object())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(ModelError, match=r"alexnet-.*nothing is downloaded"):
        Lpips.load()


def test_lpips_is_taken_picture_by_picture_in_minus_one_to_one():
    def net(a, b):
        assert a.min() >= -1 and a.max() <= 1 and a.shape[1] == 3
        return (a - b).abs().amax((1, 2, 3))[:, None, None, None]

    a, b = np.zeros((20, 4, 4, 3), np.uint8), np.zeros((20, 4, 4, 3), np.uint8)
    b[3] = 255
    assert Lpips(net)(a, b).tolist() == [2.0 if i == 3 else 0.0 for i in range(20)]


# -- the data ------------------------------------------------------------------------------


def save(folder, count=20, size=(24, 16)):
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(pictures(count, 24)):
        Image.fromarray(image).resize(size).save(folder / f"{i:03}.png")


def test_a_reference_is_the_mean_and_covariance_of_all_batches(tmp_path):
    save(tmp_path / "a")
    save(tmp_path / "b" / "deep", count=3)
    (tmp_path / "notes.txt").write_text("no picture")
    paths = data.pictures_in(tmp_path)
    assert len(paths) == 23
    told = []
    found = data.reference_of(
        data.batches_of(paths, size=8, batch=5), Colours(), source="x", tell=told.append
    )
    assert told == [5, 10, 15, 20, 23]
    images = np.concatenate(list(data.batches_of(paths, size=8)))
    assert images.shape == (23, 8, 8, 3)
    x = Colours().see(images).features.astype(np.float64)
    np.testing.assert_allclose(found.mean, x.mean(0))
    np.testing.assert_allclose(found.cov, np.cov(x.T), atol=1e-12)
    np.testing.assert_allclose(found.features, x, rtol=1e-3)
    assert found.count == 23 and found.spatial_mean is None


def test_pictures_are_cut_to_their_middle(tmp_path):
    image = np.zeros((4, 8, 3), np.uint8)
    image[:, 2:6] = 200
    for i in range(16):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    first = next(data.batches_of(data.pictures_in(tmp_path), size=4))[0]
    assert (first == 200).all()


def test_folders_that_are_no_reference_are_refused(tmp_path):
    with pytest.raises(RequestError, match="holds 0 pictures"):
        data.pictures_in(tmp_path)
    save(tmp_path, count=15)
    (tmp_path / "zz.png").write_bytes(b"no picture at all")
    with pytest.raises(RequestError, match=r"zz.png cannot be read as a picture"):
        list(data.batches_of(data.pictures_in(tmp_path), size=8))
    with pytest.raises(RequestError, match="4 pictures were given as a reference"):
        data.reference_of([pictures(4)], Colours(), source="x")


def test_a_reference_comes_back_from_its_file(tmp_path):
    spread = np.diag([1.0, 2])
    mine = reference(spatial_mean=np.zeros(2), spatial_cov=spread, command="c", date="d")
    path = tmp_path / "sub" / "r.npz"
    data.save_reference(mine, path)
    again = data.load_reference(path)
    for name in ("mean", "cov", "features", "spatial_mean", "spatial_cov"):
        np.testing.assert_array_equal(getattr(again, name), getattr(mine, name))
    assert (again.net, again.count, again.source) == (mine.net, 40, mine.source)
    assert (again.alike, again.reach.shape) == (mine.alike, (40,))
    again.check(Colours())
    with pytest.raises(RequestError, match=r"seen by another net.*make it again"):
        again.check(Colours(key="other"))


def about(**changes):
    text = {"cachebrush_reference": 1, "count": 40, "net": "c", "source": "s", "command": "",
            "date": ""}  # fmt: skip
    return np.frombuffer(json.dumps({**text, **changes}).encode(), np.uint8)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"about": np.zeros(3)}, "no text"),
        ({"about": about(cachebrush_reference=2)}, "no file of kind"),
        ({"about": about(count=True)}, "count is True"),
        ({"about": about(count=3)}, "count is 3"),
        ({"about": about(source=["x"])}, "source is no text"),
        ({"mean": np.zeros(3)}, "cov does not fit"),
        ({"mean": np.zeros((2, 2))}, "no float64 array"),
        ({"mean": np.full(4, np.inf)}, "not finite"),
        ({"cov": -np.ones(10)}, "negative variance"),
        ({"features": np.zeros((40, 4))}, "do not fit"),
        ({"features": np.zeros((40, 3), np.float16)}, "do not fit"),
        ({"features": np.zeros((41, 4), np.float16)}, "too few, too many"),
        ({"features": np.full((40, 4), np.nan, np.float16)}, "not finite"),
        ({"features": np.array([None, 1])}, "allow_pickle|Object arrays"),
        ({"mean": None}, "mean"),
    ],
)
def test_hostile_references_are_refused(tmp_path, changes, words):
    path = tmp_path / "r.npz"
    data.save_reference(reference(), path)
    with np.load(path) as file:
        arrays = {**{n: file[n] for n in file.files}, **changes}
    np.savez(path, **{n: v for n, v in arrays.items() if v is not None})
    with pytest.raises(RequestError, match=f"cannot be read as a reference.*({words})"):
        data.load_reference(path)


def test_a_reference_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    data.save_reference(reference(), tmp_path / "r.npz")
    monkeypatch.setattr(data, "MAX_BYTES", 100)
    with pytest.raises(RequestError, match="more than 100"):
        data.load_reference(tmp_path / "r.npz")
    with pytest.raises(RequestError, match="cannot be read"):
        data.load_reference(tmp_path / "missing.npz")

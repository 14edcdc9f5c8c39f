"""Every training learns, resumes at the step it stopped at, and exports what diffusers reads."""

import json

import pytest
import torch
from diffusers import DiTPipeline

from caching import load_model, sample
from caching.errors import ModelError
from caching.measure.classifier import FEATURES, SceneClassifier
from presets.scenes import CLASS_NAMES, draw_scenes, render
from presets.train import autoencoder, classifier, common, data, dit, evaluate, export
from tests.caching import tiny
from tests.caching.spy import remarks

SETTINGS = {"seed": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def pictures():
    labels = torch.arange(len(CLASS_NAMES)).repeat(4)
    return render(draw_scenes(labels, torch.Generator().manual_seed(0)), 32), labels


@pytest.fixture
def reports(monkeypatch):
    """What the trainings report, instead of a line now and then."""
    seen = []

    class Recorder:
        def __init__(self, name, start, total):
            seen.append((name, start, total, []))

        def __call__(self, step, **values):
            seen[-1][-1].append((step, *values.values()))

    for module in (autoencoder, classifier, dit):
        monkeypatch.setattr(module, "Progress", Recorder)
    return seen


@pytest.fixture(params=["autoencoder", "classifier", "dit"])
def trained(request, monkeypatch, pictures, tmp_path):
    """(name, train to so many steps, whether the report should rise), all settings small."""
    images, labels = pictures
    if request.param == "autoencoder":
        monkeypatch.setattr(autoencoder, "WIDTH", 8)
        monkeypatch.setattr(autoencoder, "BATCH", 6)
        monkeypatch.setattr(autoencoder, "RATE", 0.05)
        return (
            request.param,
            lambda n: autoencoder.train(images, tmp_path, steps=n, **SETTINGS),
            True,
        )
    if request.param == "classifier":
        monkeypatch.setattr(classifier, "BATCH", 24)
        monkeypatch.setattr(classifier, "RATE", 0.05)
        return (
            request.param,
            lambda n: classifier.train(images, labels, tmp_path, steps=n, **SETTINGS),
            False,
        )
    monkeypatch.setattr(dit, "build", tiny_dit)
    monkeypatch.setattr(dit, "BATCH", 16)
    monkeypatch.setattr(dit, "RATE", 0.5)
    latents = torch.ones(48, 8, 8, 8) * labels[:, None, None, None] / 6 - 1
    return (
        request.param,
        lambda n: dit.train(latents, labels, tmp_path, steps=n, **SETTINGS),
        False,
    )


def tiny_dit():
    model = tiny.dit(blocks=2, channels=8, classes=dit.NULL_CLASS)
    model.transformer_blocks[1].norm1.emb = model.transformer_blocks[0].norm1.emb
    return model


def test_it_learns(trained, reports):
    _, train, rises = trained
    train(40)
    ((_, start, total, values),) = reports
    assert (start, total) == (0, 40)
    assert [step for step, _ in values] == list(range(1, 41))
    early, late = (sum(v for _, v in part) / 5 for part in (values[:5], values[-5:]))
    # In decibels for the autoencoder, which untrained gains 0.1 here by chance.
    assert late > early + 1 if rises else late < 0.9 * early


def test_it_goes_on_where_it_stopped(trained, reports, tmp_path):
    name, train, _ = trained
    whole = train(6)
    (tmp_path / f"{name}.pt").unlink()
    train(3)
    resumed = train(6)
    assert [(start, total) for _, start, total, _ in reports] == [(0, 6), (0, 3), (3, 6)]
    assert reports[2][-1][0][0] == 4
    for key, value in whole.state_dict().items():
        assert torch.allclose(resumed.state_dict()[key].float(), value.float(), atol=1e-5), key
    done = train(6)
    assert reports[3][1:] == (6, 6, [])
    for key, value in whole.state_dict().items():
        assert torch.allclose(done.state_dict()[key].float(), value.float(), atol=1e-5), key


def test_the_seed_decides(trained, tmp_path):
    name, train, _ = trained
    first = train(2).state_dict()
    (tmp_path / f"{name}.pt").unlink()
    second = train(2).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_dit_goes_on_from_shipped_weights(monkeypatch, tmp_path):
    monkeypatch.setattr(dit, "build", tiny_dit)
    shipped = dit.untied(tiny_dit())
    for weight in shipped.parameters():
        weight.data.add_(0.25)
    latents, labels = torch.zeros(4, 8, 8, 8), torch.zeros(4, dtype=torch.long)
    found = dit.train(latents, labels, tmp_path, steps=0, initial=shipped, **SETTINGS)
    for key, value in found.state_dict().items():
        assert torch.equal(value, shipped.state_dict()[key]), key


# -- parts ---------------------------------------------------------------------------------


def test_an_interrupted_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "x.pt"
    assert common.load_checkpoint(path) is None
    common.save_whole(path, {"step": 1})

    def interrupted(state, target):
        target.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        common.save_whole(path, {"step": 2})
    assert common.load_checkpoint(path) == {"step": 1}


def test_shards_are_rendered_once_and_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "PER_SHARD", 12)
    monkeypatch.setattr(data, "render", lambda s: render(s, 16))
    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    path = data._shard(tmp_path, 1)
    images, labels = torch.load(path, weights_only=True)
    assert images.shape == (12, 3, 16, 16)
    assert labels.tolist() == list(range(12))
    monkeypatch.setattr(data, "pictures", lambda *a: pytest.fail("rendered again"))
    assert data._shard(tmp_path, 1) == path


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.005), (199, 1.0), (200, 1.0), (600, 0.51), (1000, 0.02)]
)
def test_warm_cosine(step, expected):
    assert common.warm_cosine(step, 1000, 200) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.005), (199, 1.0), (750, 1.0), (875, 0.5), (1000, 0.0)]
)
def test_warm_stable_decay(step, expected):
    assert common.warm_stable_decay(step, 1000, 200, 0.25) == pytest.approx(expected)


def test_noised_latents_are_those_of_the_noise_schedule():
    alphas = torch.linspace(0.99, 0.01, 1000)
    x0 = torch.randn(64, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    x, t, v = dit.noised(x0, 7, alphas)
    a = alphas[t][:, None, None, None]
    assert torch.allclose(a.sqrt() * x - (1 - a).sqrt() * v, x0, atol=1e-5)
    noise = (1 - a).sqrt() * x + a.sqrt() * v
    assert abs(float(noise.mean())) < 0.05
    assert float(noise.std()) == pytest.approx(1, abs=0.05)
    assert 0 <= t.min() < 40
    assert 950 < t.max() <= 999
    # Twice as dense at the clean end as on average.
    assert float((t < 500).float().mean()) == pytest.approx(0.618, abs=0.03)


def test_frechet_distance_tells_sets_apart(pictures):
    images, _ = pictures
    judge = SceneClassifier(12).eval()
    torch.manual_seed(0)
    same = evaluate.frechet(judge, images, images)
    other = evaluate.frechet(judge, images, 255 - images)
    assert abs(same) < 0.05 * other


def test_agreement_is_the_share_of_hits():
    class Constant(torch.nn.Module):
        def forward(self, x):
            return torch.eye(12)[torch.full((len(x),), 4)]

    labels = torch.tensor([4, 4, 0, 4])
    images = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
    assert classifier.agreement(Constant(), images, labels) == 0.75


# -- export --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autoencoder, "WIDTH", 8)
        vae = autoencoder.build()
    transformer = tiny_dit()
    export.export(folder, transformer, vae.eval(), SceneClassifier(12))
    return folder, transformer


def test_an_exported_model_is_read_by_us_and_by_diffusers(exported):
    folder, transformer = exported
    model = load_model(folder)
    assert model.class_names == CLASS_NAMES
    assert model.noise["prediction_type"] == "v_prediction"
    for name, value in model.family.module.state_dict().items():
        expected = dit.untied(transformer).state_dict()[name]
        assert torch.allclose(value, expected, rtol=1e-2, atol=1e-6), name
    with remarks() as said:
        pipe = DiTPipeline.from_pretrained(folder, local_files_only=True)
    # It says that the pipeline was written for AutoencoderKL, and nothing about the configs.
    assert not [text for text in said if "not expected" in text or "initialized" in text]
    pipe.set_progress_bar_config(disable=True)
    image = pipe([3], 2.0, torch.Generator().manual_seed(2), 3, output_type="np").images[0]
    ours = sample(model, label=3, seed=2, steps=3, cfg_scale=2.0, sampler="ddim-diffusers").image
    assert abs((image * 255).round() - ours).max() <= 1


def test_exporting_says_nothing(tmp_path):
    with remarks() as said:
        export.export(tmp_path, tiny_dit(), autoencoder.build(), SceneClassifier(12))
    assert said == []
    config = json.loads((tmp_path / "vae" / "config.json").read_text(encoding="utf-8"))
    assert "block_out_channels" not in config
    assert config["decoder_block_out_channels"] == [48] * 4


def test_the_weights_of_a_folder_are_counted(exported):
    folder, transformer = exported
    halves = sum(p.numel() * 2 for p in dit.untied(transformer).parameters())
    others = sum(
        p.stat().st_size for part in ("vae", "classifier") for p in folder.glob(f"{part}/*.safe*")
    )
    assert export.size_mib(folder) == pytest.approx((halves + others) / 2**20, rel=0.02)


def test_the_classifier_is_read_back(exported, tmp_path):
    folder, _ = exported
    judge = SceneClassifier.load(folder / "classifier")
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    assert judge(images).shape == (2, 12)
    assert judge.features(images).shape == (2, FEATURES)
    assert not judge.training
    with pytest.raises(ModelError, match="no classifier could be read"):
        SceneClassifier.load(tmp_path)

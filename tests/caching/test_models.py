"""Models in memory: the DiT adapter, labels by name, decoding, and modules that are refused."""

import copy

import numpy as np
import pytest
import torch
from diffusers import DiTTransformer2DModel, UNet2DModel
from torch import nn

from caching import Model, ModelError, RequestError, sample
from caching.models.device import best_device, use_threads
from tests.caching import tiny
from tests.caching.spy import relative

# -- the adapter ---------------------------------------------------------------------------


def test_the_adapter_tells_the_shape():
    family = Model.from_modules(tiny.dit(blocks=3, patch=4, side=16, channels=5)).family
    assert (family.blocks, family.branches) == (3, ("attn", "mlp"))
    assert (family.tokens, family.width) == (16, 16)
    assert family.latent_shape == (5, 16, 16)
    assert family.classes == 10
    assert not family.learned_sigma
    assert Model.from_modules(tiny.dit(learned_sigma=True)).family.learned_sigma


@pytest.mark.parametrize("bias", [True, False])
def test_the_module_is_unchanged_by_the_adapter(bias, tmp_path):
    module = tiny.dit(attention_bias=bias)
    before = copy.deepcopy(module)
    model = Model.from_modules(module)
    assert model.family.module is module
    assert module.state_dict().keys() == before.state_dict().keys()
    for name, value in module.state_dict().items():
        assert torch.equal(value, before.state_dict()[name]), name
    module.save_pretrained(tmp_path)
    again = DiTTransformer2DModel.from_pretrained(tmp_path, local_files_only=True)
    for name, value in again.state_dict().items():
        assert torch.equal(value, before.state_dict()[name]), name


def test_no_weight_is_held_twice():
    module = tiny.dit()
    family = Model.from_modules(module).family
    for block, part in zip(module.transformer_blocks, family.parts, strict=True):
        whole = part.qkv_weight.untyped_storage().data_ptr()
        for linear in (block.attn1.to_q, block.attn1.to_k, block.attn1.to_v):
            assert linear.weight.untyped_storage().data_ptr() == whole


def test_training_the_module_changes_what_the_engine_runs():
    module = tiny.dit()
    model = Model.from_modules(module, scheduler=tiny.V)
    before = sample(model, label=1, steps=2).latents
    with torch.no_grad():
        for block in module.transformer_blocks:
            block.attn1.to_k.weight.mul_(3)
    after = sample(model, label=1, steps=2).latents
    fresh = sample(Model.from_modules(copy.deepcopy(module), scheduler=tiny.V), label=1, steps=2)
    assert not torch.equal(before, after)
    assert relative(after, fresh.latents) < 1e-6


def test_a_module_in_training_mode_is_run_in_eval_mode():
    module = tiny.dit(dropout=0.9).train()
    assert not Model.from_modules(module).family.module.training


def test_the_config_hash_is_of_the_architecture_alone(tmp_path):
    one, other = (Model.from_modules(tiny.dit(seed=s)) for s in (1, 2))
    assert one.config_hash == other.config_hash
    assert len(one.config_hash) == 16
    assert int(one.config_hash, 16) >= 0
    wider = Model.from_modules(tiny.dit(blocks=3))
    assert wider.config_hash != one.config_hash
    one.family.module.save_pretrained(tmp_path)
    loaded = DiTTransformer2DModel.from_pretrained(tmp_path, local_files_only=True)
    assert Model.from_modules(loaded).config_hash == one.config_hash


def cross_attention():
    module = tiny.dit()
    module.transformer_blocks[1].attn2 = nn.Linear(2, 2)
    return module


def query_norm():
    module = tiny.dit()
    module.transformer_blocks[1].attn1.norm_q = nn.LayerNorm(8)
    return module


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (lambda: nn.Linear(2, 2), "a Linear was given, expected one of: DiTTransformer2DModel"),
        (
            lambda: UNet2DModel(
                block_out_channels=(8, 8),
                down_block_types=("DownBlock2D",) * 2,
                up_block_types=("UpBlock2D",) * 2,
                attention_head_dim=4,
                norm_num_groups=2,
            ),
            "a UNet2DModel was given",
        ),
        (cross_attention, "block 1: query/key norms or cross-attention"),
        (query_norm, "block 1: query/key norms or cross-attention"),
        (lambda: tiny.dit(side=9, patch=2), "sample_size 9 is not a multiple of patch_size 2"),
    ],
    ids=["a layer", "a U-Net", "cross-attention", "query norm", "odd size"],
)
def test_what_is_not_a_dit_is_refused(module, words):
    with pytest.raises(ModelError, match=words):
        Model.from_modules(module())


def test_more_names_than_classes_are_refused():
    with pytest.raises(ModelError, match="11 class names were given, but the model has 10"):
        Model.from_modules(tiny.dit(), class_names=[f"c{i}" for i in range(11)])
    assert len(Model.from_modules(tiny.dit(), class_names=["a", "b"]).class_names) == 2


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"class_names": "abc"}, "class names 'abc' were given, expected a list of texts"),
        ({"class_names": [1, 2]}, r"class names \[1, 2\] were given"),
        ({"class_names": []}, r"class names \[\] were given"),
        ({"scheduler": "ddim"}, "the scheduler is a str, expected a diffusers scheduler"),
        ({"scheduler": {"beta_schedule": "zz"}}, "the scheduler describes no noise schedule"),
        ({"scheduler": {"trained_betas": [float("nan")] * 1000}}, "alphas that are not finite"),
        ({"scheduler": {"prediction_type": "velocity"}}, "predicts 'velocity', expected"),
        ({"vae": "taesd"}, "a str was given as the autoencoder, expected a diffusers one"),
        ({"vae": tiny.autoencoder()}, "latents have 4 channels and the transformer's 3"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_parts_that_do_not_fit_are_refused(asked, words):
    with pytest.raises(ModelError, match=words):
        Model.from_modules(tiny.dit(channels=3), **asked)


def test_equal_names_stay_as_two_of_imagenets_are():
    names = ["crane", "hen", "crane"]
    assert Model.from_modules(tiny.dit(), class_names=names).class_names == tuple(names)


def test_names_are_numbers_when_none_are_given():
    model = Model.from_modules(tiny.dit())
    assert model.class_names == tuple(f"class {i}" for i in range(10))
    assert model.label_of("class 7") == 7


def test_a_scheduler_or_its_config_gives_the_noise():
    from diffusers import DDIMScheduler

    by_config = Model.from_modules(tiny.dit(), scheduler=tiny.V)
    by_object = Model.from_modules(tiny.dit(), scheduler=DDIMScheduler(**tiny.V))
    plain = Model.from_modules(tiny.dit())
    first, second, third = (
        sample(m, label=1, steps=3).latents for m in (by_config, by_object, plain)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


# -- labels --------------------------------------------------------------------------------


def test_searching_a_class_by_name():
    names = [f"thing {i}" for i in range(998)] + ["great white shark", "tiger shark"]
    model = Model.from_modules(tiny.dit(classes=1000), class_names=names)
    assert model.label_of("tiger shark") == 999
    assert model.label_of(998) == 998
    with pytest.raises(RequestError, match=r"one of: great white shark, tiger shark\.$"):
        model.label_of("Shark")
    with pytest.raises(RequestError, match=r"one of: thing 0, .*, thing 11 …\.$"):
        model.label_of("whale")


# -- decoding ------------------------------------------------------------------------------


def test_decoding_undoes_the_autoencoders_scale_and_shift():
    vae = tiny.autoencoder()
    vae.register_to_config(scaling_factor=0.5, shift_factor=0.25)
    module = tiny.dit(channels=4)
    model = Model.from_modules(module, vae)
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    got = model.decode(latents)
    assert got.shape == (2, 16, 16, 3)
    assert got.dtype == torch.uint8
    with torch.no_grad():
        x = vae.decode(latents / 0.5 + 0.25).sample.permute(0, 2, 3, 1)
    expected = ((x.clamp(-1, 1) + 1) * 127.5).round()
    assert (got - expected).abs().max() <= 1
    assert got.float().std() > 1


def test_without_an_autoencoder_three_channels_are_shown():
    model = Model.from_modules(tiny.dit(channels=4))
    latents = torch.zeros(1, 4, 8, 8)
    latents[0, 0], latents[0, 1], latents[0, 2] = 3.0, 0.0, -9.0
    assert model.decode(latents)[0, 0, 0].tolist() == [255, 128, 0]


@pytest.mark.parametrize(("channels", "expected"), [(1, [255] * 3), (2, [255, 128, 128])])
def test_with_fewer_channels_the_last_is_shown_again(channels, expected):
    model = Model.from_modules(tiny.dit(channels=channels))
    latents = torch.tensor([3.0, 0.0])[None, :channels, None, None].expand(1, -1, 8, 8)
    pictures = model.decode(latents)
    assert pictures.shape == (1, 8, 8, 3) and pictures[0, 0, 0].tolist() == expected


# -- threads -------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "expected"), [("1", 1), (" 1 ", 1)])
def test_threads_are_set_from_text(text, expected, monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "set_num_threads", seen.append)
    use_threads(text)
    use_threads(None)
    use_threads("  ")
    assert seen == [expected]


@pytest.mark.parametrize("text", ["0", "-2", "many"])
def test_threads_that_are_no_count_are_refused(text, monkeypatch):
    monkeypatch.setattr(torch, "set_num_threads", lambda n: pytest.fail("was set"))
    with pytest.raises(ValueError, match=text):
        use_threads(text)


@pytest.mark.parametrize(
    ("gpu", "expected"), [(True, ("cuda", torch.bfloat16)), (False, ("cpu", torch.float32))]
)
def test_the_best_device(gpu, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert best_device() == expected


def test_run_pictures_are_the_decoded_latents():
    model = Model.from_modules(tiny.dit(channels=4), tiny.autoencoder(), scheduler=tiny.V)
    run = sample(model, label=[1, 2], steps=2)
    assert np.array_equal(run.images, model.decode(run.latents).numpy())
    assert np.array_equal(run.image, run.images[0])


def test_models_of_one_shape_are_told_apart_by_their_weights():
    a, b, c = (Model.from_modules(tiny.dit(seed=s)) for s in (0, 0, 1))
    assert a.config_hash == b.config_hash == c.config_hash
    assert a.weights_hash == b.weights_hash != c.weights_hash
    bias = tiny.dit(seed=0)
    with torch.no_grad():
        bias.transformer_blocks[1].ff.net[2].bias[0] += 1e-3
    assert Model.from_modules(bias).weights_hash != a.weights_hash

"""The renderer: seeded, the same in any batch, classes that differ, pictures in range."""

import dataclasses

import pytest
import torch

from presets.scenes import CLASS_NAMES, Scenes, draw_scenes, render
from presets.scenes.shapes import BOUND_CENTRE_Y, BOUND_RADIUS, SHAPES
from presets.train.data import pictures

SIZE = 48


def scenes(labels, seed=0):
    return draw_scenes(torch.tensor(labels), torch.Generator().manual_seed(seed))


def gap(a, b):
    return (a.int() - b.int()).abs()


@pytest.fixture(scope="module")
def every():
    """One scene of each class, alike but for the class, and its picture."""
    drawn = scenes([0] * len(CLASS_NAMES), 3)
    first = {f.name: getattr(drawn, f.name)[:1] for f in dataclasses.fields(Scenes)}
    alike = Scenes(**{k: v.expand(len(CLASS_NAMES), *v.shape[1:]) for k, v in first.items()})
    alike = dataclasses.replace(alike, label=torch.arange(len(CLASS_NAMES)))
    return alike, render(alike, SIZE)


def test_there_are_ten_classes_or_more_with_a_name_each():
    assert len(CLASS_NAMES) >= 10
    assert len(set(CLASS_NAMES)) == len(CLASS_NAMES)
    assert all(name.isidentifier() and name.islower() for name in CLASS_NAMES)
    assert tuple(name for name, _ in SHAPES) == CLASS_NAMES


def test_labels_are_in_the_order_of_the_shapes():
    """The label chooses the shape of that number: a class name must never move."""
    assert CLASS_NAMES[:3] == ("ball", "cube", "ring")
    assert [shape.__name__ for _, shape in SHAPES] == list(CLASS_NAMES)


def test_pictures_are_bytes_of_the_size_asked_for(every):
    alike, images = every
    assert images.shape == (len(alike), 3, SIZE, SIZE)
    assert images.dtype == torch.uint8
    assert images.min() < 80
    assert images.max() > 175
    assert render(alike[:1], 32).shape == (1, 3, 32, 32)


def test_the_same_seed_draws_the_same_pictures():
    labels = [3, 0, 11, 5]
    first, second = render(scenes(labels), SIZE), render(scenes(labels), SIZE)
    assert torch.equal(first, second)
    assert gap(first, render(scenes(labels, 1), SIZE)).float().mean() > 5


def test_a_picture_does_not_depend_on_its_neighbours():
    drawn = scenes([4, 1, 9, 1, 7, 0])
    together = render(drawn, SIZE)
    order = torch.tensor([5, 2, 0, 4, 1, 3])
    # The march is the same number for number; resizing may round the last place differently.
    assert gap(render(drawn[order], SIZE), together[order]).max() <= 1
    for i in range(len(drawn)):
        assert gap(render(drawn[i : i + 1], SIZE)[0], together[i]).max() <= 1


def test_every_class_looks_different(every):
    """Same view, colours and light: only the shape differs, and it does so in many pixels."""
    _, images = every
    for i in range(len(CLASS_NAMES)):
        for j in range(i):
            changed = (gap(images[i], images[j]).amax(0) > 24).float().mean()
            assert changed > 0.02, (CLASS_NAMES[i], CLASS_NAMES[j])


def test_every_object_is_in_the_picture_and_throws_a_shadow(every):
    alike, images = every
    # Floor and sky alone: the same scene with the object too small to be seen.
    bare = render(dataclasses.replace(alike, size=torch.full_like(alike.size, 1e-3)), SIZE)
    for name, image, empty in zip(CLASS_NAMES, images, bare, strict=True):
        changed = gap(image, empty).amax(0) > 16
        assert 0.03 < changed.float().mean() < 0.7, name
        darker = (empty.int() - image.int()).amin(0) > 16  # in all three colours
        assert darker.float().mean() > 0.01, name


def test_the_side_that_faces_the_light_is_the_brighter_one():
    drawn = scenes([CLASS_NAMES.index("ball")] * 2)
    drawn = dataclasses.replace(
        drawn,
        **{name: getattr(drawn, name)[:1].repeat(2, 1) for name in ("body", "accent")},
        azimuth=torch.zeros(2),
        place=torch.zeros(2, 2),
        size=torch.ones(2),
        light=torch.tensor([[-0.8, 0.5, 0.33], [0.8, 0.5, 0.33]]),
    )
    middle = render(drawn, SIZE).float().mean(1)[:, 18:30, :]  # (2, 12, SIZE), the ball alone
    left, right = middle[..., 14:22].mean((1, 2)), middle[..., 26:34].mean((1, 2))
    assert left[0] > right[0] + 20
    assert right[1] > left[1] + 20


def test_scenes_of_a_class_vary():
    images = render(scenes([2] * 6), SIZE)
    for i in range(6):
        for j in range(i):
            assert gap(images[i], images[j]).float().mean() > 5


@pytest.mark.parametrize(("name", "shape"), SHAPES, ids=CLASS_NAMES)
def test_shapes_are_distances_within_their_bound(name, shape):
    generator = torch.Generator().manual_seed(0)
    points = 2.4 * torch.rand(4000, 3, generator=generator)
    points = points - torch.tensor([1.2, 0.2, 1.2])
    body, accent = shape(points)
    distance = body if accent is None else torch.minimum(body, accent)
    assert distance.shape == (4000,)
    from_centre = (points - torch.tensor([0.0, BOUND_CENTRE_Y, 0.0])).norm(dim=-1)
    assert (distance[from_centre > BOUND_RADIUS + 1e-3] > -1e-3).all()
    assert (distance < 0).float().mean() > 0.01
    # A march may step this far without passing through: slope at most 1, but for the squashed cap.
    way = torch.nn.functional.normalize(torch.randn(4000, 3, generator=generator), dim=-1)
    step = 1e-3 * way
    moved_body, moved_accent = shape(points + step)
    moved = moved_body if moved_accent is None else torch.minimum(moved_body, moved_accent)
    assert ((moved - distance).abs() / 1e-3).max() < 1.1, name


def test_draws_lie_where_the_renderer_expects_them():
    drawn = scenes(list(range(12)) * 20)
    assert torch.allclose(drawn.light.norm(dim=-1), torch.ones(240), atol=1e-5)
    assert (drawn.light[:, 1] > 0).all()
    for colours in (drawn.body, drawn.accent, drawn.floor, drawn.sky):
        assert 0 <= colours.min() <= colours.max() <= 1
    assert drawn.stripes.any()
    assert not drawn.stripes.all()
    assert len(drawn[2:5]) == 3
    assert torch.equal(drawn[2:5].label, torch.tensor([2, 3, 4]))


def test_training_pictures_have_the_classes_in_turn(monkeypatch):
    monkeypatch.setattr("presets.train.data.render", lambda s: render(s, 16))
    images, labels = pictures(5, 50)
    assert images.shape == (50, 3, 16, 16)
    assert labels.tolist() == [*range(12)] * 4 + [0, 1]
    again, _ = pictures(5, 50)
    assert torch.equal(images, again)
    assert not torch.equal(images, pictures(6, 50)[0])

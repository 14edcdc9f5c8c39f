"""The parts of a branch, each against diffusers' own modules: inputs, rows, linears, attention."""

import copy

import pytest
import torch
import torch.nn.functional as F

from caching import Model
from caching.models import dit_modulation, dit_parts
from tests.caching import tiny
from tests.caching.spy import relative

BAR = 1e-5
TIMES = torch.tensor([999, 500, 20])
ACTIVATIONS = ("gelu", "gelu-approximate", "geglu", "geglu-approximate", "swiglu", "linear-silu")
SHAPES = {
    **tiny.SHAPES,
    **{f"2 blocks, {name}": {"blocks": 2, "activation_fn": name} for name in ACTIVATIONS},
}
# Aligned with the unique labels, falling, repeated.
LABELS = ([3, 10], [7, 2, 10, 10], [4, 4, 1, 10, 10, 10])


class Case:
    """One model, diffusers' own copy of it, and tokens as they could stand before a branch."""

    def __init__(self, shape, labels):
        self.module = tiny.dit(**SHAPES[shape])
        self.family = Model.from_modules(copy.deepcopy(self.module)).family
        self.labels = torch.tensor(labels)
        self.given = self.family.condition(TIMES, self.labels)
        generator = torch.Generator().manual_seed(len(labels))
        self.x = torch.randn(
            len(labels), self.family.tokens, self.family.width, generator=generator
        )
        self.cells = [
            (s, block, r) for s in (2, 0) for block in {0, self.family.blocks - 1} for r in range(2)
        ]

    def modulated(self, s, block, r, x=None, labels=None):
        """The input of a branch, by diffusers' adaLN."""
        x = self.x if x is None else x
        labels = self.labels if labels is None else labels
        b, t = self.module.transformer_blocks[block], TIMES[s].expand(len(x))
        normed, _, shift, scale, _ = b.norm1(x, t, labels, hidden_dtype=x.dtype)
        if r == 0:
            return normed
        return b.norm3(x) * (1 + scale[:, None]) + shift[:, None]

    def branch(self, s, block, r, **changes):
        b = self.module.transformer_blocks[block]
        return (b.ff if r else b.attn1)(self.modulated(s, block, r, **changes))

    def rows(self, k):
        generator = torch.Generator().manual_seed(k)
        order = torch.rand(len(self.x), self.family.tokens, generator=generator).argsort(-1)
        return order[:, :k]


@pytest.fixture(scope="module", params=SHAPES)
def shape(request):
    return request.param


@pytest.fixture(scope="module", params=LABELS, ids=str)
def case(request, shape):
    with torch.no_grad():
        yield Case(shape, request.param)


def test_the_modulated_input_is_diffusers(case):
    for s, block, r in case.cells:
        got = case.family.modulated(case.x, case.given, s, block, r)
        assert relative(got, case.modulated(s, block, r)) < BAR


def test_a_branch_is_diffusers(case):
    for s, block, r in case.cells:
        got = case.family.branch(case.x, case.given, s, block, r)
        assert relative(got, case.branch(s, block, r)) < BAR


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_rows_are_those_of_the_whole_branch(case, share):
    rows = case.rows(max(1, round(share * case.family.tokens)))
    for s, block, r in case.cells:
        got = case.family.branch_rows(case.x, case.given, s, block, r, rows)
        whole = case.branch(s, block, r)
        expected = torch.stack([whole[i, rows[i]] for i in range(len(rows))])
        assert got.shape == expected.shape
        assert relative(got, expected) < BAR


def test_every_row_in_order_is_the_branch(case):
    rows = torch.arange(case.family.tokens).expand(len(case.x), -1)
    for s, block, r in case.cells:
        got = case.family.branch_rows(case.x, case.given, s, block, r, rows)
        assert relative(got, case.family.branch(case.x, case.given, s, block, r)) < BAR


def test_received_attention_is_that_of_diffusers_map(case):
    n, t, heads = len(case.x), case.family.tokens, 2
    for s, block, r in case.cells:
        if r:
            continue
        attn = case.module.transformer_blocks[block].attn1
        h = case.modulated(s, block, 0)
        q, k = (
            p(h).view(n, t, heads, -1).transpose(1, 2).reshape(n * heads, t, -1)
            for p in (attn.to_q, attn.to_k)
        )
        maps = attn.get_attention_scores(q, k).view(n, heads, t, t)
        expected = torch.zeros(n, t)
        for head in range(heads):
            for query in range(t):
                expected += maps[:, head, query] / heads
        got = case.family.received(case.x, case.given, s, block)
        assert got.dtype == torch.float32
        assert relative(got, expected) < BAR
        assert torch.allclose(got.sum(-1), torch.full((n,), float(t)), rtol=BAR)


def test_linears_are_diffusers_weights_in_order(case):
    for block, b in enumerate(case.module.transformer_blocks):
        attn, ff = b.attn1, b.ff.net
        named = (
            {"q": attn.to_q, "k": attn.to_k, "v": attn.to_v, "out": attn.to_out[0]},
            {"up": ff[0].proj, "down": ff[2]},
        )
        for r in range(2):
            linears = case.family.linears(block, r)
            assert list(linears) == list(named[r])
            for name, (weight, bias) in linears.items():
                assert torch.equal(weight, named[r][name].weight)
                assert (bias is None) == (named[r][name].bias is None)
                assert bias is None or torch.equal(bias, named[r][name].bias)


def test_linears_hold_no_second_copy():
    module = tiny.dit()
    family = Model.from_modules(module).family
    held = {p.untyped_storage().data_ptr() for p in module.parameters()}
    for block in range(family.blocks):
        for r in range(2):
            for pair in family.linears(block, r).values():
                assert all(p.untyped_storage().data_ptr() in held for p in pair)


def test_a_branch_by_its_linears_is_the_branch(case):
    for s, block, r in case.cells:
        seen = []

        def linear(name, h, weight, bias, seen=seen):
            seen.append((name, tuple(h.shape), weight, bias))
            return F.linear(h, weight, bias)

        got = case.family.branch_with(case.x, case.given, s, block, r, linear)
        assert relative(got, case.branch(s, block, r)) < BAR
        assert [name for name, *_ in seen] == list(case.family.linears(block, r))
        for name, h_shape, weight, _ in seen:
            assert h_shape == (len(case.x), case.family.tokens, weight.shape[1])
            assert torch.equal(weight, case.family.linears(block, r)[name][0])


def test_a_branch_uses_what_linear_returns(case):
    for s, block, r in case.cells:
        last = list(case.family.linears(block, r))[-1]

        def linear(name, h, weight, bias, last=last):
            out = F.linear(h, weight, bias)
            return out * 3 + 1 if name == last else out

        got = case.family.branch_with(case.x, case.given, s, block, r, linear)
        assert relative(got, case.branch(s, block, r) * 3 + 1) < BAR


def test_macs_add_up(case):
    family, t, d = case.family, case.family.tokens, case.family.width
    for block in range(family.blocks):
        for r in range(2):
            scores = 0 if r else 2 * t * t * d
            linear = family.linear_macs(block, r)
            assert list(linear) == list(family.linears(block, r))
            assert sum(linear.values()) + scores == family.branch_macs(block, r)
            assert family.row_macs(block, r, t) == family.branch_macs(block, r)
        for rows in (1, t // 2):
            mlp = family.row_macs(block, 1, rows)
            assert mlp * t == family.branch_macs(block, 1) * rows
            attn = family.row_macs(block, 0, rows)
            assert attn == 2 * t * d * d + rows * (2 * d * d + 2 * t * d)


# -- oneDNN and its absence -----------------------------------------------------------------


def missing(*args):
    raise AttributeError("_linear_pointwise")


def refusing(*args):
    raise RuntimeError("unsupported")


def wrong(x, weight, bias, attr, algorithm):
    return F.linear(x, weight, bias)  # forgets the activation


@pytest.fixture
def fresh():
    """The answer about oneDNN is given once; these tests ask again, and leave no trace."""
    dit_parts._fuses.cache_clear()
    yield
    dit_parts._fuses.cache_clear()


@pytest.mark.parametrize("broken", [missing, refusing, wrong])
def test_without_onednn_torch_computes_the_same(shape, broken, fresh, monkeypatch):
    with torch.no_grad():
        case = Case(shape, LABELS[1])
        assert case.family.fused
        fused = [case.family.branch(case.x, case.given, *cell) for cell in case.cells]
        monkeypatch.setattr(dit_parts, "_fused", broken)
        dit_parts._fuses.cache_clear()
        case = Case(shape, LABELS[1])
        assert not case.family.fused
        assert all(part.qkv_weight.is_contiguous() for part in case.family.parts)
        for cell, expected in zip(case.cells, fused, strict=True):
            got = case.family.branch(case.x, case.given, *cell)
            assert relative(got, case.branch(*cell)) < BAR
            assert relative(got, expected) < BAR


@pytest.mark.parametrize(("dtype", "bar"), [(torch.float64, BAR), (torch.bfloat16, 0.03)])
def test_other_dtypes_are_diffusers(dtype, bar):
    module = tiny.dit().to(dtype)
    family = Model.from_modules(copy.deepcopy(module)).family
    latents = torch.randn(2, *family.latent_shape, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([3, 10])
    with torch.no_grad():
        given, x = family.condition(TIMES, labels), family.embed(latents.to(dtype))
        for block in range(family.blocks):
            for r in range(2):
                x = family.add(x, family.branch(x, given, 1, block, r), given, 1, block, r)
        got = family.head(x, given, 1)
        t = TIMES[1].expand(2)
        expected = module(latents.to(dtype), timestep=t, class_labels=labels).sample
    assert got.dtype == dtype
    assert relative(got.float(), expected.float()) < bar


def test_the_adapter_holds_no_weight_of_its_own():
    module = tiny.dit(blocks=3)
    family = Model.from_modules(module).family
    held = {
        p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in module.parameters()
    }
    assert sum(held.values()) == sum(p.numel() * p.element_size() for p in module.parameters())
    for part in family.parts:
        for tensor in (part.qkv_weight, part.qkv_bias, part.out.weight, part.down.weight):
            assert tensor.untyped_storage().data_ptr() in held


def test_a_branch_never_returns_what_it_was_given():
    case = Case("3 blocks, patch 2", [3, 10])
    with torch.no_grad():
        for s, block, r in case.cells:
            before = case.x.clone()
            out = case.family.branch(case.x, case.given, s, block, r)
            kept = out.clone()
            case.family.add(case.x, out, case.given, s, block, r)
            case.family.branch(case.x, case.given, s, block, r)
            assert torch.equal(case.x, before)
            assert torch.equal(out, kept)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_adding_in_place_is_the_same_to_the_bit_and_writes_to_nothing_else(dtype):
    family = Model.from_modules(tiny.dit(blocks=2).to(dtype)).family
    x, out = torch.randn(2, 2, family.tokens, family.width).to(dtype)
    with torch.no_grad():
        given = family.condition(TIMES, torch.tensor([3, 10]))
        for block, r in ((0, 0), (1, 1)):
            own, kept = x.clone(), out.clone()
            expected = family.add(x, out, given, 1, block, r)
            gate = given.get(1, block, 5 if r else 2).clone()
            assert family.add(own, out, given, 1, block, r, own=True) is own
            assert torch.equal(own, expected) and torch.equal(out, kept)
            assert torch.equal(given.get(1, block, 5 if r else 2), gate)
        # What is added may be finer than the hidden state; the sum then is too.
        fine = out.double()
        assert family.add(x.clone(), fine, given, 1, 0, 0, own=True).dtype == torch.float64


def test_two_passes_over_one_picture_are_embedded_as_both_would_be():
    family = Model.from_modules(tiny.dit(blocks=2)).family
    one = torch.randn(1, *family.latent_shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        got = family.embed(one.expand(2, -1, -1, -1))
        assert got.is_contiguous() and got.untyped_storage().nbytes() == got.nbytes
        assert relative(got, family.embed(torch.cat([one, one]))) < 1e-6
        several = torch.cat([one, -one])
        assert relative(family.embed(several)[1:], family.embed(-one)) < 1e-6


# -- modulation ----------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 3, dit_modulation.CUT])
def test_a_run_that_enters_later_has_the_same_modulation_to_the_bit(monkeypatch, cut):
    monkeypatch.setattr(dit_modulation, "CUT", cut)
    family = Model.from_modules(tiny.dit(blocks=3)).family
    times, labels = torch.linspace(999, 0, 10).round().long(), torch.tensor([3, 10])
    one = 4 * 6 * family.width * family.blocks * len(labels) / 2**20
    for window in (1, 3, 4, 10):
        monkeypatch.setattr(dit_modulation, "MODULATION_MIB", window * one)
        with torch.no_grad():
            first, late = (family.condition(times, labels) for _ in range(2))
            expected = [first.get(s, 2, 4).clone() for s in range(10)]
            family.kept.clear()
            for s in (5, 7, 9, 2):
                assert torch.equal(late.get(s, 2, 4), expected[s])


# -- half of a batch -----------------------------------------------------------------------


@pytest.mark.parametrize("window_mib", [dit_modulation.MODULATION_MIB, 0])
@pytest.mark.parametrize("labels", LABELS, ids=str)
@pytest.mark.parametrize("shape", tiny.SHAPES)
def test_half_is_the_conditioning_of_the_first_rows(shape, labels, window_mib, monkeypatch):
    monkeypatch.setattr(dit_modulation, "MODULATION_MIB", window_mib)
    case, n = Case(shape, labels), len(labels) // 2
    alone, y, x = case.family.condition(TIMES, case.labels[:n]), case.labels[:n], case.x[:n]
    half = None
    with torch.no_grad():
        for s in (0, 1, 2, 1):
            if s == 1 and half is None:  # in the middle of a run, beside the whole
                half = case.family.half(case.given)
            case.family.branch(case.x, case.given, s, 0, 0)
            if half is None:
                continue
            for block, r in ((0, 0), (case.family.blocks - 1, 1)):
                out = case.family.branch(x, half, s, block, r)
                assert relative(out, case.branch(s, block, r, x=x, labels=y)) < BAR
                expected = case.family.add(x, out, alone, s, block, r)
                assert relative(case.family.add(x, out, half, s, block, r), expected) < BAR
            expected = case.family.head(x, alone, s)
            assert relative(case.family.head(x, half, s), expected) < BAR


def test_half_of_a_half():
    case = Case("3 blocks, patch 2", [7, 2, 10, 10])
    quarter = case.family.half(case.family.half(case.given))
    with torch.no_grad():
        got = case.family.branch(case.x[:1], quarter, 1, 2, 0)
        assert relative(got, case.branch(1, 2, 0, x=case.x[:1], labels=case.labels[:1])) < BAR


def test_half_makes_no_modulation_of_its_own(monkeypatch):
    case = Case("3 blocks, patch 2", [3, 10])
    made = []
    make = dit_modulation.Given._make
    monkeypatch.setattr(
        dit_modulation.Given, "_make", lambda given: (made.append(given.start), make(given))[1]
    )
    half = case.family.half(case.given)
    with torch.no_grad():
        for s in range(len(TIMES)):
            case.family.branch(case.x, case.given, s, 1, 0)
            case.family.branch(case.x[:1], half, s, 1, 0)
    assert made == [0]

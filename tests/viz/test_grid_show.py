"""What the painter is shown: brushes with what they cost, rows, refusals, and a run's marks."""

from __future__ import annotations

import numpy as np

from caching.actions.cond_only import CondOnly
from caching.actions.residual import Residual
from caching.marks import COVERED, LOWERED
from caching.predict.proxy import Tables
from caching.predictors import Reuse
from caching.predictors.clusters import Clusters
from caching.predictors.lowrank import LowRank
from caching.predictors.skip import Skip
from caching.predictors.taylor import Taylor
from caching.predictors.tokens import Tokens
from caching.schedule import Schedule
from viz.grid.show import cell_brushes, live_of, spec_of, step_brushes, value_of
from viz.state import Entry, ModelFacts, Refusal, Settings, ViewState

S, L = 4, 3
SCHEDULE = Schedule(
    np.zeros((S, L, 2), np.uint8),
    (Reuse(), Taylor(1), Taylor(2), Tokens(0.5), LowRank(4)),
    step_actions=np.array([0, 0, 1, 0]),
    step_legend=(Residual(1, 0), CondOnly()),
)
STATE = ViewState(
    ModelFacts("tiny", L, ("attn", "mlp"), ("ball",)),
    Settings(0, 0, 2.0, "ddim"),
    Entry("start", SCHEDULE),
    ack=7,
    refused=Refusal(6, "no such brush"),
)
# Attention of 16 tokens of width 8 takes 4 T D^2 + 2 T^2 D, feed-forward 8 T D^2.
MACS = np.array([[4 * 16 * 64 + 2 * 256 * 8, 8 * 16 * 64]] * L)


def tables(macs: np.ndarray = MACS) -> Tables:
    ms = np.ones((L, 2))
    return Tables(1.0, ms, 0.1 * ms, 100, macs, np.zeros((S, L, 2, 1)), "by hand")


def test_brushes_carry_title_letter_key_and_colour() -> None:
    brushes = cell_brushes(STATE.now.canvas)
    assert [(b.label, b.kind, b.letter, b.hue) for b in brushes] == [
        ("Reuse", "reuse", "R", None),
        ("Taylor (1)", "forecast", "T", 0),
        ("Taylor (2)", "forecast", "A", 1),  # T is taken: the first free letter
        ("Tokens (0.5, attention, 3)", "partial", "P", 2),
        ("Low-rank increment (4, svd)", "calibrated", "I", 3),
    ]
    assert brushes[1].key == '{"predictor":"taylor","order":1}'
    one, half = step_brushes(STATE.now.canvas)
    assert (one.label, one.letter, one.covers, one.half) == (
        "Block residual (1, 0)",
        "S",
        (1, 3),
        False,
    )
    assert (half.letter, half.covers, half.half, half.hue) == ("G", (0, 0), True, 5)


def test_value_has_the_step_row_and_the_refusal() -> None:
    value = value_of(STATE)
    assert (value["steps"], value["ack"]) == ("0010", 7)
    assert value["refused"] == {"rev": 6, "words": "no such brush"}
    assert value["rows"] == ["0000"] * 6


def test_shares_follow_from_the_shapes_that_tables_imply() -> None:
    spec = spec_of(STATE, tables(), [9, 6, 3, 0])
    reuse, _, _, tokens, lowrank = (brush["macs_share"] for brush in spec["legend"])
    assert reuse == []
    # Half of 16 tokens: queries and output halve, keys and values do not: 2 rows D^2 + 2 T D^2 +
    # 2 rows T D = 1024 + 2048 + 2048 of 8192; the feed-forward halves.
    assert tokens[:2] == [5120 / 8192, 0.5]
    # Rank 4 in four products of 8 x 8: 4 (8 + 8) each, and attention's own 2 T^2 D.
    assert lowrank[0] == (4 * 16 * 64 + 4096) / 8192
    assert [brush["notes"] for brush in spec["legend"]] == [False, False, False, True, True]


def test_what_nobody_knows_is_not_called_nothing() -> None:
    """Tables that are not those of a DiT say nothing about its parts."""
    odd = tables(MACS + 1)
    shares = [brush["macs_share"] for brush in spec_of(STATE, odd)["legend"]]
    assert shares == [[], [], [], None, None]
    assert [brush["macs_share"] for brush in spec_of(STATE)["legend"]] == shares


class Family:
    """A model that knows better than its tables."""

    branches = ("attn", "mlp")
    tokens = 10

    def row_macs(self, block: int, r: int, rows: int) -> int:
        return 1000 * rows


def test_the_model_itself_is_asked_first() -> None:
    state = ViewState(
        STATE.model,
        STATE.settings,
        Entry("start", Schedule(SCHEDULE.actions, (Reuse(), Clusters(5), Skip()))),
    )
    spec = spec_of(state, tables(np.full((L, 2), 20_000)), family=Family())  # type: ignore[arg-type]
    # ClusCa leaves attention out and computes one token of each of 5 clusters of the rest.
    assert spec["legend"][1]["macs_share"] == [0.0, 5000 / 20_000] * L
    assert spec["legend"][2]["macs_share"] == []


def test_live_marks_come_with_the_legends_they_are_numbered_in() -> None:
    executed = np.zeros((3, L, 2), np.uint8)
    executed[1, 0, 0] = 3 | LOWERED
    executed[2, 1:] = COVERED
    live = live_of(
        "run", SCHEDULE, executed, np.array([0, 0, 1]), decided=[(None, None)] * 3, policy="FBCache"
    )
    assert live["data"] == "000000" + "C00000" + "00####"
    assert (live["steps"], live["asked_steps"], live["policy"]) == ("001", "0010", "FBCache")
    assert [brush["label"] for brush in live["step_legend"]] == [
        "Block residual (1, 0)", "Conditional half (1.1, 1.1)",
    ]  # fmt: skip
    assert len(live["legend"]) == 5 and live["total"] == S

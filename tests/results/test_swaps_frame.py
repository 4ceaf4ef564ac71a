"""The frame of matched swaps, by hand from a made-up record; the sentences that tell it."""

from math import sqrt

import pandas as pd
import pytest

from archsearch.results.swaps import COLUMNS, swap_lines, swaps_frame

TRIALS = pd.DataFrame({"number": [0, 1, 2]})
SWAP = {
    "number": 2,
    "place": "stages.1",
    "kind_from": "conv",
    "kind_to": "mhsa",
    "architecture_from": "aaaaaaaaaaaa",
    "architecture_to": "bbbbbbbbbbbb",
    "layout_from": "P-CC",
    "layout_to": "P-CM",
    "cost_name": "macs",
    "cost_from": 1_000,
    "cost_to": 1_010,
    "channels_from": 64,
    "channels_to": 48,
    "globality_from": 0.25,
    "globality_to": 0.75,
    "samples": 128,
    "note": "expansion 0.5 instead of 0.25",
    "description": "{}",
}
REFUSED = {
    **SWAP,
    "kind_to": "token_transformer",
    "architecture_to": None,
    "layout_to": None,
    "channels_to": None,
    "globality_to": None,
    "cost_to": 1_500,
    "note": "no token_transformer is within 2 % of 1,000 MACs: the nearest has 1,500",
}
# From three seeds: 0.5, 0.6, 0.7 as it was, 0.52, 0.63, 0.74 with the swap. Differences 0.02, 0.03, 0.04.
BEFORE, NOW = (0.5, 0.6, 0.7), (0.52, 0.63, 0.74)
SD, T = 0.01, 4.302652729911275


def record(before=BEFORE, now=NOW, swap=SWAP, **more):
    """Attributes of a study with one swap, trained from as many seeds as there are accuracies."""
    found = {"swap:2:macs:stages.1:mhsa": swap, "finals": 1, "final:aaaaaaaaaaaa:0": {"top1": 0.1}}
    for identity, values in (("aaaaaaaaaaaa", before), ("bbbbbbbbbbbb", now)):
        for seed, top1 in enumerate(values):
            found[f"swap_training:{identity}:128:{seed}"] = {"top1": top1, "test_top1": top1 - 0.1}
    return {**found, **more}


def row_of(attributes):
    (row,) = swaps_frame(attributes, TRIALS).to_dict("records")
    return row


EXPECTED = {
    **{name: SWAP[name] for name in COLUMNS if name in SWAP},
    "cost_ratio": 1.01,
    "seeds": 3,
    "top1_from": 0.6,
    "top1_to": 0.63,
    "difference": 0.03,
    "difference_low": 0.03 - T * SD / sqrt(3),
    "difference_high": 0.03 + T * SD / sqrt(3),
    "test_top1_from": 0.5,
    "test_top1_to": 0.53,
}


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_holds_what_the_record_says(column):
    frame = swaps_frame(record(), TRIALS)
    value = EXPECTED[column]

    assert str(frame[column].dtype) == COLUMNS[column]
    assert frame[column][0] == (value if isinstance(value, str) else pytest.approx(value))


def test_there_is_no_column_beside_them():
    assert (
        list(swaps_frame(record(), TRIALS).columns) == list(COLUMNS) == [c for c in COLUMNS if c in EXPECTED]
    )


def test_a_study_without_swaps_has_an_empty_frame_with_every_column():
    frame = swaps_frame({"final:aaaaaaaaaaaa:0": {"top1": 0.5}}, TRIALS)

    assert (len(frame), list(frame.columns)) == (0, list(COLUMNS))
    assert swap_lines(frame) == []


def test_only_seeds_from_which_both_were_trained_count():
    row = row_of(record(before=(0.5, 0.6, 0.9), now=(0.52, 0.63)))

    assert row["seeds"] == 2
    assert (row["top1_from"], row["top1_to"]) == (pytest.approx(0.55), pytest.approx(0.575))
    assert row["difference"] == pytest.approx(0.025)


def test_one_seed_has_a_difference_and_no_interval():
    row = row_of(record(before=(0.5,), now=(0.52,)))

    assert row["difference"] == pytest.approx(0.02)
    assert pd.isna(row["difference_low"])
    assert pd.isna(row["difference_high"])


def test_what_somebody_is_at_counts_nothing_yet():
    at_it = {"swap_training:bbbbbbbbbbbb:128:2": {"worker": "somebody"}}

    assert row_of(record(**at_it))["seeds"] == 2


def test_a_training_that_broke_is_named_and_not_averaged():
    row = row_of(record(**{"swap_training:bbbbbbbbbbbb:128:0": {"error": "train: loss is nan"}}))

    assert row["seeds"] == 2
    assert row["note"] == "expansion 0.5 instead of 0.25; P-CM from seed 0: train: loss is nan"


def test_trainings_of_another_length_are_others():
    row = row_of(record(swap={**SWAP, "samples": 256}))

    assert row["seeds"] == 0
    assert pd.isna(row["difference"])


def test_a_refused_swap_is_a_row_with_the_nearest_cost_and_a_note():
    row = row_of(record(swap=REFUSED))

    assert (row["cost_ratio"], row["seeds"]) == (1.5, 0)
    assert row["note"] == REFUSED["note"]
    assert all(
        pd.isna(row[n]) for n in ("architecture_to", "channels_to", "globality_to", "difference", "top1_to")
    )


def test_where_nothing_can_be_built_there_is_no_cost_either():
    assert pd.isna(row_of(record(swap={**REFUSED, "cost_to": None}))["cost_ratio"])


def test_rows_are_ordered_by_trial_cost_and_place():
    swaps = [
        {**SWAP, "number": number, "place": place, "cost_name": cost}
        for number, place, cost in (
            (2, "stages.10", "macs"),
            (2, "stages.9", "macs"),
            (1, "stages.0", "params"),
        )
    ]
    frame = swaps_frame({f"swap:{index}": swap for index, swap in enumerate(swaps)}, TRIALS)

    assert list(frame["place"]) == ["stages.0", "stages.9", "stages.10"]


SENTENCES = {
    "+0.030 (0.005 to 0.055), 3 seeds (expansion 0.5 instead of 0.25)": record(),
    "+0.020 (-0.107 to 0.147), 2 seeds: not separated by the seeds (expansion 0.5 instead of 0.25)": record(
        (0.5, 0.5), (0.51, 0.53)
    ),
    "+0.020 from one seed, whose spread nobody knows (expansion 0.5 instead of 0.25)": record(
        (0.5,), (0.52,)
    ),
    "not trained to the end (expansion 0.5 instead of 0.25)": record((), ()),
}


@pytest.mark.parametrize("end", SENTENCES)
def test_a_swap_is_told_with_its_spread(end):
    (line,) = swap_lines(swaps_frame(SENTENCES[end], TRIALS))

    assert line == f"trial 2, stage 1 as mhsa instead of conv at equal MACs (+1.0 %): {end}"


def test_a_refusal_is_told():
    (line,) = swap_lines(swaps_frame(record(swap=REFUSED), TRIALS))

    assert line == (
        "trial 2, stage 1 as token_transformer instead of conv: refused at equal MACs: "
        "no token_transformer is within 2 % of 1,000 MACs: the nearest has 1,500"
    )


def test_several_intervals_come_with_what_several_of_them_mean():
    both = record(**{"swap:2:macs:stages.0:mhsa": {**SWAP, "place": "stages.0"}})

    assert swap_lines(swaps_frame(both, TRIALS))[-1].startswith("each of the 2 intervals stands for itself")

"""The table of objectives: each of its names can be recorded, and counted or measured, and is written as one reads it."""

from dataclasses import fields

import pytest

from archsearch.objectives import (
    COSTS,
    COUNTED,
    MEASURED,
    OBJECTIVES,
    measured_among,
    objective_of,
)
from archsearch.profiling import Profile
from archsearch.space.space import COUNTERS
from archsearch.storage.trial_record import TrialRecord

every_objective = pytest.mark.parametrize("name", OBJECTIVES)


def test_the_table_is_sorted_into_what_is_trained_counted_and_measured():
    assert [*OBJECTIVES] == ["top1", "latency_ms", "macs", "params", "peak_memory_mib"]
    assert COSTS == ("latency_ms", "macs", "params", "peak_memory_mib")
    assert COUNTED == ("macs", "params")
    assert MEASURED == ("latency_ms", "peak_memory_mib")


@every_objective
def test_an_objective_has_its_field_in_the_record(name):
    assert name in {field.name for field in fields(TrialRecord)}


@pytest.mark.parametrize("name", COSTS)
def test_a_cost_has_its_place_in_a_profile(name):
    assert name in {*(field.name for field in fields(Profile)), *vars(Profile)}


def test_what_is_counted_is_what_a_space_can_limit():
    assert set(COUNTED) == set(COUNTERS)


def test_only_memory_needs_a_gpu():
    assert [name for name, objective in OBJECTIVES.items() if objective.needs_gpu] == ["peak_memory_mib"]


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("latency_ms", 6.8449, "6.84 ms"),
        ("latency_ms", 12345.0, "1.23e+04 ms"),
        ("macs", 2_700_000, "2.7M MACs"),
        ("params", 640, "640 parameters"),
        ("peak_memory_mib", 31.46, "31.5 MiB"),
        ("top1", 0.91, "0.91"),
        ("energy_mj", 3.14159, "3.14"),
    ],
)
def test_an_amount_is_written_with_its_unit(name, value, written):
    assert objective_of(name).write_with_unit(value) == written


def test_a_name_outside_of_the_table_is_a_cost_of_the_users_own():
    energy = objective_of("energy_mj")

    assert (energy.direction, energy.source, energy.unit) == ("minimize", "measured", "")
    assert energy.name == energy.label == energy.short == "energy_mj"
    assert not energy.needs_gpu


def test_what_depends_on_the_device_is_found_among_names():
    assert measured_among(["top1", "peak_memory_mib", "macs", "latency_ms", "macs"]) == [
        "latency_ms",
        "peak_memory_mib",
    ]
    assert measured_among(["top1", "energy_mj"]) == ["energy_mj"]

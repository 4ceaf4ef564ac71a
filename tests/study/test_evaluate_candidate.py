"""What is measured of a candidate stands in its record under the names of the table of objectives."""

from dataclasses import replace
from types import SimpleNamespace

from profiling_examples import TINY

from archsearch.objectives import MEASURED
from archsearch.profiling import profile_architecture
from archsearch.study.config import StudyConfig
from archsearch.study.evaluate_candidate import add_measurements, new_record


def test_every_measured_objective_is_copied_from_the_profile_under_its_name():
    profile = replace(profile_architecture(TINY, seconds=0.0, shares=False), peak_memory_mib=5.5)
    record = new_record(TINY, 0, SimpleNamespace(references=()))
    found = add_measurements(record, profile, SimpleNamespace(config=StudyConfig()))

    assert {name: found.value(name) for name in MEASURED} == {
        name: getattr(profile, name) for name in MEASURED
    }
    assert found.latency_batch == 1

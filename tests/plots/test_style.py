"""How a family looks: one table for every picture."""

import pytest

from archsearch.plots.style import FAMILIES, FROM_STAGE, look_of


def test_no_two_families_look_alike():
    looks = [*FAMILIES.values(), *FROM_STAGE]

    for name in ("colour", "marker", "symbol"):
        assert len({getattr(look, name) for look in looks}) == len(looks)


@pytest.mark.parametrize("stage", range(8))
def test_a_family_that_is_global_from_a_stage_looks_as_that_stage_does(stage):
    assert look_of(f"global-from-{stage}") == look_of(f"global-from-{stage + 8}") == FROM_STAGE[stage]

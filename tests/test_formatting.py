"""Amounts as one reads them."""

import pytest

from archsearch.formatting import amount

AMOUNTS = {
    0: "0",
    0.0482: "0.0482",
    0.48249: "0.482",
    1.0: "1",
    3.14159: "3.14",
    535.5: "536",
    640: "640",
    999.4: "999",
    1_234: "1.23k",
    12_300_000: "12.3M",
    4.5e9: "4.5G",
    2e12: "2T",
}


@pytest.mark.parametrize("value", AMOUNTS)
def test_an_amount_has_three_digits_and_a_letter(value):
    assert amount(value) == AMOUNTS[value]


@pytest.mark.parametrize("value", [999.7, 999_600, 999_950_000])
def test_an_amount_just_below_a_letter_is_no_power_of_ten(value):
    assert "e+" not in amount(value)

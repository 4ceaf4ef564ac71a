"""Which formats are written: those asked for, or all that the installed packages allow."""

import pytest

from archsearch.errors import InputError
from archsearch.export import formats
from archsearch.export.formats import FORMATS, choose_formats


@pytest.fixture
def without_onnx(monkeypatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name.startswith("onnx") else object())


def test_all_formats_are_written_where_everything_is_installed(monkeypatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: object())

    assert choose_formats(None) == (list(FORMATS), [])


def test_a_format_whose_package_is_missing_is_left_out_and_reported(without_onnx):
    assert choose_formats(None) == (
        ["yaml", "weights", "program", "standalone"],
        ["no onnx: onnx and onnxscript cannot be imported; pip install 'archsearch[onnx]'"],
    )


def test_a_format_whose_package_is_missing_is_refused_if_it_is_requested(without_onnx):
    with pytest.raises(InputError) as caught:
        choose_formats(["yaml", "onnx"])

    assert caught.value.lines() == [
        (
            "archsearch export: --format: onnx: onnx and onnxscript cannot be imported; "
            "pip install 'archsearch[onnx]'"
        )
    ]


def test_requested_formats_are_written_once_and_in_the_order_of_the_table():
    assert choose_formats(["weights", "yaml", "weights"]) == (["yaml", "weights"], [])


def test_unknown_formats_are_all_named():
    with pytest.raises(InputError) as caught:
        choose_formats(["yml", "onnx", "tar"])

    assert caught.value.lines() == [
        (
            "archsearch export: --format: yml is not a format; did you mean yaml? "
            "(known: yaml, weights, program, onnx, standalone)"
        ),
        "archsearch export: --format: tar is not a format; use one of yaml, weights, program, onnx, standalone",
    ]

"""What a user reads when something is wrong: where, what, and what to write instead."""

import pytest

from archsearch import errors
from archsearch.errors import (
    ArchitectureError,
    ArchsearchError,
    CallbackError,
    DataError,
    EnvironmentFaultError,
    FailedTrialError,
    InfeasibleError,
    InputError,
    Problem,
    RunFolderError,
    SpaceError,
    StudyFileError,
    UncountedOperationError,
    WeightsError,
    one_of,
    shown,
)

EVEN = Problem("kernel", "4 is even and has no centre", "use 3 or 5", line=7)


def test_a_message_is_file_line_key_what_and_remedy():
    assert EVEN.at("bad.yaml") == "bad.yaml:7: kernel: 4 is even and has no centre; use 3 or 5"


def test_an_unknown_line_is_left_out():
    assert Problem("kernel", "4 is even", "use 3").at("bad.yaml") == "bad.yaml: kernel: 4 is even; use 3"


def test_an_unknown_key_is_left_out():
    assert (
        Problem("", "no mapping", "write one", line=1).at("bad.yaml") == "bad.yaml:1: no mapping; write one"
    )


def test_an_unknown_source_is_left_out():
    assert Problem("kernel", "4 is even", "use 3").at("") == "kernel: 4 is even; use 3"


def test_a_problem_seen_from_further_out_has_a_longer_key():
    assert EVEN.under("stages.0") == Problem("stages.0.kernel", EVEN.what, EVEN.remedy, line=7)


def test_a_problem_without_a_key_takes_that_of_its_place():
    assert Problem("", "no mapping", "write one").under("stages.0").key == "stages.0"


def test_all_problems_are_reported_in_the_order_of_the_file():
    error = InputError(
        "bad.yaml", [Problem("heads", "3", "use 2", line=9), EVEN, Problem("classes", "1", "use 2")]
    )

    assert error.lines() == [
        "bad.yaml: classes: 1; use 2",
        "bad.yaml:7: kernel: 4 is even and has no centre; use 3 or 5",
        "bad.yaml:9: heads: 3; use 2",
    ]


def test_the_text_of_an_error_is_its_lines():
    error = InputError("bad.yaml", [EVEN, Problem("classes", "1", "use 2")])

    assert str(error).splitlines() == error.lines()


def test_an_error_keeps_its_problems_for_programs():
    error = InputError("bad.yaml", [EVEN])

    assert (error.source, error.problems) == ("bad.yaml", (EVEN,))


def many(count):
    return [Problem(f"stages.{i}.kernel", "4 is even", "use 3", line=i + 1) for i in range(count)]


def test_twenty_problems_are_shown():
    lines = InputError("bad.yaml", many(20)).lines()

    assert len(lines) == 20
    assert lines[-1] == "bad.yaml:20: stages.19.kernel: 4 is even; use 3"


def test_more_than_twenty_problems_are_counted():
    lines = InputError("bad.yaml", many(25)).lines()

    assert len(lines) == 20 + 1
    assert lines[-1] == "bad.yaml: and 5 more problems"


def test_a_file_of_many_problems_still_keeps_all_of_them():
    assert len(InputError("bad.yaml", many(25)).problems) == 25


def test_a_near_miss_is_guessed():
    assert one_of(["conv", "mhsa"], "cnov") == "did you mean conv? (known: conv, mhsa)"


def test_a_guess_does_not_mind_capitals():
    assert one_of(["conv", "mhsa"], "MHSA").startswith("did you mean mhsa?")


def test_a_word_that_is_near_nothing_gets_the_list():
    assert one_of(["conv", "mhsa"], "mamba") == "use one of conv, mhsa"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("two\nlines", r"two\nlines"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\u202ereversed", r"\u202ereversed"),
        ("\ud800", r"\ud800"),
        (["a\tb"], r"['a\\tb']"),
        (4, "4"),
        (None, "None"),
    ],
    ids=ascii,
)
def test_a_value_is_shown_in_printable_letters_on_one_line(value, text):
    assert shown(value) == text


def test_a_value_of_sixty_letters_is_shown_whole():
    assert shown("x" * 60) == "x" * 60


def test_a_longer_value_is_cut_to_sixty():
    assert shown("x" * 61) == "x" * 57 + "..."


EXIT_CODES = {
    ArchsearchError: 1,
    InputError: 2,
    SpaceError: 2,
    StudyFileError: 2,
    ArchitectureError: 2,
    DataError: 2,
    WeightsError: 2,
    UncountedOperationError: 2,
    InfeasibleError: 3,
    EnvironmentFaultError: 4,
    RunFolderError: 5,
    CallbackError: 1,
    FailedTrialError: 1,
}


@pytest.mark.parametrize(
    ("error", "code"), EXIT_CODES.items(), ids=lambda value: getattr(value, "__name__", "")
)
def test_every_error_ends_the_command_with_its_code(error, code):
    assert error.exit_code == code


def test_no_error_is_missing_from_the_table():
    defined = {
        value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)
    }

    assert defined == EXIT_CODES.keys()


@pytest.mark.parametrize("error", EXIT_CODES, ids=lambda error: error.__name__)
def test_one_name_catches_every_error(error):
    assert issubclass(error, ArchsearchError)


def test_an_error_without_problems_prints_its_text():
    assert RunFolderError("the folder is in use\nby process 12").lines() == [
        "the folder is in use",
        "by process 12",
    ]


def test_a_failed_trial_says_its_phase_and_reason():
    error = FailedTrialError("train", "loss is not finite")

    assert str(error) == "train: loss is not finite"
    assert (error.phase, error.reason) == ("train", "loss is not finite")

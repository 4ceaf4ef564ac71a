"""What may stand in a field: a value, a choice, a range, a ``$name``, or a list with some of them inside."""

import pytest

from archsearch.errors import Problem
from archsearch.space import read_document
from archsearch.space.grammar import Choice, Listing, Reference, Unreadable, label, read_field, written

# What is written, the key that the message names, what is wrong, and what to write instead.
NO_FIELDS = """
null | kernel | null is no value here | leave the key out for its default, or write a value
[3, null] | kernel.1 | null is no value here | leave the key out for its default, or write a value
{} | kernel | an empty mapping is no value | write a value, {choice: [...]} or {range: [low, high]}
{choices: [3, 5]} | kernel | choices opens no field | write a value, {choice: [...]} or {range: [low, high]}
{choice: []} | kernel | the choice is empty | write at least one option: {choice: [a, b]}
{choice: 3} | kernel | a choice is a list | write at least one option: {choice: [a, b]}
{choice: [3, 5, 3]} | kernel | the option 3 stands twice | write it once
{choice: [2, 2.0]} | kernel | the option 2.0 stands twice | write it once
{choice: [[3, 3], [3, 3]]} | kernel | the option [3, 3] stands twice | write it once
{choice: [3, {choice: [5, 7]}]} | kernel.choice.1 | an option cannot be open itself | write every option out
{choice: [$k]} | kernel.choice.0 | an option cannot be open itself | write every option out
{choice: [[3, $k]]} | kernel.choice.0 | an option cannot be open itself | write every option out
{choice: [3, null]} | kernel.choice.1 | null is no value here | leave the key out for its default, or write a value
{choice: [3, 5], range: [3, 5]} | kernel.range | has no meaning here | use one of choice
{choice: [3, 5], step: 2} | kernel.step | has no meaning here | use one of choice
{range: [1, 9], steps: 2} | kernel.steps | has no meaning here | did you mean step? (known: range, step, log)
{range: [1]} | kernel | a range has two numbers | write {range: [low, high]}
{range: [1, 2, 3]} | kernel | a range has two numbers | write {range: [low, high]}
{range: 3} | kernel | a range has two numbers | write {range: [low, high]}
{range: [a, b]} | kernel | a range has two numbers | write {range: [low, high]}
{range: [false, true]} | kernel | a range has two numbers | write {range: [low, high]}
{range: [3, 1]} | kernel | the range ends at 1 and begins at 3 | write [low, high]
{range: [3, 3]} | kernel | the range ends at 3 and begins at 3 | write [low, high]
{range: [1, 3], step: 0} | kernel | 1 to 3 by steps of 0 leads nowhere | use a step above 0, or above 1 and a low above 0 with log: true
{range: [1, 3], step: -1} | kernel | 1 to 3 by steps of -1 leads nowhere | use a step above 0, or above 1 and a low above 0 with log: true
{range: [1, 8], step: 1, log: true} | kernel | 1 to 8 by factors of 1 leads nowhere | use a step above 0, or above 1 and a low above 0 with log: true
{range: [0, 8], log: true} | kernel | 0 to 8 by factors of 2 leads nowhere | use a step above 0, or above 1 and a low above 0 with log: true
{range: [1, 3], step: a} | kernel | step is a number and log is true or false | mend the range
{range: [1, 3], log: 1} | kernel | step is a number and log is true or false | mend the range
{range: [1, 3], step: [1]} | kernel.step | is one value | write step: 1
{range: [1, 4], log: {choice: [true]}} | kernel.log | is one value | write log: false
{range: [0.25, 1.0]} | kernel | a range of decimal numbers has no natural step | add step: ...
{range: [3, 8], step: 2} | kernel | 8 is not met from 3 by steps of 2 | end it at 9
{range: [3, 20], log: true} | kernel | 20 is not met from 3 by factors of 2 | end it at 24
{range: [0.1, 0.6], step: 0.2} | kernel | 0.6 is not met from 0.1 by steps of 0.2 | end it at 0.7
"""


@pytest.fixture
def field(file_of):
    """The field that stands behind ``kernel:``."""

    def read(text):
        return read_field(read_document(file_of(f"kernel: {text}\n")).entries["kernel"], "kernel")

    return read


@pytest.fixture
def refusal(field):
    """Why what stands behind ``kernel:`` is no field."""

    def problem(text):
        with pytest.raises(Unreadable) as caught:
            field(text)
        return caught.value.problem

    return problem


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        ("0.25", 0.25),
        ("true", True),
        ("softmax", "softmax"),
        ('"64"', "64"),
        ("[7, 3, 3]", (7, 3, 3)),
        ("[]", ()),
    ],
)
def test_a_plain_value_is_itself(field, text, value):
    read = field(text)

    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("{choice: [64]}", (64,)),
        ("{choice: [5, 3, 7]}", (5, 3, 7)),
        ("{choice: [relative, none]}", ("relative", "none")),
        ("{choice: [true, false]}", (True, False)),
        ("{choice: [0.25, 1]}", (0.25, 1)),
        ("{choice: [[3, 3], [7, 3]]}", ((3, 3), (7, 3))),
    ],
)
def test_a_choice_keeps_its_options_in_their_order(field, text, options):
    assert field(text) == Choice(options)


def test_one_and_true_are_two_options(field):
    assert len(field("{choice: [1, true]}").options) == 2


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{range: [1, 4]}", (1, 2, 3, 4)),
        ("{range: [-1, 1]}", (-1, 0, 1)),
        ("{range: [3, 9], step: 2}", (3, 5, 7, 9)),
        ("{range: [16, 64], step: 48}", (16, 64)),
        ("{range: [1, 2], step: 0.5}", (1, 1.5, 2)),
        ("{range: [0.1, 0.5], step: 0.2}", (0.1, 0.3, 0.5)),
        ("{range: [0.1, 0.7], step: 0.1}", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)),
        ("{range: [16, 128], log: true}", (16, 32, 64, 128)),
        ("{range: [1, 81], step: 3, log: true}", (1, 3, 9, 27, 81)),
        ("{range: [1e-6, 1e-4], step: 10, log: true}", (1e-6, 1e-5, 1e-4)),
        ("{range: [16, 18], log: false}", (16, 17, 18)),
    ],
)
def test_a_range_is_the_choice_of_its_grid(field, text, values):
    assert field(text) == Choice(values)


def test_whole_steps_from_a_whole_number_stay_integers(field):
    assert all(type(option) is int for option in field("{range: [8, 64], log: true}").options)


def test_the_largest_range_has_a_thousand_values(field):
    assert len(field("{range: [1, 1000]}").options) == 1_000


def test_a_dollar_asks_for_a_parameter(field):
    assert field("$width") == Reference("width")


def test_the_items_of_a_list_may_be_open_one_by_one(field):
    read = field("[{choice: [3, 7]}, 3, $last, {range: [1, 2]}]")

    assert read == Listing((Choice((3, 7)), 3, Reference("last"), Choice((1, 2))))


def test_a_list_in_a_list_is_open_where_an_item_of_it_is(field):
    assert field("[[1, 2], [3, {choice: [4, 5]}]]") == Listing(((1, 2), Listing((3, Choice((4, 5))))))


@pytest.mark.parametrize(
    ("text", "key", "what", "remedy"), [row.split(" | ") for row in NO_FIELDS.strip().split("\n")]
)
def test_what_is_no_field_is_refused_with_a_remedy(refusal, text, key, what, remedy):
    assert refusal(text) == Problem(key, what, remedy, line=1)


def test_a_choice_of_more_than_a_thousand_options_is_refused(refusal):
    listed = ", ".join(map(str, range(1_001)))

    assert refusal(f"{{choice: [{listed}]}}") == Problem(
        "kernel", "1001 options", "write at most 1000", line=1
    )


@pytest.mark.parametrize(
    "text", ["{range: [0, 1000]}", "{range: [1, 100000]}", "{range: [1, 2], step: 1e-6}"]
)
def test_a_range_of_more_than_a_thousand_values_is_refused(refusal, text):
    assert refusal(text).remedy == "use at most 1000 values"


def test_a_refusal_names_the_line_of_the_option(refusal):
    assert refusal("\n  choice:\n    - 3\n    - $k").line == 4


@pytest.mark.parametrize(
    ("value", "text"),
    [((7, 3, 3), "[7, 3, 3]"), (3, 3), (0.5, 0.5), ("none", "none"), (True, True)],
)
def test_lists_have_text_as_their_label_and_other_values_themselves(value, text):
    assert label(value) == text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("{range: [1, 3]}", {"choice": [1, 2, 3]}),
        ("$width", "$width"),
        ("[{choice: [3, 7]}, 3]", [{"choice": [3, 7]}, 3]),
        ("{choice: [[3, 3], [7, 3]]}", {"choice": [[3, 3], [7, 3]]}),
        ("[3, 3]", [3, 3]),
    ],
)
def test_a_field_is_written_as_plain_data_again(field, text, plain):
    assert written(field(text)) == plain

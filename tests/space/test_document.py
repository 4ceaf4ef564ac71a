"""A file is read strictly: what YAML would let surprise is refused, with its place, its reason and what to write."""

import os
import random
import socket
import string
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from archsearch.errors import SpaceError, StudyFileError
from archsearch.space.document import Items, Scalar, Table, plain, read_document

VALID = """\
# A small space, with every way to write a value.
name: hybrid
image: {channels: 3, height: 32, width: 32}
params:
  mlp_ratio: {choice: [2, 4]}
stages:
  - channels: {choice: [64, 96, 128]}
    kind:
      conv: {kernel: {choice: [3, 5]}, expansion: 0.25}
      mhsa: {heads: {range: [1, 8]}, mlp_ratio: $mlp_ratio}
  - {kind: "conv", rate: 1e-3, bias: false, note: null}
text: |
  two
  lines
"""
MEANT = {
    "name": "hybrid",
    "image": {"channels": 3, "height": 32, "width": 32},
    "params": {"mlp_ratio": {"choice": [2, 4]}},
    "stages": [
        {
            "channels": {"choice": [64, 96, 128]},
            "kind": {
                "conv": {"kernel": {"choice": [3, 5]}, "expansion": 0.25},
                "mhsa": {"heads": {"range": [1, 8]}, "mlp_ratio": "$mlp_ratio"},
            },
        },
        {"kind": "conv", "rate": 0.001, "bias": False, "note": None},
    ],
    "text": "two\nlines\n",
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "space.yaml"


@pytest.fixture
def write(path):
    """Writes text or bytes into the file, and gives its path."""

    def written(content):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


@pytest.fixture
def read(write):
    return lambda content: plain(read_document(write(content)))


@pytest.fixture
def problems(write):
    """What is found wrong in a file of this content."""

    def found(content):
        with pytest.raises(SpaceError) as caught:
            read_document(write(content))
        return caught.value.problems

    return found


@pytest.fixture
def problem(problems):
    """The one thing that is found wrong."""

    def found(content):
        (only,) = problems(content)
        return only

    return found


@pytest.fixture
def refused():
    """The one problem of a path, which has no line."""

    def found(path):
        with pytest.raises(SpaceError) as caught:
            read_document(path)
        (only,) = caught.value.problems
        assert only.line is None
        return only

    return found


# ---- what is accepted --------------------------------------------------------------------------------------------


def test_a_valid_file_reads_as_it_is_meant(read):
    assert read(VALID) == MEANT


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.replace("\n", "\r\n").encode(),
        lambda text: b"---\n" + text.encode() + b"...\n",
        lambda _: yaml.safe_dump(MEANT, default_flow_style=True).encode(),
    ],
    ids=["byte order mark", "crlf", "document marks", "flow style"],
)
def test_other_ways_to_write_the_same_file_read_the_same(read, rewrite):
    assert read(rewrite(VALID)) == MEANT


def test_every_node_and_key_knows_its_line(write):
    root = read_document(write("# first\na:\n  - 1\n  -\n    b: 2\n"))

    inner = Table({"b": Scalar(2, 5)}, {"b": 5}, 5)
    assert root == Table({"a": Items((Scalar(1, 3), inner), 3)}, {"a": 2}, 2)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0", 0),
        ("-7", -7),
        ("+7", 7),
        ("9" * 18, 10**18 - 1),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e9", 1e9),
        ("1.5e-3", 0.0015),
        ("-2E+3", -2000.0),
        ("0e5", 0.0),
        ("true", True),
        ("false", False),
        ("null", None),
        ("~", None),
        ("none", "none"),
        ("$mlp_ratio", "$mlp_ratio"),
        ("5M", "5M"),
        ("1.2.3", "1.2.3"),
        ("two words", "two words"),
        ('"010"', "010"),
        ("'yes'", "yes"),
        ('""', ""),
        ('"\\xe9\\t\\n"', "é\t\n"),
    ],
)
def test_a_value_means_what_it_looks_like(read, written, meant):
    value = read(f"a: {written}\n")["a"]

    assert (value, type(value)) == (meant, type(meant))


@pytest.mark.parametrize("key", ["kernel", "Top1", "_x", "two-words", '"quoted"', "'off'", "k" * 64])
def test_a_key_is_a_word(read, key):
    assert read(f"{key}: 1\n") == {key.strip("\"'"): 1}


words = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{2,12}", fullmatch=True)
# Text that begins like a number, and y and n, is left to the tables here: safe_dump writes some of it without quotes.
texts = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")) | st.just("\n"), max_size=20).filter(
    lambda text: text[:1] not in set("+-.0123456789") and text.lower() not in ("y", "n")
)
values = (
    st.none()
    | st.booleans()
    | st.integers(1 - 10**18, 10**18 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
trees = st.recursive(
    values,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=15,
)


@settings(deadline=None)
@given(tree=st.dictionaries(words, trees, max_size=4))
def test_what_yaml_writes_reads_back_equal_and_of_the_same_kind(tmp_path_factory, tree):
    path = tmp_path_factory.getbasetemp() / "tree.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))

    assert repr(plain(read_document(path))) == repr(tree)


# ---- values that surprise ----------------------------------------------------------------------------------------

SURPRISES = {
    "true or false": "yes No ON off y N True TRUE False FALSE",
    "nothing": "Null NULL",
    "octal": "010 -08 00 00.5 01e3",
    "decimal": "0x1F 0o17 0b101 -0XFF",
    "_": "1_000 1_0.5 1_0e3",
    "base 60": "1:30 -190:20:30 1:30.5",
    "date": "2024-01-01 2024-1-1 2024-01-01T10:00:00Z",
    "finite": ".inf -.Inf +.INF .nan .NaN",
    "too large": "1e999 -1e400",
    "too small": "1e-999",
    "digits": "1" + "0" * 18 + " " + "9" * 5000,
}


@pytest.mark.parametrize(
    ("written", "reason"), [(text, reason) for reason, texts in SURPRISES.items() for text in texts.split()]
)
def test_a_value_that_readers_take_differently_is_refused_with_the_reason(problem, written, reason):
    found = problem(f"a: 1\nb:\n  - x\n  - {written}\n")

    assert (found.key, found.line) == ("b.1", 4)
    assert reason in f"{found.what}; {found.remedy}"


def test_a_date_with_a_time_after_a_blank_is_refused(problem):
    assert "date" in problem("a: 2024-01-01 10:00:00\n").what


@pytest.mark.parametrize(
    "content", ["a:\n", "a: # later\n", "a: [1, {b: }]\n", "a:\n  -\n  - 2\n", "a: {b}\n"]
)
def test_a_value_that_is_missing_is_refused(problem, content):
    assert problem(content).what == "nothing is written here"


@pytest.mark.parametrize(("escape", "named"), [("\\0", "\\x00"), ("\\e", "\\x1b"), ("\\ud800", "\\ud800")])
def test_an_escape_brings_in_nothing_unseen(problem, escape, named):
    assert problem(f'a: "{escape}"\n').what == f"the text holds {named}, which cannot be seen"


@pytest.mark.parametrize("escape", ["\\U00110000", "\\UFFFFFFFF"])
def test_an_escape_names_a_character_that_exists(problem, escape):
    found = problem(f'a: 1\nb: "{escape}"\n')

    assert (found.what, found.line) == ("a character code too large for any character", 2)


# ---- keys --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    ["3", "1.5", "null", "~", "true", "yes", "on", "010", "? [a, b]\n", "? {a: 1}\n", '"3"', "a.b", '""'],
)
def test_keys_that_are_no_words_are_refused(problem, key):
    found = problem(f"x:\n  {key}: 1\n".replace("\n:", "\n  :"))

    assert found.line == 2
    assert found.key.startswith("x.")


@pytest.mark.parametrize(
    ("key", "shown"), [("\u043aernel", r"\u043aernel"), ("\xa0\xa0kernel", r"\xa0\xa0kernel")]
)
def test_a_character_that_looks_like_another_is_shown_by_its_number(problem, key, shown):
    found = problem(f"a: 1\n{key}: 3\n")

    assert (found.key, found.what) == (shown, "keys are words, and this is none")


def test_a_key_is_not_longer_than_64_characters(problem):
    assert "64" in problem("k" * 65 + ": 1\n").remedy


def test_a_dash_without_its_blank_is_explained(problem):
    assert problem("stages:\n  -name: x\n").remedy == "write a blank after the dash of a list item"


def test_a_missing_colon_in_braces_is_explained(problems):
    assert "with a colon" in problems("a: {b 1}\n")[0].remedy


def test_the_merge_key_is_refused(problem):
    assert problem("<<: {a: 1}\n").what == "YAML's merge key is not allowed"


def test_a_key_that_stands_twice_is_refused_with_both_lines(problem):
    found = problem("a: {}\nb:\n  c: 1\n  d: 2\n  c: 3\n")

    assert (found.key, found.line) == ("b.c", 5)
    assert found.what == "written twice, in lines 3 and 5"


def test_the_same_key_in_two_tables_is_no_repetition(read):
    assert read("a: {c: 1}\nb: {c: 1}\n") == {"a": {"c": 1}, "b": {"c": 1}}


# ---- tags, anchors, aliases, bombs -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tagged", "named"),
    [
        ("!!python/object/apply:os.mkdir [CANARY]", "!!python/object/apply:os.mkdir"),
        ("!!python/object/apply:builtins.open [CANARY, w]", "!!python/object/apply:builtins.open"),
        ("!include other.yaml", "!include"),
        ("!!str 010", "!!str"),
        ("!!binary aGVsbG8=", "!!binary"),
        ("! x", "!"),
    ],
)
def test_a_tag_is_refused_and_constructs_nothing(problem, tmp_path, tagged, named):
    canary = tmp_path / "canary"

    found = problem(f"a: 1\nb: {tagged}\n".replace("CANARY", str(canary)))

    assert (found.key, found.line, found.what) == ("b", 2, f"the tag {named} is not allowed")
    assert not canary.exists()


def test_anchors_and_aliases_are_refused_by_name(problems):
    anchor, alias = problems("a: &three 3\nb: *three\n")

    assert (anchor.line, anchor.what) == (1, "the anchor &three is not allowed")
    assert (alias.line, alias.what) == (2, "the alias *three is not allowed")
    assert alias.remedy == "write the value out, or use params and $name"


@pytest.mark.parametrize("content", ["kernel: *3\n", "kernel: [*3]\n"])
def test_an_alias_of_nothing_is_named(problem, content):
    assert problem(content).what == "the alias *3 stands for nothing"


def alias_bomb(levels):
    """Nine references to the level below, ``levels`` times: 9 ** levels values, if it went off."""
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


BOMBS = {
    "alias bomb": alias_bomb(12),
    "alias bomb inside": f"a: 1\n{alias_bomb(9)}\nb: [*l8, *l8]\n",
    "quadratic": "a: &a " + "x" * 100_000 + "\nb: [" + "*a, " * 15_000 + "]\n",
    "recursive alias": "a: &a [*a, *a]\n",
    "list brackets": "a: " + "[" * 999_000,
    "table brackets": "{" * 1_000_000,
    "dashes": "- " * 499_000,
    "question marks": "? " * 499_000,
    "many values": "a: [" + "1, " * 300_000 + "]",
    "many keys": "".join(f"k{n}: 1\n" for n in range(80_000)),
    "many lines in a quote": "a: '" + "x\n" * 250_000,
    "larger than allowed": "a: " + "x" * 10_000_000,
}


@pytest.mark.parametrize("content", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_refused_in_no_time_and_in_few_words(write, content):
    path = write(content)
    started = time.process_time()

    with pytest.raises(SpaceError) as caught:
        read_document(path)

    assert time.process_time() - started < 2
    assert len(str(caught.value)) < 4000


def test_twenty_levels_are_read_and_the_next_is_refused(read, problem):
    assert read("a: " + "[" * 19 + "]" * 19)
    assert problem("a: " + "[" * 20 + "]" * 20).what == "deeper than 20 levels"


def test_more_than_twenty_thousand_keys_and_values_are_refused(read, problem):
    most = 20_000 - 3  # the root, its key and the list

    assert len(read(f"a: [{'1, ' * most}]")["a"]) == most
    assert problem(f"a: [{'1, ' * (most + 1)}]").what == "more than 20,000 keys and values"


# ---- the file and its text ---------------------------------------------------------------------------------------


def test_a_pipe_is_refused_without_waiting(path, refused):
    os.mkfifo(path)

    assert refused(path).what == "this is a pipe"


def test_a_socket_is_refused(tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as open_socket:
        open_socket.bind("s.yaml")

        assert refused(Path("s.yaml")).what == "this is a socket"


def test_a_device_and_a_directory_are_refused(tmp_path, refused):
    assert refused(Path("/dev/zero")).what == "this is a device"
    assert refused(tmp_path).what == "this is a directory"


def test_a_missing_file_and_a_link_to_none_are_told_apart(path, refused):
    assert refused(path).what == "there is no such file"
    path.symlink_to("nowhere.yaml")
    assert refused(path).what == "the link leads to no file"


def test_a_link_to_itself_is_refused(path, refused):
    path.symlink_to(path)

    assert "symbolic links" in refused(path).what


@pytest.mark.parametrize("name", ["a\0b.yaml", "x" * 5000])
def test_a_name_that_no_file_can_have_is_refused(name, refused):
    assert "cannot be read" in refused(Path(name)).what


def test_a_file_that_may_not_be_read_is_refused(write, monkeypatch, refused):
    def forbid(*_):
        raise PermissionError(13, "Permission denied")

    path = write(VALID)
    monkeypatch.setattr(Path, "open", forbid)  # to root, nothing is forbidden

    assert refused(path).what == "the file cannot be read (Permission denied)"


@pytest.mark.parametrize(
    ("content", "byte", "line"),
    [
        (b"a: 1\nb: caf\xe9\n", "0xe9", 2),
        (b"\xef\xbb\xbfa: 1\n\nb: caf\xe9\n", "0xe9", 3),
        (b"\xff\xfea\x00", "0xff", 1),
        (b"\x1f\x8b\x08\x00", "0x8b", 1),
        (VALID.encode() + b"\x80\x81", "0x80", 15),
    ],
    ids=["latin-1", "after a byte order mark", "utf-16", "gzip", "binary tail"],
)
def test_what_is_not_utf8_is_refused_with_byte_and_line(problem, content, byte, line):
    found = problem(content)

    assert (found.what, found.line) == (f"byte {byte} is not UTF-8", line)


@pytest.mark.parametrize(
    ("character", "shown"),
    [("\0", "\\x00"), ("\x07", "\\x07"), ("\x85", "\\x85"), ("\u2028", "\\u2028"), ("\u202e", "\\u202e")],
)
def test_a_character_that_cannot_be_seen_is_refused_with_its_line(problem, character, shown):
    found = problem(f"a: 1\nb: x{character}y\n")

    assert (found.what, found.line) == (f"character {shown} cannot be seen", 2)


@pytest.mark.parametrize("content", ["", "\n\n", "# a comment\n", "---\n", "---\n...\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_refused(problem, content):
    assert problem(content).what == "the file is empty"


@pytest.mark.parametrize(
    ("content", "kind"), [("- a\n- b\n", "a list"), ("text\n", "a single value"), ("7\n", "a single value")]
)
def test_a_root_that_holds_no_keys_is_refused(problem, content, kind):
    assert problem(content).what == f"the file holds {kind}, not keys"


@pytest.mark.parametrize("second", ["---\nb: 2\n", "--- x\n", "---\n"])
def test_a_second_document_is_refused_with_its_line(problem, second):
    found = problem("a: 1\n" + second)

    assert (found.what, found.line) == ("a second document begins", 2)


@pytest.mark.parametrize(
    "directive", ["%YAML 1.1\n---", "%TAG ! !x\n---", "%FOO", "%YAML " + "9" * 5000 + ".1"]
)
def test_a_directive_is_refused_with_its_line(problem, directive):
    found = problem(f"# a space\n{directive}\na: 1\n")

    assert (found.what, found.line) == ("a line that begins with % is a directive to YAML", 2)


# ---- syntax ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("a: [1, 2\nb: 3\n", 2, "bracket is missing (in what began in line 1)"),
        ('a: 1\nb: "x\nc: 3\n', 4, "a quote is never closed (in what began in line 2)"),
        ("a:\n\tb: 1\n", 2, "a tab stands here; indent with blanks"),
        ("a:\n  b: 1\n\tc: 2\n", 3, "a tab stands here; indent with blanks"),
        ("a:\n   b: 1\n  c: 2\n", 3, "indent it like its neighbours"),
        ("a:\n  b: 1\n   c: 2\n", 3, "this `:` belongs to no key"),
        ("a: 1\nkernel 3\nb: 1\n", 3, "a key without a colon stands above (in what began in line 2)"),
        ("a: {b: 1 c: 2}\n", 1, "a comma or closing bracket is missing"),
        ("a: @x\n", 1, "a value cannot begin with @; put it in quotes"),
        ('a: "\\q"\n', 1, "no known escape in double quotes"),
        ("a: [1, ,]\n", 1, "a value is missing before this sign"),
        ("a: - b\n", 1, "begin each `- ` on a line of its own"),
        ("a: *\n", 1, "a * or & without a name"),
        ("a: !x!y 1\n", 1, "a word with ! before it is a tag"),
        ("{a: 1} b\n", 1, "this stands behind the end"),
        ("a: |x\n  t\n", 1, "this is no YAML (expected chomping"),
    ],
)
def test_broken_syntax_is_told_in_simple_words_with_its_line(problem, content, line, words):
    found = problem(content)

    assert found.line == line
    assert words in f"{found.what}; {found.remedy}"


# ---- all at once -------------------------------------------------------------------------------------------------


def test_all_problems_of_a_file_are_reported_at_once_in_its_order(write):
    content = "a: yes\nb: {c: 010, c: 2}\n3: &x 1\nd: *x\ne: !t 1\nf:\ng: [1\n"

    with pytest.raises(SpaceError) as caught:
        read_document(write(content))

    lines = [(problem.line, problem.key) for problem in caught.value.problems]
    assert lines == [
        (1, "a"),
        (2, "b.c"),
        (2, "b.c"),
        (3, "3"),
        (3, "3"),
        (4, "d"),
        (5, "e"),
        (6, "f"),
        (8, ""),
    ]


def test_a_line_for_the_user_says_where_what_and_what_to_write(write):
    path = write("stages:\n  - bias: no\n")

    with pytest.raises(SpaceError) as caught:
        read_document(path)

    reason = "no is text to some, true or false to others; write true or false, or put it in quotes"
    assert caught.value.lines() == [f"{path}:2: stages.0.bias: {reason}"]


def test_the_error_is_of_the_class_that_was_asked_for(write):
    with pytest.raises(StudyFileError):
        read_document(write(""), StudyFileError)


# ---- fuzz --------------------------------------------------------------------------------------------------------

SIGNS = b"[]{}:,-?*&!|>'\"%@`#~\\ \n\t\r0_." + b"\x00\x85\xe9\xff" + string.ascii_letters.encode()


def mutated(content, seed):
    """Up to eight bytes put in, taken out or changed, or a part written twice."""
    chance, data = random.Random(seed), bytearray(content)
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(len(data))
        length = chance.choice([0, 1, 1, 5])
        new = chance.choice(
            [b"", bytes([chance.choice(SIGNS)]), bytes([chance.randrange(256)]), data[place:][:40]]
        )
        data[place : place + length] = new
    return bytes(data)


def message_of(path):
    """What the user reads about a file; nothing if it loads."""
    try:
        read_document(path)
    except SpaceError as error:
        return "\n".join(error.lines())
    return ""


def test_three_hundred_damaged_files_load_or_are_refused_in_few_words(write):
    messages = [message_of(write(mutated(VALID.encode(), seed))) for seed in range(300)]

    assert max(map(len, messages)) < 4000
    assert 100 < sum(map(bool, messages)) < 300  # the damage shows, though not always

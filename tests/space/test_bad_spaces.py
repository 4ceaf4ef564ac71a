"""One slip in a space file, one line that says where it is, what is wrong and what to write instead."""

import pytest

from archsearch.errors import SpaceError
from archsearch.space import load_space

GOOD = """\
name: small
image: {channels: 3, height: 16, width: 16}
classes: 10
params:
  ratio: {choice: [2, 4]}
stem: {kind: conv, channels: 16, kernel: 3}
stages:
  - kind: conv
    channels: {choice: [16, 32]}
    depth: {range: [1, 2]}
    kernel: 3
  - channels: 32
    depth: 1
    kind:
      mhsa: {heads: {choice: [2, 4]}}
      token_transformer: {heads: 4, mlp_ratio: $ratio}
head: {pool: mean}
limits: {params: 1M}
"""
CONV_KIND = "kind: conv\n"
CONV_STAGE = "kind: conv\n    channels: {choice: [16, 32]}\n    depth: {range: [1, 2]}\n    kernel: 3\n"
T2T = "stem: {kind: t2t, channels: 16, kernels: [3, 3], strides: [2, 1]}"
STEM = "stem: {kind: conv, channels: 16, kernel: 3}"
IMAGE_AND_STEM = GOOD[GOOD.index("image:") : GOOD.index("stages:")]
STEM_AND_CONV_STAGE = GOOD[GOOD.index("stem:") : GOOD.index("  - channels: 32")]


def cases(table):
    """One slip a line: ``what is written => what is written instead | line | key | what is wrong | remedy``.

    A ``\\n`` ends a line of the file. What is wrong and the remedy are words of the message.
    """
    rows = [line.replace("\\n", "\n").split(" | ") for line in table.strip("\n").split("\n")]
    return [(*slip.split(" => "), int(line), *words) for slip, line, *words in rows]


UNKNOWN_KEYS = cases(r"""
stages: => stage: | 7 | stage | is no part of a space | did you mean stages?
limits: => Limits: | 18 | Limits | is no part of a space | did you mean limits?
width: 16 => widht: 16 | 2 | image.widht | an image has no such field | did you mean width?
kernel: 3\n => kernal: 3\n | 11 | stages.0.kernal | a conv stage has no such field | did you mean kernel?
depth: {r => Depth: {r | 10 | stages.0.Depth | a conv stage has no such field | did you mean depth?
{pool: mean} => {pol: mean} | 17 | head.pol | a head has no such field | did you mean pool?
params: 1M => max_param: 1M | 18 | limits.max_param | is no limit of a space | did you mean params?
params: 1M => flops: 1M | 18 | limits.flops | is no limit of a space | use one of params, macs
params: 1M => latency_ms: 5 | 18 | limits.latency_ms | is no limit of a space | it depends on the device: write it under study: limits:
params: 1M => peak_memory_mib: 5 | 18 | limits.peak_memory_mib | is no limit of a space | it depends on the device: write it under study: limits:
{heads: { => {kernel: 3, heads: { | 15 | stages.1.mhsa.kernel | a mhsa stage has no such field | use one of
{heads: 4, => {groups: 2, heads: 4, | 16 | stages.1.token_transformer.groups | a token_transformer stage | use
16, kernel: 3} => 16, size: 4} | 6 | stem.size | a conv stem has no such field | (known: channels, kernel,
""")
UNKNOWN_KINDS = cases(r"""
kind: conv\n => kind: covn\n | 8 | stages.0.kind | covn is no kind | did you mean conv?
kind: conv\n => kind: Conv\n | 8 | stages.0.kind | Conv is no kind | did you mean conv?
kind: conv\n => kind: mamba\n | 8 | stages.0.kind | mamba is no kind | use one of conv, mhsa, token_transformer
kind: conv\n => kind: os:system\n | 8 | stages.0.kind | os:system is no kind | use one of conv, mhsa
kind: conv\n => kind: patch\n | 8 | stages.0.kind | patch is no kind | use one of conv, mhsa, token_transformer
kind: conv,  => kind: mhsa,  | 6 | stem.kind | mhsa is no kind | use one of conv, patch, t2t
mhsa: { => mh-sa: { | 15 | stages.1.kind.mh-sa | mh-sa is no kind | did you mean mhsa?
kind: conv\n => kind: token-transformer\n | 8 | stages.0.kind | token-transformer is no kind | did you mean token_transformer?
kind: conv\n => kind: {choice: [conv, mhsa]}\n | 8 | stages.0.kind | is a word or a mapping of alternatives | write one of conv, mhsa, token_transformer, or a mapping of alternatives: {conv: {...}, ...}
kind: conv\n => kind: [conv, mhsa]\n | 8 | stages.0.kind | is a word or a mapping of alternatives | write one of
kind: conv\n => kind: {}\n | 8 | stages.0.kind | is a word or a mapping of alternatives | write one of
kind: conv\n => kind: 3\n | 8 | stages.0.kind | is a word or a mapping of alternatives | write one of
kind: conv\n => kind: null\n | 8 | stages.0.kind | is a word or a mapping of alternatives | write one of
mhsa: {heads: {choice: [2, 4]}} => mhsa: 4 | 15 | stages.1.mhsa | 4 is no mapping | write {key: value, ...}
""")
MISSING_KEYS = cases(r"""
name: small\n =>  | 1 | name | missing | write name: ...
image: {channels: 3, height: 16, width: 16}\n =>  | 1 | image | missing | write image: ...
classes: 10\n =>  | 1 | classes | missing | write classes: ...
stem: {kind: conv, channels: 16, kernel: 3}\n =>  | 1 | stem | missing | write stem: ...
, width: 16 =>  | 2 | image.width | missing | write width: ...
kind: conv,  =>  | 6 | stem.kind | missing | write kind: and one of conv, patch, t2t
channels: 16,  =>  | 6 | stem.channels | missing: a conv stem needs it | write a value or {choice: [...]}
    depth: {range: [1, 2]}\n =>  | 8 | stages.0.depth | missing: a conv stage needs it | write a value or {choice: [...]}
""")
WRONG_VALUES = cases(r"""
depth: {range: [1, 2]} => depth: two | 10 | stages.0.depth | two is text | write an integer
depth: {range: [1, 2]} => depth: "2" | 10 | stages.0.depth | 2 is text | write an integer
depth: {range: [1, 2]} => depth: true | 10 | stages.0.depth | is a truth value | write an integer
depth: {range: [1, 2]} => depth: 2.5 | 10 | stages.0.depth | 2.5 is a decimal number | write an integer
depth: {range: [1, 2]} => depth: 2.0 | 10 | stages.0.depth | 2.0 is a decimal number | write an integer
depth: {range: [1, 2]} => depth: [2] | 10 | stages.0.depth | [2] is a list | write an integer
depth: {range: [1, 2]} => depth: 0 | 10 | stages.0.depth | 0 is too small | write at least 1
depth: {range: [1, 2]} => depth: -3 | 10 | stages.0.depth | -3 is too small | write at least 1
depth: {range: [1, 2]} => depth: 1000000000 | 10 | stages.0.depth | is too large | write at most 256
depth: {range: [1, 2]} => depth: {range: [0, 2]} | 10 | stages.0.depth | 0 is too small | write at least 1
choice: [16, 32] => choice: [16, two] | 9 | stages.0.channels | two is text | write an integer
choice: [16, 32] => choice: [16, 99999] | 9 | stages.0.channels | 99999 is too large | write at most 16384
height: 16 => height: 5000 | 2 | image.height | 5000 is too large | write at most 4096
height: 16 => height: 0 | 2 | image.height | 0 is too small | write at least 1
{choice: [2, 4]}\nstem => {choice: [0, 4]}\nstem | 16 | stages.1.token_transformer.mlp_ratio | 0 | more than 0
pool: mean => pool: max | 17 | head.pool | max is unknown | use one of mean, cls
pool: mean => pool: 3 | 17 | head.pool | 3 is unknown | use one of mean, cls, distilled
kernel: 3\n => activation: swish\n | 11 | stages.0.activation | swish | one of relu, silu, gelu
kernel: 3\n => shortcut: conv1\n | 11 | stages.0.shortcut | conv1 is unknown | mean conv1x1?
kernel: 3\n => shortcut_activation: 1\n | 11 | stages.0.shortcut_activation | 1 is an | true or f
kernel: 3\n => norm_eps: 0\n | 11 | stages.0.norm_eps | 0 is too small | more than 0
kernel: 3\n => norm_eps: 0.1\n | 11 | stages.0.norm_eps | 0.1 is too large | at most 0.01
kernel: 3} => hidden_channels: 8} | 6 | stem.hidden_channels | 8 is an integer | write a list
kernel: 3} => hidden_channels: [8, 0]} | 6 | stem.hidden_channels.1 | 0 is too small | at least 1
kernel: 3} => hidden_channels: [8, 8, 8, 8, 8]} | 6 | stem.hidden_channels | has 5 items | write at most 4
{heads: { => {position: absolute, heads: { | 15 | stages.1.mhsa.position | absolute is unknown | use one of relative, article, none
{heads: { => {rel_scale: all, heads: { | 15 | stages.1.mhsa.rel_scale | all is unknown | use one of both, content
{heads: 4, => {gelu: erf, heads: 4, | 16 | stages.1.token_transformer.gelu | erf is unknown | use one of exact, tanh
kernel: 3\n => block: basik\n | 11 | stages.0.block | basik is unknown | did you mean basic?
{heads: 4, => {qkv_bias: 1, heads: 4, | 16 | stages.1.token_transformer.qkv_bias | 1 is an integer | true or f
{heads: 4, => {norm_eps: a, heads: 4, | 16 | stages.1.token_transformer.norm_eps | a is text | write a number
stem: {kind: conv, channels: 16, kernel: 3} => stem: {kind: t2t, channels: 16, kernels: 3, strides: [2, 1]} | 6 | stem.kernels | 3 is an integer | write a list such as [3, 3]
stem: {kind: conv, channels: 16, kernel: 3} => stem: {kind: t2t, channels: 16, kernels: [3, x], strides: [2, 1]} | 6 | stem.kernels.1 | x is text | write an integer
stem: {kind: conv, channels: 16, kernel: 3} => stem: {kind: t2t, channels: 16, kernels: [3], strides: [2, 1]} | 6 | stem.kernels | [3] has 1 items | write at least 2
classes: 10 => classes: 1 | 3 | classes | 1 is too small | write at least 2
classes: 10 => classes: ten | 3 | classes | ten is text | write an integer
classes: 10 => classes: 2000000 | 3 | classes | 2000000 is too large | write at most 1000000
params: 1M => params: 0 | 18 | limits.params | 0 is no amount above 0 | write 5000000 or 5M
params: 1M => params: -5 | 18 | limits.params | -5 is no amount above 0 | write 5000000 or 5M
params: 1M => params: 1.5 | 18 | limits.params | 1.5 is no amount above 0 | write 5000000 or 5M
params: 1M => params: 5m | 18 | limits.params | 5m is no amount above 0 | write 5000000 or 5M
params: 1M => params: many | 18 | limits.params | many is no amount above 0 | write 5000000 or 5M
params: 1M => params: true | 18 | limits.params | is no amount above 0 | write 5000000 or 5M
params: 1M => params: null | 18 | limits.params | null is no value here | leave the key out
{params: 1M} => 1M | 18 | limits | 1M is no mapping | write {key: value, ...}
head: {pool: mean} => head: mean | 17 | head | mean is no mapping | write {key: value, ...}
stem: {kind: conv, channels: 16, kernel: 3} => stem: conv | 6 | stem | is a mapping with a kind | write {kind: conv, ...}
head: {pool: mean} => study: digits | 17 | study | is a mapping | write {data: digits, trials: 24}
""")
NAMES = [
    (
        "name: small",
        f"name: {name}",
        1,
        "name",
        "cannot name a folder",
        "use up to 64 letters, digits, '.', '_' and",
    )
    for name in (
        "../../x",
        "/tmp/x",
        "..",
        ".",
        "a b",
        "a/b",
        "größe",
        '""',
        "5",
        "true",
        "null",
        "-x",
        "x" * 65,
        "[a]",
    )
]
OPEN_AND_SHARED = cases(r"""
height: 16 => height: {choice: [16, 32]} | 2 | image.height | cannot be left open: the data decides it | write one value
classes: 10 => classes: {range: [2, 4]} | 3 | classes | cannot be left open: the data | write one value
classes: 10 => classes: $ratio | 3 | classes | cannot be left open: the data | write one value
$ratio => 4 | 5 | params.ratio | is used nowhere | write $ratio where it is meant, or remove it
heads: 4, => heads: $head, | 16 | stages.1.token_transformer.heads | $head is not among params | use one of
heads: 4, => heads: $Ratio, | 16 | stages.1.token_transformer.heads | $Ratio is not among | did you mean ratio?
heads: 4, => heads: $, | 16 | stages.1.token_transformer.heads | $ is not among params | use one of ratio
mhsa: { => mhsa: {depth: 2,  | 15 | stages.1.mhsa.depth | is given for all alternatives already (stages.1.depth) | write it in one of the two places
depth: {range: [1, 2]} => depth: {range: [2, 1]} | 10 | stages.0.depth | the range ends at 1 | write [low, high]
choice: [16, 32] => choice: [] | 9 | stages.0.channels | the choice is empty | write at least one option
{choice: [2, 4]}\nstem => [{choice: [2, 4]}]\nstem | 5 | params.ratio | a parameter holds a value or a choice | write {choice: [...]} over whole values
""")
CANNOT_BE_BUILT = cases(r"""
kernel: 3\n => kernel: 4\n | 11 | stages.0.kernel | 4 is even and has no centre | use 3 or 5
kernel: 3\n => kernel: 17\n | 11 | stages.0.kernel | 17 is larger than the 16x16 map | use an odd one up to 15
kernel: 3} => kernel: 17} | 6 | stem.kernel | 17 is larger than the 16x16 map that arrives here | use an odd one up to 15
kernel: 3} => kernel: 3, stride: 17} | 6 | stem.stride | 17 is larger than the 16x16 map that arrives here | use at most 16, or stride less before it
kernel: 3\n => stride: 17\n | 11 | stages.0.stride | 17 is larger than the 16x16 map that arrives here | use at most 16, or stride less before it
kernel: 3} => kernel: 9, stride: 2, hidden_channels: [8]} | 6 | stem.kernel | 9 is larger than the 8x8 map | use an odd one up to 7
kernel: 3\n => groups: 5\n | 11 | stages.0.groups | 5 groups do not divide | use groups that divide it
kernel: 3\n => expansion: 0.3\n | 11 | stages.0.expansion | is no whole number | use another expansion
choice: [2, 4]}} => choice: [2, 3]}} | 15 | stages.1.mhsa.heads | the option 3 can never be built | heads that
{heads: 4, => {heads: 5, | 16 | stages.1.token_transformer.heads | 5 heads do not divide | use heads that divide
{heads: 4, => {stride: 4, heads: 4, | 16 | stages.1.token_transformer.split_kernel | windows of 3 at stride 4 leave pixels out between them | use a kernel of at least 4, or a smaller stride
stem: {kind: conv, channels: 16, kernel: 3} => stem: {kind: t2t, channels: 16, kernels: [3, 3], strides: [2, 1, 1]} | 6 | stem.strides | 2 kernels and 3 strides | write one stride for each kernel, first split to last
stem: {kind: conv, channels: 16, kernel: 3} => stem: {kind: t2t, channels: 16, kernels: [3, 3], strides: [2, 4]} | 6 | stem.kernels.1 | windows of 3 at stride 4 leave pixels out | at least 4
stem: {kind: conv, channels: 16, kernel: 3} => stem: {kind: t2t, channels: 16, kernels: [9, 3], strides: [9, 3]} | 6 | stem.kernels.1 | no window of 3 at stride 3 fits into the 1x1 map | use a smaller kernel, or stride less, here or before it
{heads: 4, => {distillation_token: true, heads: 4, | 16 | stages.1.token_transformer.distillation_token | a distillation token without a class token | write class_token: true too
stem: {kind: conv, channels: 16, kernel: 3} => stem: {kind: t2t, channels: 16, kernels: [9, 9], strides: [2, 1]} | 6 | stem.kernels.1 | 9 is larger than the 8x8 map | use at most 8
pool: mean => pool: cls | 17 | head.pool | no last stage of this space carries a class token | write pool: mean, or let the last stage be a token_transformer with class_token: true
pool: mean => pool: distilled | 17 | head.pool | no last stage of this space carries a distillation token | write pool: mean, or let the last stage be a token_transformer with distillation_token: true
""")
CANNOT_BE_BUILT += [
    (
        STEM_AND_CONV_STAGE,
        STEM_AND_CONV_STAGE.replace("3}", "3, stride: 8}").replace("kernel: 3\n", "kernel: 5\n"),
        11,
        "stages.0.kernel",
        "5 is larger than the 2x2 map",
        "use an odd one up to 3",
    ),
    (
        IMAGE_AND_STEM,
        IMAGE_AND_STEM.replace("height: 16", "height: 2").replace("kernel: 3", "kernel: 5"),
        6,
        "stem.kernel",
        "5 is larger than the 2x16 map",
        "use an odd one up to 3",
    ),
    (
        CONV_STAGE,
        "kind: token_transformer\n    channels: 16\n    depth: 1\n    class_token: true\n",
        11,
        "stages.0.class_token",
        "a stage follows that has no use for it",
        "write it in the last stage only",
    ),
]
TABLES = {
    "unknown keys": UNKNOWN_KEYS,
    "unknown kinds": UNKNOWN_KINDS,
    "missing keys": MISSING_KEYS,
    "wrong values": WRONG_VALUES,
    "names": NAMES,
    "open and shared": OPEN_AND_SHARED,
    "cannot be built": CANNOT_BE_BUILT,
}


def swapped(old, new):
    """The good file with one slip."""
    assert GOOD.count(old) == 1, f"{old!r} does not stand once in the good file"
    return GOOD.replace(old, new)


@pytest.fixture
def problems_of(refusal_of):
    return lambda text: refusal_of(text).problems


def test_the_file_that_the_slips_are_made_in_is_good(space_of):
    assert space_of(GOOD).name == "small"


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "what", "remedy"),
    [
        pytest.param(*case, id=f"{table}: {case[3]}, {case[1].strip()[:40] or 'left out'}")
        for table, cases in TABLES.items()
        for case in cases
    ],
)
def test_a_slip_is_named_with_its_line_its_key_and_a_remedy(problems_of, old, new, line, key, what, remedy):
    first = next(problem for problem in problems_of(swapped(old, new)) if problem.key == key)

    assert what in first.what
    assert remedy in first.remedy
    assert first.line == line


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        pytest.param(case[0], case[1], case[3], id=f"{table}: {case[3]}, {case[1].strip()[:40]}")
        for table in ("unknown kinds", "wrong values", "names", "open and shared", "cannot be built")
        for case in TABLES[table]
        # These take away the only use of ``params.ratio``, or fields that a kind needs: two slips.
        if case[1] not in ("classes: $ratio", "mhsa: 4")
    ],
)
def test_nothing_is_said_beside_the_slip_and_nothing_twice(problems_of, old, new, key):
    problems = problems_of(swapped(old, new))

    assert {problem.key for problem in problems} == {key}
    assert len({problem.what for problem in problems}) == len(problems)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("depth: {range: [1, 2]}", "depth: null", "stages.0.depth"),
        ("depth: {range: [1, 2]}", "depth: {choice: []}", "stages.0.depth"),
        ("height: 16", "height: null", "image.height"),
        (STEM, T2T.replace("[3, 3]", "[3, x]"), "stem.kernels.1"),
        (STEM, T2T.replace("[3, 3]", "[{choice: [3, 5, 7]}, x]"), "stem.kernels.1"),
        ("  - channels: 32\n    depth: 1\n", "  - channels: 32\n    depth: 0\n", "stages.1.depth"),
        ("{choice: [2, 4]}\nstem", "{choice: []}\nstem", "params.ratio"),
    ],
    ids=[
        "null",
        "open badly",
        "of the image",
        "in a list",
        "in a list with open items",
        "shared by kinds",
        "in params",
    ],
)
def test_a_value_that_cannot_be_read_is_one_line(refusal_of, old, new, key):
    (only,) = refusal_of(swapped(old, new)).lines()

    assert f": {key}: " in only


SEVERAL = """\
name: ../x
image: {channels: 3, height: 16, width: big}
classes: 1
stem: {kind: conf, channels: 16}
stages:
  - kind: conv
    chanels: 16
    depth: 0
  - kind: mamba
head: {pool: max}
limits: {params: none}
"""


def test_all_problems_of_a_file_are_reported_at_once_in_its_order(refusal_of):
    error = refusal_of(SEVERAL)
    places = [line.removeprefix(error.source).split(": ")[:2] for line in error.lines()]

    assert places == [
        [":1", "name"],
        [":2", "image.width"],
        [":3", "classes"],
        [":4", "stem.kind"],
        [":7", "stages.0.chanels"],
        [":8", "stages.0.depth"],
        [":9", "stages.1.kind"],
        [":10", "head.pool"],
        [":11", "limits.params"],
    ]


def test_a_line_reads_file_line_key_what_and_remedy(refusal_of):
    error = refusal_of(swapped("kernel: 3\n", "kernel: 4\n"))

    assert str(error) == f"{error.source}:11: stages.0.kernel: 4 is even and has no centre; use 3 or 5"
    assert error.exit_code == 2


def test_problems_of_one_line_stand_in_the_order_of_its_words(refusal_of):
    names = ["zeta", "alpha", "omega", "beta", "kappa", "delta"]
    unused = ", ".join(f"{name}: 1" for name in names)
    error = refusal_of(
        swapped("params:\n", f"params: {{{unused}, ratio: 2}}\n").replace("  ratio: {choice: [2, 4]}\n", "")
    )

    assert [problem.key for problem in error.problems] == [f"params.{name}" for name in names]


def test_dead_ends_of_several_parts_are_reported_at_once(refusal_of):
    text = swapped("{heads: {choice: [2, 4]}}", "{heads: {choice: [2, 3, 5]}}").replace(
        "[16, 32]}", "[16, 30]}"
    )
    error = refusal_of(text.replace("kernel: 3\n", "kernel: {choice: [3, 4]}\n"))

    assert [problem.key for problem in error.problems] == [
        "stages.0.channels",
        "stages.0.kernel",
        "stages.1.mhsa.heads",
        "stages.1.mhsa.heads",
    ]


def test_at_most_twenty_problems_are_shown_and_the_rest_counted(refusal_of):
    stages = "".join(f"  - {{kind: k{index}}}\n" for index in range(23))
    error = refusal_of(
        "name: a\nimage: {channels: 3, height: 8, width: 8}\nclasses: 2\n" + STEM + "\nstages:\n" + stages
    )

    assert len(error.problems) == 23
    assert len(error.lines()) == 21
    assert error.lines()[-1] == f"{error.source}: and 3 more problems"


def test_a_direct_entry_takes_the_channels_that_arrive(refusal_of):
    text = swapped("{heads: 4,", "{entry: direct, heads: 4,").replace("{choice: [16, 32]}", "16")
    (first, *_) = refusal_of(text).problems

    assert first.key == "stages.1.channels"
    assert first.what == "a direct entry takes the 16 channels that arrive, not 32"
    assert first.remedy == "use 16, or entry: split"


def test_a_field_that_all_alternatives_share_is_named_by_its_own_place(refusal_of):
    text = swapped(CONV_STAGE, "channels: 16\n    depth: 1\n    kernel: 4\n    kind: {conv: {groups: 2}}\n")
    (only,) = refusal_of(text).problems

    assert (only.key, only.line) == ("stages.0.kernel", 10)


def test_a_limit_that_is_left_open_is_refused_in_the_words_of_the_file(refusal_of):
    (only,) = refusal_of(swapped("params: 1M", "params: {choice: [1M, 2M]}")).problems

    assert only.key == "limits.params"
    assert "Choice(" not in only.what


@pytest.mark.parametrize("amount", ["9" * 400 + "M", "9" * 19 + "T", "1" + "0" * 308 + ".5G"])
def test_an_amount_beyond_every_network_is_refused_or_read(file_of, amount):
    path = file_of(swapped("params: 1M", f"params: {amount}"))
    try:
        limit = load_space(path).limits["params"]
    except SpaceError as error:
        assert error.problems[0].key == "limits.params"  # noqa: PT017 - either way is a clean answer
    else:
        assert limit > 10**18


@pytest.mark.parametrize(
    ("stages", "what"),
    [
        ("[]", "is a list of 1 to 64 stages"),
        ("conv", "is a list of 1 to 64 stages"),
        ("{kind: conv}", "is a list of 1 to 64 stages"),
        ("[" + "{kind: conv, channels: 8, depth: 1}, " * 65 + "]", "is a list of 1 to 64 stages"),
    ],
    ids=["none", "a word", "a mapping", "too many"],
)
def test_stages_are_a_list_of_at_least_one(refusal_of, stages, what):
    text = GOOD[: GOOD.index("params:")] + STEM + f"\nstages: {stages}\n"
    (only,) = refusal_of(text).problems

    assert (only.key, only.what, only.remedy) == ("stages", what, "write - kind: ... for each stage")


def test_a_stage_that_is_no_mapping_is_refused(refusal_of):
    text = GOOD[: GOOD.index("params:")] + STEM + "\nstages:\n  - conv\n  - null\n"

    assert [str(p.at("")) for p in refusal_of(text).problems] == [
        ":6: stages.0: is a mapping with a kind; write {kind: conv, ...}",
        ":7: stages.1: is a mapping with a kind; write {kind: conv, ...}",
    ]


def test_what_the_document_cannot_be_read_for_is_reported_too(refusal_of):
    (only,) = refusal_of(swapped("depth: {range: [1, 2]}", "depth: 010")).problems

    assert (only.key, only.line) == ("stages.0.depth", 10)


def test_a_path_without_a_file_is_refused(tmp_path):
    with pytest.raises(SpaceError, match="there is no such file; check the path"):
        load_space(tmp_path / "none.yaml")


def test_a_misspelt_field_of_all_kinds_is_one_slip_and_not_six(refusal_of):
    shared = "  - dept: 1\n    channels: 16\n    kind:\n      conv: {}\n      mhsa: {}\n      token_transformer: {}\n"
    error = refusal_of(
        "name: one\nimage: {channels: 3, height: 16, width: 16}\nclasses: 10\n"
        f"stem: {{kind: conv, channels: 8}}\nstages:\n{shared}"
    )

    assert [problem.key for problem in error.problems] == ["stages.0.dept"]
    assert "no kind written here has such a field; did you mean depth?" in str(error)

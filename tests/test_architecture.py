"""An architecture is its content: one id everywhere, one network, and every problem with its place."""

import hashlib
import itertools
import json
import subprocess
import sys

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from archsearch.architecture import Architecture, Image
from archsearch.errors import ArchitectureError
from archsearch.shapes import FeatureShape
from archsearch.stages import (
    ConvStage,
    ConvStem,
    Head,
    MHSAStage,
    Mixer,
    PatchStem,
    T2TStem,
    TokenTransformerStage,
)

IMAGE = Image(channels=3, height=32, width=24)
CONV = ConvStage(channels=16, depth=1, stride=2)
MHSA = MHSAStage(channels=16, depth=1, stride=2, heads=2)
TOKENS = TokenTransformerStage(channels=16, depth=1, stride=2, heads=2)
WITH_CLASS_TOKEN = TokenTransformerStage(channels=16, depth=1, heads=2, class_token=True)
DISTILLED = TokenTransformerStage(
    channels=16, depth=1, heads=2, class_token=True, distillation_token=True, gelu="tanh"
)


def architecture(*stages, stem=None, pool="mean", **fields):
    stem = stem or ConvStem(channels=8, stride=2)
    return Architecture(
        **{"image": IMAGE, "classes": 10, "stem": stem, "stages": stages, "head": Head(pool=pool), **fields}
    )


EXAMPLES = {
    "convolutions": architecture(CONV, ConvStage(channels=32, depth=2, block="basic", expansion=0.5)),
    "attention": architecture(
        MHSA, MHSAStage(channels=32, depth=1, position="none"), stem=PatchStem(channels=8, size=4)
    ),
    "tokens": architecture(
        TokenTransformerStage(channels=8, depth=1, entry="direct", split_kernel=7, norm_eps=1e-5),
        WITH_CLASS_TOKEN,
        stem=T2TStem(channels=8, kernels=(5, 3), strides=(2, 2), attention="softmax"),
        pool="cls",
    ),
    "performer": architecture(TOKENS, stem=T2TStem(channels=8, kernels=(3, 3), strides=(2, 2), features=7)),
    "distilled": architecture(
        ConvStage(channels=16, depth=1, stride=2, shortcut="conv3x3", shortcut_activation=True),
        MHSAStage(channels=16, depth=1, heads=1, position="article", qkv_bias=True),
        DISTILLED,
        stem=ConvStem(channels=8, stride=2, hidden_channels=(4, 6), activation="gelu", norm_eps=1e-3),
        pool="distilled",
    ),
}
every_example = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES.keys())


def tuples(value):
    """A parsed document with its lists as tuples: descriptions are strict and frozen."""
    if isinstance(value, dict):
        return {key: tuples(inner) for key, inner in value.items()}
    return tuple(tuples(inner) for inner in value) if isinstance(value, list) else value


def read_back(text):
    return Architecture.model_validate(tuples(yaml.safe_load(text)))


# --- identity -------------------------------------------------------------------------------------


def test_an_id_is_the_hash_of_what_means_something_and_differs_from_its_default():
    stages = (ConvStage(channels=16, depth=2, stride=2, kernel=3, block="basic", expansion=0.5),)

    canonical = {
        "image": {"channels": 3, "height": 32, "width": 24},
        "classes": 10,
        "stem": {"kind": "patch", "channels": 8, "size": 4},
        "stages": [{"kind": "conv", "channels": 16, "depth": 2, "stride": 2, "block": "basic"}],
        "head": {},
    }
    text = json.dumps(canonical, sort_keys=True, separators=(",", ":"))

    found = architecture(*stages, stem=PatchStem(channels=8, size=4)).id
    assert found == hashlib.sha256(text.encode()).hexdigest()[:12]
    # Pinned: records on disk are found again by this id, so no release may change it.
    assert found == "379da5569d5c"


def test_an_id_is_the_same_in_another_process():
    example = EXAMPLES["tokens"]
    program = "import sys; from archsearch.architecture import Architecture as A; "
    program += "print(A.model_validate_json(sys.argv[1]).id)"

    found = subprocess.run(
        [sys.executable, "-c", program, example.model_dump_json()], capture_output=True, text=True, check=True
    )

    assert found.stdout.strip() == example.id


def test_a_name_is_no_part_of_the_identity():
    assert architecture(CONV, name="first").id == architecture(CONV, name="second").id


@pytest.mark.parametrize(
    "other",
    [
        architecture(CONV, MHSA, classes=11),
        architecture(CONV, MHSA, image=Image(channels=3, height=24, width=32)),
        architecture(CONV, MHSA, stem=ConvStem(channels=8)),
        architecture(MHSA, CONV),
        architecture(CONV, MHSA, MHSA),
        architecture(CONV, WITH_CLASS_TOKEN, pool="cls"),
        architecture(CONV, MHSA, pool="distilled"),
    ],
    ids=["classes", "image", "stem", "order", "depth", "head", "distilled head"],
)
def test_everything_else_is(other):
    assert other.id != architecture(CONV, MHSA).id


def test_all_examples_have_ids_of_their_own():
    assert len({example.id for example in EXAMPLES.values()}) == len(EXAMPLES)


def test_a_changed_copy_has_its_own_id():
    example = architecture(CONV)
    assert example.id

    copy = example.model_copy(update={"stages": (MHSA,)})

    assert copy.id == architecture(MHSA).id


def test_reading_an_id_leaves_an_architecture_equal_to_its_twin():
    example, twin = architecture(CONV), architecture(CONV)
    assert example.id

    assert example == twin
    assert hash(example) == hash(twin)


# --- files ----------------------------------------------------------------------------------------


@every_example
def test_a_written_file_reads_back_to_the_same_id(example):
    assert read_back(example.to_yaml()).id == example.id


def test_a_written_file_leaves_out_the_scale_of_a_position_that_is_not_scaled():
    document = yaml.safe_load(EXAMPLES["distilled"].to_yaml())

    assert document["stages"][1]["position"] == "article"
    assert "rel_scale" not in document["stages"][1]


@every_example
def test_json_reads_back_to_the_same_architecture(example):
    found = Architecture.model_validate_json(example.model_dump_json())

    assert found == example
    assert found.id == example.id


def test_a_written_file_leaves_out_what_means_nothing_and_writes_defaults_out():
    document = yaml.safe_load(EXAMPLES["tokens"].to_yaml())

    assert "features" not in document["stem"]
    assert "split_kernel" not in document["stages"][0]
    assert document["stem"]["token_channels"] == 64
    assert document["stages"][0]["mlp_ratio"] == 4.0
    assert document["stages"][0]["gelu"] == "exact"
    assert document["head"] == {"pool": "cls"}


@settings(max_examples=50, deadline=None, derandomize=True)
@given(name=st.text())
def test_any_name_survives_a_file(name):
    assert read_back(architecture(CONV, name=name).to_yaml()).name == name


# --- what cannot be described ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"stages": ()}, ("stages",)),
        ({"classes": 1}, ("classes",)),
        ({"classes": "10"}, ("classes",)),
        ({"image": {"channels": 3, "height": 0, "width": 24}}, ("image", "height")),
        ({"stem": {"kind": "mamba", "channels": 8}}, ("stem",)),
        ({"stages": ({"kind": "conv", "channels": 8},)}, ("stages", 0, "conv", "depth")),
        ({"head": {"pool": "max"}}, ("head", "pool")),
        ({"dropout": 0.1}, ("dropout",)),
    ],
    ids=[
        "no stage",
        "one class",
        "text",
        "no height",
        "unknown kind",
        "missing field",
        "pool",
        "unknown field",
    ],
)
def test_what_an_architecture_cannot_say_is_refused_with_its_place(fields, key):
    with pytest.raises(ValidationError) as raised:
        architecture(CONV, **fields)

    assert raised.value.errors()[0]["loc"] == key


def test_an_architecture_never_changes():
    with pytest.raises(ValidationError):
        architecture(CONV).classes = 11


# --- shapes and problems --------------------------------------------------------------------------


def test_shapes_are_the_image_and_the_map_behind_every_part():
    stem = ConvStem(channels=8, kernel=7, stride=2, pool="max")

    shapes = architecture(CONV, MHSA, stem=stem).shapes()

    assert shapes == [
        FeatureShape(3, 32, 24),
        FeatureShape(8, 8, 6),
        FeatureShape(16, 4, 3),
        FeatureShape(16, 2, 2),
    ]


def test_every_part_is_placed_with_the_map_that_arrives():
    example = architecture(CONV, MHSA)

    assert list(example.placed()) == [
        ("stem", example.stem, FeatureShape(3, 32, 24)),
        ("stages.0", CONV, FeatureShape(8, 16, 12)),
        ("stages.1", MHSA, FeatureShape(16, 8, 6)),
    ]


def test_mixers_are_placed_with_their_part():
    assert architecture(CONV, TOKENS).mixers() == [
        ("stem", Mixer(32, 24, 3)),
        ("stages.0", Mixer(16, 12, 3)),
        ("stages.1", Mixer(8, 6, 3)),
        ("stages.1", Mixer(4, 3, None, attention=True)),
    ]


@every_example
def test_no_example_has_a_problem(example):
    assert example.problems() == ()


def test_a_problem_is_placed_with_its_stage():
    bad = architecture(CONV, MHSAStage(channels=16, depth=1, heads=3))

    assert [problem.key for problem in bad.problems()] == ["stages.1.heads"]


def test_a_problem_of_the_stem_is_placed_with_it():
    bad = architecture(CONV, stem=PatchStem(channels=8, size=64))

    assert [problem.key for problem in bad.problems()] == ["stem.size"]


def test_a_problem_hides_what_follows_from_it():
    """Behind a part that cannot be, no map arrives that the next one could be checked against."""
    bad = architecture(ConvStage(channels=16, depth=1, kernel=4), MHSAStage(channels=16, depth=1, heads=3))

    assert [problem.key for problem in bad.problems()] == ["stages.0.kernel"]


def test_shapes_of_what_cannot_be_are_an_error_that_says_where():
    bad = architecture(CONV, MHSAStage(channels=16, depth=1, heads=3), name="candidate-7")

    with pytest.raises(ArchitectureError) as raised:
        bad.shapes()

    assert raised.value.lines() == [
        (
            "candidate-7: stages.1.heads: 3 heads do not divide the attention's width "
            "(channels x expansion) of 4; use heads that divide it, or another width"
        )
    ]


def test_what_cannot_be_is_not_built():
    with pytest.raises(ArchitectureError, match=r"stages\.0\.kernel"):
        architecture(ConvStage(channels=16, depth=1, kernel=4)).build()


def test_a_problem_is_one_printable_line_whatever_the_name():
    bad = architecture(ConvStage(channels=16, depth=1, kernel=4), name="two\nlines\x1b[2J")

    with pytest.raises(ArchitectureError) as raised:
        bad.shapes()

    (line,) = str(raised.value).splitlines()
    assert line.isprintable()


# --- tokens of a stage's own ----------------------------------------------------------------------


def test_a_cls_head_needs_a_class_token():
    (problem,) = architecture(CONV, TOKENS, pool="cls").problems()

    assert problem.at("") == (
        "head.pool: the last stage carries no class token; "
        "write pool: mean, or end on a token_transformer with class_token: true"
    )


def test_a_class_token_before_the_last_stage_has_no_use():
    (problem,) = architecture(WITH_CLASS_TOKEN, TOKENS).problems()

    assert problem.at("") == (
        "stages.0.class_token: a stage follows that has no use for it; write false here"
    )


@pytest.mark.parametrize("last", [CONV, MHSA, TOKENS, WITH_CLASS_TOKEN], ids=lambda stage: stage.kind)
def test_a_distilled_head_needs_a_distillation_token(last):
    (problem,) = architecture(CONV, last, pool="distilled").problems()

    assert problem.at("") == (
        "head.pool: the last stage carries no distillation token; "
        "write pool: mean, or end on a token_transformer with distillation_token: true"
    )


def test_two_tokens_before_the_last_stage_have_no_use():
    found = [problem.at("") for problem in architecture(CONV, DISTILLED, TOKENS).problems()]

    assert found == [
        "stages.1.class_token: a stage follows that has no use for it; write false here",
        "stages.1.distillation_token: a stage follows that has no use for it; write false here",
    ]


@pytest.mark.parametrize("pool", ["mean", "cls", "distilled"])
def test_every_head_can_stand_behind_a_class_token_and_a_distillation_token(pool):
    example = architecture(CONV, DISTILLED, pool=pool)

    assert example.problems() == ()
    assert example.build()(torch.randn(2, 3, 32, 24)).shape == (2, 10)


def test_a_distilled_head_reads_the_class_token_and_the_distillation_token():
    network = architecture(DISTILLED, pool="distilled").build().eval()
    images = torch.randn(2, 3, 32, 24)

    logits = network(images)

    tokens = network.stages[0](network.stem(images)).tokens
    first, second = network.head.linear(tokens[:, 0]), network.head.distilled(tokens[:, 1])
    torch.testing.assert_close(logits, (first + second) / 2)


def test_a_mean_head_reads_the_map_beside_a_class_token():
    example = architecture(WITH_CLASS_TOKEN, pool="mean")
    network = example.build().eval()
    images = torch.randn(2, 3, 32, 24)

    logits = network(images)

    features = network.stages[0](network.stem(images))
    torch.testing.assert_close(logits, network.head.linear(features.map.mean(dim=(2, 3))))


def test_a_cls_head_reads_the_class_token():
    example = architecture(WITH_CLASS_TOKEN, pool="cls")
    network = example.build().eval()
    images = torch.randn(2, 3, 32, 24)

    logits = network(images)

    features = network.stages[0](network.stem(images))
    torch.testing.assert_close(logits, network.head.linear(features.tokens[:, 0]))


# --- layouts and networks -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stem", "letter"),
    [
        (ConvStem(channels=8), "C"),
        (PatchStem(channels=8, size=2), "P"),
        (T2TStem(channels=8, kernels=(3, 3), strides=(1, 2)), "T"),
    ],
    ids=["conv", "patch", "t2t"],
)
def test_a_layout_has_one_letter_a_part_stem_first(stem, letter):
    assert architecture(CONV, MHSA, TOKENS, stem=stem).layout == f"{letter}-CMT"


@pytest.mark.parametrize(
    "stages",
    list(itertools.product([CONV, MHSA, TOKENS], repeat=3)),
    ids=lambda stages: "".join(stage.kind[0] for stage in stages),
)
def test_every_order_of_the_stage_kinds_builds_and_runs(stages):
    network = architecture(*stages).build()

    logits = network(torch.randn(2, 3, 32, 24))

    assert logits.shape == (2, 10)
    assert logits.isfinite().all()


@every_example
def test_every_example_builds_and_learns(example):
    """One step against its own gradient makes the loss smaller."""
    torch.manual_seed(0)
    network = example.build().train()
    images, labels = torch.randn(4, 3, 32, 24), torch.tensor([0, 3, 7, 9])
    before = torch.nn.functional.cross_entropy(network(images), labels)
    before.backward()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.sub_(1e-3 * parameter.grad)

    behind = torch.nn.functional.cross_entropy(network(images), labels)

    assert behind < before


def test_a_seed_decides_the_weights():
    example = EXAMPLES["performer"]
    networks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        networks.append(example.build().state_dict())
    first, same, other = networks

    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["head.linear.weight"], other["head.linear.weight"])

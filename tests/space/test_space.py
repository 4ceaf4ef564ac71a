"""A Space is asked through a trial, field by field; it draws by a seed and tells apart what differs."""

import random
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from archsearch.architecture import Architecture, Image
from archsearch.counting import count_macs, count_params
from archsearch.errors import InfeasibleError
from archsearch.space import load_architecture, load_space

HYBRID = Path(__file__).parents[2] / "spaces" / "hybrid.yaml"
SEEDS = range(6)
SMALL = """\
# A small space, with every way to leave something open.
name: small
image: {channels: 3, height: 16, width: 16}
classes: 10
params:
  mlp_ratio: {choice: [2, 4]}
  width: {choice: [16, 32]}
stem:
  kind:
    conv: {channels: 8, kernel: {choice: [3, 5]}}
    t2t:
      channels: $width
      kernels: {choice: [[3, 3], [5, 3]]}
      strides: [{choice: [1, 2]}, 1]
      token_channels: 8
stages:
  - channels: $width
    depth: 1
    kind:
      conv: {kernel: {choice: [3, 5]}}
      token_transformer: {heads: 2, mlp_ratio: $mlp_ratio}
  - kind: token_transformer
    channels: $width
    depth: {range: [1, 2]}
    mlp_ratio: 2
head: {pool: mean}
limits: {params: 1M}
"""
CONV = {
    "stem.kind": "conv",
    "stem.conv.kernel": 5,
    "stages.0.kind": "conv",
    "stages.0.conv.kernel": 3,
    "params.width": 32,
    "stages.1.depth": 2,
}
TOKENS = {
    "stem.kind": "t2t",
    "stem.t2t.kernels": "[5, 3]",
    "stem.t2t.strides.0": 2,
    "params.width": 16,
    "stages.0.kind": "token_transformer",
    "params.mlp_ratio": 4,
    "stages.1.depth": 1,
}


class Asked:
    """A trial that takes the first option and writes down every question."""

    def __init__(self):
        self.questions = []

    def suggest_categorical(self, name, choices, /):
        self.questions.append((name, tuple(choices)))
        return choices[0]


@pytest.fixture
def small(space_of):
    return space_of(SMALL)


@pytest.fixture(scope="module")
def hybrid():
    return load_space(HYBRID)


@pytest.fixture(scope="module")
def drawn(hybrid):
    return [hybrid.draw(seed) for seed in SEEDS]


# ---- sampling ----------------------------------------------------------------------------------------------------


def test_parameters_are_named_by_their_place_in_the_file(small):
    trial = Asked()
    small.sample(trial)

    assert trial.questions == [
        ("stem.kind", ("conv", "t2t")),
        ("stem.conv.kernel", (3, 5)),
        ("stages.0.kind", ("conv", "token_transformer")),
        ("params.width", (16, 32)),
        ("stages.0.conv.kernel", (3, 5)),
        ("stages.1.depth", (1, 2)),
    ]


@pytest.mark.parametrize("answers", [CONV, TOKENS], ids=["conv", "tokens"])
def test_a_fixed_trial_answers_what_is_active_and_nothing_else_is_asked(small, answers):
    trial = optuna.trial.FixedTrial(answers)
    small.sample(trial)

    assert trial.params == answers


def test_the_answers_stand_where_they_were_asked_for(small):
    architecture = small.sample(optuna.trial.FixedTrial(TOKENS))

    assert architecture.stem.kernels == (5, 3)
    assert architecture.stem.strides == (2, 1)
    assert (
        architecture.stem.channels == architecture.stages[0].channels == architecture.stages[1].channels == 16
    )
    assert (architecture.stages[0].mlp_ratio, architecture.stages[1].mlp_ratio) == (4, 2)
    assert architecture.stages[1].depth == 1


def test_a_parameter_is_asked_for_once_though_it_is_used_three_times(small):
    architecture = small.sample(trial := Asked())

    assert [name for name, _ in trial.questions].count("params.width") == 1
    assert architecture.stages[0].channels == architecture.stages[1].channels


def test_a_parameter_that_no_active_alternative_uses_is_not_asked_for(small):
    small.sample(trial := Asked())

    assert "params.mlp_ratio" not in dict(trial.questions)


def test_lists_are_offered_as_text_that_a_study_can_store(hybrid):
    offered = {}
    for seed in range(30):
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        hybrid.sample(asked := study.ask())
        offered.update(asked.distributions)

    assert offered["stem.t2t.kernels"].choices == ("[3, 3]", "[5, 3]", "[7, 3]")
    assert offered["stem.t2t.strides"].choices == ("[2, 1]", "[2, 2]", "[4, 1]")


def test_a_real_trial_gives_the_architecture_that_its_stored_answers_give_again(hybrid):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(10):
        trial = study.ask()
        architecture = hybrid.sample(trial)
        study.tell(trial, 0.0)

        assert hybrid.sample(optuna.trial.FixedTrial(study.trials[-1].params)) == architecture


def test_open_fields_are_all_parameters_that_a_trial_can_be_asked_for(small):
    asked = set()
    for answers in (CONV, TOKENS):
        small.sample(trial := optuna.trial.FixedTrial(answers))
        asked |= trial.params.keys()

    assert sorted(small.open_fields()) == sorted(asked)


def test_a_sample_carries_the_name_of_its_space(small):
    assert small.sample(Asked()).name == "small"


# ---- drawing -----------------------------------------------------------------------------------------------------


def test_a_draw_is_a_function_of_its_seed(hybrid, drawn):
    assert [hybrid.draw(seed) for seed in SEEDS] == drawn


def test_a_draw_neither_reads_nor_moves_the_global_random_numbers(hybrid, drawn):
    random.seed(1)
    state = random.getstate()

    assert hybrid.draw(SEEDS[0]) == drawn[0]
    assert random.getstate() == state


def test_different_seeds_find_different_architectures(drawn):
    assert len({architecture.id for architecture in drawn}) == len(SEEDS)


def test_every_draw_can_be_built_and_respects_the_limits(drawn):
    for architecture in drawn:
        assert not architecture.problems()
        assert count_params(architecture) <= 1_000_000
        assert count_macs(architecture).total <= 25_000_000


def test_a_limit_decides_what_is_drawn(space_of):
    wide = count_params(space_of(SMALL).sample(optuna.trial.FixedTrial(CONV)))
    tight = space_of(SMALL.replace("params: 1M", f"params: {wide - 1}"))

    assert all(count_params(tight.draw(seed)) < wide for seed in range(10))


def test_the_excess_over_each_limit_is_told(space_of):
    space = space_of(SMALL.replace("params: 1M", "params: 10, macs: 1G"))
    architecture = space.sample(Asked())

    assert space.excess(architecture) == {
        "macs": count_macs(architecture).total - 1e9,
        "params": count_params(architecture) - 10.0,
    }
    assert space.violations(architecture) == ["params > 10"]


def test_a_limit_that_is_met_exactly_is_not_broken(space_of):
    cost = count_params(space_of(SMALL).sample(Asked()))
    space = space_of(SMALL.replace("params: 1M", f"params: {cost}"))

    assert space.excess(space.sample(Asked())) == {"params": 0.0}
    assert space.violations(space.sample(Asked())) == []


def test_where_nothing_is_feasible_the_limits_that_fail_are_named(space_of):
    space = space_of(SMALL.replace("params: 1M", "params: 10, macs: 1000"))

    with pytest.raises(InfeasibleError) as caught:
        space.draw(seed=0)
    assert "params > 10 (1,000)" in str(caught.value)
    assert "macs > 1,000 (1,000)" in str(caught.value)
    assert caught.value.exit_code == 3


def test_where_nothing_can_be_built_it_is_said(small):
    # The last stage would compare the tokens of the whole image, or of half of its height and width.
    vast = replace(small, image=Image(channels=3, height=4096, width=4096))

    with pytest.raises(
        InfeasibleError,
        match=r"0 of 1,000 drawn candidates are feasible .*: cannot be built \(1,000\); raise",
    ):
        vast.draw(seed=0)


# ---- identity ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda text: text.replace("\n", "  # a comment\n"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\ufeff" + text,
        lambda text: text.replace("name: small", "name: other"),
        lambda text: text.replace("name: small\n", "") + "name: small\n",
        lambda text: text.replace(
            "channels: 8, kernel: {choice: [3, 5]}", "kernel: {choice: [3, 5]}, channels: 8"
        ),
        lambda text: text.replace("{range: [1, 2]}", "{choice: [1, 2]}"),
        lambda text: text.replace("params: 1M", "params: 1000000"),
        lambda text: text + "study: {data: digits, trials: 24}\n",
        lambda text: text.replace("mlp_ratio: {choice: [2, 4]}\n", 'mlp_ratio: {"choice": [2, 4]}\n\n'),
    ],
    ids=[
        "comments",
        "CRLF",
        "byte order mark",
        "name",
        "order of keys",
        "order of fields",
        "range as choice",
        "limit in full",
        "study",
        "quotes and blank lines",
    ],
)
def test_a_fingerprint_ignores_how_the_file_is_written(tmp_path, small, rewrite):
    path = tmp_path / "rewritten.yaml"
    path.write_bytes(rewrite(SMALL).encode())

    assert load_space(path).fingerprint == small.fingerprint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("kernel: {choice: [3, 5]}}\n    t2t", "kernel: {choice: [3, 7]}}\n    t2t"),
        ("kernel: {choice: [3, 5]}}\n    t2t", "kernel: {choice: [3, 5, 7]}}\n    t2t"),
        ("kernel: {choice: [3, 5]}}\n    t2t", "kernel: 3}\n    t2t"),
        ("depth: {range: [1, 2]}", "depth: {range: [1, 3]}"),
        ("params: 1M", "params: 2M"),
        ("params: 1M", "params: 1M, macs: 1G"),
        ("height: 16", "height: 18"),
        ("classes: 10", "classes: 11"),
        ("mlp_ratio: {choice: [2, 4]}", "mlp_ratio: {choice: [2, 3]}"),
        ("    mlp_ratio: 2\n", "    mlp_ratio: $mlp_ratio\n"),
        ("    mlp_ratio: 2\n", "    mlp_ratio: {choice: [2]}\n"),
        ("conv: {kernel: {choice: [3, 5]}}\n      token", "mhsa: {}\n      token"),
    ],
)
def test_a_fingerprint_changes_with_what_may_be_built_and_with_the_limits(space_of, small, old, new):
    assert SMALL.count(old) == 1
    assert space_of(SMALL.replace(old, new)).fingerprint != small.fingerprint


def test_spaces_of_one_fingerprint_can_share_a_study(space_of):
    # A run folder is resumed by its fingerprint, so the stored trials must fit the file as it stands now.
    text = SMALL[: SMALL.index("params:")] + (
        "stem: {kind: conv, channels: 8}\nstages: [{channels: 16, depth: 1, kind: {conv: {}, mhsa: {}}}]\n"
    )
    first, reordered = space_of(text), space_of(text.replace("conv: {}, mhsa: {}", "mhsa: {}, conv: {}"))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    first.sample(study.ask())

    assert reordered.fingerprint == first.fingerprint
    reordered.sample(study.ask())


def test_spaces_of_one_fingerprint_draw_the_same(space_of):
    # The order of fields is no part of the fingerprint, so it may not decide what a seed draws.
    fields = ["kernel: {choice: [3, 5]}", "depth: {choice: [1, 2, 3]}", "channels: {choice: [8, 16, 32]}"]
    text = SMALL[: SMALL.index("params:")] + "stem: {kind: conv, channels: 8}\nstages: [{kind: conv, %s}]\n"
    one, other = space_of(text % ", ".join(fields)), space_of(text % ", ".join(reversed(fields)))

    assert one.fingerprint == other.fingerprint
    assert [one.draw(seed).id for seed in range(10)] == [other.draw(seed).id for seed in range(10)]


# ---- there and back ----------------------------------------------------------------------------------------------


def test_what_is_sampled_is_read_back_from_its_file_to_the_same_id(hybrid, tmp_path):
    path = tmp_path / "architecture.yaml"
    buildable = [a for seed in range(140) for a in hybrid.draws(seed, 1) if not a.problems()]
    for architecture in buildable:
        path.write_text(architecture.to_yaml())

        assert load_architecture(path).id == architecture.id
    assert len(buildable) >= 100


def test_what_is_drawn_goes_through_json_to_the_same_id(hybrid):
    for architecture in hybrid.draws(seed=0, count=50):
        again = Architecture.model_validate_json(architecture.model_dump_json())

        assert again == architecture
        assert again.id == architecture.id

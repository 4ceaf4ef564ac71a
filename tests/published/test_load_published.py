"""Published weights are renamed into ours: all of them or none, and no file of them is ever run."""

import os
import pickle
from argparse import Namespace

import pytest
import torch
from safetensors.torch import save_file
from seeded_weights import seeded_tensors
from tensor_names import on_no_device, published_shapes

from archsearch.errors import InputError, WeightsError
from archsearch.published import load_published, read_weights, reference_names
from archsearch.published.dialects import DIALECTS
from archsearch.published.load import best_dialect

RESNETS = "the ResNets of torchvision and timm"
BYOBNET = "timm's ByobNet"
VITS = "the vision transformers of timm and DeiT"
TORCHVISION_VITS = "the vision transformers of torchvision"
T2T_VITS = "the official T2T-ViT"


def expected_spellings(name):
    """Who has names for the tensors of a network."""
    if name.startswith("resnet"):
        return [RESNETS, BYOBNET]
    if name.startswith("bot"):
        return [BYOBNET]
    if name.startswith("t2t"):
        return [T2T_VITS]
    of_timm_alone = name.startswith("deit") or "resnet50d" in name
    return [VITS] if of_timm_alone else [VITS, TORCHVISION_VITS]


def weights_of(name, implementation):
    return seeded_tensors(published_shapes(name, implementation), seed=0)


@pytest.fixture(scope="module")
def tensors_of_resnet18():
    return weights_of("resnet18", RESNETS)


@pytest.fixture
def resnet18(tensors_of_resnet18):
    """A state dict to take apart; its tensors are shared and stay as they are."""
    return dict(tensors_of_resnet18)


def refused(name, state_dict):
    """What is wrong, by the place or tensor that it is wrong with."""
    with pytest.raises(WeightsError) as caught:
        load_published(name, state_dict)

    assert caught.value.source == name
    assert len({problem.key for problem in caught.value.problems}) == len(caught.value.problems)
    return {problem.key: problem.what for problem in caught.value.problems}


# --- which implementation's names -----------------------------------------------------------------


@pytest.mark.parametrize("name", reference_names())
def test_a_network_has_names_in_the_implementations_that_have_it_and_in_no_other(name):
    network = on_no_device(name)

    able = [
        d.implementation for d in DIALECTS if d.translate(network.architecture, list(network.state_dict()))
    ]

    assert able == expected_spellings(name)


@pytest.mark.parametrize("name", reference_names())
def test_the_names_of_a_state_dict_tell_the_implementation(name):
    network = on_no_device(name)

    for implementation in expected_spellings(name):
        dialect, _ = best_dialect(network, published_shapes(name, implementation))

        assert dialect.implementation == implementation


@pytest.mark.parametrize("name", reference_names())
def test_no_two_tensors_share_a_published_name(name):
    tensors = len(on_no_device(name).state_dict())

    assert [len(published_shapes(name, i)) for i in expected_spellings(name)] == [tensors] * len(
        expected_spellings(name)
    )


# --- all of them or none --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "implementation"),
    [("resnet18", RESNETS), ("vit_tiny_patch16_224", VITS), ("t2t_vit_7", T2T_VITS)],
)
def test_every_number_arrives_under_our_name(name, implementation):
    weights = weights_of(name, implementation)

    network = load_published(name, weights)

    _, theirs = best_dialect(network, weights)
    own = network.state_dict()
    assert sorted(theirs[ours] for ours in own) == sorted(weights)
    for ours, tensor in own.items():
        assert torch.equal(tensor.flatten(), weights[theirs[ours]].to(tensor.dtype).flatten()), ours


def test_a_tensor_that_is_missing_is_named(resnet18):
    del resnet18["fc.bias"]

    assert refused("resnet18", resnet18) == {"missing": "fc.bias"}


def test_a_tensor_that_is_left_over_is_named(resnet18):
    resnet18["layer5.0.conv1.weight"] = torch.zeros(2)

    assert refused("resnet18", resnet18) == {"left over": "layer5.0.conv1.weight"}


def test_a_tensor_of_another_shape_is_named(resnet18):
    resnet18["fc.weight"] = torch.zeros(10, 512)

    assert refused("resnet18", resnet18) == {"fc.weight": "(10, 512) where (1000, 512) belongs"}


def test_everything_that_is_wrong_is_said_at_once(resnet18):
    del resnet18["layer1.0.conv1.weight"], resnet18["layer4.1.bn2.running_var"]
    resnet18 |= {"mean": torch.zeros(3), "std": torch.ones(3)}
    resnet18 |= {"fc.weight": torch.zeros(10, 512), "fc.bias": torch.zeros(10)}

    assert refused("resnet18", resnet18) == {
        "missing": "2 tensors: layer1.0.conv1.weight, layer4.1.bn2.running_var",
        "left over": "2 tensors: mean, std",
        "fc.weight": "(10, 512) where (1000, 512) belongs",
        "fc.bias": "(10,) where (1000,) belongs",
    }


def test_the_line_says_what_to_give_instead(resnet18):
    del resnet18["fc.bias"]

    with pytest.raises(WeightsError) as caught:
        load_published("resnet18", resnet18)

    (line,) = caught.value.lines()
    assert line.startswith("resnet18: missing: fc.bias; give the state dict of this network, named as in ")
    assert RESNETS in line


def test_weights_for_another_image_size_are_told_by_their_positions():
    weights = weights_of("vit_tiny_patch16_224", VITS)
    weights["pos_embed"] = torch.zeros(1, 24 * 24 + 1, 192)

    problems = refused("vit_tiny_patch16_224", weights)

    assert problems.keys() == {"pos_embed"}
    assert problems["pos_embed"].startswith("(1, 577, 192) where ")


def test_tensors_of_quite_another_network_are_missing_and_left_over(resnet18):
    shapes = published_shapes("vit_tiny_patch16_224", VITS)

    problems = refused("vit_tiny_patch16_224", resnet18)

    assert problems.keys() == {"missing", "left over"}
    assert problems["missing"].startswith(f"{len(shapes)} tensors: ")
    assert problems["left over"] == f"{len(resnet18)} tensors: {', '.join(resnet18)}"


def test_a_deeper_network_of_the_same_family_is_told_by_what_is_left_over():
    weights = weights_of("t2t_vit_10", T2T_VITS)

    problems = refused("t2t_vit_7", weights)

    # Three blocks of eleven tensors: two norms and three biased layers of two each, and qkv without a bias.
    assert problems.keys() == {"left over"}
    assert problems["left over"].startswith("33 tensors: blocks.7.norm1.weight, ")


def test_no_tensors_at_all_are_a_state_dict_with_all_of_them_missing():
    problems = refused("resnet18", {})

    # 20 convolutions, 20 norms of four tensors each whose counters may be missing, a linear layer of two.
    assert problems.keys() == {"missing"}
    assert problems["missing"].startswith(f"{20 + 20 * 4 + 2} tensors: conv1.weight, ")


def test_a_state_dict_from_before_batches_were_counted_will_do(resnet18):
    old = {name: tensor for name, tensor in resnet18.items() if not name.endswith("num_batches_tracked")}

    network = load_published("resnet18", old)

    assert len(resnet18) - len(old) == 20
    assert network.state_dict()["stem.1.num_batches_tracked"] == 0


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(InputError) as caught:
        load_published("resnet_50", {})

    (problem,) = caught.value.problems
    assert problem.what == "resnet_50 is no published network that is known here"
    assert problem.remedy.startswith("did you mean resnet50? (known: bot50, ")


def test_a_path_is_no_name():
    with pytest.raises(InputError, match="is no published network"):
        load_published("../reference/resnet18", {})


# --- what the caller has stays the caller's -------------------------------------------------------


def test_the_network_shares_no_memory_with_the_tensors_given(resnet18):
    mine = {
        name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in resnet18.items()
    }

    network = load_published("resnet18", mine)

    given = {tensor.data_ptr() for tensor in mine.values()}
    assert given.isdisjoint(tensor.data_ptr() for tensor in network.state_dict().values())


def test_the_state_dict_given_is_not_changed(resnet18):
    before = dict(resnet18)

    load_published("resnet18", resnet18)

    assert list(resnet18) == list(before)
    assert all(resnet18[name] is before[name] for name in before)


@pytest.mark.parametrize("name", ["resnet18", "t2t_vit_7"])
def test_the_random_numbers_that_follow_are_the_same(name):
    weights = weights_of(name, expected_spellings(name)[0])
    before = torch.get_rng_state()

    load_published(name, weights)

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_weights_of_any_precision_become_the_networks(resnet18, dtype):
    weights = {name: t.to(dtype) if t.is_floating_point() else t for name, t in resnet18.items()}

    network = load_published("resnet18", weights)

    assert {tensor.dtype for tensor in network.parameters()} == {torch.float32}
    assert torch.equal(network.head.linear.weight, weights["fc.weight"].float())


def test_the_network_is_in_training_mode_as_a_new_one_is(resnet18):
    assert load_published("resnet18", resnet18).training


def test_what_a_published_network_never_trains_stays_untrained():
    network = load_published("t2t_vit_7", weights_of("t2t_vit_7", T2T_VITS))

    frozen = [name for name, parameter in network.named_parameters() if not parameter.requires_grad]
    assert frozen == [
        "stem.layers.0.mixer.directions",
        "stem.layers.1.mixer.directions",
        "stages.0.position.table",
    ]


# --- files ----------------------------------------------------------------------------------------


WEIGHTS = {"conv1.weight": torch.arange(6.0).reshape(2, 3), "bn1.num_batches_tracked": torch.tensor(7)}
OTHERS = {name: torch.zeros_like(tensor) for name, tensor in WEIGHTS.items()}
CHECKPOINTS = {
    "a state dict": WEIGHTS,
    "a checkpoint": {"epoch": 3, "model": WEIGHTS, "optimizer": {"lr": 0.1}},
    "a checkpoint under another key": {"state_dict": WEIGHTS, "best": 0.5},
    "averaged weights": {"state_dict": OTHERS, "state_dict_ema": WEIGHTS},
    "averaged weights under another key": {"model": OTHERS, "model_ema": WEIGHTS},
    "weights of a parallel wrapper": {f"module.{name}": tensor for name, tensor in WEIGHTS.items()},
    "a checkpoint of a parallel wrapper": {"model": {f"module.{n}": t for n, t in WEIGHTS.items()}},
}


def assert_same(read, expected):
    assert list(read) == list(expected)
    assert all(torch.equal(read[name], expected[name]) for name in expected)


def unreadable(path):
    with pytest.raises(WeightsError) as caught:
        read_weights(path)

    (line,) = caught.value.lines()
    assert line.startswith(f"{path}: ")
    return line.removeprefix(f"{path}: ")


@pytest.mark.parametrize("checkpoint", CHECKPOINTS.values(), ids=CHECKPOINTS.keys())
def test_the_weights_are_found_in(checkpoint, tmp_path):
    torch.save(checkpoint, tmp_path / "weights.pth")

    assert_same(read_weights(tmp_path / "weights.pth"), WEIGHTS)


def test_the_weights_are_found_in_a_file_of_torchs_older_format(tmp_path):
    torch.save(WEIGHTS, tmp_path / "weights.pth", _use_new_zipfile_serialization=False)

    assert_same(read_weights(tmp_path / "weights.pth"), WEIGHTS)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_weights_are_found_in_a_safetensors_file(prefix, tmp_path):
    save_file({prefix + name: tensor for name, tensor in WEIGHTS.items()}, tmp_path / "weights.safetensors")

    read = read_weights(tmp_path / "weights.safetensors")

    assert_same(dict(sorted(read.items())), dict(sorted(WEIGHTS.items())))


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_file_that_is_not_there_is_said_so(suffix, tmp_path):
    assert unreadable(tmp_path / f"weights.{suffix}") == "is not there; give a file of weights"


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"name: resnet18\n", bytes(range(256))], ids=["empty", "text", "bytes"]
)
def test_a_file_of_something_else_cannot_be_read_as_weights(content, suffix, tmp_path):
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(content)

    assert unreadable(path).startswith("cannot be read as weights (")


def test_half_a_file_cannot_be_read_as_weights(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    assert unreadable(path).startswith("cannot be read as weights (")


def test_half_a_safetensors_file_cannot_be_read_as_weights(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(WEIGHTS, path)
    path.write_bytes(path.read_bytes()[:-4])

    assert unreadable(path).startswith("cannot be read as weights (")


def test_a_folder_cannot_be_read_as_weights(tmp_path):
    assert unreadable(tmp_path).startswith("cannot be read as weights (")


class Intruder:
    """What a pickle can do to who opens it."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (str(self.canary),)


def test_the_intruder_would_get_in_through_a_plain_pickle(tmp_path):
    pickle.loads(pickle.dumps(Intruder(tmp_path / "canary")))

    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize("hidden", ["alone", "among tensors"])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "older format"])
def test_code_in_a_file_does_not_run(hidden, zipped, tmp_path):
    path, intruder = tmp_path / "weights.pth", Intruder(tmp_path / "canary")
    content = intruder if hidden == "alone" else {**WEIGHTS, "extra": intruder}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)

    assert unreadable(path).startswith("cannot be read as weights (")
    assert not (tmp_path / "canary").exists()


def test_code_in_a_bare_pickle_does_not_run(tmp_path):
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps(Intruder(tmp_path / "canary"), protocol=2))

    assert unreadable(path).startswith("cannot be read as weights (")
    assert not (tmp_path / "canary").exists()


def test_a_checkpoint_with_objects_beside_the_weights_is_refused_and_not_run(tmp_path):
    torch.save({"model": WEIGHTS, "args": Namespace(lr=0.1)}, tmp_path / "weights.pth")

    assert unreadable(tmp_path / "weights.pth").startswith("cannot be read as weights (")


@pytest.mark.parametrize(
    "content",
    [{}, {"model": {}}, {"epoch": 3}, {0: torch.zeros(1)}, [torch.zeros(1)], torch.zeros(1)],
    ids=["no entry", "an empty model", "no tensor", "a number for a name", "a list", "a tensor"],
)
def test_a_file_without_named_tensors_holds_none(content, tmp_path):
    torch.save(content, tmp_path / "weights.pth")

    assert unreadable(tmp_path / "weights.pth") == (
        "holds no tensors by name; give a state dict, or a checkpoint that holds one"
    )


def test_what_was_read_can_be_loaded(resnet18, tmp_path):
    wrapped = {f"module.{name}": tensor for name, tensor in resnet18.items()}
    torch.save({"epoch": 90, "state_dict": wrapped}, tmp_path / "checkpoint.pth.tar")

    network = load_published("resnet18", read_weights(tmp_path / "checkpoint.pth.tar"))

    assert torch.equal(network.head.linear.bias, resnet18["fc.bias"].float())

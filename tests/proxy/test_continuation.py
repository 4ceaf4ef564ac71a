"""A training that stops at rungs, is written down and goes on is the training that never stopped."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from archsearch.errors import FailedTrialError
from archsearch.proxy import Recipe, Training

CPU = torch.device("cpu")
RECIPES = {
    "cosine": Recipe(samples=1600, batch_size=32, learning_rate=3e-3),
    "wsd": Recipe(samples=1600, batch_size=32, learning_rate=3e-3, schedule="wsd"),
    "average": Recipe(samples=1600, batch_size=32, learning_rate=3e-3, schedule="wsd", ema=0.5, cutout=3),
}


def network() -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Conv2d(16, 16, 3, stride=2, padding=1),
            nn.Flatten(),
            nn.Linear(16 * 16, 10),
        )


def training(digits, recipe, on_step=None) -> Training:
    return Training(network(), digits, recipe, CPU, on_step)


def weights(finished) -> dict[str, torch.Tensor]:
    return finished.network.state_dict()


def same_bits(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def what_counts(score):
    return score.top1, score.loss, score.curve, score.samples


@pytest.fixture(params=RECIPES)
def recipe(request):
    return RECIPES[request.param]


def test_stopping_at_rungs_changes_no_bit(digits, recipe):
    straight, stopped = training(digits, recipe), training(digits, recipe)
    for share in (1 / 9, 1 / 3):
        stopped.rung(share)

    assert what_counts(stopped.finish()) == what_counts(straight.finish())
    assert same_bits(weights(stopped), weights(straight))


def test_continuing_from_a_file_changes_no_bit(digits, recipe, tmp_path):
    straight, first, second = (training(digits, recipe) for _ in range(3))
    first.rung(1 / 3)
    save_file({name: tensor.contiguous() for name, tensor in first.state().items()}, tmp_path / "state")
    second.load(load_file(tmp_path / "state"))

    assert what_counts(second.finish()) == what_counts(straight.finish())
    assert same_bits(weights(second), weights(straight))


def test_a_state_is_left_behind_by_the_training_it_was_taken_of(digits, recipe):
    running = training(digits, recipe)
    running.advance(10)
    state = running.state()
    kept = {name: tensor.clone() for name, tensor in state.items()}
    running.advance(20)

    assert same_bits(state, kept)


def test_dropout_continues_where_it_stopped(digits):
    straight, stopped = (training(digits, RECIPES["cosine"]) for _ in range(2))
    stopped.advance(10)
    torch.rand(1000)  # somebody else draws in between

    assert stopped.finish().curve == straight.finish().curve


def test_a_copy_that_is_annealed_is_the_training_of_that_length(digits):
    """But for the warm-up, whose length is that of the whole training, and for other random shifts."""
    whole = RECIPES["wsd"].model_copy(update={"warmup": 0.0, "crop": 0})
    short = whole.model_copy(update={"samples": whole.samples * 2 // 5})
    copy = training(digits, whole)
    copy.advance(20, end=20)

    assert what_counts(copy.score()) == what_counts(training(digits, short).finish())


def test_annealing_a_copy_changes_no_bit_of_the_rest(digits):
    straight, running = (training(digits, RECIPES["average"]) for _ in range(2))
    running.advance(16)
    before = running.state()
    running.advance(20, end=20)
    running.load(before)

    assert what_counts(running.finish()) == what_counts(straight.finish())
    assert same_bits(weights(running), weights(straight))


def test_a_rung_is_the_candidate_as_it_passes_by(digits, recipe):
    running = training(digits, recipe)
    score = running.rung(0.4)

    assert (running.done, score.samples) == (20, 640)
    assert score.top1 == running.score().top1


def test_a_rung_says_what_was_spent_on_it(digits):
    score = training(digits, RECIPES["wsd"]).rung(0.4)

    assert score.samples == 640
    assert score.seconds > 0


def test_a_candidate_is_evaluated_with_its_average_and_continues_from_its_own_weights(digits):
    running = training(digits, RECIPES["average"])
    running.advance(40)
    state, mean = running.state(), network()
    average = {name.removeprefix("average."): t for name, t in state.items() if name.startswith("average.")}
    mean.load_state_dict(average, strict=False)

    assert running.score().top1 == pytest.approx(top1_by_hand(mean, digits))
    assert running.score().top1 != pytest.approx(top1_by_hand(running.network, digits))


def test_the_finished_network_has_the_weights_it_was_evaluated_with(digits):
    finished = training(digits, RECIPES["average"])
    score = finished.finish()

    assert score.top1 == pytest.approx(top1_by_hand(finished.network, digits))


def top1_by_hand(judged, digits) -> float:
    judged.eval()
    with torch.no_grad():
        logits = judged(digits.normalisation.apply(digits.validation.images))
    return (logits.argmax(1) == digits.validation.labels).float().mean().item()


@pytest.mark.parametrize("spoil", ["name", "shape", "missing"])
def test_the_state_of_another_training_is_refused(digits, spoil):
    running = training(digits, RECIPES["cosine"])
    state = running.state()
    if spoil == "name":
        state["network.9.weight"] = state.pop("network.6.weight")
    elif spoil == "shape":
        state["network.6.weight"] = torch.zeros(10, 3)
    else:
        del state["optimiser.exp_avg.6.weight"]
    before = running.state()

    with pytest.raises(ValueError, match=r"state of this training|and not"):
        running.load(state)
    assert same_bits(running.state(), before)


def test_a_failure_at_a_rung_says_so_as_one_in_between_does(digits):
    broken = training(digits, RECIPES["wsd"])
    with torch.no_grad():
        broken.network[-1].bias.fill_(torch.nan)

    with pytest.raises(FailedTrialError, match="loss is nan at step 1 of 50"):
        broken.rung(0.4)


def test_on_step_is_called_through_rungs(digits):
    told = []
    running = training(digits, RECIPES["wsd"], lambda done, steps, _: told.append((done, steps)))
    running.rung(0.4)

    assert told == [(done, 50) for done in range(1, 21)]

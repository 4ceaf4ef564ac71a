import math

import pytest
import torch
from tiny_network import tiny
from torch import nn

from archsearch.errors import FailedTrialError
from archsearch.proxy import Recipe, Training, evaluate
from archsearch.proxy.train import tenths

CPU = torch.device("cpu")
SHORT = Recipe(samples=640, batch_size=32, learning_rate=2e-3, crop=1)


class Spoilt(nn.Module):
    """A network that spoils its output in one step, or raises."""

    def __init__(self, step, spoil):
        super().__init__()
        self.network, self.left, self.spoil = tiny(), step, spoil

    def forward(self, images):
        self.left -= 1
        return self.spoil(self.network(images)) if self.left == 0 else self.network(images)


def lost(spoil, digits, step=5) -> FailedTrialError:
    with pytest.raises(FailedTrialError) as failure:
        Training(Spoilt(step, spoil), digits, SHORT, CPU).finish()
    return failure.value


def test_a_few_hundred_samples_teach_the_digits_well_above_chance(digits):
    score = Training(
        tiny(), digits, Recipe(samples=640, batch_size=16, learning_rate=5e-3, crop=0), CPU
    ).finish()

    assert score.top1 > 0.8  # chance is 0.1
    assert score.loss < 0.8  # chance is ln 10 = 2.3


def test_a_score_says_what_was_spent(digits):
    score = Training(tiny(), digits, Recipe(samples=100, batch_size=32), CPU).finish()

    assert score.samples == 96  # three whole batches
    assert score.seconds > 0
    assert len(score.curve) == 10
    assert score.train_loss == score.curve[-1]


def test_the_same_weights_and_recipe_give_the_same_bits(digits):
    scores = [Training(tiny(dropout=0.2), digits, SHORT, CPU).finish() for _ in range(2)]

    assert (scores[0].top1, scores[0].loss, scores[0].curve) == (
        scores[1].top1,
        scores[1].loss,
        scores[1].curve,
    )


def test_another_seed_gives_another_training(digits):
    recipes = [SHORT, SHORT.model_copy(update={"seed": 1})]
    scores = [Training(tiny(), digits, recipe, CPU).finish() for recipe in recipes]

    assert scores[0].loss != scores[1].loss


def test_torch_is_left_as_it_was_found(digits):
    torch.manual_seed(123)
    before = (
        torch.get_rng_state(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
    )
    Training(tiny(dropout=0.2), digits, Recipe(samples=64), CPU).finish()
    after = (
        torch.get_rng_state(),
        torch.get_num_threads(),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
    )

    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_torch_is_left_as_it_was_found_after_a_failure(digits):
    before = torch.get_rng_state()
    lost(lambda logits: logits * math.nan, digits)

    assert torch.equal(before, torch.get_rng_state())


def test_the_trained_network_can_be_saved_as_it_is(digits):
    network = tiny()
    Training(network, digits, Recipe(samples=64), CPU).finish()

    assert all(tensor.is_contiguous() for tensor in network.state_dict().values())


def test_only_so_many_validation_images_are_evaluated(digits):
    network = tiny()
    score = Training(network, digits, Recipe(samples=64, validation_images=50), CPU).finish()

    assert (score.top1, score.loss) == evaluate(
        network, digits.validation.first(50), digits.normalisation, CPU
    )


def test_on_step_is_called_after_every_step(digits):
    told = []
    recipe = Recipe(samples=96, batch_size=32)
    score = Training(tiny(), digits, recipe, CPU, lambda *step: told.append(step)).finish()

    assert [(done, steps) for done, steps, _ in told] == [(1, 3), (2, 3), (3, 3)]
    # The last tenth of three steps is the last one.
    assert float(told[-1][2]) == score.train_loss


def test_what_the_listener_raises_ends_the_training(digits):
    def interrupt(done, steps, loss):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Training(tiny(), digits, SHORT, CPU, interrupt).finish()


@pytest.mark.parametrize(("factor", "said"), [(math.nan, "nan"), (math.inf, "nan|inf")])
def test_a_loss_that_is_not_a_number_fails_the_trial(digits, factor, said):
    failure = lost(lambda logits: logits * factor, digits)

    assert failure.phase == "train"
    assert failure.reason.split(" is ")[1].split(" at ")[0] in said.split("|")
    assert failure.reason.endswith("at step 5 of 20, learning rate 0.002")


def test_a_validation_loss_that_is_not_a_number_fails_the_trial(digits):
    failure = lost(lambda logits: logits * math.nan, digits, step=21)  # 20 steps, then validation

    assert failure.phase == "validate"
    assert failure.reason == "loss is nan on 359 validation images"


def test_running_out_of_memory_loses_the_candidate(digits):
    def too_much(logits):
        return logits + torch.empty(2**60, dtype=torch.uint8).sum()

    failure = lost(too_much, digits)

    assert (failure.phase, failure.reason) == ("train", "out of memory with batches of 32 images")
    assert failure.__context__ is None  # it would keep the memory


def test_running_out_of_memory_on_a_gpu_loses_the_candidate(digits):
    def too_much(logits):
        raise torch.OutOfMemoryError("CUDA out of memory")

    assert lost(too_much, digits, step=21).phase == "validate"


def test_another_error_of_the_network_is_not_hidden(digits):
    def broken(logits):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        Training(Spoilt(1, broken), digits, SHORT, CPU).finish()


def test_a_wrong_shape_of_logits_loses_the_candidate_with_both_shapes(digits):
    failure = lost(lambda logits: logits[:, :7], digits)

    assert failure.reason == "the network gives (32, 7) for images (32, 1, 8, 8); wanted (32, 10)"


def test_a_network_that_gives_no_tensor_loses_the_candidate(digits):
    assert lost(lambda logits: (logits,), digits).reason.startswith("the network gives tuple for images")


def test_a_curve_is_the_mean_of_each_tenth():
    losses = [float(step) for step in range(20)]

    assert tenths(losses) == (0.5, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5, 14.5, 16.5, 18.5)


@pytest.mark.parametrize("steps", range(1, 30))
def test_a_curve_has_ten_points_for_any_number_of_steps(steps):
    curve = tenths([float(step) for step in range(steps)])

    assert len(curve) == 10
    assert list(curve) == sorted(curve)
    assert curve[0] >= 0
    assert curve[-1] <= steps - 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_learns_the_digits_too(digits):
    before = torch.cuda.get_rng_state()
    recipe = Recipe(samples=640, batch_size=16, learning_rate=5e-3, crop=0)
    score = Training(tiny(dropout=0.1), digits, recipe, torch.device("cuda")).finish()

    assert score.top1 > 0.8
    assert torch.equal(before, torch.cuda.get_rng_state())
    assert score.captured


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_captured_steps_learn_what_eager_ones_do(digits):
    """Up to the order of sums in bfloat16: without dropout both see the same images and start alike."""
    recipe = Recipe(samples=1600, batch_size=32, learning_rate=2e-3, flip=True, cutout=3, ema=0.3)
    curves = {}
    for capture in (True, False):
        training = Training(tiny(), digits, recipe, torch.device("cuda"), capture=capture)
        training.advance(training.steps)
        assert training.score().captured is (True if capture else None)
        curves[capture] = training.score().curve

    assert curves[True] == pytest.approx(curves[False], abs=0.05)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_network_that_cannot_be_captured_is_trained_eagerly(digits):
    class Asking(nn.Module):
        def __init__(self):
            super().__init__()
            self.network = tiny()

        def forward(self, images):
            scale = 1.0 if images.mean().item() < 100 else 2.0  # the host waits for the device
            return self.network(images) * scale

    score = Training(Asking(), digits, SHORT, torch.device("cuda")).finish()

    assert score.captured is False
    assert math.isfinite(score.loss)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_state_on_a_gpu_can_be_gone_back_to(digits):
    recipe = Recipe(samples=1600, batch_size=32, schedule="wsd", ema=0.3)
    training = Training(tiny(dropout=0.1), digits, recipe, torch.device("cuda"))
    training.advance(16)
    before = training.state()
    training.advance(20, end=20)
    training.load(before)
    after = training.state()

    assert all(torch.equal(before[name], after[name]) for name in before)

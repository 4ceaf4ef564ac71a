import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from archsearch.proxy import Recipe
from archsearch.proxy.augment import HOLE_UNITS, Augmenter, BatchPlan, plan_batches


def test_steps_are_whole_batches_of_the_samples():
    plan = plan_batches(1000, Recipe(samples=500, batch_size=64))

    assert plan.rows.shape == (7, 64)  # 500 // 64


def test_an_epoch_shows_each_image_once_and_drops_the_incomplete_batch():
    plan = plan_batches(10, Recipe(samples=12, batch_size=4))
    first_epoch = plan.rows[:2].flatten()

    assert len(set(first_epoch.tolist())) == 8
    assert plan.rows.shape == (3, 4)


def test_epochs_differ_in_their_order():
    plan = plan_batches(64, Recipe(samples=128, batch_size=64))

    assert sorted(plan.rows[0].tolist()) == sorted(plan.rows[1].tolist())
    assert plan.rows[0].tolist() != plan.rows[1].tolist()


def test_a_split_smaller_than_the_batch_is_the_batch():
    plan = plan_batches(5, Recipe(samples=64, batch_size=64))

    assert plan.rows.shape == (12, 5)  # 64 // 5


def test_the_seed_decides_the_plan():
    plans = [plan_batches(100, Recipe(seed=seed, flip=True)) for seed in (1, 1, 2)]

    assert torch.equal(plans[0].rows, plans[1].rows)
    assert torch.equal(plans[0].shifts, plans[1].shifts)
    assert torch.equal(plans[0].flips, plans[1].flips)
    assert not torch.equal(plans[0].rows, plans[2].rows)


def test_shifts_reach_the_crop_in_every_direction_and_no_further():
    shifts = plan_batches(100, Recipe(crop=2)).shifts

    assert set(shifts[..., 0].flatten().tolist()) == {0, 1, 2, 3, 4}
    assert set(shifts[..., 1].flatten().tolist()) == {0, 1, 2, 3, 4}


def test_nothing_is_mirrored_by_default():
    assert not plan_batches(100, Recipe()).flips.any()


def test_flip_mirrors_about_half_of_the_images():
    share = plan_batches(100, Recipe(flip=True)).flips.float().mean().item()

    assert 0.45 < share < 0.55  # 8192 throws of a coin


def step(shifts, flips, holes=None) -> BatchPlan:
    images = len(flips)
    return BatchPlan(
        torch.arange(images), shifts, flips, torch.zeros(images, 2).long() if holes is None else holes
    )


def augmented(images, plan, recipe, colour) -> torch.Tensor:
    return Augmenter(images, recipe, colour, torch.device("cpu"))(plan)


def grey(channels, value=7):
    return torch.full((channels,), value, dtype=torch.uint8)


def by_hand(image, shift, *, flip, crop):
    height, width = image.shape[1:]
    out = torch.zeros_like(image)
    for row in range(height):
        for column in range(width):
            r, c = row + shift[0] - crop, column + shift[1] - crop
            if 0 <= r < height and 0 <= c < width:
                out[:, row, column] = image[:, r, c]
    return out.flip(2) if flip else out


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 3), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7), st.integers(0, 99))
def test_augmentation_is_shift_and_mirror_of_each_image_alone(crop, channels, height, width, seed):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(1, 256, (4, channels, height, width), generator=generator, dtype=torch.uint8)
    shifts = torch.randint(0, 2 * crop + 1, (4, 2), generator=generator)
    flips = torch.tensor([True, False, True, False])
    expected = [by_hand(images[i], shifts[i].tolist(), flip=bool(flips[i]), crop=crop) for i in range(4)]

    found = augmented(images, step(shifts, flips), Recipe(crop=crop), grey(channels))

    assert torch.equal(found, torch.stack(expected))


def test_augmentation_never_mixes_images():
    values = torch.arange(1, 65, dtype=torch.uint8)
    images = values[:, None, None, None].expand(64, 3, 9, 5)
    plan = plan_batches(64, Recipe(samples=64, batch_size=64, crop=2, flip=True))
    first = plan.at(0)
    found = augmented(images, first, Recipe(crop=2), grey(3))

    assert ((found == images[first.rows]) | (found == 0)).all()
    assert (found.amax((1, 2, 3)) == values[first.rows]).all()


def test_black_moves_in_from_the_edge():
    image = torch.full((1, 1, 4, 4), 9, dtype=torch.uint8)
    moved = augmented(image, step(torch.tensor([[0, 1]]), torch.tensor([False])), Recipe(crop=1), grey(1))

    assert moved[0, 0].tolist() == [[0, 0, 0, 0], [9, 9, 9, 9], [9, 9, 9, 9], [9, 9, 9, 9]]


def cut(side, row, column, size=5, unmoved=0):
    """A white image with a hole whose middle lies in ``row`` and ``column``."""
    image = torch.full((1, 1, size, size), 255, dtype=torch.uint8)
    middle = torch.tensor([[row, column]]) * HOLE_UNITS // size + HOLE_UNITS // (2 * size)
    still = step(torch.full((1, 2), unmoved), torch.tensor([False]), middle)
    return augmented(image, still, Recipe(crop=unmoved, cutout=side), grey(1))[0, 0]


def test_cutout_paints_a_square_in_the_mean_colour():
    found = cut(3, 2, 1)

    assert found.tolist() == [
        [255, 255, 255, 255, 255],
        [7, 7, 7, 255, 255],
        [7, 7, 7, 255, 255],
        [7, 7, 7, 255, 255],
        [255, 255, 255, 255, 255],
    ]


def test_a_hole_is_cut_off_at_the_edge():
    assert (cut(3, 0, 4) == 7).sum() == 4  # two rows and two columns of it lie inside


def test_a_hole_does_not_depend_on_the_shift():
    assert torch.equal(cut(3, 2, 1), cut(3, 2, 1, unmoved=2))


def test_holes_are_everywhere():
    holes = plan_batches(100, Recipe(cutout=4)).holes * 8 // HOLE_UNITS

    assert set(holes.flatten().tolist()) == set(range(8))


def test_cutout_changes_no_other_draw():
    plain, holed = (plan_batches(100, Recipe(flip=True, cutout=side)) for side in (0, 8))

    assert all(
        torch.equal(getattr(plain, name), getattr(holed, name)) for name in ("rows", "shifts", "flips")
    )

"""Drawn images: what they are, and that what one window sees does not tell what it must not.

The controls train a net of 7x7 windows that wrap, a net of mean pooled local features as in BagNet: at chance
where the label is global, far above it where a texture tells.
"""

import itertools
import time
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from archsearch.data import load_data, load_test
from archsearch.data.procedural import (
    MOST_CLASSES,
    OPTIONS,
    PAINTERS,
    Drawing,
    cues,
    draw,
    generator_of,
    glyph_numbers,
    glyphs,
    label_of,
    noise,
    offsets,
    open_drawing,
    parse,
    spectra,
)
from archsearch.data.sources import open_source
from archsearch.errors import DataError
from archsearch.proxy import Recipe, Training, evaluate
from archsearch.shapes import FeatureShape

CPU = torch.device("cpu")
GREY = FeatureShape(1, 32, 32)
ROWS = 8000
every_task = pytest.mark.parametrize("task", PAINTERS)


def refused(name, classes=4) -> str:
    with pytest.raises(DataError) as refusal:
        open_source(name, classes)
    return str(refusal.value)


def pixels(source, role, rows):
    return [np.asarray(picture.open()) for picture in source.tables[role].pictures(rows)]


def chi_square(table) -> float:
    """How far counts are from what independence of rows and columns would give."""
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    return float(((table - expected) ** 2 / expected).sum())


def counted(pairs, size):
    table = np.zeros((size, size))
    for (first, second), number in Counter(pairs).items():
        table[first, second] = number
    return table


def hidden(drawing, rows=ROWS):
    """Label, texture and direction of many rows."""
    labels = label_of(drawing, np.arange(rows)).tolist()
    found = [cues(drawing, generator_of(drawing, "train", row), labels[row]) for row in range(rows)]
    return [(label, *cue) for label, cue in zip(labels, found, strict=True)]


# What is drawn.


@every_task
def test_a_row_is_the_same_picture_in_whatever_order_it_is_read(task):
    source = open_source(f"procedural:{task}", 4)
    alone = [pixels(source, "train", [row])[0] for row in (7, 3, 7)]

    np.testing.assert_array_equal(alone, pixels(source, "train", range(8))[7:2:-4] + alone[2:])
    assert {picture.shape for picture in alone} == {(32, 32)}
    assert next(source.tables["train"].pictures([7])).open().mode == "L"


@every_task
def test_more_images_leave_the_first_ones_as_they_are(task):
    few, many = (open_source(f"procedural:{task},images={count}", 4) for count in (100, 500))

    np.testing.assert_array_equal(pixels(few, "train", range(8)), pixels(many, "train", range(8)))


@every_task
def test_rows_roles_and_seeds_differ(task):
    one, two = (open_source(f"procedural:{task},seed={seed}", 4) for seed in (0, 1))
    drawn = [*pixels(one, "train", [0, 4]), *pixels(one, "test", [0]), *pixels(two, "train", [0])]

    assert len({picture.tobytes() for picture in drawn}) == 4


@every_task
def test_labels_are_balanced_and_a_fifth_is_test(task):
    source = open_source(f"procedural:{task},images=1003", 4)
    counts = {role: np.bincount(table.labels).tolist() for role, table in source.tables.items()}

    assert counts == {"train": [201, 201, 201, 200], "test": [50, 50, 50, 50]}
    assert source.class_names == tuple(f"{task}{label}" for label in range(4))


@every_task
def test_a_study_gets_train_validation_and_test_in_its_own_shape(task):
    name = f"procedural:{task},images=250"
    data, test = load_data(name, FeatureShape(3, 24, 40), 4), load_test(name, FeatureShape(3, 24, 40), 4)

    assert (len(data.train), len(data.validation), len(test)) == (180, 20, 50)
    assert data.train.images.shape == (180, 3, 24, 40)
    assert torch.bincount(data.validation.labels).tolist() == [5] * 4


def test_another_seed_has_another_fingerprint():
    prints = {load_data(f"procedural:xor,images=80,seed={seed}", GREY, 4).fingerprint for seed in (0, 0, 1)}

    assert len(prints) == 2


def test_two_thousand_pictures_take_seconds():
    source = open_source("procedural:xor", 4)
    start = time.process_time()
    pixels(source, "train", range(2000))

    assert time.process_time() - start < 6  # twenty thousand in a minute; measured 0.7


# Textures.


@pytest.mark.parametrize("classes", [2, 4, 14])
def test_every_texture_has_mean_0_and_variance_1_in_every_picture(classes):
    drawing = Drawing("texture", classes)
    fields = [noise(drawing, np.random.default_rng(0), texture) for texture in range(classes)]

    np.testing.assert_allclose([field.mean() for field in fields], 0, atol=1e-9)
    np.testing.assert_allclose([field.var() for field in fields], 1, atol=1e-9)


@every_task
def test_brightness_and_contrast_do_not_tell_the_label(task):
    drawing = Drawing(task, 2, distance=12)
    drawn = np.array([draw(drawing, "train", row) for row in range(600)], dtype=float).reshape(300, 2, -1)

    for found in (drawn.mean(2), drawn.std(2)):
        error = np.sqrt(found.var(0).sum() / 300)
        assert abs(found[:, 0].mean() - found[:, 1].mean()) < 4 * error + 0.1  # of 255 greys: rounding


@pytest.mark.parametrize("classes", [2, 3, MOST_CLASSES])
def test_the_textures_are_distinct(classes):
    power = spectra(classes, 32).reshape(classes, -1)
    power = power / np.linalg.norm(power, axis=1, keepdims=True)

    assert max((power @ power.T)[np.triu_indices(classes, 1)]) < 0.9


# Layout and xor.


@pytest.mark.parametrize("classes", [2, 3, 4, 8, MOST_CLASSES])
def test_directions_are_distinct_on_the_torus_and_equally_far(classes):
    found = offsets(classes, 12)

    assert {max(abs(down), abs(right)) for down, right in found} == {12}
    assert len({(down % 32, right % 32) for down, right in found}) == classes


def test_direction_0_is_to_the_right_and_a_quarter_is_down():
    assert offsets(4, 12) == ((0, 12), (12, 0), (0, -12), (-12, 0))


@pytest.mark.parametrize("row", range(4))
def test_the_dark_patch_lies_in_the_direction_of_the_label(row):
    picture = draw(Drawing("layout", 4, seed=3), "train", row).astype(float)
    sums = sum(np.roll(picture, (-down, -right), (0, 1)) for down in range(4) for right in range(4))
    light, dark = (np.unravel_index(find(sums), sums.shape) for find in (np.argmax, np.argmin))
    expected = (np.array(light) + offsets(4, 12)[row]) % 32

    assert np.abs((dark - expected + 16) % 32 - 16).max() <= 1  # noise may move a peak by a pixel


def test_xor_is_the_sum_of_texture_and_direction():
    assert all((texture + way) % 4 == label for label, texture, way in hidden(Drawing("xor", 4), 400))


def test_in_xor_the_label_is_independent_of_texture_and_of_direction():
    rows = hidden(Drawing("xor", 4))

    for cue in (1, 2):
        assert chi_square(counted([(row[0], row[cue]) for row in rows], 4)) < 27.9  # 9 degrees: one in 1000
    assert chi_square(counted([row[1:] for row in rows], 4)) < 27.9


def test_in_layout_the_direction_is_the_label_and_the_texture_is_independent_of_it():
    rows = hidden(Drawing("layout", 4))

    assert all(way == label for label, _, way in rows)
    assert chi_square(counted([row[:2] for row in rows], 4)) < 27.9


@pytest.mark.parametrize("task", ["layout", "xor"])
@pytest.mark.parametrize("informative", [0.0, 0.5, 1.0])
def test_the_dial_is_how_often_the_texture_gives_the_label_away(task, informative):
    rows = hidden(Drawing(task, 4, informative=informative))
    told = np.mean([texture == label for label, texture, _ in rows])
    expected = informative + (1 - informative) / 4  # by chance as well

    assert abs(told - expected) <= 4 * np.sqrt(expected * (1 - expected) / ROWS)


# Matching.


@pytest.mark.parametrize("classes", [2, 3, 8])
def test_the_glyphs_of_a_picture_are_independent_of_the_label_by_enumeration(classes):
    counts = {label: Counter() for label in range(classes)}
    for label, one in itertools.product(range(classes), repeat=2):
        others = [glyph for glyph in range(classes) if glyph != one]
        counts[label][tuple(sorted([one, (label - one) % classes, *others]))] += 1

    assert len(set(map(tuple, map(sorted, map(Counter.items, counts.values()))))) == 1


def test_two_glyphs_add_up_to_the_label_and_the_others_are_all_but_the_first():
    drawing = Drawing("matching", 4)
    for row in range(200):
        one, partner, others = glyph_numbers(drawing, generator_of(drawing, "train", row), row % 4)

        assert (one + partner) % 4 == row % 4
        assert sorted([one, *others]) == [0, 1, 2, 3]


def test_one_glyph_of_the_two_is_independent_of_the_label():
    drawing = Drawing("matching", 4)
    drawn = [glyph_numbers(drawing, generator_of(drawing, "train", row), row % 4) for row in range(ROWS)]

    for place in (0, 1):
        table = counted([(row % 4, numbers[place]) for row, numbers in enumerate(drawn)], 4)
        assert chi_square(table) < 27.9  # 9 degrees of freedom: one in 1000


def places(picture, glyph):
    """Where the glyph lies on the torus: the best matches of its pattern."""
    centred = picture.astype(float) - 128
    found = sum(
        glyph[down, right] * np.roll(centred, (-down, -right), (0, 1))
        for down, right in itertools.product(range(3), repeat=2)
    )
    return np.argwhere(found > 9 * 64 * 0.8).tolist()


def between(one, two):
    """Rows and columns from one place to another, the short way round."""
    return [abs((a - b + 16) % 32 - 16) for a, b in zip(one, two, strict=True)]


def test_two_glyphs_share_a_row_and_no_two_are_nearer_than_the_distance():
    drawing = Drawing("matching", 3, distance=10)
    for row in range(60):
        picture = draw(drawing, "train", row)
        found = [(place, number) for number in range(3) for place in places(picture, glyphs()[number])]
        pairs = [(between(p, q), one + two) for (p, one), (q, two) in itertools.combinations(found, 2)]

        assert len(found) == 4
        assert min(max(gap) for gap, _ in pairs) >= 10
        assert [total % 3 for gap, total in pairs if gap[0] == 0] == [row % 3]


def test_glyphs_have_equal_ink_and_differ_in_four_pixels():
    found = glyphs().reshape(MOST_CLASSES, 9)

    assert set((found > 0).sum(1)) == {4}
    assert min((a != b).sum() for a, b in itertools.combinations(found, 2)) == 4
    assert (found[0] != found[1]).sum() == 8  # the pair of a task with two classes


# Controls.


class Mixed(nn.Module):
    """A residual 3x3 convolution on the torus with wide steps."""

    def __init__(self, channels, step):
        super().__init__()
        self.convolution = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=step, dilation=step, padding_mode="circular"),
            nn.BatchNorm2d(channels),
            nn.GELU(),
        )

    def forward(self, x):
        return x + self.convolution(x)


def convolution(before, after, stride=1):
    return [
        nn.Conv2d(before, after, 3, stride=stride, padding=1, padding_mode="circular"),
        nn.BatchNorm2d(after),
        nn.GELU(),
    ]


def small_windows(classes):
    """Sees 7x7 pixels: 3 + 2 * 2."""
    last = [nn.Conv2d(24, 32, 1), nn.BatchNorm2d(32), nn.GELU()]
    pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, classes)]
    return nn.Sequential(*convolution(1, 16, 2), *convolution(16, 24), *last, *pool)


def large_windows(classes):
    """Sees 55x55 pixels, the whole torus: 7 + 4 * 2 * (1 + 2 + 3)."""
    mixed = [Mixed(24, step) for step in (1, 2, 3)]
    pool = [nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(24, classes)]
    return nn.Sequential(*convolution(1, 12, 2), *convolution(12, 24, 2), *mixed, *pool)


def accuracy(name, classes, network, samples):
    """Top-1 on the test images after a short training."""
    data, test = load_data(name, GREY, classes), load_test(name, GREY, classes)
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        built = network(classes)
    Training(built, data, Recipe(samples=samples, crop=0), CPU).finish()
    return evaluate(built, test, data.normalisation, CPU)[0]


def test_small_windows_are_enough_for_textures():
    assert accuracy("procedural:texture,images=2500", 4, small_windows, 1536) > 0.9


@pytest.mark.parametrize(("task", "classes"), [("layout", 4), ("xor", 4), ("matching", 2)])
def test_small_windows_stay_at_chance_where_the_label_is_global(task, classes):
    chance, images = 1 / classes, 1000
    found = accuracy(f"procedural:{task},images=5000", classes, small_windows, 4096)

    assert abs(found - chance) < 3 * np.sqrt(chance * (1 - chance) / images)


def test_small_windows_are_enough_for_xor_when_the_texture_tells():
    assert accuracy("procedural:xor,informative=1,images=2500", 4, small_windows, 1536) > 0.9


@pytest.mark.parametrize(("task", "classes", "samples"), [("layout", 4, 8192), ("matching", 2, 8192)])
def test_large_windows_learn_what_small_ones_cannot(task, classes, samples):
    found = accuracy(f"procedural:{task},images=10000", classes, large_windows, samples)

    assert found > 1.5 / classes  # measured from four inits: 0.99 and 1.00


# Names.


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("procedural", "task: the task is missing; use one of texture, layout, xor, matching"),
        ("procedural:", "task: the task is missing; use one of texture, layout, xor, matching"),
        (
            "procedural:layuot",
            "task: layuot is not a task; did you mean layout? (known: texture, layout, xor,",
        ),
        (
            "procedural:xor,sed=1",
            "sed: xor has no such option; did you mean seed? (known: images, size, seed,",
        ),
        ("procedural:xor,", "an option without a name; use one of images, size, seed, distance, informative"),
        ("procedural:xor,seed", "seed: '' cannot be used; write a whole number from 0 to"),
        ("procedural:xor,seed=1,seed=1", "seed: the option is written twice; keep one of them"),
        ("procedural:xor,seed=-1", "seed: '-1' cannot be used; write a whole number from 0 to"),
        (
            "procedural:xor,images=1e4",
            "images: '1e4' cannot be used; write a whole number from 40 to 1000000",
        ),
        ("procedural:xor,size=8", "size: '8' cannot be used; write a whole number from 16 to 256"),
        ("procedural:xor,size= 32", "size: ' 32' cannot be used"),
        ("procedural:xor,size=٣٢", "cannot be used; write a whole number from 16 to 256"),
        ("procedural:xor,informative=1.1", "informative: '1.1' cannot be used; write a number from 0 to 1"),
        ("procedural:xor,informative=nan", "informative: 'nan' cannot be used; write a number from 0 to 1"),
        ("procedural:texture,informative=0", "informative: texture has no such option; use one of images,"),
        ("procedural:matching,informative=0", "informative: matching has no such option; use one of images,"),
        (
            "procedural:texture,distance=9",
            "distance: texture has no such option; use one of images, size, seed",
        ),
        ("procedural:xor,images=79", "images: 79 images are too few for 4 classes; write images=80 or more"),
        ("procedural:xor,distance=15", "15 pixels do not fit 4 classes on 32 pixels; write distance=8 to 14"),
        (
            "procedural:layout,distance=7",
            "7 pixels do not fit 4 classes on 32 pixels; write distance=8 to 14",
        ),
        ("procedural:layout,size=18", "12 pixels do not fit 4 classes on 18 pixels; write size=20 or more"),
        (
            "procedural:matching,distance=9",
            "9 pixels do not fit 4 classes on 32 pixels; write distance=4 to 8",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_a_remedy(name, message):
    assert message in refused(name)


@pytest.mark.parametrize("classes", [1, 15])
def test_no_other_number_of_classes_is_drawn(classes):
    expected = f"classes: {classes} classes cannot be drawn; write classes: 2 to 14 in the space"

    assert expected in refused("procedural:texture", classes)


def test_many_glyphs_need_a_large_picture():
    assert refused("procedural:matching", 10).endswith("10 classes on 32 pixels; write size=40 or more")
    assert open_drawing("procedural:matching,size=40,distance=4", 10).class_names[9] == "matching9"


def test_all_problems_are_reported_at_once():
    assert len(refused("procedural:xor,size=1,seed=x,hue=2").splitlines()) == 3


def test_both_misfits_are_reported_at_once():
    assert len(refused("procedural:xor,distance=20,images=50").splitlines()) == 2


@st.composite
def written_options(draw_from):
    """Options of xor that fit each other, in any order, some left out."""
    size = draw_from(st.integers(20, 256))
    values = {
        "images": draw_from(st.integers(80, 1_000_000)),
        "size": size,
        "seed": draw_from(st.integers(0, 2**63 - 1)),
        "distance": draw_from(st.integers(8, (size - 4) // 2)),
        "informative": draw_from(st.integers(0, 1000)) / 1000,
    }
    return {option: values[option] for option in draw_from(st.permutations(sorted(values)))}


@given(written_options())
def test_what_is_written_is_what_is_drawn(options):
    name = ",".join(["procedural:xor", *(f"{option}={value}" for option, value in options.items())])

    assert parse(name, 4) == Drawing("xor", 4, **options)


def parsed(name):
    """The drawing, or else what is wrong with the name."""
    try:
        return parse(name, 4), ()
    except DataError as refusal:
        return None, refusal.problems


@given(st.text(max_size=40))
def test_any_text_after_the_colon_is_a_drawing_or_a_refusal_with_a_remedy(text):
    found, problems = parsed(f"procedural:{text}")

    assert (found is None) == bool(problems)
    assert all(problem.what and problem.remedy for problem in problems)


@given(st.sampled_from(sorted(OPTIONS)), st.text(alphabet="0123456789.-+e_ ", max_size=8))
def test_an_option_is_a_plain_number_or_refused(option, value):
    found, problems = parsed(f"procedural:xor,{option}={value}")

    assert {problem.key for problem in problems} <= {option, "distance"}
    assert found is None or getattr(found, option) == float(value)

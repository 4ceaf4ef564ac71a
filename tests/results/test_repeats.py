from trial_frames import TRAININGS

from archsearch.results.repeats import COLUMNS, repeats_frame


def test_a_row_is_a_training_that_came_to_an_accuracy():
    frame = repeats_frame(TRAININGS)

    assert list(frame.columns) == list(COLUMNS)
    assert frame["architecture"].tolist() == ["aa", "aa", "bb", "bb", "bb"]
    assert frame["seed"].tolist() == [0, 1, 0, 1, 2]
    assert frame["samples"].tolist() == [1000] * 5
    assert frame["top1"].tolist() == [0.50, 0.52, 0.60, 0.60, 0.63]
    assert frame["test_top1"].tolist() == [0.49, 0.51, 0.59, 0.59, 0.62]
    assert frame["source"].tolist() == ["finals"] * 5


def test_trainings_of_swaps_count_too():
    frame = repeats_frame({"swap_training:ee:2000:1": {"top1": 0.4, "test_top1": 0.3, "samples": 2000}})

    assert frame.iloc[0].to_dict() == {
        "architecture": "ee",
        "seed": 1,
        "samples": 2000,
        "top1": 0.4,
        "test_top1": 0.3,
        "source": "swaps",
    }

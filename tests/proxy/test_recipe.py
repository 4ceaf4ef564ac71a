import pytest
from pydantic import ValidationError

from archsearch.proxy import Recipe


def test_the_default_recipe_does_not_mirror_images():
    assert Recipe().flip is False


def test_a_recipe_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Recipe().samples = 3


def test_an_unknown_key_is_refused():
    with pytest.raises(ValidationError, match="epochs"):
        Recipe.model_validate({"epochs": 3})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("samples", 0),
        ("samples", "8192"),
        ("samples", True),
        ("batch_size", 1),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("weight_decay", -0.1),
        ("warmup", 1.0),
        ("label_smoothing", 1.0),
        ("flip", 1),
        ("crop", -1),
        ("validation_images", 0),
        ("seed", -1),
    ],
)
def test_a_number_out_of_bounds_is_refused_under_its_key(key, value):
    with pytest.raises(ValidationError) as refusal:
        Recipe.model_validate({key: value})

    assert refusal.value.errors()[0]["loc"] == (key,)


def test_fewer_samples_than_one_batch_are_refused():
    with pytest.raises(ValidationError, match="write samples: 32 or more"):
        Recipe(samples=31)

import io

import numpy as np
import pytest
from PIL import Image

from archsearch.data.images import EncodedImage, decode, pixels_of, role_of
from archsearch.shapes import FeatureShape

RGB = FeatureShape(3, 4, 4)
GREY = FeatureShape(1, 4, 4)


def encoded(image, kind="png", **options) -> EncodedImage:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return EncodedImage("here", file.getvalue())


def test_grey_becomes_three_equal_channels():
    pixels = pixels_of(encoded(Image.new("L", (4, 4), 77)), RGB)

    assert pixels.shape == (3, 4, 4)
    assert (pixels == 77).all()


def test_colour_becomes_the_grey_of_itu_601():
    pixels = pixels_of(encoded(Image.new("RGB", (4, 4), (10, 200, 30))), GREY)

    assert (pixels == 124).all()  # 0.299 * 10 + 0.587 * 200 + 0.114 * 30 = 123.8


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK"])
def test_other_colour_modes_keep_their_colour(mode):
    image = Image.new("RGB", (4, 4), (255, 0, 0)).convert(mode)
    pixels = pixels_of(encoded(image, "tiff"), RGB)

    assert pixels[:, 0, 0].tolist() == [255, 0, 0]


def test_sixteen_bit_grey_is_scaled_and_not_cut():
    levels = np.array([[0, 257, 32896, 65535]] * 4, dtype=np.uint16)
    pixels = pixels_of(encoded(Image.fromarray(levels)), GREY)

    assert pixels[0, 0].tolist() == [0, 1, 128, 255]


def test_a_transparent_palette_is_read_without_a_warning():
    image = Image.new("P", (4, 4), 0)
    pixels, problems = decode(iter([encoded(image, transparency=bytes([0] * 256))]), 1, RGB)

    assert problems == []
    assert pixels.shape == (1, 3, 4, 4)


def test_an_image_of_another_size_is_resized_to_height_and_width():
    pixels = pixels_of(encoded(Image.new("L", (30, 7), 9)), FeatureShape(1, 4, 6))

    assert pixels.shape == (1, 4, 6)
    assert (pixels == 9).all()


def test_an_animation_gives_its_first_frame():
    frames = [Image.new("L", (4, 4), level) for level in (200, 50)]
    pixels = pixels_of(encoded(frames[0], "gif", save_all=True, append_images=frames[1:]), GREY)

    assert (pixels == 200).all()


def test_a_photograph_is_turned_upright():
    image = Image.new("L", (4, 4))
    image.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 3  # turned by half
    pixels = pixels_of(encoded(image, exif=exif), GREY)

    assert pixels[0, 3, 3] == 255
    assert pixels.sum() == 255


def test_each_unreadable_picture_is_one_problem_and_the_rest_is_read():
    good = encoded(Image.new("L", (4, 4), 5))
    cut = EncodedImage("cut.png", good.content[:50])
    noise = EncodedImage("noise.jpg", b"no image")
    missing = EncodedImage("row 3", b"")
    pixels, problems = decode(iter([cut, good, noise, missing]), 4, GREY)

    assert [problem.key for problem in problems] == ["cut.png", "noise.jpg", "row 3"]
    assert (pixels[1] == 5).all()


def test_a_decompression_bomb_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    _, problems = decode(iter([encoded(Image.new("1", (11, 11)))]), 1, GREY)

    assert "exceeds limit of 100 pixels" in problems[0].what


def test_floating_point_pixels_are_refused():
    _, problems = decode(iter([encoded(Image.new("F", (4, 4)), "tiff")]), 1, GREY)

    assert "floating-point pixels have no fixed white" in problems[0].what


def test_the_usual_names_of_splits_are_known():
    assert [role_of(name) for name in ("Train", "val", "dev", "testing", "unlabeled")] == [
        "train",
        "validation",
        "validation",
        "test",
        None,
    ]

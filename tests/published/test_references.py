"""The files of spaces/reference are the published networks: their size, and the images that they take."""

import pytest
import torch
from tensor_names import on_no_device

from archsearch.architecture import Image
from archsearch.errors import ArchitectureError, InputError
from archsearch.published import load_reference, reference_file, reference_names
from archsearch.space import load_architecture

# All parameters, and those that are trained: what the published implementations have.
PARAMETERS = {
    "resnet18": (11_689_512, 11_689_512),
    "resnet26": (15_995_176, 15_995_176),
    "resnet50": (25_557_032, 25_557_032),
    "resnet101": (44_549_160, 44_549_160),
    "resnet152": (60_192_808, 60_192_808),
    "bot50": (20_852_008, 20_852_008),
    "bot_s1_50": (20_859_176, 20_859_176),
    "botnet26t_256": (12_488_672, 12_488_672),
    "botnet50ts_256": (22_742_688, 22_742_688),
    "vit_tiny_patch16_224": (5_717_416, 5_717_416),
    "vit_small_patch16_224": (22_050_664, 22_050_664),
    "vit_base_patch16_224": (86_567_656, 86_567_656),
    "vit_base_patch32_224": (88_224_232, 88_224_232),
    "vit_large_patch16_224": (304_326_632, 304_326_632),
    "deit_small_distilled_patch16_224": (22_436_432, 22_436_432),
    "t2t_vit_7": (4_310_222, 4_255_694),
    "t2t_vit_10": (5_889_230, 5_834_702),
    "t2t_vit_12": (6_941_902, 6_887_374),
    "t2t_vit_14": (21_545_550, 21_465_806),
    "t2t_vit_19": (39_177_422, 39_085_070),
    "t2t_vit_24": (64_105_934, 64_000_974),
    "t2t_vit_t_14": (21_541_070, 21_465_422),
    "t2t_vit_t_19": (39_172_942, 39_084_686),
    "t2t_vit_t_24": (64_101_454, 64_000_590),
    "t2t_vit_14_resnext": (21_545_550, 21_465_806),
    "t2t_vit_14_wide": (25_156_302, 25_000_910),
    "vit_base_resnet50d_224": (110_965_064, 110_965_064),
}
PATCHES = [name for name in PARAMETERS if "patch" in name]
ANY_SIZE = [name for name in PARAMETERS if "patch" not in name]
# Small ones of every family are run with numbers, all of them with shapes alone.
SMALL = ["resnet18", "resnet26", "bot50", "botnet26t_256", "t2t_vit_7", "t2t_vit_t_14"]

every_reference = pytest.mark.parametrize("name", PARAMETERS)
on_large_images = pytest.mark.parametrize(("height", "width"), [(160, 160), (224, 160)])
on_a_tiny_image = pytest.mark.parametrize(("height", "width"), [(17, 9)])


def resized(name, height, width):
    image = Image(channels=3, height=height, width=width)
    return load_reference(name).model_copy(update={"image": image})


@torch.no_grad()
def logits_of(architecture, device="cpu"):
    torch.manual_seed(0)
    image = architecture.image
    with torch.device(device):
        return architecture.build().eval()(torch.randn(1, 3, image.height, image.width))


# --- the files ------------------------------------------------------------------------------------


def test_every_file_is_a_network_of_the_table():
    assert reference_names() == sorted(PARAMETERS)


@every_reference
def test_a_reference_is_named_as_its_file(name):
    assert reference_file(name).stem == name
    assert load_reference(name).name == name


@every_reference
def test_a_reference_is_an_architecture_file_that_it_would_write_itself(name, tmp_path):
    architecture = load_reference(name)
    (tmp_path / "again.yaml").write_text(architecture.to_yaml())

    assert load_architecture(tmp_path / "again.yaml") == architecture


def test_no_two_references_are_the_same_network():
    assert len({load_reference(name).id for name in PARAMETERS}) == len(PARAMETERS)


def test_a_name_that_is_unknown_gets_the_nearest_one():
    with pytest.raises(InputError) as caught:
        load_reference("t2t_vit_t14")

    (line,) = caught.value.lines()
    assert line.startswith(
        "t2t_vit_t14 is no published network that is known here; did you mean t2t_vit_t_14? ("
    )


@every_reference
def test_there_are_as_many_parameters_as_published(name):
    parameters = list(on_no_device(name).parameters())

    trained = [parameter for parameter in parameters if parameter.requires_grad]
    assert (sum(p.numel() for p in parameters), sum(p.numel() for p in trained)) == PARAMETERS[name]


# --- the images that they take --------------------------------------------------------------------


@every_reference
def test_a_reference_has_a_thousand_classes_for_an_image_of_its_own_size(name):
    architecture = load_reference(name)

    pixels = 256 if name.endswith("_256") else 224
    assert architecture.image == Image(channels=3, height=pixels, width=pixels)
    assert logits_of(architecture, "meta").shape == (1, 1000)


@on_large_images
@every_reference
def test_a_reference_takes_smaller_images_and_such_as_are_not_square(name, height, width):
    architecture = resized(name, height, width)

    assert architecture.problems() == ()
    assert logits_of(architecture, "meta").shape == (1, 1000)


@on_a_tiny_image
@pytest.mark.parametrize("name", ANY_SIZE)
def test_all_but_patches_take_an_image_of_17x9(name, height, width):
    architecture = resized(name, height, width)

    assert architecture.problems() == ()
    assert logits_of(architecture, "meta").shape == (1, 1000)


@pytest.mark.parametrize(("height", "width"), [(17, 9), (160, 160), (224, 160)])
@pytest.mark.parametrize("name", SMALL)
def test_the_logits_of_small_ones_are_numbers_at_every_size(name, height, width):
    logits = logits_of(resized(name, height, width))

    assert logits.shape == (1, 1000)
    assert logits.isfinite().all()
    assert logits.std() > 0


@on_large_images
def test_the_logits_of_a_small_vision_transformer_are_numbers_too(height, width):
    logits = logits_of(resized("vit_tiny_patch16_224", height, width))

    assert logits.shape == (1, 1000)
    assert logits.isfinite().all()


@on_a_tiny_image
@pytest.mark.parametrize("name", PATCHES)
def test_an_image_smaller_than_a_patch_is_refused_by_the_size_of_the_patch(name, height, width):
    architecture = resized(name, height, width)
    size = 32 if "patch32" in name else 16

    (problem,) = architecture.problems()

    assert problem.key == "stem.size"
    assert problem.what == f"{size} is larger than the 17x9 map that arrives here"


def test_what_is_refused_is_not_built():
    with pytest.raises(ArchitectureError) as caught:
        resized("vit_tiny_patch16_224", 17, 9).build()

    assert caught.value.lines() == [
        (
            "vit_tiny_patch16_224: stem.size: 16 is larger than the 17x9 map that arrives here; "
            "use at most 9, or stride less before it"
        )
    ]

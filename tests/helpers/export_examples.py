"""Networks that hold every kind of part and every option of each, small enough to be written in every format."""

from typing import Literal, get_args, get_origin

import torch
from examples import STAGES, STEMS, one_of_each

from archsearch.architecture import Architecture, Image
from archsearch.export.formats import Subject
from archsearch.stages import ConvStage, ConvStem, Head, MHSAStage, PatchStem, T2TStem, TokenTransformerStage

IMAGE = Image(channels=3, height=18, width=14)
TOKENS = {
    "cls": TokenTransformerStage(
        channels=16, depth=1, split_kernel=1, position="sinusoid", class_token=True, mlp_ratio=2.5
    ),
    "distilled": TokenTransformerStage(
        channels=16, depth=1, stride=2, class_token=True, distillation_token=True, gelu="tanh", qkv_bias=False
    ),
    "direct": TokenTransformerStage(channels=16, depth=1, entry="direct", position="none", norm_eps=1e-5),
    "deep": TokenTransformerStage(channels=16, depth=3, class_token=True),
}


def network(name, stem, *stages, pool="mean"):
    return Architecture(name=name, image=IMAGE, classes=5, stem=stem, stages=stages, head=Head(pool=pool))


# Two of them have every operator; the later ones differ from these in numbers and in what stands where.
NETWORKS = {
    "deep conv stem": network(
        "deep-conv",
        ConvStem(channels=8, hidden_channels=(4,), pool="max", activation="silu", norm_eps=1e-3),
        ConvStage(channels=16, depth=1, stride=2, groups=2, expansion=0.5, shortcut="avgpool_conv1x1"),
        ConvStage(
            channels=12,
            depth=1,
            block="basic",
            shortcut="conv3x3",
            shortcut_activation=True,
            activation="gelu",
        ),
        TOKENS["cls"],
        pool="cls",
    ),
    "softmax stem": network(
        "softmax",
        T2TStem(channels=16, kernels=(3, 2), strides=(2, 1), token_channels=8, attention="softmax"),
        MHSAStage(channels=24, depth=1, stride=2, heads=2, expansion=0.5, shortcut="avgpool_conv1x1"),
        MHSAStage(channels=16, depth=1, heads=2, expansion=0.5, position="article", qkv_bias=True),
        TOKENS["distilled"],
        pool="distilled",
    ),
    "performer stem": network(
        "performer",
        T2TStem(channels=8, kernels=(3, 3), strides=(2, 2), token_channels=8, features=6),
        ConvStage(channels=8, depth=1),
    ),
    "patch stem": network("3-patches", PatchStem(channels=16, size=4), TOKENS["direct"]),
    "deep stages": network(
        "deep-stages",
        ConvStem(channels=8, kernel=5, stride=2, hidden_channels=(4, 6)),
        ConvStage(channels=8, depth=4),
        ConvStage(channels=12, depth=2, stride=2, block="basic", groups=2, norm_eps=1e-3, activation="silu"),
        ConvStage(channels=16, depth=2, kernel=1, shortcut="conv3x3", shortcut_activation=True),
        MHSAStage(channels=16, depth=3, stride=2, rel_scale="content", activation="silu"),
        TOKENS["deep"],
    ),
    "three splits": network(
        "three-splits",
        T2TStem(channels=16, kernels=(5, 3, 2), strides=(2, 1, 1), token_channels=8, attention="softmax"),
        MHSAStage(channels=16, depth=2, position="none"),
        MHSAStage(
            channels=24, depth=2, heads=2, shortcut="conv3x3", shortcut_activation=True, activation="gelu"
        ),
        MHSAStage(channels=16, depth=2, heads=1, position="article", norm_eps=1e-3),
    ),
    "gelu stem": network("gelu", ConvStem(channels=8, activation="gelu"), ConvStage(channels=8, depth=1)),
    "relu stem": network("relu", ConvStem(channels=8, kernel=5), ConvStage(channels=8, depth=1)),
}
IN_EVERY_FORMAT = list(NETWORKS)[:4]


def with_options(part):
    """The part, and one more for each other value of its options."""
    yield part
    for name, field in type(part).model_fields.items():
        values = (False, True) if field.annotation is bool else get_args(field.annotation)
        is_option = field.annotation is bool or get_origin(field.annotation) is Literal
        yield from (
            part.model_copy(update={name: value})
            for value in values
            if is_option and value != getattr(part, name)
        )


def add_kind(title, networks):
    """A kind that none of the networks above holds: as it is in every format, its options in the quick ones."""
    for number, one in enumerate(networks):
        NETWORKS[f"{title} {number}"] = one.model_copy(update={"name": f"{one.name}-{number}"})
    IN_EVERY_FORMAT.append(f"{title} 0")


HELD = {type(part) for one in tuple(NETWORKS.values()) for _, part in one.parts}
for kind, stem in one_of_each(STEMS).items():
    if type(stem) not in HELD:
        add_kind(f"{kind} stem", [network(kind, one, STAGES["bottleneck"]) for one in with_options(stem)])
for kind, stage in one_of_each(STAGES).items():
    if type(stage) not in HELD:
        add_kind(f"{kind} stage", [network(kind, STEMS["point"], one) for one in with_options(stage)])


def awake(architecture, seed=0):
    """A network as a training leaves it: branches that start at zero say something, norms have seen images."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        built = architecture.build()
        for norm in built.modules():
            if isinstance(norm, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
                torch.nn.init.normal_(norm.bias, std=0.1)
                norm.running_mean.normal_(std=0.1)
                norm.running_var.uniform_(0.5, 1.5)
        for name, parameter in built.named_parameters():
            if name.endswith("_token"):
                torch.nn.init.normal_(parameter)
    return built.eval()


def subject_of(name, *about):
    return Subject(awake(NETWORKS[name]), about)


def images(batch):
    """Not those that the files were checked with when they were written."""
    generator = torch.Generator().manual_seed(100 + batch)
    return torch.randn(batch, IMAGE.channels, IMAGE.height, IMAGE.width, generator=generator)

"""Record what published implementations compute, so that the tests need none of them.

Each implementation is imported from a checkout named on the command line, filled with the tensors of
seeded.py (frozen parameters and buffers included), run in float64 and eval mode on seeded images, and written
down as one JSON file per network. Nothing of it is copied here. To run it again:

    git clone https://github.com/yitu-opensource/T2T-ViT t2t
    git clone https://github.com/lucidrains/bottleneck-transformer-pytorch lucidrains
    python tests/published/record_golden.py --t2t t2t --lucidrains lucidrains --out tests/published/golden
    python tests/published/record_golden.py --botnet botnet.py --out tests/published/golden

The first needs timm 1.0.31 and torchvision 0.28.0 beside torch and einops, the second tensorflow 2.21 and
tf-keras 2.21. The authors' BoTNet code is a gist (aravindsrinivas/56359b79f0ce4449bcb04ab4b56a57a2) that was out
of reach; what was recorded is a public copy, changed for tf.compat.v1, whose sha256 is in the JSON files.

Quirks neutralised, none of which changes what is computed:

* torchvision built for CUDA declares no `nms` and `qnms` under a CPU torch and refuses to be imported. The two
  schemas are declared for it; no network calls them.
* T2T-ViT's Token_performer calls `x.float()`, which would round a float64 run (and then fail on the types).
  `torch.Tensor.float` returns its tensor unchanged while the network runs.
* T2T-ViT imports paths of an older timm, which timm 1.0.31 still has, with warnings. They are silenced.
* The copy of the BoTNet gist fixes the batch to 2 and the map to 32x32 in four assignments, right after the lines
  that read the true sizes. They are left out when it is loaded; at batch 2 and 32x32 the output is bit-identical.
* Its BoT_Block calls MHSA without heads and width, so that any block has 4 heads of 128. Both are bound to
  what the block was asked for.
* TensorFlow's fused batch norm has no float64 kernel: `fused=True` is turned off. Its Keras pooling layer would
  cast to float32: Keras is told that floats are float64. Keras 3 has no tf.layers: the older Keras is used.
* TensorFlow's tensors are named and laid out as torch would: kernel and gamma are `weight`, beta is `bias`,
  moving_mean and moving_variance are `running_mean` and `running_var`, a kernel [1, 1, in, out] is seeded as
  [out, in, 1, 1], a map is [B, C, H, W]. The projections `w` [in, heads, d] and the tables stay as they are.
"""

import argparse
import contextlib
import functools
import hashlib
import importlib
import json
import os
import re
import subprocess
import sys
import types
import warnings
from pathlib import Path
from unittest import mock

import torch
from seeded_weights import names_sha256, probe, seeded_images, seeded_tensors

SEED = 20210128
T2T_IMAGE = (1, 3, 224, 224)
T2T_NETWORKS = [
    *(f"t2t_vit_{size}" for size in (7, 10, 12, 14, 19, 24)),
    *(f"t2t_vit_t_{size}" for size in (14, 19, 24)),
    "t2t_vit_14_resnext",
    "t2t_vit_14_wide",
]
WITH_GRADIENTS = {"t2t_vit_7", "t2t_vit_t_14"}
T2T_REPOSITORY = "https://github.com/yitu-opensource/T2T-ViT"
LUCIDRAINS_REPOSITORY = "https://github.com/lucidrains/bottleneck-transformer-pytorch"
BOTNET_GIST = "https://gist.github.com/aravindsrinivas/56359b79f0ce4449bcb04ab4b56a57a2"
BOTNET_FIXED_SIZES = re.compile(r"^ +(?:bs=2|h=w=32|w=h=32)\n", re.MULTILINE)
TORCH_SUFFIXES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def main():
    options = parse_options()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.t2t:
        record_t2t(options.t2t, options.out, options.only)
    if options.lucidrains:
        record_lucidrains(options.lucidrains, options.out)
    if options.botnet:
        record_botnet(options.botnet, options.out)


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--t2t", type=Path, metavar="CHECKOUT", help="yitu-opensource/T2T-ViT")
    parser.add_argument("--lucidrains", type=Path, metavar="CHECKOUT", help="bottleneck-transformer-pytorch")
    parser.add_argument("--botnet", type=Path, metavar="FILE", help="a copy of the authors' botnet.py")
    parser.add_argument(
        "--only", nargs="*", default=T2T_NETWORKS, metavar="NETWORK", help="some of T2T-ViT's"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    return parser.parse_args()


# T2T-ViT


def record_t2t(checkout, out, names):
    module = import_t2t(checkout)
    commit = commit_of(checkout)
    for name in names:
        network = getattr(module, name)(pretrained=False)
        golden = {
            "implementation": f"models.t2t_vit.{name}",
            "repository": T2T_REPOSITORY,
            "commit": commit,
            "seed": SEED,
            "image": list(T2T_IMAGE),
            **facts(network),
            **run_t2t(network, gradients=name in WITH_GRADIENTS),
        }
        write(out / f"{name}.json", golden)


def import_t2t(checkout):
    import_torchvision()
    sys.path.insert(0, str(checkout))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return importlib.import_module("models.t2t_vit")


def import_torchvision():
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        torch.torchvision_schemas = library  # its schemas go when the last reference does
        importlib.import_module("torchvision")


def run_t2t(network, *, gradients):
    fill(network)
    images = seeded_images(T2T_IMAGE, SEED)
    with mock.patch.object(torch.Tensor, "float", lambda tensor: tensor):
        if not gradients:
            with torch.no_grad():
                return {"logits": network(images)[:, :32].tolist()}
        logits = network(images)
        (logits * probe("logits", tuple(logits.shape), SEED)).sum().backward()
    return {"logits": logits[:, :32].tolist(), "gradients": gradients_of(network)}


def gradients_of(network):
    return {
        name: [
            parameter.grad.norm().item(),
            (parameter.grad * probe(name, tuple(parameter.shape), SEED)).sum().item(),
        ]
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
    }


# The bottleneck stack of lucidrains


def record_lucidrains(checkout, out):
    sys.path.insert(0, str(checkout))
    stack_class = importlib.import_module("bottleneck_transformer_pytorch").BottleStack
    config = {
        "dim": 16,
        "fmap_size": (6, 4),
        "dim_out": 32,
        "proj_factor": 2,
        "heads": 4,
        "dim_head": 4,
        "downsample": True,
        "num_layers": 2,
        "rel_pos_emb": True,
    }
    stack = stack_class(**config, activation=torch.nn.ReLU())
    fill(stack)
    shape = (2, 16, 6, 4)
    with torch.no_grad():
        output = stack(seeded_images(shape, SEED))
    golden = {
        "implementation": "bottleneck_transformer_pytorch.BottleStack 0.1.4, activation nn.ReLU()",
        "repository": LUCIDRAINS_REPOSITORY,
        "commit": commit_of(checkout),
        "seed": SEED,
        "config": config,
        "input": list(shape),
        **facts(stack),
        "state": {name: list(shape) for name, shape in shapes_of(stack).items()},
        "output": summary(output),
    }
    write(out / "lucidrains_bottle_stack.json", golden)


# The authors' BoTNet


def record_botnet(path, out):
    botnet = load_botnet(path)
    mhsa = {"heads": 4, "bottleneck_dimension": 32}
    record_tensorflow(
        path, out / "botnet_mhsa.json", "MHSA", mhsa, functools.partial(botnet.MHSA, **mhsa), 16
    )
    botnet.MHSA = functools.partial(botnet.MHSA, **mhsa)
    # name: channels in, stride
    blocks = {"stride_2": (64, 2), "stride_1": (128, 1), "stride_1_projection": (64, 1)}
    for name, (channels, stride) in blocks.items():
        block = {"heads": 4, "proj_factor": 4, "target_dimension": 128, "strides": stride}
        build = functools.partial(botnet.BoT_Block, **block)
        record_tensorflow(path, out / f"botnet_block_{name}.json", "BoT_Block", block, build, channels)


def load_botnet(path):
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    source = BOTNET_FIXED_SIZES.sub("", path.read_text(encoding="utf-8"))
    module = types.ModuleType("botnet")
    exec(compile(source, path.name, "exec"), module.__dict__)
    return module


def record_tensorflow(path, target, function, config, build, channels):
    shape = (2, channels, 6, 4)
    state, output = run_tensorflow(build, seeded_images(shape, SEED))
    golden = {
        "implementation": f"botnet.{function}",
        "repository": BOTNET_GIST,
        "commit": None,
        "copy_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "seed": SEED,
        "config": config,
        "input": list(shape),
        "tensors": len(state),
        "names_sha256": names_sha256(state),
        "state": {name: list(shape) for name, shape in state.items()},
        "output": summary(output),
    }
    write(target, golden)


def run_tensorflow(build, images):
    """The shapes of the variables, in the order of their creation, and the output [B, C, H, W]."""
    import tensorflow as tf

    tf.keras.backend.set_floatx("float64")
    v1 = tf.compat.v1
    unfused = functools.partial(without_fusing, v1.layers.batch_normalization)
    with tf.Graph().as_default(), v1.Session() as session:
        with mock.patch.object(v1.layers, "batch_normalization", unfused), contextlib.redirect_stdout(None):
            output = build(tf.constant(images.permute(0, 2, 3, 1).numpy()))
        variables = {torch_name(v.name): v for v in v1.global_variables()}
        state = {name: torch_shape(tuple(v.shape)) for name, v in variables.items()}
        for name, tensor in seeded_tensors(state, SEED).items():
            variables[name].load(tensorflow_layout(tensor).numpy(), session)
        return state, torch.from_numpy(session.run(output)).permute(0, 3, 1, 2)


def without_fusing(normalise, **options):
    return normalise(**{**options, "fused": False})


def torch_name(variable):
    *scopes, last = variable.removesuffix(":0").split("/")
    return ".".join([*scopes, TORCH_SUFFIXES.get(last, last)])


def torch_shape(shape):
    return (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape


def tensorflow_layout(tensor):
    return tensor.permute(2, 3, 1, 0) if tensor.ndim == 4 else tensor


# What all of them share


def fill(network):
    network.double().eval()
    network.load_state_dict(seeded_tensors(shapes_of(network), SEED))


def shapes_of(network):
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def facts(network):
    shapes = shapes_of(network)
    parameters = list(network.parameters())
    return {
        "tensors": len(shapes),
        "names_sha256": names_sha256(shapes),
        "parameters": sum(p.numel() for p in parameters),
        "trainable": sum(p.numel() for p in parameters if p.requires_grad),
    }


def summary(output):
    flat = output.double().flatten()
    return {
        "shape": list(output.shape),
        "index": "i * size // 64 for i in range(64), of [B, C, H, W] flattened",
        "values": [flat[i * len(flat) // 64].item() for i in range(64)],
        "sum_of_squares": flat.square().sum().item(),
    }


def commit_of(checkout):
    command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def write(path, golden):
    path.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")
    print(path.name, golden.get("parameters", ""), golden.get("trainable", ""))


if __name__ == "__main__":
    main()

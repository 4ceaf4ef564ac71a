"""A network in each format gives what it gives here: programs, ONNX, and files that need torch alone."""

import ast
import importlib.util
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
import torch
from export_examples import IN_EVERY_FORMAT, NETWORKS, awake, images, subject_of
from safetensors.torch import load_file

from archsearch.errors import ArchsearchError, WeightsError
from archsearch.export import formats as write
from archsearch.export.codegen import Sources, write_expression
from archsearch.export.standalone import run_source, standalone_source
from archsearch.published.reference import load_reference, reference_names
from archsearch.shapes import FeatureShape
from archsearch.space import load_architecture
from archsearch.stages import STAGE_KINDS, STEM_KINDS, Head, ModuleCall, TokenTransformerStage
from archsearch.stages.head import Classifier
from archsearch.storage.weights import load_given_weights

CLOSE = 1e-4
RUFF = Path(sys.executable).with_name("ruff")

every_network = pytest.mark.parametrize("name", NETWORKS)
in_every_format = pytest.mark.parametrize("name", IN_EVERY_FORMAT)


def standalone(architecture):
    return run_source(standalone_source(architecture, ()))()


# --- the examples ---------------------------------------------------------------------------------

PARTS = [part for architecture in NETWORKS.values() for _, part in architecture.parts]
CLASSES = [*STEM_KINDS.values(), *STAGE_KINDS.values()]


def values_of(field):
    """What an option can be; nothing for numbers."""
    if field.annotation is bool:
        return {False, True}
    return set(get_args(field.annotation)) if get_origin(field.annotation) is Literal else set()


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_option_of_every_kind_is_in_one_of_the_networks(kind):
    found = [part for part in PARTS if isinstance(part, kind)]

    for name, field in kind.model_fields.items():
        assert {getattr(part, name) for part in found} >= values_of(field), name


def test_every_head_is_in_one_of_the_networks():
    assert {network.head.pool for network in NETWORKS.values()} == {"mean", "cls", "distilled"}


# --- the standalone file --------------------------------------------------------------------------


@every_network
def test_a_standalone_file_gives_the_logits_where_only_torch_can_be_imported(alone, name):
    assert alone[0][name, "standalone"] < CLOSE


def test_nothing_of_ours_was_imported_there(alone):
    assert alone[1] == "[]"


@every_network
def test_a_standalone_network_learns_what_ours_learns(name):
    ours, theirs = NETWORKS[name].build(), standalone(NETWORKS[name])

    assert {n: p.requires_grad for n, p in theirs.named_parameters()} == {
        n: p.requires_grad for n, p in ours.named_parameters()
    }


@every_network
def test_a_standalone_network_starts_where_ours_starts(name):
    """Zeros and ones where ours has them, and elsewhere numbers of the same size."""
    ours, theirs = NETWORKS[name].build().state_dict(), standalone(NETWORKS[name]).state_dict()

    for tensor, own in ours.items():
        assert theirs[tensor].shape == own.shape
        if own.unique().numel() == 1:
            assert torch.equal(theirs[tensor], own), tensor
        elif own.numel() >= 128:
            assert theirs[tensor].std().item() == pytest.approx(own.std().item(), rel=0.4), tensor


@every_network
def test_a_standalone_network_has_the_gradients_of_ours(name):
    ours = awake(NETWORKS[name])
    theirs = standalone(NETWORKS[name])
    theirs.load_state_dict(ours.state_dict())
    for network in (ours, theirs):
        network(images(2)).square().sum().backward()

    own = dict(ours.named_parameters())
    for tensor, parameter in theirs.named_parameters():
        if parameter.requires_grad and own[tensor].grad is not None:
            assert torch.allclose(parameter.grad, own[tensor].grad, atol=1e-4), tensor


@every_network
def test_weights_of_a_standalone_file_are_a_plain_state_dict_with_our_names(taken, name):
    file = taken[name]["standalone"].path.with_suffix(".pt")
    state = torch.load(file, weights_only=True)

    assert type(state) is dict
    own = subject_of(name).network.state_dict()
    assert list(state) == list(own)
    assert all(torch.equal(state[tensor], own[tensor]) for tensor in own)


def test_a_standalone_file_holds_only_the_blocks_that_its_network_uses(taken):
    tree = ast.parse(taken["performer stem"]["standalone"].path.read_text())
    names = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}

    # A stem's class names both kinds of its mixers; nothing of MHSA or of transformers is there.
    assert names == {
        *("FeatureShape", "SpatialMixer", "MapAndTokens", "Classifier", "Network"),
        *("Residual", "Frame", "Branch", "ConvBranch"),
        *(
            "SoftSplit",
            "ProjectedSplit",
            "MLP",
            "SoftmaxMixer",
            "PerformerMixer",
            "TokenLayer",
            "TokensToToken",
        ),
    }


def test_standalone_files_have_no_name_undefined_and_none_unused(taken):
    files = [forms["standalone"].path for forms in taken.values()]
    rules = ["--isolated", "--select", "F,E9,I,D1,ANN,E501", "--ignore", "D107", "--line-length", "120"]
    done = subprocess.run([RUFF, "check", *rules, *files], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_a_standalone_file_is_formatted(taken):
    lines = taken["softmax stem"]["standalone"].path.read_text().splitlines()

    assert max(map(len, lines)) <= 120
    assert '        self.head = Classifier(pool="distilled", channels=16, classes=5)' in lines


def test_the_docstring_of_a_standalone_file_says_what_it_is(taken):
    lines = taken["relu stem"]["standalone"].path.read_text().splitlines()

    assert lines[:3] == ['"""relu', "", "The network with a relu stem."]
    assert '    network = build("relu.pt")' in lines


@pytest.mark.parametrize(
    "line",
    ['"""\nimport os\n"""', '""" + x + """', "ends on \\", 'ends on "', "\\N{dog} \0 \u2028", '""""""'],
)
def test_no_description_can_end_the_docstring(line):
    tree = ast.parse(standalone_source(NETWORKS["relu stem"], ("first", line)))

    assert ast.get_docstring(tree, clean=False) == f"first\n{line}\n"
    assert {type(node) for node in tree.body[1:]} == {
        ast.Import,
        ast.ImportFrom,
        ast.AnnAssign,
        ast.ClassDef,
        ast.FunctionDef,
    }


@pytest.mark.parametrize(("name", "module"), [("relu stem", "relu.py"), ("deep conv stem", "deep_conv.py")])
def test_a_standalone_file_can_be_imported_by_its_name(taken, name, module):
    assert taken[name]["standalone"].path.name == module


def test_a_name_that_begins_with_a_digit_becomes_one_that_can_be_imported(taken):
    assert taken["patch stem"]["standalone"].path.name == "net_3_patches.py"


SMALLEST = {"resnet18", "resnet50d", "botnet50ts_256", "bot50", "t2t_vit_7", "vit_tiny_patch16_224"}


@pytest.mark.parametrize("name", sorted(SMALLEST & set(reference_names())))
def test_a_published_network_can_be_written(name):
    """Built without memory for its weights."""
    architecture = load_reference(name)
    with torch.device("meta"):
        theirs = standalone(architecture).state_dict()
        ours = architecture.build().state_dict()

    assert {n: t.shape for n, t in theirs.items()} == {n: t.shape for n, t in ours.items()}


def test_resnet50_reads_as_its_description():
    source = standalone_source(load_reference("resnet50"), ())

    assert 'branch=ConvBranch(block="bottleneck", width=64, kernel=3, groups=1),' in source
    assert "# stages.0, conv: 64x56x56 to 256x56x56" in source


KIND = """
from typing import NamedTuple

from torch import Tensor, nn

from archsearch.stages import ModuleCall, SpatialMixer
{imports}

SCALE = 2


class Spec(NamedTuple):
    scale: int


class Twice(SpatialMixer):
    window = 1

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.factor = spec.scale * SCALE * {factor}

    def forward(self, x: Tensor) -> Tensor:
        return helper(x) * self.factor


def call() -> ModuleCall:
    return ModuleCall(Twice, {{"spec": Spec(scale=3)}})
"""


def kind_in(folder, imports, factor="1"):
    """The call of a module that a file outside of the package defines."""
    (folder / "beside.py").write_text("def helper(x):\n    return x + 1\n")
    (folder / "kind.py").write_text(KIND.format(imports=imports, factor=factor))
    spec = importlib.util.spec_from_file_location("kind", folder / "kind.py")
    module = importlib.util.module_from_spec(spec)
    return spec, module


@pytest.fixture
def kind(tmp_path, monkeypatch):
    """A function that loads the file with some imports, from its folder."""
    monkeypatch.syspath_prepend(tmp_path)

    def load(imports, factor="1"):
        spec, module = kind_in(tmp_path, imports, factor)
        monkeypatch.setitem(sys.modules, "kind", module)
        spec.loader.exec_module(module)
        return module.call()

    yield load
    sys.modules.pop("beside", None)


def test_a_kind_outside_of_the_package_brings_what_it_names(kind):
    sources, call = Sources(), kind("from beside import helper")
    sources.add_call(call)
    source = "\n\n".join(
        [sources.import_lines(), *sources.definitions(), f"network = {write_expression(call, 0)}"]
    )
    namespace = {}
    exec(source, namespace)

    assert namespace["network"](torch.ones(2)).tolist() == [12, 12]
    assert source.endswith("network = Twice(spec=Spec(scale=3))")
    assert "import archsearch" not in source
    assert "from archsearch" not in source


def test_what_is_neither_ours_nor_torch_s_is_refused_with_its_place(kind):
    call = kind("import numpy as np\nfrom beside import helper", factor="int(np.ones(1))")

    with pytest.raises(
        ArchsearchError, match=r"kind\.py: a standalone file needs torch alone, and np comes from numpy"
    ):
        Sources().add_call(call)


def test_two_definitions_of_one_name_are_refused(kind):
    call = kind("def linear(x):\n    return x\n\n\ndef helper(x):\n    return linear(x)")
    sources = Sources()
    sources.add_call(Head().module(4, 2))
    sources.add_call(TokenTransformerStage(channels=4, depth=1).module(FeatureShape(4, 4, 4)))

    with pytest.raises(ArchsearchError, match="two definitions of linear"):
        sources.add_call(call)


def test_an_argument_that_is_no_plain_value_is_refused():
    with pytest.raises(ArchsearchError, match="is no plain value"):
        write_expression(ModuleCall(Classifier, {"pool": object()}), 0)


# --- the other forms ------------------------------------------------------------------------------


@in_every_format
@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_a_program_gives_the_logits_of_any_batch(taken, name, batch):
    program, pixels = torch.export.load(taken[name]["program"].path).module(), images(batch)

    with torch.no_grad():
        assert (program(pixels) - subject_of(name).network(pixels)).abs().max().item() < CLOSE


@in_every_format
def test_a_program_gives_the_logits_where_only_torch_can_be_imported(alone, name):
    assert alone[0][name, "program"] < CLOSE


@in_every_format
@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_onnx_gives_the_logits_of_any_batch(taken, name, batch):
    onnxruntime = pytest.importorskip("onnxruntime", reason="archsearch[onnx] is not installed")
    session = onnxruntime.InferenceSession(taken[name]["onnx"].path, providers=["CPUExecutionProvider"])
    pixels = images(batch)
    (logits,) = session.run(["logits"], {"images": pixels.numpy()})

    with torch.no_grad():
        expected = subject_of(name).network(pixels)
    assert (torch.from_numpy(logits) - expected).abs().max().item() < CLOSE


@every_network
def test_an_architecture_file_and_its_weights_are_the_network(taken, name):
    architecture = load_architecture(taken[name]["yaml"].path)
    network = load_given_weights(architecture, taken[name]["weights"].path)

    own = subject_of(name).network.state_dict()
    assert (architecture.id, architecture.name) == (NETWORKS[name].id, NETWORKS[name].name)
    assert all(torch.equal(tensor, own[key]) for key, tensor in network.state_dict().items())


def test_each_format_says_how_it_was_checked(taken):
    said = {form: one.checked for form, one in taken["softmax stem"].items()}

    assert said.pop("yaml") == f"reads back as {NETWORKS['softmax stem'].id}"
    assert said.pop("weights") == "run on batches of 1 and 3: logits differ by 0 at most"
    for line in said.values():
        assert line.startswith("run on batches of 1 and 3: logits differ by ")
        assert float(line.split()[-3]) < CLOSE


def test_files_are_named_by_network_and_format_and_nothing_else_is_left(tmp_path):
    subject = subject_of("relu stem")
    write.write_formats(subject, tmp_path, ("yaml", "weights", "standalone"))

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "relu.pt",
        "relu.py",
        "relu.safetensors",
        "relu.yaml",
    ]


def test_writing_draws_nothing_from_the_global_generator(tmp_path):
    before = torch.get_rng_state()
    write.write_formats(subject_of("relu stem"), tmp_path, ("weights", "standalone"))

    assert torch.equal(torch.get_rng_state(), before)


# --- what is refused ------------------------------------------------------------------------------


def test_a_format_with_other_logits_is_refused_and_nothing_is_written(tmp_path, monkeypatch):
    def off_by_a_little(source):
        def build():
            network = run_source(source)()
            network.register_forward_hook(lambda module, arguments, logits: logits + 2e-4)
            return network

        return build

    monkeypatch.setattr(write, "run_source", off_by_a_little)
    with pytest.raises(ArchsearchError) as caught:
        write.write_formats(subject_of("relu stem"), tmp_path / "new", ("yaml", "standalone"))

    assert str(caught.value) == (
        "relu.py: its logits differ from the network's by up to 0.0002 on 1 random images, and 0.0001 is the "
        "most; nothing was written: choose other formats with --format"
    )
    assert not (tmp_path / "new").exists()


def test_a_network_that_no_onnx_file_can_hold_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(write, "MOST_ONNX_BYTES", 1000)

    with pytest.raises(ArchsearchError) as caught:
        write.write_formats(subject_of("relu stem"), tmp_path / "new", ("yaml", "onnx"))
    assert str(caught.value) == (
        "relu.onnx: an ONNX file holds less than 2 GiB; nothing was written: choose other formats with --format"
    )
    assert not (tmp_path / "new").exists()


def test_what_torch_cannot_translate_is_refused_in_a_line(tmp_path, monkeypatch):
    def cannot(*_, **__):
        raise torch.onnx.OnnxExporterError("no such operator\nand more")

    monkeypatch.setattr(torch.onnx, "export", cannot)
    with pytest.raises(ArchsearchError, match=r"torch\.onnx cannot write it: no such operator; nothing was"):
        write.write_formats(subject_of("relu stem"), tmp_path, ("onnx",))


def test_without_onnxruntime_an_onnx_file_is_reported_as_unchecked(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    said = write.check_by_onnxruntime("some.onnx", b"", subject_of("relu stem"))
    assert said == "not run: onnxruntime is not installed"


def test_logits_that_are_not_numbers_are_refused(tmp_path):
    subject = subject_of("relu stem")
    torch.nn.init.constant_(subject.network.head.linear.bias, math.nan)

    with pytest.raises(ArchsearchError, match="by up to nan"):
        write.write_formats(subject, tmp_path, ("weights",))


class Hostile:
    """An object whose reading would run code."""

    def __reduce__(self):
        return (shutil.rmtree, ("/nowhere",))


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    torch.save({"weight": Hostile()}, tmp_path / "hostile.pt")

    with pytest.raises(WeightsError, match="cannot be read as weights"):
        load_given_weights(NETWORKS["relu stem"], tmp_path / "hostile.pt")


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 100])
def test_a_file_that_holds_no_weights_is_refused(tmp_path, content):
    (tmp_path / "some.safetensors").write_bytes(content)

    with pytest.raises(WeightsError, match="cannot be read as weights"):
        load_given_weights(NETWORKS["relu stem"], tmp_path / "some.safetensors")


def test_weights_of_another_network_are_refused_tensor_by_tensor(taken):
    file = taken["gelu stem"]["weights"].path

    with pytest.raises(WeightsError) as caught:
        load_given_weights(NETWORKS["relu stem"], file)

    assert caught.value.lines() == [
        (
            f"{file}: stem.0.weight: (8, 3, 3, 3) where (8, 3, 5, 5) belongs; "
            "give the weights of this very architecture"
        )
    ]


def test_missing_and_foreign_tensors_are_named(taken, tmp_path):
    weights = load_file(taken["relu stem"]["weights"].path)
    weights["head.other"] = weights.pop("head.linear.bias")
    torch.save(weights, tmp_path / "some.pt")

    with pytest.raises(WeightsError) as caught:
        load_given_weights(NETWORKS["relu stem"], tmp_path / "some.pt")

    assert [line.partition(": ")[2] for line in caught.value.lines()] == [
        "head.linear.bias: is missing; give the weights of this very architecture",
        "head.other: belongs to another network; give the weights of this very architecture",
    ]

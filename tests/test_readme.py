"""The README is run: its space loads, its Python works on a real run, its commands and links exist."""

import re
from pathlib import Path

import pytest

import archsearch
from archsearch.cli.app import app
from archsearch.study.config import load_study

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Where the README's reader stands after the first command: a run folder of the README's own space."""
    place = tmp_path_factory.mktemp("reader")
    (place / "small.yaml").write_text(blocks("yaml")[0])
    archsearch.run_study(
        archsearch.load_space(place / "small.yaml"),
        archsearch.StudyConfig(trials=6, objectives=("top1", "latency_ms"), latency_seconds=0.02),
        place / "runs" / "hybrid" / "digits-seed0",
        evaluate=lambda architecture, _recipe: 0.5 + archsearch.globality(architecture) / 4,
    )
    return place


def test_the_space_of_the_readme_can_be_drawn_from(finished):
    space = archsearch.load_space(finished / "small.yaml")

    assert space.draw(seed=0).build() is not None


def test_the_study_file_of_the_readme_is_read(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(blocks("yaml")[1])
    study = load_study(None, str(file), file)

    assert study.rungs == (0.11, 0.33)
    assert study.recipe.schedule == "wsd"


def test_the_pandas_block_runs_on_a_run(finished, monkeypatch, capsys):
    monkeypatch.chdir(finished)

    exec(compile(blocks("python")[0], "README.md", "exec"), {})

    assert "globality" in capsys.readouterr().out


def test_the_library_block_runs_as_it_is_shown(finished, monkeypatch, capsys):
    monkeypatch.chdir(finished)

    exec(compile(blocks("python")[2], "README.md", "exec"), {})

    assert "energy_mj" in capsys.readouterr().out


def test_every_command_of_the_readme_exists():
    known = {command.name or command.callback.__name__ for command in app.registered_commands}

    named = set(re.findall(r"archsearch ([a-z]+) (?:spaces|runs|path)", README))
    assert named
    assert named <= known


def test_every_file_that_the_readme_links_to_exists():
    links = re.findall(r"\]\(([^)#:]+)\)", README)

    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_every_kind_of_stem_and_stage_is_explained():
    from archsearch.stages import STAGE_KINDS, STEM_KINDS

    assert not [kind for kind in STEM_KINDS if f"stem `{kind}`" not in README]
    assert not [kind for kind in STAGE_KINDS if f"| `{kind}`" not in README]


def test_every_field_of_every_kind_is_named():
    from archsearch.stages import STAGE_KINDS, STEM_KINDS

    fields = {
        name for kinds in (STAGE_KINDS, STEM_KINDS) for spec in kinds.values() for name in spec.model_fields
    }
    assert not [name for name in fields - {"kind"} if f"`{name}`" not in README]

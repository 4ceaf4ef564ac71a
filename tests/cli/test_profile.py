"""``archsearch profile`` of one architecture: a row for every part, and published figures beside ours."""

import json
from pathlib import Path

import pytest
from command_line import QUICK

from archsearch.results import load_run

RUN = "runs/tiny/digits-seed0"
REFERENCE = Path(__file__).parents[2] / "spaces" / "reference"


def test_profile_as_json_has_every_cost(searched):
    data = json.loads(searched.here("profile", "tiny.yaml", "--seed", 3, *QUICK, "--json").stdout)

    assert data.keys() >= {"architecture", "layout", "family", "globality", "params", "macs", "latency_ms"}
    assert data["macs"] == sum(data["macs_by_stage"].values()) == sum(data["macs_by_family"].values())
    assert data["conditions"]["batch_size"] == 1


def test_profile_of_a_winner_is_what_the_search_counted(searched):
    row = load_run(searched.folder / RUN).frontier.iloc[0]
    file = f"{RUN}/frontier/tiny-{row['architecture']}.yaml"

    data = json.loads(searched.here("profile", file, *QUICK, "--json").stdout)

    assert (data["architecture"], data["macs"], data["params"]) == (
        row["architecture"],
        row["macs"],
        row["params"],
    )


def test_profile_shows_a_row_for_every_part(searched):
    done = searched.here("profile", "tiny.yaml", "--seed", 0, *QUICK)

    assert (done.returncode, done.stderr) == (0, "")
    assert {line.split()[0] for line in done.stdout.splitlines() if line} >= {"stem", "stages.0", "head"}


def test_profile_shows_the_published_figures_of_a_network(searched):
    done = searched.here("profile", REFERENCE / "resnet18.yaml", *QUICK)

    assert (done.returncode, done.stderr) == (0, "")
    assert "11,689,512 parameters" in done.stdout
    assert "1,814,073,344 without norms" in done.stdout
    assert "published: 11.7M parameters (ours +0.0%), 1.81G MACs (ours +0.0%), top-1 69.76%" in done.stdout


def test_profile_as_json_has_every_part_with_its_families_and_reach(searched):
    data = json.loads(searched.here("profile", REFERENCE / "t2t_vit_7.yaml", *QUICK, "--json").stdout)

    assert [part["part"] for part in data["parts"]] == ["stem", "stages.0", "head"]
    assert data["macs"] == sum(sum(part["macs_by_family"].values()) for part in data["parts"])
    assert (data["params"], data["params"] + data["frozen_params"]) == (4_255_694, 4_310_222)
    assert data["parts"][1]["reach"] == 1
    assert data["published"]["macs"] == 1_100_000_000


def test_profile_at_another_image_size(searched):
    data = json.loads(
        searched.here("profile", REFERENCE / "resnet18.yaml", "--image", "224x160", *QUICK, "--json").stdout
    )

    assert data["parts"][0]["out"] == [64, 56, 40]


@pytest.mark.parametrize("size", ["0", "16x", "axb", "5000"])
def test_profile_refuses_an_image_size_that_it_cannot_read(searched, size):
    done = searched.here("profile", REFERENCE / "resnet18.yaml", "--image", size)

    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a size; write 160, or 224x160 for height x width" in done.stderr


def test_profile_names_the_part_that_an_image_size_does_not_fit(searched):
    done = searched.here("profile", REFERENCE / "vit_tiny_patch16_224.yaml", "--image", "17x9")

    assert (done.returncode, done.stdout) == (2, "")
    assert "stem.size: 16 is larger than the 17x9 map that arrives here" in done.stderr

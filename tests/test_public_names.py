"""What ``from archsearch import ...`` gives: the names of the manual, each when it is first asked for."""

import inspect
import subprocess
import sys

import pytest

import archsearch


def test_the_names_are_sorted_and_each_stands_once():
    assert archsearch.__all__ == sorted(set(archsearch.__all__))


def test_the_names_are_those_that_can_be_imported():
    assert set(archsearch.__all__) == set(archsearch._HOMES)


def test_the_names_are_those_of_the_manual():
    calls = {
        "count_macs",
        "count_params",
        "globality",
        "load_architecture",
        "load_published",
        "load_run",
        "load_space",
    }
    calls |= {"profile_architecture", "run_baselines", "run_study", "train_architecture"}
    nouns = {
        "Architecture",
        "Callback",
        "Macs",
        "Network",
        "Profile",
        "Recipe",
        "Run",
        "Space",
        "StudyConfig",
    }
    errors = {"ArchsearchError", "InfeasibleError", "SpaceError"}

    assert set(archsearch.__all__) == calls | nouns | errors


@pytest.mark.parametrize("name", archsearch.__all__)
def test_every_name_can_be_imported_and_explains_itself(name):
    thing = getattr(archsearch, name)

    assert thing.__name__ == name
    assert inspect.getdoc(thing)


@pytest.mark.parametrize("name", archsearch.__all__)
def test_every_name_is_offered_for_completion(name):
    assert name in dir(archsearch)


def test_a_name_that_there_is_not_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'archsearch' has no attribute 'nothing'"):
        _ = archsearch.nothing


def test_the_package_explains_itself():
    assert all(room in archsearch.__doc__ for room in ("stages/", "space/", "study/", "results/"))


def test_importing_the_package_imports_no_torch():
    code = "import sys, archsearch; print('torch' in sys.modules, 'optuna' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False False\n"


def test_errors_and_results_need_no_torch():
    code = "import sys; from archsearch import SpaceError, load_run; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"

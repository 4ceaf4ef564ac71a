"""A record is named by its file or by the URL of its server, without a password."""

import sys
import traceback

import pytest

from archsearch.errors import InputError
from archsearch.storage.open import open_for_work
from archsearch.storage.storage_url import parse_storage_url

NAMES = ("top1", "macs")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://bob:S3cret@host/db",
        "postgresql://bob:S3/c@ret@host/db",
        "postgresql://bob:S3cret@host:port/db",
        "postgresql://host/db?user=bob&password=S3cret",
        "postgresql://host/db?sslpassword=S3cret",
        "postgresql://bob:S3cret",
        "mysql://bob:S3cret@host/db",
        "host=db user=bob password = S3cret",
    ],
)
def test_a_password_in_a_url_is_refused_and_not_repeated(url):
    with pytest.raises(InputError) as caught:
        open_for_work(url, "one", NAMES)

    assert caught.value.exit_code == 2
    assert "S3" not in "".join(traceback.format_exception(caught.value))


def test_the_error_about_a_password_says_where_it_belongs():
    with pytest.raises(
        InputError, match="no place on a command line, where ps shows it; write it into PGPASSWORD"
    ):
        parse_storage_url("postgresql://bob:S3cret@host/db")


@pytest.mark.parametrize("url", ["mysql://host/db", "redis://host", "postgresql+asyncpg://host/db"])
def test_another_database_is_refused_with_the_two_that_work(url):
    with pytest.raises(InputError, match=r"postgresql://USER@HOST/DATABASE, or sqlite:///FILE"):
        parse_storage_url(url)


def test_the_error_about_a_missing_driver_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(InputError, match=r"pip install 'archsearch\[postgres\]'"):
        open_for_work("postgresql://host/db", "one", NAMES)

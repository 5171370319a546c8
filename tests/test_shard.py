"""A run over several processes: every chunk is in one shard, and the parts put together are the whole."""

from pathlib import Path

import pytest
from house import SAMPLE, command, copy_of_project, datasets, exported
from scripted import chunk

from generation_functions.errors import ConfigError, RunError
from generation_functions.shard import Shard, shards_of


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "a/b", "1/0", "-1/4", "1/4/2", "1.5/4"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no shard; one is written 3/16"):
        Shard.parse(text)


def test_every_chunk_is_in_one_shard_and_the_shards_are_about_as_large() -> None:
    shards = [Shard.parse(f"{number}/5") for number in range(1, 6)]
    chunks = [chunk(f"Sentence number {number}.") for number in range(500)]
    counts = [sum(shard.has(one.key) for one in chunks) for shard in shards]
    assert sum(counts) == 500
    assert all(sum(shard.has(one.key) for shard in shards) == 1 for one in chunks)
    assert min(counts) > 60


def test_a_division_is_whole_or_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="has no shards to merge"):
        shards_of(tmp_path)
    for text in ("1/3", "3/3"):
        Shard.parse(text).folder(tmp_path).mkdir()
    with pytest.raises(RunError, match="lacks the shards 2/3"):
        shards_of(tmp_path)
    Shard.parse("2/3").folder(tmp_path).mkdir()
    assert [str(shard) for shard in shards_of(tmp_path)] == ["1/3", "2/3", "3/3"]
    Shard.parse("1/4").folder(tmp_path).mkdir()
    with pytest.raises(RunError, match="shards of 3 and of 4"):
        shards_of(tmp_path)


def test_two_processes_make_what_one_makes(tmp_path: Path) -> None:
    project = copy_of_project(tmp_path)
    whole = command(project, "run", "--run", "whole", *SAMPLE)
    assert whole.returncode == 0, whole.stderr
    early = command(project, "export", "--run", "big", "--merge", *SAMPLE)
    assert (early.returncode, "has no shards to merge" in early.stderr) == (1, True)
    for shard in ("1/2", "2/2"):
        done = command(project, "run", "--run", "big", "--shard", shard, *SAMPLE)
        assert done.returncode == 0, done.stderr
    merged = command(project, "export", "--run", "big", "--merge", *SAMPLE)
    assert merged.returncode == 0, merged.stderr
    assert datasets(project, "big") == datasets(project, "whole")
    big, one = exported(project, "big"), exported(project, "whole")
    assert set(big) == set(one)
    for name in set(one) - set(
        datasets(project, "whole")
    ):  # those of calls stand in the order of their shards
        assert sorted(big[name].splitlines()) == sorted(one[name].splitlines()), name


def test_a_shard_that_is_not_done_is_said(tmp_path: Path) -> None:
    project = copy_of_project(tmp_path)
    assert command(project, "run", "--run", "big", "--shard", "1/2", *SAMPLE).returncode == 0
    two = ("--run", "big", "--shard", "2/2")
    assert (
        command(
            project,
            "run",
            *two,
            "--set",
            "API.BASE_URL=http://127.0.0.1:9/v1",
            *SAMPLE,
            "--set",
            "SYSTEM.MODE=api",
        ).returncode
        == 1
    )
    merged = command(project, "export", "--run", "big", "--merge", *SAMPLE)
    assert merged.returncode == 0, merged.stderr
    assert "note: shard shard-2-of-2 has" in merged.stdout

"""The whole pipeline on a bad day: three requests in ten fail, or the workbench is killed while it works.

These are the benchmarks fault_storm and kills, made small: the same server, commands and comparisons.
"""

import sys

import pytest
from house import ROOT

sys.path.append(str(ROOT / "benchmarks"))

from fault_storm import Project, Storm, storm
from kills import Kills, kills
from mock_server import FAULTS

SMALL = (
    "SYSTEM.USE_SUBSET=true",
    "SYSTEM.SUBSET_SIZE=4",
    "SKIP.CONVERSATION_GENERATION=true",
)


def hurry() -> None:
    """Over there: hardly any waiting before a call is tried again."""
    from generation_functions import server

    server.FIRST_PAUSE = 0.01


@pytest.fixture(scope="module")
def stormy(tmp_path_factory: pytest.TempPathFactory) -> Storm:
    project = Project(tmp_path_factory.mktemp("storm"), chunks=4, in_flight=16, settings=SMALL, first=hurry)
    return storm(project, fail=0.3, latency=0.005, retry_after=0.02)


def test_a_storm_of_faults_leaves_the_datasets_as_they_are(stormy: Storm) -> None:
    assert stormy.quiet_calls > 100
    assert set(stormy.counts.faults) == set(FAULTS)
    assert not stormy.different
    assert not stormy.failed


def test_nothing_that_came_through_a_storm_is_lost_or_bought_twice(stormy: Storm) -> None:
    assert (stormy.counts.again, stormy.lost, stormy.unknown) == (0, 0, 0)
    assert stormy.calls == stormy.quiet_calls + stormy.cut == stormy.counts.answered + stormy.cut


def test_a_storm_is_met_with_patience(stormy: Storm) -> None:
    assert stormy.counts.early == 0
    assert stormy.most_at_once <= 16


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Kills:
    project = Project(tmp_path_factory.mktemp("kills"), chunks=4, in_flight=16, settings=SMALL)
    return kills(project, 5, longest=0.3, latency=0.02)


def test_kills_lose_what_was_in_flight_and_nothing_else(killed: Kills) -> None:
    assert len(killed.in_flight) == 5
    assert (killed.missing, killed.more, killed.doubled) == (0, 0, 0)
    assert max(killed.in_flight) <= 16
    assert not killed.different


def test_what_was_journalled_before_a_kill_is_not_bought_again(killed: Kills) -> None:
    assert killed.rebought == 0
    assert killed.again == killed.answered - killed.calls == sum(killed.in_flight)

"""SIGKILL while a model is evaluated, foretold or converted: the work ends completed, and nothing half made is seen."""

from collections.abc import Iterator

import pytest

from benchmarks.soak import Row, Soak, repeat
from tests.e2e.site import running_site

pytestmark = [pytest.mark.slow, pytest.mark.kill, pytest.mark.timeout(600)]

PHOTOS = 120


@pytest.fixture(scope="module")
def soak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Soak]:
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield Soak.on(running, tmp_path_factory.mktemp("files"), seed=7, count=PHOTOS)


@pytest.mark.parametrize("target", ["evaluation", "runner (evaluation)", "estimate", "download"])
def test_work_on_a_model_survives_the_kill_of(target: str, soak: Soak) -> None:
    row = Row(target)
    repeat(soak.kill_during_work, row, 1)
    assert (row.well, row.faults) == (1, [])

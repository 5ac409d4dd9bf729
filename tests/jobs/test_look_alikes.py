"""Images that look alike are trained on together, or measured on together."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dlmodeler_site.compute.run_folder import RunFolder
from jobs.algorithms.data import load_pixels, read_manifest, split_stratified
from jobs.checking import preflight
from jobs.readers.registry import reader_of
from tests.cast import make_cast, make_data, make_dataset
from tests.jobs.stage import drawn, jpeg, make_job

GROUPS, COPIES, LONE = 12, 3, 10  # of each class


def random_groups(random: np.random.Generator) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Targets and groups of images of up to four classes, in any order; some groups have several classes."""
    targets, groups = [], []
    for group in range(random.integers(1, 60)):
        size = random.integers(2, 8) if random.random() < 0.5 else 1
        of = random.integers(0, 4, size) if random.random() < 0.1 else np.repeat(random.integers(0, 4), size)
        targets.append(of)
        groups.append(np.repeat(group if size > 1 else -1, size))
    order = random.permutation(sum(map(len, groups)))
    return np.concatenate(targets)[order].astype(np.int32), np.concatenate(groups)[order].astype(np.int32)


@pytest.mark.parametrize("seed", range(60))
def test_groups_stay_on_one_side_and_classes_on_both(seed: int) -> None:
    targets, groups = random_groups(np.random.default_rng(seed))
    share = 0.1 + 0.3 * (seed % 3) / 2
    train, held_out = split_stratified(targets, share=share, seed=seed, groups=groups)
    assert sorted([*train, *held_out]) == list(range(len(targets)))
    assert not set(groups[train][groups[train] >= 0]) & set(groups[held_out][groups[held_out] >= 0])
    is_mixed = {group for group in groups if group >= 0 and len(set(targets[groups == group])) > 1}
    for value in set(targets):
        of_class = np.flatnonzero(targets == value)
        units = {group if group >= 0 else (-1, place) for place, group in zip(of_class, groups[of_class], strict=True)}
        assert value in targets[train]
        if len(units) > 1 and not units & is_mixed:
            assert value in targets[held_out]
        elif len(units) == 1:
            assert value not in targets[held_out]
    again = split_stratified(targets, share=share, seed=seed, groups=groups)
    np.testing.assert_array_equal(again[1], held_out)


def test_shares_of_classes_are_those_asked_for_where_groups_are_small() -> None:
    random = np.random.default_rng(1)
    targets = random.choice(3, 3000, p=[0.6, 0.3, 0.1]).astype(np.int32)
    groups = np.full(3000, -1, np.int32)
    for value in range(3):
        alike = np.flatnonzero(targets == value)[: (targets == value).sum() // 2]
        groups[alike] = value * 3000 + random.integers(0, len(alike) // 3, len(alike))
    _train, held_out = split_stratified(targets, share=0.2, seed=3, groups=groups)
    _train, without = split_stratified(targets, share=0.2, seed=3)
    assert np.bincount(targets[held_out]).tolist() == np.bincount(targets[without]).tolist()
    assert 0.4 < (groups[held_out] >= 0).mean() < 0.6, "copies are held out by chance as others are"


def test_a_group_larger_than_the_share_is_held_out_only_where_nothing_else_can_be() -> None:
    targets = np.array([0] * 12 + [1] * 12, np.int32)
    groups = np.array([0] * 8 + [1] * 4 + [2] * 11 + [-1], np.int32)
    _train, held_out = split_stratified(targets, share=0.2, seed=0, groups=groups)
    assert held_out.tolist() == [8, 9, 10, 11, 23]


@pytest.mark.django_db
def test_no_copy_of_an_image_that_is_held_out_is_trained_on(tmp_path: Path) -> None:
    contents: dict[str, tuple[bytes, str]] = {}
    of_photo: dict[str, str] = {}
    for label in "ab":
        for number in range(GROUPS):
            original = drawn(f"{label}{number}")
            for copy in range(COPIES):
                name = f"{copy}/{label}{number}.jpg"  # far from each other in any order of names
                shown = original.resize((128 - 16 * copy, 128 - 16 * copy))
                contents[name] = (jpeg(shown, 95 - 5 * copy), label)
                of_photo[name] = f"{label}{number}"
        contents |= {
            f"lone/{label}{number}.jpg": (jpeg(drawn(f"lone {label}{number}")), label) for number in range(LONE)
        }
    labels = {name: label for name, (_content, label) in contents.items()}
    images = make_data(
        make_dataset(make_cast().project), [(name, content) for name, (content, _) in contents.items()], labels=labels
    )
    job = make_job(images.dataset.project, images)
    run = RunFolder.create(tmp_path / "run", {})
    staged = reader_of(job.algorithm).stage(job, {"num_types": 2}, run)
    rows = read_manifest(run.path / staged.spec["images"], labels=2)
    data = load_pixels(run, rows, cache=tmp_path / "cache", size_px=32, threads=1)
    assert data.kept_together == {"images": 2 * GROUPS * COPIES, "groups": 2 * GROUPS}
    sides: dict[str, set[str]] = defaultdict(set)
    train, held_out = data.split(share=0.25, seed=9)
    for side, indexes in (("trained on", train), ("held out", held_out)):
        for index in indexes:
            sides[of_photo.get(rows[index].name, rows[index].name)].add(side)
    assert {frozenset(each) for each in sides.values()} == {frozenset({"trained on"}), frozenset({"held out"})}
    assert len(held_out) == round(len(rows) * 0.25)

    (finding,) = (each for each in preflight.check(job) if each.code == "near_duplicate")
    assert (finding.severity, finding.count) == ("info", 2 * GROUPS * COPIES)
    assert finding.message == f"{2 * GROUPS * (COPIES - 1)} images look like others, in {2 * GROUPS} groups."
    assert "kept together" in finding.fix

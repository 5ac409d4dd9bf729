"""What the check of a job's data finds, and which output each image is assigned to."""

from pathlib import Path

import pytest

from dlmodeler_site.compute.run_folder import RunFolder, read_jsonl
from dlmodeler_site.errors import UserError
from jobs.checking import preflight
from jobs.checking.findings import LISTED, Finding
from jobs.models import Job
from jobs.readers.base import Staged
from jobs.readers.registry import reader_of
from tests.cast import Cast, make_cast, make_data, make_dataset, png
from tests.jobs.stage import COLOURS, image_names, label_of, make_csv, make_images, make_job, right_csv

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


ALWAYS = {"few_images", "near_duplicate"}  # of twelve plain images


def check(job: Job) -> list[Finding]:
    """The findings, but for what is true of twelve plain images whatever their labels."""
    return [finding for finding in preflight.check(job) if finding.code not in ALWAYS]


def found(cast: Cast, *csv: str, **options: object) -> dict[str, Finding]:
    """The findings on twelve images with these label csv files, by code."""
    labels = make_csv(cast.project, *csv) if csv else None
    job = make_job(cast.project, make_images(cast.project), labels, **options)  # type: ignore[arg-type]
    return {finding.code: finding for finding in check(job)}


def staged(job: Job, folder: Path) -> tuple[Staged, dict[str, int]]:
    """What lies in the run folder of a training with two outputs, and the output that each image belongs to."""
    run = RunFolder.create(folder / "run", {})
    stage = reader_of(job.algorithm).stage(job, {"num_types": 2}, run)
    return stage, {row["name"]: row["target"] for row in read_jsonl(run.path / stage.spec["images"])}


def test_right_labels_give_no_finding(cast: Cast) -> None:
    assert found(cast, right_csv()) == {}


def test_several_csv_files_are_read_as_one(cast: Cast) -> None:
    names = image_names()
    assert found(cast, right_csv(names[:5]), "name,label\r\n" + right_csv(names[5:])) == {}


def test_row_without_image_is_an_error_that_names_row_and_line(cast: Cast) -> None:
    finding = found(cast, right_csv() + "ghost.png,1\n")["row_without_image"]
    assert finding.severity == "error"
    assert finding.files == ["ghost.png"]
    assert finding.places[0].note == "labels-0.csv, line 13: 1"
    assert finding.fix


def test_lines_are_counted_in_each_csv(cast: Cast) -> None:
    finding = found(cast, right_csv(), "ghost.png,1\n")["row_without_image"]
    assert finding.places[0].note == "labels-1.csv, line 1: 1"


def test_image_without_row_is_an_error(cast: Cast) -> None:
    finding = found(cast, right_csv(image_names()[2:]))["image_without_row"]
    assert (finding.severity, finding.files, finding.count) == ("error", ["0.png", "1.png"], 2)


def test_contradicting_rows_are_an_error_and_repeated_ones_a_warning(cast: Cast) -> None:
    codes = found(cast, right_csv() + "0.png,1\n1.png,1\n")
    assert (codes["contradicting_labels"].severity, codes["contradicting_labels"].files) == ("error", ["0.png"])
    assert (codes["repeated_row"].severity, codes["repeated_row"].files) == ("warning", ["1.png"])


def test_contradictions_between_csv_files_are_found(cast: Cast) -> None:
    assert found(cast, right_csv(), "0.png,1\n")["contradicting_labels"].files == ["0.png"]


def test_bad_row_is_an_error_with_its_line(cast: Cast) -> None:
    finding = found(cast, right_csv(image_names()[1:]) + "0.png,\n")["bad_row"]
    assert finding.severity == "error"
    assert finding.files == ["labels-0.csv"]
    assert "line 12" in finding.places[0].note


def test_missing_column_is_an_error_that_names_the_file(cast: Cast) -> None:
    finding = found(cast, "0.png\n1.png\n")["missing_column"]
    assert finding.severity == "error"
    assert "labels-0.csv" in finding.message


def test_refused_files_are_a_warning_and_their_rows_no_surplus(cast: Cast, tmp_path: Path) -> None:
    files = [(name, png(COLOURS[label_of(name)], size=(40, 30 + place))) for place, name in enumerate(image_names())]
    files.append(("12.png", b"no image"))
    images = make_data(make_dataset(cast.project), files)
    job = make_job(cast.project, images, make_csv(cast.project, right_csv([*image_names(), "12.png"])))
    assert [(finding.code, finding.severity, finding.files) for finding in check(job)] == [
        ("unsound_file", "warning", ["12.png"])
    ]
    _stage, targets = staged(job, tmp_path)
    assert len(targets) == 12
    assert "12.png" not in targets


def test_tiny_class_is_a_warning_that_names_the_class(cast: Cast) -> None:
    finding = found(cast, right_csv(image_names()[:-1]) + "11.png,2\n")["tiny_class"]
    assert (finding.severity, finding.files) == ("warning", ["11.png"])
    assert "2 (1)" in finding.message


def test_one_class_is_an_error(cast: Cast) -> None:
    assert found(cast, "".join(f"{name},3\n" for name in image_names()))["one_class"].severity == "error"


def test_class_name_for_a_label_that_does_not_occur_is_a_warning(cast: Cast) -> None:
    assert found(cast, right_csv(), class_names={"7": "forest"})["unused_class_name"].severity == "warning"


def test_without_any_labels_there_is_an_error(cast: Cast) -> None:
    assert set(found(cast)) == {"no_labels"}


def test_labels_of_the_files_serve_where_no_csv_is_given(cast: Cast, tmp_path: Path) -> None:
    labels = {name: "cat" if number % 2 else "dog" for number, name in enumerate(image_names())}
    job = make_job(cast.project, make_images(cast.project, labels=labels))
    assert check(job) == []
    stage, targets = staged(job, tmp_path)
    assert stage.labels == [{"label": 0, "class_name": "cat"}, {"label": 1, "class_name": "dog"}]
    assert targets["0.png"] == 1


def test_findings_list_a_bounded_number_of_files_and_tell_all(cast: Cast) -> None:
    ghosts = "".join(f"ghost-{number}.png,1\n" for number in range(LISTED + 50))
    finding = found(cast, right_csv() + ghosts)["row_without_image"]
    assert (len(finding.files), finding.count, finding.more) == (LISTED, LISTED + 50, 50)


def test_integers_keep_their_value_and_get_their_names(cast: Cast, tmp_path: Path) -> None:
    csv = "".join(f"{name},{5 if number < 6 else 9}\n" for number, name in enumerate(image_names()))
    job = make_job(cast.project, make_images(cast.project), make_csv(cast.project, csv), class_names={"9": "sea"})
    stage, targets = staged(job, tmp_path)
    assert stage.labels == [{"label": 5, "class_name": "5"}, {"label": 9, "class_name": "sea"}]
    assert (targets["0.png"], targets["11.png"]) == (0, 1)
    assert set(preflight.manifest_hashes(job)) == {"images", "labels"}


def test_nothing_is_staged_while_there_is_an_error(cast: Cast, tmp_path: Path) -> None:
    job = make_job(cast.project, make_images(cast.project), make_csv(cast.project, right_csv() + "ghost.png,1\n"))
    with pytest.raises(UserError) as refused:
        staged(job, tmp_path)
    assert refused.value.reason == "preflight_failed"
    assert refused.value.details["findings"][0]["files"] == ["ghost.png"]

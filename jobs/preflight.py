"""Checks a job's data before anything starts, and assigns labels to images."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from datasets.inspection.labels import (
    BadRow,
    LabelError,
    LabelRow,
    LabelTable,
    make_label_map,
    match_labels,
    read_label_rows,
)
from datasets.models import Data, File
from dlmodeler_site.errors import UserError
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import joined
from dlmodeler_site.storage import workspace
from jobs import findings
from jobs.findings import Finding

if TYPE_CHECKING:
    from jobs.models import Job

IMAGES, LABELS = "images", "labels"


@dataclass(frozen=True)
class Examination:
    """All that the check found out. `assigned`: image name -> label text."""

    findings: tuple[Finding, ...] = ()
    assigned: dict[str, str] = field(default_factory=dict)

    @cached_property
    def images_of(self) -> dict[str, list[str]]:
        """Label text -> the images that have it, labels in the order of the network's outputs."""
        return _images_of(self.assigned)

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "error"]

    def raise_errors(self) -> None:
        """Raises UserError (`preflight_failed`) that names the files, when there is an error."""
        if not (errors := self.errors):
            return
        parts = [errors[0].message]
        if names := errors[0].files[:5]:
            parts.append(_("For example: %(names)s.", names=", ".join(f"“{name}”" for name in names)))
        parts.append(errors[0].fix)
        if len(errors) > 1:
            parts.append(_("The check of the job's data names further problems."))
        raise UserError(
            joined(" ", parts),
            reason="preflight_failed",
            details={"findings": [finding.as_dict() for finding in errors]},
        )


@dataclass(frozen=True)
class LabelAssignment:
    """Which output of the network each image belongs to.

    Attributes:
        targets: file name -> index of the output.
        labels: `{"label", "class_name"}` of each output, in order.
        manifest_hashes: name of the input -> hash of the data's manifest.
    """

    targets: dict[str, int]
    labels: list[dict[str, Any]]
    manifest_hashes: dict[str, str]


def check(job: Job) -> list[Finding]:
    """What stands in the way of training on the job's data, and what one should know about it; errors first."""
    return list(examine_job(job).findings)


def examine_job(job: Job) -> Examination:
    data = job.data_by_input()
    if (images := data.get(IMAGES)) is None:
        return Examination((findings.no_images(_("The job has no image data.")),))
    return examine(images, data.get(LABELS), class_names=job.class_names)


def assign_labels(job: Job, *, num_types: int) -> LabelAssignment:
    """The output of a network with `num_types` outputs for each image. Raises UserError when the check fails."""
    examination = examine_job(job)
    examination.raise_errors()
    try:
        label_map = make_label_map(examination.images_of, num_types, job.class_names)
    except LabelError as error:
        raise UserError(error.message, reason=error.reason) from error
    return LabelAssignment(
        targets={name: label_map.targets[text] for name, text in examination.assigned.items()},
        labels=[label.as_dict() for label in label_map.labels],
        manifest_hashes=manifest_hashes(job),
    )


def manifest_hashes(job: Job) -> dict[str, str]:
    """Name of the input -> hash of the data's manifest: what a training was made from."""
    return {name: data.manifest_sha256 for name, data in job.data_by_input().items()}


def examine(images: Data, labels: Data | None, *, class_names: Mapping[str, str] | None = None) -> Examination:
    """Compare images and labels: the rows of the csv files of `labels`, or the labels that the files carry."""
    sound = images.files.filter(state=File.State.OK)
    names = dict(sound.filter(content=Data.Content.IMAGE).values_list("name", "label"))
    if not names:
        return Examination((findings.no_images(_("“%(data)s” has no sound image.", data=images.name)),))
    refused = dict(images.files.filter(state=File.State.REJECTED).values_list("name", "error"))
    found: list[Finding] = []
    assigned: dict[str, str] = {}
    if labels is None:
        assigned = {name: label for name, label in names.items() if label}
        if not assigned:
            found.append(findings.no_labels(images.name))
        elif missing := [name for name in names if name not in assigned]:
            found.append(findings.images_without_label(images.name, missing))
    else:
        try:
            assigned = _from_rows(images, _LabelFiles.read(labels, names), names, refused, found)
        except LabelError as error:
            found.append(findings.bad_label_file(error.reason, error.message))
    _classes(assigned, class_names or {}, found)
    if refused:
        found.append(findings.unsound_files(images.name, refused))
    others = sound.exclude(content=Data.Content.IMAGE)
    if labels == images:
        others = others.exclude(content=Data.Content.TABLE)
    if other_names := list(others.values_list("name", flat=True)):
        found.append(findings.not_images(images.name, other_names))
    return Examination(tuple(sorted(found, key=lambda finding: finding.severity)), assigned)  # error < warning


@dataclass(frozen=True)
class _LabelFiles:
    """The rows of all label csv files as one table, whose line numbers go on from file to file."""

    table: LabelTable
    names: tuple[str, ...]
    starts: tuple[int, ...]  # the last line before each file

    @classmethod
    def read(cls, data: Data, image_names: Collection[str]) -> _LabelFiles:
        """Raises LabelError naming the file, when one is no table of labels."""
        rows: list[LabelRow] = []
        bad_rows: list[BadRow] = []
        names: list[str] = []
        starts: list[int] = []
        start = 0
        for file in data.files.filter(state=File.State.OK, content=Data.Content.TABLE).order_by("name"):
            try:
                table = read_label_rows(workspace().local_path(file.key_in(data), file.sha256), image_names=image_names)
            except LabelError as error:
                raise LabelError(joined(": ", [file.name, error.message]), reason=error.reason) from error
            names.append(file.name)
            starts.append(start)
            rows += [row._replace(line=start + row.line) for row in table.rows]
            bad_rows += [BadRow(start + row.line, row.received, row.problem) for row in table.bad_rows]
            start += max((*(row.line for row in table.rows), *(row.line for row in table.bad_rows)), default=0)
        if not names:
            raise LabelError(_("“%(data)s” has no sound csv file.", data=data.name), reason="no_labels")
        return cls(LabelTable(tuple(rows), tuple(bad_rows), has_header=False), tuple(names), tuple(starts))

    def place(self, line: int) -> tuple[str, int]:
        """The file and the line in it."""
        index = bisect_right(self.starts, line - 1) - 1
        return self.names[index], line - self.starts[index]

    def where(self, row: LabelRow) -> str:
        name, line = self.place(row.line)
        return _("%(file)s, line %(line)s: %(label)s", file=name, line=line, label=row.label)


def _from_rows(
    images: Data, files: _LabelFiles, names: Collection[str], refused: Collection[str], found: list[Finding]
) -> dict[str, str]:
    """Match rows with images, add what is wrong with them to `found`, and answer image name -> label text."""
    match = match_labels(files.table, names)
    # A row for a refused file is no surplus row: the file is told among the refused ones.
    of_refused = match_labels(LabelTable(match.rows_without_image, (), has_header=False), refused)
    told = (
        findings.rows_without_image(images.name, of_refused.rows_without_image, files.where),
        findings.images_without_row(images.name, match.images_without_row),
        findings.contradictions(match.contradictions, files.where),
        findings.bad_rows(match.bad_rows, files.place),
        findings.repeated_rows(match.repeated_rows, files.where),
    )
    found += [finding for finding in told if finding.count]
    return match.assigned


def _classes(assigned: Mapping[str, str], class_names: Mapping[str, str], found: list[Finding]) -> None:
    images_of = _images_of(assigned)
    if not images_of:
        return
    if len(images_of) == 1:
        found.append(findings.one_class(*images_of))
    elif tiny := {label: names for label, names in images_of.items() if len(names) < findings.TINY_CLASS}:
        found.append(findings.tiny_classes(tiny))
    if unused := {label: name for label, name in class_names.items() if label not in images_of}:
        found.append(findings.unused_class_names(unused, images_of))


def _images_of(assigned: Mapping[str, str]) -> dict[str, list[str]]:
    images_of: dict[str, list[str]] = {label: [] for label in sorted(set(assigned.values()), key=findings.label_order)}
    for name, label in assigned.items():
        images_of[label].append(name)
    return images_of

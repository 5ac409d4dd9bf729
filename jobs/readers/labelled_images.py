"""Reads images of classes: labelled by the rows of csv files, or by the labels that the files carry."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from datasets.inspection.labels import (
    BadRow,
    LabelError,
    LabelMap,
    LabelRow,
    LabelTable,
    make_label_map,
    match_labels,
    read_label_rows,
)
from datasets.models import Data, File
from dlmodeler_site.compute.run_folder import RunFolder, write_jsonl
from dlmodeler_site.errors import UserError
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import joined
from dlmodeler_site.storage import workspace
from jobs.algorithms.base import Manifest
from jobs.findings import Finding, label_order
from jobs.readers import image_advice
from jobs.readers import image_findings as findings
from jobs.readers.base import Advice, Examination, Staged

if TYPE_CHECKING:
    from jobs.models import Job

IMAGES, LABELS = "images", "labels"
CLASSES = "num_types"  # the hyperparameter that follows from the labels


@dataclass(frozen=True)
class ImageExamination(Examination):
    """`assigned`: image name -> label text."""

    assigned: dict[str, str] = field(default_factory=dict)

    @cached_property
    def images_of(self) -> dict[str, list[str]]:
        """Label text -> the images that have it, labels in the order of the network's outputs."""
        return _images_of(self.assigned)

    @property
    def samples(self) -> int:
        return len(self.assigned)

    @property
    def class_counts(self) -> dict[str, int]:
        return {label: len(names) for label, names in self.images_of.items()}

    @property
    def follows(self) -> dict[str, Any]:
        return {CLASSES: len(self.images_of)} if len(self.images_of) > 1 else {}

    def findings_with(self, hyperparameters: Mapping[str, Any]) -> list[Finding]:
        outputs = hyperparameters.get(CLASSES)
        if outputs is None or not 0 < int(outputs) < len(self.images_of):
            return []
        return [findings.too_few_outputs(CLASSES, outputs, list(self.images_of))]

    def label_map(self, num_types: int, class_names: Mapping[str, str]) -> LabelMap:
        """The outputs of a network with `num_types` of them. Raises UserError when the check fails."""
        self.raise_errors()
        try:
            return make_label_map(self.images_of, num_types, class_names)
        except LabelError as error:
            raise UserError(error.message, reason=error.reason) from error


class LabelledImages:
    """The reader of the inputs `images` and `labels`; the labels are in csv files or on the images."""

    def examine(self, job: Job) -> ImageExamination:
        data = job.data_by_input()
        if (images := data.get(IMAGES)) is None:
            return ImageExamination((findings.no_images(_("The job has no image data.")),))
        return examine(images, data.get(LABELS), class_names=job.class_names)

    def stage(self, job: Job, hyperparameters: Mapping[str, Any], run: RunFolder, *, most: int | None = None) -> Staged:
        images = job.input_data(IMAGES)
        if images is None:
            raise UserError(
                _("The job has no image data any more. Choose the data of the job again."), reason="input_missing"
            )
        examination = self.examine(job)
        label_map = examination.label_map(int(hyperparameters[CLASSES]), job.class_names)
        targets = {name: label_map.targets[text] for name, text in examination.assigned.items()}
        write_jsonl(run.input / "images.jsonl", _rows(images, targets))
        labels = [label.as_dict() for label in label_map.labels]
        return Staged({"images": "input/images.jsonl", "labels": labels}, labels)

    def advise(self, manifest: Manifest, ready: Sequence[Data]) -> Advice:
        return image_advice.advise(manifest, ready, examine=examine)

    def may_lack(self, name: str, chosen: Mapping[str, Data]) -> bool:
        images = chosen.get(IMAGES)
        return name == LABELS and images is not None and _carries_labels(images)


def examine(images: Data, labels: Data | None, *, class_names: Mapping[str, str] | None = None) -> ImageExamination:
    """Compare images and labels: the rows of the csv files of `labels`, or the labels that the files carry."""
    sound = images.files.filter(state=File.State.OK)
    names = dict(sound.filter(content=Data.Content.IMAGE).values_list("name", "label"))
    if not names:
        return ImageExamination((findings.no_images(_("“%(data)s” has no sound image.", data=images.name)),))
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
    return ImageExamination(tuple(sorted(found, key=lambda each: each.severity)), assigned)  # error < warning


def _rows(images: Data, targets: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    for file in images.staged_files(File.State.OK):
        target = targets.get(file["name"])
        if target is not None:
            yield {**{key: file[key] for key in ("name", "path", "sha256")}, "target": target}


def _carries_labels(images: Data) -> bool:
    return images.files.filter(state=File.State.OK).exclude(label="").exists()


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
    images_of: dict[str, list[str]] = {label: [] for label in sorted(set(assigned.values()), key=label_order)}
    for name, label in assigned.items():
        images_of[label].append(name)
    return images_of

"""Reads images of classes: labelled by the rows of csv files, or by the labels that the files carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from datasets.inspection.labels import LabelError, LabelMap, LabelTable, make_label_map, match_labels
from datasets.models import Data, File
from dlmodeler_site.compute.run_folder import RunFolder, write_jsonl
from dlmodeler_site.errors import UserError
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.storage import workspace
from jobs.algorithms.base import Manifest
from jobs.algorithms.registry import manifest
from jobs.checking.findings import Adjustment, Finding, label_order, worst_first
from jobs.readers import evaluated_images, image_advice
from jobs.readers import image_findings as findings
from jobs.readers.base import Advice, Examination, Staged
from jobs.readers.image_fixes import IMAGES, LABELS, Mender
from jobs.readers.image_set import ImageSet
from jobs.readers.label_files import LabelFiles

if TYPE_CHECKING:
    from jobs.models import Job, Training

CLASSES = "num_types"  # the hyperparameter that follows from the labels


@dataclass(frozen=True)
class ImageExamination(Examination):
    """`assigned`: image name -> label text. `algorithm`: whose hyperparameters fixes may set."""

    assigned: dict[str, str] = field(default_factory=dict)
    images: ImageSet | None = None
    algorithm: Manifest | None = None

    @cached_property
    def images_of(self) -> dict[str, list[str]]:
        """Label text -> the images that have it, labels in the order of the network's outputs."""
        return _images_of(self.assigned)

    @property
    def samples(self) -> int:
        return len(self.assigned)

    def groups(self) -> dict[str, int]:
        """Image name -> number of its group, of the labelled images that look like other labelled ones."""
        found = self.images.groups() if self.images else {}
        sizes = Counter(group for name, group in found.items() if name in self.assigned)
        return {name: group for name, group in found.items() if sizes[group] > 1}

    @cached_property
    def class_counts(self) -> dict[str, int]:
        return {label: len(names) for label, names in self.images_of.items()}

    @property
    def follows(self) -> dict[str, Any]:
        return {CLASSES: len(self.images_of)} if len(self.images_of) > 1 else {}

    def findings_with(self, hyperparameters: Mapping[str, Any]) -> list[Finding]:
        counts = self.class_counts
        if len(counts) < 2:
            return []
        found: list[Finding] = []
        outputs = _whole(hyperparameters.get(CLASSES))
        if outputs and outputs < len(counts):
            found.append(findings.too_few_outputs(CLASSES, outputs, list(counts)))
        elif outputs and outputs > len(counts):
            found.append(findings.too_many_outputs(CLASSES, outputs, len(counts)))
        is_uneven = max(counts.values()) >= findings.UNEVEN * min(counts.values())
        if is_uneven and hyperparameters.get("class_weight", "none") == "none":
            action = self._set("class_weight", "balanced", _("Let every class count the same"))
            found.append(findings.uneven_classes(counts, action))
        if self.samples < findings.FEW_IN_CLASS * len(counts) and hyperparameters.get("network") != "transfer":
            action = self._set("network", "transfer", _("Start from the pretrained network"))
            found.append(findings.few_images(self.samples, len(counts), action))
        return found

    def _set(self, name: str, value: str, title: str) -> Adjustment | None:
        """The fix that sets a hyperparameter; None where the algorithm does not have it."""
        known = self.algorithm.hyperparameters if self.algorithm else ()
        can = any(each.name == name and value in each.choices for each in known)
        return Adjustment(title, {name: value}) if can else None

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
        algorithm = manifest(job.algorithm)
        read = ImageSet.read(images)
        return examine(read, data.get(LABELS), class_names=job.class_names, algorithm=algorithm)

    def stage(self, job: Job, hyperparameters: Mapping[str, Any], run: RunFolder, *, most: int | None = None) -> Staged:
        images = job.input_data(IMAGES)
        if images is None:
            raise UserError(
                _("The job has no image data any more. Choose the data of the job again."), reason="input_missing"
            )
        examination = self.examine(job)
        label_map = examination.label_map(int(hyperparameters[CLASSES]), job.class_names)
        targets = {name: label_map.targets[text] for name, text in examination.assigned.items()}
        labels = [label.as_dict() for label in label_map.labels]
        spec: dict[str, Any] = {"images": "input/images.jsonl", "labels": labels}
        if most is None:
            write_jsonl(run.input / "images.jsonl", _rows(images, targets, examination.groups()))
        else:
            write_jsonl(run.input / "images.jsonl", _some_rows(images, targets, most))
            spec["count"] = len(targets)
        return Staged(spec, labels)

    def advise(self, manifest: Manifest, ready: Sequence[Data]) -> Advice:
        return image_advice.advise(manifest, ready, examine=examine)

    def check_samples(self, training: Training, data: Data, labels: Data | None) -> None:
        evaluated_images.labelled(data, labels)

    def stage_samples(self, training: Training, data: Data, labels: Data | None, run: RunFolder) -> dict[str, Any]:
        return evaluated_images.stage(data, labels, run)

    def may_lack(self, name: str, chosen: Mapping[str, Data]) -> bool:
        images = chosen.get(IMAGES)
        return name == LABELS and images is not None and _carries_labels(images)


def examine(
    images: ImageSet,
    labels: Data | None,
    *,
    class_names: Mapping[str, str] | None = None,
    algorithm: Manifest | None = None,
) -> ImageExamination:
    """Compare images and labels: the rows of the csv files of `labels`, or the labels that the files carry."""
    data = images.data
    if not images.labels:
        return ImageExamination((findings.no_images(_("“%(data)s” has no sound image.", data=data.name)),))
    found: list[Finding] = []
    assigned: dict[str, str] = {}
    if labels is None:
        assigned = {name: label for name, label in images.labels.items() if label}
    else:
        try:
            assigned = _from_rows(images, LabelFiles.read(labels, images.labels), found)
        except LabelError as error:
            found.append(findings.bad_label_file(error.reason, error.message))
    mender = Mender(images, assigned, is_from_csv=labels is not None)
    if labels is None:
        if not assigned:
            found.append(findings.no_labels(data.name))
        elif missing := [name for name in images.labels if name not in assigned]:
            found.append(findings.images_without_label(data.name, missing, mender.labelled_ones()))
    _classes(assigned, class_names or {}, mender, found)
    if assigned:
        _copies(images, assigned, mender, found)
    if images.refused:
        found.append(findings.unsound_files(data.name, images.refused, mender.without_refused()))
    ignored = (Data.Content.TABLE,) if labels == data else ()
    if others := [name for name, content in images.others.items() if content not in ignored]:
        found.append(findings.not_images(data.name, others))
    return ImageExamination(tuple(worst_first(found)), assigned, images, algorithm)


def _rows(images: Data, targets: Mapping[str, int], groups: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    for file in images.staged_files(File.State.OK):
        name = file["name"]
        if (target := targets.get(name)) is not None:
            row = {**{key: file[key] for key in ("name", "path", "sha256")}, "target": target}
            yield {**row, "group": groups[name]} if name in groups else row


def _some_rows(images: Data, targets: Mapping[str, int], most: int) -> Iterator[dict[str, Any]]:
    """Of `most` images at even distances, so that only these are fetched from where the workspace is."""
    names = list(targets)
    chosen = [names[place * len(names) // most] for place in range(most)] if len(names) > most else names
    files = list(images.files.named(chosen).filter(state=File.State.OK).order_by("pk"))
    paths = workspace().local_paths([(file.key_in(images), file.sha256) for file in files])
    for file, path in zip(files, paths, strict=True):
        yield {"name": file.name, "path": str(path), "sha256": file.sha256, "target": targets[file.name]}


def _carries_labels(images: Data) -> bool:
    return images.files.filter(state=File.State.OK).exclude(label="").exists()


def _from_rows(images: ImageSet, files: LabelFiles, found: list[Finding]) -> dict[str, str]:
    """Match rows with images, add what is wrong with them to `found`, and answer image name -> label text."""
    match = match_labels(files.table, images.labels)
    # A row for a refused file is no surplus row: the file is told among the refused ones.
    of_refused = match_labels(LabelTable.of(match.rows_without_image), images.refused)
    is_whole = match.is_complete and not of_refused.rows_without_image
    action = None if is_whole else Mender(images, match.assigned, is_from_csv=True).labelled_ones()
    name = images.data.name
    told = (
        findings.rows_without_image(name, of_refused.rows_without_image, files.where, action),
        findings.images_without_row(name, match.images_without_row, action),
        findings.contradictions(match.contradictions, files.where, action),
        findings.bad_rows(match.bad_rows, files.place, action),
        findings.repeated_rows(match.repeated_rows, files.where),
    )
    found += [finding for finding in told if finding.count]
    return match.assigned


def _classes(assigned: Mapping[str, str], class_names: Mapping[str, str], mender: Mender, found: list[Finding]) -> None:
    images_of = _images_of(assigned)
    if not images_of:
        return
    if len(images_of) == 1:
        found.append(findings.one_class(*images_of))
    elif tiny := {label: names for label, names in images_of.items() if len(names) < findings.TINY_CLASS}:
        rest = len(images_of) - len(tiny)
        action = mender.without([name for names in tiny.values() for name in names]) if rest > 1 else None
        found.append(findings.tiny_classes(tiny, action))
    if unused := {label: name for label, name in class_names.items() if label not in images_of}:
        found.append(findings.unused_class_names(unused, images_of))


def _copies(images: ImageSet, assigned: Mapping[str, str], mender: Mender, found: list[Finding]) -> None:
    equal: list[list[str]] = []
    conflicting: list[list[str]] = []
    for group in images.equal:
        several = len({assigned[name] for name in group if name in assigned}) > 1
        (conflicting if several else equal).append(group)
    if conflicting:
        action = mender.without([name for group in conflicting for name in group])
        found.append(findings.equal_with_different_labels(conflicting, assigned, action))
    if equal:
        found.append(findings.equal_images(equal, assigned, mender.without_surplus(near=False)))
    count, surplus, groups = images.alike()
    if count:
        action = mender.without_surplus(near=True)
        found.append(findings.alike_images(groups, assigned, count=count, surplus=surplus, action=action))


def _images_of(assigned: Mapping[str, str]) -> dict[str, list[str]]:
    images_of: dict[str, list[str]] = {label: [] for label in sorted(set(assigned.values()), key=label_order)}
    for name, label in assigned.items():
        images_of[label].append(name)
    return images_of


def _whole(value: object) -> int | None:
    """The whole number that a form or the API gave; None for anything else, which is refused elsewhere."""
    text = str(value).strip()
    return int(text) if text.isdecimal() and len(text) < 10 else None

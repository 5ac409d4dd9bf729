"""What the check of a job's data can find, and the words for it."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from datasets.inspection.labels import BadRow, Contradiction, LabelRow
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import joined

LISTED = 100  # names in one finding; their number is always told
TINY_CLASS = 5  # fewer images than these teach little

_INTEGER = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True)
class Place:
    """What a finding is about: the name of a file, and what is to be said of it."""

    name: str
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """Something about the data that stands in the way of a training (error) or that one should know (warning)."""

    code: str
    severity: Literal["error", "warning"]
    message: str
    fix: str
    places: tuple[Place, ...] = ()
    count: int = 0  # of all places; only the first `LISTED` are kept

    @property
    def files(self) -> list[str]:
        return list(dict.fromkeys(place.name for place in self.places))

    @property
    def more(self) -> int:
        """How many places are not listed."""
        return self.count - len(self.places)

    def as_dict(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "files": self.files,
            "file_count": self.count,
            "places": [{"name": place.name, "note": place.note} for place in self.places],
            "fix": self.fix,
        }


def no_images(message: str) -> Finding:
    return _finding("error", "no_images", message, _("Choose data with images for the job."))


def bad_label_file(reason: str, message: str) -> Finding:
    return _finding("error", reason, message, _("Upload a corrected csv as a new data and choose it for the job."))


def no_labels(data_name: str) -> Finding:
    return _finding(
        "error",
        "no_labels",
        _("The job has no label data, and the images of “%(data)s” carry no labels.", data=data_name),
        _("Choose the data with the label csv for the job."),
    )


def images_without_label(data_name: str, names: Collection[str]) -> Finding:
    values = {"count": len(names), "data": data_name}
    message = (
        _("%(count)s image of “%(data)s” has no label.", **values)
        if len(names) == 1
        else _("%(count)s images of “%(data)s” have no label.", **values)
    )
    return _finding(
        "error",
        "image_without_label",
        message,
        _("Put each image into the folder of its class and upload them as a new data, or choose a label csv."),
        map(Place, names),
    )


def rows_without_image(data_name: str, rows: Collection[LabelRow], where: Callable[[LabelRow], str]) -> Finding:
    values = {"count": len(rows), "data": data_name}
    message = (
        _("%(count)s row of the labels names an image that “%(data)s” does not have.", **values)
        if len(rows) == 1
        else _("%(count)s rows of the labels name images that “%(data)s” does not have.", **values)
    )
    return _finding(
        "error",
        "row_without_image",
        message,
        _("Upload the images together with the others as a new data, or remove the rows from the csv."),
        (Place(row.name, where(row)) for row in rows),
    )


def images_without_row(data_name: str, names: Collection[str]) -> Finding:
    values = {"count": len(names), "data": data_name}
    message = (
        _("%(count)s image of “%(data)s” has no row in the labels.", **values)
        if len(names) == 1
        else _("%(count)s images of “%(data)s” have no row in the labels.", **values)
    )
    return _finding(
        "error",
        "image_without_row",
        message,
        _("Add a row for each of them to the csv, or leave the images out of a new data."),
        map(Place, names),
    )


def contradictions(found: Collection[Contradiction], where: Callable[[LabelRow], str]) -> Finding:
    values = {"count": len(found)}
    message = (
        _("%(count)s image has rows with different labels.", **values)
        if len(found) == 1
        else _("%(count)s images have rows with different labels.", **values)
    )
    return _finding(
        "error",
        "contradicting_labels",
        message,
        _("Keep the row with the right label and remove the others from the csv."),
        (Place(each.name, joined("; ", map(where, each.rows))) for each in found),
    )


def bad_rows(rows: Collection[BadRow], place: Callable[[int], tuple[str, int]]) -> Finding:
    def told(row: BadRow) -> Place:
        name, line = place(row.line)
        note = _(
            "line %(line)s: %(problem)s; received “%(received)s”",
            line=line,
            problem=row.problem,
            received=row.received,
        )
        return Place(name, note)

    values = {"count": len(rows)}
    message = (
        _("%(count)s row of the labels cannot be read.", **values)
        if len(rows) == 1
        else _("%(count)s rows of the labels cannot be read.", **values)
    )
    return _finding(
        "error",
        "bad_row",
        message,
        _("Write each row as file name and label, such as 0.jpg,1 and upload the csv as a new data."),
        map(told, rows),
    )


def repeated_rows(rows: Collection[LabelRow], where: Callable[[LabelRow], str]) -> Finding:
    values = {"count": len(rows)}
    message = (
        _("%(count)s row of the labels repeats an earlier one. It does no harm.", **values)
        if len(rows) == 1
        else _("%(count)s rows of the labels repeat earlier ones. They do no harm.", **values)
    )
    return _finding(
        "warning",
        "repeated_row",
        message,
        _("Nothing needs to be done; remove the repeated rows from the csv to be rid of this notice."),
        (Place(row.name, where(row)) for row in rows),
    )


def one_class(label: str) -> Finding:
    return _finding(
        "error",
        "one_class",
        _("All images have the same label (%(label)s), so there is nothing to tell apart.", label=label),
        _("Use images of at least two classes."),
    )


def tiny_classes(images_of: Mapping[str, Collection[str]]) -> Finding:
    """`images_of`: label text -> the few images of the class."""
    classes = listed(f"{label} ({len(names)})" for label, names in images_of.items())
    values = {"count": len(images_of), "tiny": TINY_CLASS, "classes": classes}
    message = (
        _("%(count)s class has fewer than %(tiny)s images: %(classes)s.", **values)
        if len(images_of) == 1
        else _("%(count)s classes have fewer than %(tiny)s images: %(classes)s.", **values)
    )
    return _finding(
        "warning",
        "tiny_class",
        message,
        _("Add images of these classes; a network learns little from so few."),
        (Place(name, label) for label, names in images_of.items() for name in names),
    )


def unused_class_names(names: Mapping[str, str], labels: Iterable[str]) -> Finding:
    values = {"labels": listed(f"{label} = {name}" for label, name in names.items())}
    message = (
        _("A class name is given for a label that no image has: %(labels)s.", **values)
        if len(names) == 1
        else _("Class names are given for labels that no image has: %(labels)s.", **values)
    )
    return _finding(
        "warning",
        "unused_class_name",
        message,
        _("Correct the class names of the job. The labels are: %(labels)s.", labels=listed(labels)),
    )


def unsound_files(data_name: str, refused: Mapping[str, str]) -> Finding:
    """`refused`: file name -> why it was refused."""
    values = {"count": len(refused), "data": data_name}
    message = (
        _("%(count)s file of “%(data)s” was refused and is not trained on.", **values)
        if len(refused) == 1
        else _("%(count)s files of “%(data)s” were refused and are not trained on.", **values)
    )
    return _finding(
        "warning",
        "unsound_file",
        message,
        _("Repair the files and upload all as a new data, or train without them."),
        (Place(name, why) for name, why in refused.items()),
    )


def not_images(data_name: str, names: Collection[str]) -> Finding:
    values = {"count": len(names), "data": data_name}
    message = (
        _("%(count)s file of “%(data)s” is no image and is not trained on.", **values)
        if len(names) == 1
        else _("%(count)s files of “%(data)s” are no images and are not trained on.", **values)
    )
    return _finding(
        "warning",
        "not_an_image",
        message,
        _("Nothing needs to be done."),
        map(Place, names),
    )


def listed(texts: Iterable[str], *, most: int = 10) -> str:
    """The texts in one line, cut short when they are many."""
    every = list(texts)
    return ", ".join(every[:most]) + (", …" if len(every) > most else "")


def label_order(label: str) -> tuple[bool, int, str]:
    """A sort key: integers by value before names."""
    return (False, int(label), "") if _INTEGER.fullmatch(label) and len(label) < 20 else (True, 0, label)


def _finding(
    severity: Literal["error", "warning"], code: str, message: str, fix: str, places: Iterable[Place] = ()
) -> Finding:
    every = list(places)
    return Finding(code, severity, message, fix, tuple(every[:LISTED]), len(every))

"""Labelled images that a finished model is measured on; unlike a training's, they may be of one class, or a few."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from datasets.inspection.labels import LabelError, match_labels
from datasets.models import Data, File
from dlmodeler_site.compute.run_folder import RunFolder, write_jsonl
from dlmodeler_site.errors import UserError
from dlmodeler_site.sentences import Sentence as _
from jobs.readers.label_files import LabelFiles


def labelled(images: Data, labels: Data | None) -> dict[str, str]:
    """Image name -> label text, of the sound images that have one: by the csv files of `labels`, or on the files.

    Raises:
        UserError: there is none, or the csv files are no tables of labels.
    """
    sound = images.files.filter(state=File.State.OK, content=Data.Content.IMAGE)
    names = dict(sound.values_list("name", "label"))
    if not names:
        raise UserError(
            _("“%(data)s” has no sound image. Choose data with images.", data=images.name),
            reason="no_images",
            field="data",
        )
    if labels is None:
        assigned = {name: label for name, label in names.items() if label}
        if not assigned:
            raise UserError(
                _("The images of “%(data)s” carry no labels. Choose the data with their labels too.", data=images.name),
                reason="no_labels",
                field="labels",
            )
        return assigned
    try:
        match = match_labels(LabelFiles.read(labels, names).table, names)
    except LabelError as error:
        raise UserError(error.message, reason=error.reason, field="labels") from error
    if not match.assigned:
        raise UserError(
            _(
                "No row of “%(labels)s” names an image of “%(data)s”. "
                "Rows must be a file name and a class, as in 0.jpg,1.",
                labels=labels.name,
                data=images.name,
            ),
            reason="rows_without_image",
            field="labels",
        )
    return dict(match.assigned)


def stage(images: Data, labels: Data | None, run: RunFolder) -> dict[str, Any]:
    """Write the labelled images and answer the entries of the spec."""
    write_jsonl(run.input / "samples.jsonl", _rows(images, labelled(images, labels)))
    return {"samples": "input/samples.jsonl"}


def _rows(images: Data, assigned: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for file in images.staged_files(File.State.OK):
        if (label := assigned.get(file["name"])) is not None:
            yield {"id": file["id"], "name": file["name"], "path": file["path"], "label": label}

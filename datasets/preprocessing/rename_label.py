"""Give a label another name."""

from datasets.preprocessing.operation import Mistake, SelectionOperation, Values
from datasets.preprocessing.parameters import Label
from datasets.preprocessing.selection import LISTED, Effect, Files, SelectionError
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import gettext_noop


def _select(files: Files, values: Values) -> Effect:
    places = [place for place in files.indices() if files.labels[place] == values["from"]]
    if not places:
        raise SelectionError(_no_such_label(files, values["from"]), parameter="from")
    return files.relabel(places, values["to"])


def _no_such_label(files: Files, label: str) -> str:
    labels = sorted({files.labels[place] for place in files.indices()} - {""})
    listed = ", ".join(f"“{each}”" for each in labels[:LISTED]) + (", …" if len(labels) > LISTED else "")
    if not label:
        return _("No file is without a label. The labels are: %(labels)s.", labels=listed)
    if not labels:
        return _("No file has the label “%(label)s”; no file has any label.", label=label)
    return _("No file has the label “%(label)s”. The labels are: %(labels)s.", label=label, labels=listed)


def _check(values: Values) -> Mistake | None:
    if values["from"] == values["to"]:
        return Mistake("to", _("both labels are the same; nothing would change."))
    return None


OPERATION = SelectionOperation(
    name="rename_label",
    title=gettext_noop("Rename a label"),
    help=gettext_noop("Gives all files of a label another one; two labels become one by the same name."),
    select=_select,
    check=_check,
    parameters=(Label("from", gettext_noop("From")), Label("to", gettext_noop("To"))),
)

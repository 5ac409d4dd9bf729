"""Give named files a label each."""

from collections import defaultdict

from datasets.preprocessing.operation import Mistake, SelectionOperation, Values
from datasets.preprocessing.parameters import FileLabels, FileNames
from datasets.preprocessing.selection import Effect, Files
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import gettext_noop


def _select(files: Files, values: Values) -> Effect:
    label_of = dict(zip(values["files"], values["labels"], strict=True))
    places = defaultdict(list)
    for place in files.named(values["files"], parameter="files"):
        places[label_of[files.names[place]]].append(place)
    return Effect(relabelled=sum(files.relabel(some, label).relabelled for label, some in places.items()))


def _check(values: Values) -> Mistake | None:
    files, labels = len(values["files"]), len(values["labels"])
    if files == labels:
        return None
    message = _(
        "there are %(labels)d labels for %(files)d files; name each file once, and give a label for each.",
        labels=labels,
        files=files,
    )
    return Mistake("labels", message)


OPERATION = SelectionOperation(
    name="relabel_each",
    title=gettext_noop("Relabel files one by one"),
    help=gettext_noop("Gives each of the files of these names a label of its own, or none."),
    select=_select,
    check=_check,
    parameters=(FileNames("files", gettext_noop("Files")), FileLabels("labels", gettext_noop("Labels"))),
)

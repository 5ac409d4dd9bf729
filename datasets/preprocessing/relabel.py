"""Give named files a label."""

from datasets.preprocessing.operation import SelectionOperation, Values
from datasets.preprocessing.parameters import FileNames, Label
from datasets.preprocessing.selection import Effect, Files
from dlmodeler_site.sentences import gettext_noop


def _select(files: Files, values: Values) -> Effect:
    return files.relabel(files.named(values["files"], parameter="files"), values["label"])


OPERATION = SelectionOperation(
    name="relabel",
    title=gettext_noop("Relabel files"),
    help=gettext_noop("Gives the files of these names another label, or none."),
    select=_select,
    parameters=(FileNames("files", gettext_noop("Files")), Label("label", gettext_noop("Label"))),
)

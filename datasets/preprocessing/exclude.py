"""Leave out named files."""

from datasets.preprocessing.operation import SelectionOperation, Values
from datasets.preprocessing.parameters import FileNames
from datasets.preprocessing.selection import Effect, Files
from dlmodeler_site.sentences import gettext_noop


def _select(files: Files, values: Values) -> Effect:
    return files.drop(files.named(values["files"], parameter="files"))


OPERATION = SelectionOperation(
    name="exclude",
    title=gettext_noop("Exclude files"),
    help=gettext_noop("Leaves out the files of these names."),
    select=_select,
    parameters=(FileNames("files", gettext_noop("Files")),),
)

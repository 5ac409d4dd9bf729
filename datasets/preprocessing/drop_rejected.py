"""Leave out the files that were refused."""

from datasets.preprocessing.operation import SelectionOperation, Values
from datasets.preprocessing.selection import Effect, Files
from dlmodeler_site.sentences import gettext_noop


def _select(files: Files, values: Values) -> Effect:
    """Refused files never reach another data; this step is for a data that shall differ by nothing else."""
    dropped, files.rejected_count = files.rejected_count, 0
    return Effect(dropped=dropped)


OPERATION = SelectionOperation(
    name="drop_rejected",
    title=gettext_noop("Drop refused files"),
    help=gettext_noop("Leaves out the files that were refused, and changes nothing else."),
    select=_select,
)

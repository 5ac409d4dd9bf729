"""Keep one of the files that are equal or look alike."""

from datasets.preprocessing.alike import groups_of_alike
from datasets.preprocessing.operation import SelectionOperation, Values
from datasets.preprocessing.parameters import Choice, Switch
from datasets.preprocessing.selection import Effect, Files
from dlmodeler_site.sentences import gettext_noop


def _select(files: Files, values: Values) -> Effect:
    """Of each group the first file that has a label stays, or the first; of one with several labels, as chosen."""
    surplus: list[int] = []
    for group in groups_of_alike(files, near=values["near"]):
        labelled = [place for place in group if files.labels[place]]
        if len({files.labels[place] for place in labelled}) > 1 and values["across_labels"] == "drop_all":
            surplus += group
        else:
            stays = (labelled or group)[0]
            surplus += [place for place in group if place != stays]
    return files.drop(surplus)


OPERATION = SelectionOperation(
    name="drop_duplicates",
    title=gettext_noop("Drop duplicates"),
    help=gettext_noop("Keeps one of the files with the same bytes, and if wanted of the images that look alike."),
    select=_select,
    parameters=(
        Switch("near", gettext_noop("Also images that look alike"), default=True),
        Choice(
            "across_labels",
            gettext_noop("Duplicates with different labels"),
            (("keep_first", gettext_noop("Keep the first")), ("drop_all", gettext_noop("Drop them all"))),
            default="keep_first",
        ),
    ),
)

"""What the check of a table can find, and the words for it."""

from collections.abc import Collection, Mapping, Sequence

from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import joined
from jobs.checking.findings import Adjustment, Finding, FixAction, NewData, Place, finding, listed
from jobs.readers.table_set import Column, TableFile, TableSet

FEWEST_ROWS = 10  # the algorithms refuse fewer
FEW_ROWS = 50
MOSTLY_MISSING = 0.9
MOST_CLASSES = 1000
TINY_CLASS = 5
UNEVEN = 10  # times as many rows as the smallest class
TARGET = "target"


def no_table(data_name: str) -> Finding:
    return finding(
        "error",
        "no_table",
        _("“%(data)s” has no sound csv file.", data=data_name),
        _("Choose data with a csv file for the job."),
    )


def unreadable(files: Sequence[TableFile]) -> Finding:
    return finding(
        "error",
        "bad_table",
        _("“%(file)s” cannot be read as a table.", file=files[0].name)
        if len(files) == 1
        else _("%(count)s files cannot be read as tables.", count=len(files)),
        _("Upload corrected files as a new data."),
        [Place(file.name, file.error) for file in files],
    )


def different_columns(table: TableSet, action: NewData | None) -> Finding:
    values = {"count": len(table.differing), "columns": listed(table.names)}
    message = (
        _("%(count)s csv file has other columns than the others (%(columns)s).", **values)
        if len(table.differing) == 1
        else _("%(count)s csv files have other columns than the others (%(columns)s).", **values)
    )
    return finding(
        "error",
        "different_columns",
        message,
        _("Give all files the same header, or leave those out that belong to another table."),
        [Place(file.name, _difference(file, table.names)) for file in table.differing],
        fix_action=action,
    )


def _difference(file: TableFile, names: Sequence[str]) -> str:
    missing = [name for name in names if name not in file.names]
    more = [name for name in file.names if name not in names]
    parts = [_("lacks %(columns)s", columns=listed(missing))] if missing else []
    if more:
        parts.append(_("adds %(columns)s", columns=listed(more)))
    return joined("; ", parts)


def no_header(files: Sequence[TableFile]) -> Finding:
    return finding(
        "warning",
        "no_header",
        _("The first line of “%(file)s” is no header: the columns are called by their places.", file=files[0].name),
        _("Upload the file with the names of its columns in the first line, so that predictions speak in them."),
        [Place(file.name) for file in files],
    )


def one_column(name: str) -> Finding:
    return finding(
        "error",
        "one_column",
        _("The table has one column only (%(name)s): there is nothing to learn it from.", name=name),
        _("Use a table that has other columns beside the target."),
    )


def too_few_rows(rows: int) -> Finding:
    return finding(
        "error",
        "too_few_rows",
        _("The table has %(rows)s rows; at least %(fewest)s are needed.", rows=rows, fewest=FEWEST_ROWS),
        _("Upload more rows as a new data."),
    )


def few_rows(rows: int) -> Finding:
    return finding(
        "warning",
        "few_rows",
        _("The table has %(rows)s rows: every measured figure will be rough.", rows=rows),
        _("Add rows; some hundreds are a good start."),
    )


def constant_columns(columns: Sequence[Column]) -> Finding:
    return _columns(
        "constant_column",
        columns,
        (
            _("The column %(names)s has the same value in all rows.", names=_names(columns)),
            _(
                "%(count)s columns have the same value in all rows: %(names)s.",
                count=len(columns),
                names=_names(columns),
            ),
        ),
        _("Nothing needs to be done: nothing is learned from it."),
    )


def empty_columns(columns: Sequence[Column]) -> Finding:
    return _columns(
        "empty_column",
        columns,
        (
            _("The column %(names)s is empty.", names=_names(columns)),
            _("%(count)s columns are empty: %(names)s.", count=len(columns), names=_names(columns)),
        ),
        _("Nothing needs to be done: nothing is learned from it."),
    )


def mostly_missing(columns: Sequence[Column]) -> Finding:
    return _columns(
        "mostly_missing",
        columns,
        (
            _("The column %(names)s is mostly empty.", names=_names(columns)),
            _("%(count)s columns are mostly empty: %(names)s.", count=len(columns), names=_names(columns)),
        ),
        _("Fill in the values, or leave the column out: little can be learned from so few."),
    )


def id_like(columns: Sequence[Column]) -> Finding:
    return _columns(
        "id_like_column",
        columns,
        (
            _(
                "The column %(names)s has another value in every row, as a name or a number of the row.",
                names=_names(columns),
            ),
            _(
                "%(count)s columns have another value in every row, as names or numbers of the rows: %(names)s.",
                count=len(columns),
                names=_names(columns),
            ),
        ),
        _("Nothing needs to be done: what only names a row is left out. Leave it out of the csv to be sure."),
    )


def duplicate_rows(count: int, scanned: int, *, is_all: bool) -> Finding:
    values = {"count": count, "scanned": scanned}
    if not is_all:
        message = _("%(count)s of the first %(scanned)s rows are the same as others.", **values)
    elif count == 1:
        message = _("%(count)s row is the same as another.", **values)
    else:
        message = _("%(count)s rows are the same as others.", **values)
    return finding(
        "warning",
        "duplicate_rows",
        message,
        _("Remove the copies: a copy in the part that is held out makes the model look better than it is."),
    )


def unsound_files(data_name: str, refused: Mapping[str, str]) -> Finding:
    values = {"count": len(refused), "data": data_name}
    return finding(
        "warning",
        "unsound_file",
        _("%(count)s file of “%(data)s” was refused and is not trained on.", **values)
        if len(refused) == 1
        else _("%(count)s files of “%(data)s” were refused and are not trained on.", **values),
        _("Repair the files and upload all as a new data, or train without them."),
        [Place(name, why) for name, why in refused.items()],
    )


def not_tables(data_name: str, names: Collection[str]) -> Finding:
    values = {"count": len(names), "data": data_name}
    return finding(
        "warning",
        "not_a_table",
        _("%(count)s file of “%(data)s” is no csv and is not trained on.", **values)
        if len(names) == 1
        else _("%(count)s files of “%(data)s” are no csv and are not trained on.", **values),
        _("Nothing needs to be done."),
        map(Place, names),
    )


# -- with a target --------------------------------------------------------------------------------


def no_such_column(target: str, names: Sequence[str]) -> Finding:
    return _wrong_target(
        "no_such_column",
        _(
            "The table has no column “%(target)s”. Choose one of its columns: %(names)s.",
            target=target,
            names=listed(names, most=30),
        ),
        _("Choose another target."),
    )


def target_missing(column: Column) -> Finding:
    values = {"missing": column.missing, "rows": column.rows, "target": column.name}
    if column.present < FEWEST_ROWS:
        return _wrong_target(
            "target_missing",
            _("%(missing)s of %(rows)s rows have no value in the target “%(target)s”: too few are left.", **values),
            _("Fill it in, or choose another target."),
        )
    return finding(
        "warning",
        "target_missing",
        _("%(missing)s of %(rows)s rows have no value in the target “%(target)s” and are left out.", **values),
        _("Fill it in, or train without these rows."),
        hyperparameter=TARGET,
    )


def one_class(column: Column) -> Finding:
    return _wrong_target(
        "one_class",
        _(
            "The target “%(target)s” has the same value in all rows (%(value)s): there is nothing to tell apart.",
            target=column.name,
            value=next(iter(column.values), ""),
        ),
        _("Choose another target."),
    )


def too_many_classes(column: Column, most: int, action: FixAction | None) -> Finding:
    return finding(
        "error",
        "too_many_classes",
        _(
            "The target “%(target)s” has %(classes)s different values in %(rows)s rows; at most %(most)s classes "
            "can be told apart here.",
            target=column.name,
            classes=column.distinct,
            rows=column.present,
            most=most,
        ),
        _("Choose regression as task if it is a number, or another target."),
        hyperparameter="task" if action else TARGET,
        fix_action=action,
    )


def target_is_no_number(column: Column) -> Finding:
    return finding(
        "error",
        "target_is_no_number",
        _(
            "A regression estimates a number, but the target “%(target)s” holds %(values)s.",
            target=column.name,
            values=listed((f"“{value}”" for value in column.values), most=3),
        ),
        _("Choose classification as task, or another target."),
        hyperparameter="task",
        fix_action=Adjustment(_("Tell classes apart"), {TARGET: column.name, "task": "classification"}),
    )


def leakage(target: str, names: Sequence[str], scanned: int) -> Finding:
    return finding(
        "warning",
        "leakage",
        _(
            "The column %(names)s tells the target “%(target)s” in each of %(scanned)s rows.",
            names=listed(f"“{name}”" for name in names),
            target=target,
            scanned=scanned,
        )
        if len(names) == 1
        else _(
            "Each of the columns %(names)s tells the target “%(target)s” in each of %(scanned)s rows.",
            names=listed(f"“{name}”" for name in names),
            target=target,
            scanned=scanned,
        ),
        _(
            "If it is not known when predictions are wanted, leave it out of the csv: "
            "a model that reads the answer learns nothing else."
        ),
        hyperparameter=TARGET,
    )


def tiny_classes(column: Column, tiny: Mapping[str, int]) -> Finding:
    values = {"count": len(tiny), "tiny": TINY_CLASS, "classes": listed(f"{name} ({n})" for name, n in tiny.items())}
    return finding(
        "warning",
        "tiny_class",
        _("%(count)s class has fewer than %(tiny)s rows: %(classes)s.", **values)
        if len(tiny) == 1
        else _("%(count)s classes have fewer than %(tiny)s rows: %(classes)s.", **values),
        _("Add rows of these classes, or leave them out; little is learned from so few."),
        hyperparameter=TARGET,
    )


def uneven_classes(column: Column, action: FixAction | None) -> Finding:
    counts = sorted(column.values.values())
    return finding(
        "warning",
        "uneven_classes",
        _(
            "The largest class has %(most)s rows, the smallest %(fewest)s: rare classes may be overlooked.",
            most=counts[-1],
            fewest=counts[0],
        ),
        _("Let rare classes count for more (class_weight: balanced), or add rows of them."),
        hyperparameter="class_weight",
        fix_action=action,
    )


def _wrong_target(code: str, message: str, fix: str) -> Finding:
    return finding("error", code, message, fix, hyperparameter=TARGET)


def _names(columns: Sequence[Column]) -> str:
    return listed(f"“{column.name}”" for column in columns)


def _columns(code: str, columns: Sequence[Column], messages: tuple[str, str], fix: str) -> Finding:
    """`messages`: of one column, and of several."""
    return finding("warning", code, messages[0] if len(columns) == 1 else messages[1], fix)

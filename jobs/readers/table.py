"""Reads tables: csv files with the same columns, of which a training tells one from the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from datasets.inspection.values import MISSING
from datasets.models import Data, File
from dlmodeler_site.compute.run_folder import RunFolder, write_jsonl
from dlmodeler_site.errors import UserError
from dlmodeler_site.sentences import Sentence as _
from jobs.algorithms.base import Manifest
from jobs.algorithms.registry import manifest
from jobs.checking.findings import Adjustment, Finding, NewData, listed, worst_first
from jobs.readers import table_advice
from jobs.readers import table_findings as findings
from jobs.readers.base import Advice, Examination, Staged
from jobs.readers.table_set import Column, TableSet

if TYPE_CHECKING:
    from jobs.models import Job, Training

TABLE = "table"
TARGET = findings.TARGET
_LEAST_SCANNED = 20  # rows, for what the sample alone tells


@dataclass(frozen=True)
class TableExamination(Examination):
    """`algorithm`: whose hyperparameters fixes may set."""

    table: TableSet | None = None
    algorithm: Manifest | None = None

    @property
    def samples(self) -> int:
        return self.table.rows if self.table else 0

    @property
    def columns(self) -> tuple[str, ...]:
        return self.table.names if self.table else ()

    @cached_property
    def suggested(self) -> dict[str, Any]:
        target = table_advice.likely_target(self.table) if self.table and not self.errors else ""
        return {TARGET: target} if target else {}

    def findings_with(self, hyperparameters: Mapping[str, Any]) -> list[Finding]:
        table, target = self.table, hyperparameters.get(TARGET)
        if table is None or not target or self.errors:
            return []
        if target not in table.names:
            return [findings.no_such_column(str(target), table.names)]
        found = []
        if column := table.columns.get(target):
            found = self._target(column, hyperparameters)
        if tellers := _tellers(table, target):
            found.append(findings.leakage(target, tellers, len(table.sample)))
        return found

    def _target(self, column: Column, hyperparameters: Mapping[str, Any]) -> list[Finding]:
        found = [findings.target_missing(column)] if column.missing else []
        if column.present < findings.FEWEST_ROWS:
            return found
        if column.distinct == 1:
            return [*found, findings.one_class(column)]
        task = hyperparameters.get("task") or "auto"
        if task == "regression":
            return [*found, findings.target_is_no_number(column)] if not column.is_numeric else found
        most = min(findings.MOST_CLASSES, column.present // 2)
        if column.distinct > most:
            if column.is_numeric and task == "auto":
                return found
            regression = {TARGET: column.name, "task": "regression"}
            action = Adjustment(_("Estimate the number"), regression) if column.is_numeric else None
            return [*found, findings.too_many_classes(column, most, action)]
        if table_advice.is_measured(column) and task == "auto":
            return found
        if column.is_counted:
            tiny = {value: count for value, count in column.values.items() if count < findings.TINY_CLASS}
            if tiny:
                found.append(findings.tiny_classes(column, tiny))
            counts = column.values.values()
            weighted = hyperparameters.get("class_weight", "none") != "none"
            if not weighted and max(counts) >= findings.UNEVEN * min(counts):
                found.append(findings.uneven_classes(column, self._balance(column.name)))
        return found

    def _balance(self, target: str) -> Adjustment | None:
        known = self.algorithm.hyperparameters if self.algorithm else ()
        can = any(each.name == "class_weight" and "balanced" in each.choices for each in known)
        title = _("Let every class count the same")
        return Adjustment(title, {TARGET: target, "class_weight": "balanced"}) if can else None


class Tables:
    """The reader of the input `table`."""

    def examine(self, job: Job) -> TableExamination:
        data = job.input_data(TABLE)
        if data is None:
            return TableExamination((findings.no_table(""),))
        return examine(data, algorithm=manifest(job.algorithm))

    def stage(self, job: Job, hyperparameters: Mapping[str, Any], run: RunFolder, *, most: int | None = None) -> Staged:
        """Write which files the table is made of. The algorithm decides on the labels, which its bundle tells."""
        data = job.input_data(TABLE)
        if data is None:
            raise UserError(
                _("The job has no table any more. Choose the data of the job again."), reason="input_missing"
            )
        self.examine(job).raise_errors()
        write_jsonl(run.input / "table.jsonl", _files(data))
        return Staged({"table": "input/table.jsonl"})

    def advise(self, manifest: Manifest, ready: Sequence[Data]) -> Advice:
        return table_advice.advise(manifest, ready, examine=examine)

    def check_samples(self, training: Training, data: Data, labels: Data | None) -> None:
        if labels is not None:
            raise UserError(
                _(
                    "A model of a table is measured on the table's own target column, “%(labels)s” is not read. "
                    "Leave the labels out.",
                    labels=labels.name,
                ),
                reason="labels_not_read",
                field="labels",
            )
        table = TableSet.read(data)
        if not table.files:
            raise UserError(
                _(
                    "“%(data)s” has no sound table. Choose data with csv files that have the model's columns and its "
                    "target.",
                    data=data.name,
                ),
                reason="no_table",
                field="data",
            )
        target = training.hyperparameters.get(TARGET)
        if target and not any(target in file.names for file in table.files):
            raise UserError(
                _(
                    "The model is measured on the column “%(target)s”, which “%(data)s” lacks. Its columns: "
                    "%(columns)s. Choose data with that column.",
                    target=target,
                    data=data.name,
                    columns=listed(table.names),
                ),
                reason="no_target",
                field="data",
            )

    def stage_samples(self, training: Training, data: Data, labels: Data | None, run: RunFolder) -> dict[str, Any]:
        self.check_samples(training, data, labels)
        write_jsonl(run.input / "samples.jsonl", _files(data))
        return {"samples": "input/samples.jsonl"}

    def may_lack(self, name: str, chosen: Mapping[str, Data]) -> bool:
        return False


def examine(data: Data, *, algorithm: Manifest | None = None) -> TableExamination:
    """What is to be said of the csv files of a data as a table."""
    table = TableSet.read(data)
    refused = dict(data.files.filter(state=File.State.REJECTED).values_list("name", "error"))
    others = data.files.filter(state=File.State.OK).exclude(content=Data.Content.TABLE)
    found = (
        [*_of_files(table), *_of_rows(table), *_of_columns(table)] if table.files else [findings.no_table(data.name)]
    )
    if refused:
        found.append(findings.unsound_files(data.name, refused))
    if names := list(others.values_list("name", flat=True)):
        found.append(findings.not_tables(data.name, names))
    return TableExamination(tuple(worst_first(found)), table, algorithm)


def _files(data: Data) -> Iterator[dict[str, Any]]:
    tables = set(data.files.filter(content=Data.Content.TABLE).values_list("pk", flat=True))
    for file in sorted(data.staged_files(File.State.OK), key=lambda file: str(file["name"])):
        if file["id"] in tables:
            yield {key: file[key] for key in ("name", "path", "sha256")}


def _of_files(table: TableSet) -> Iterator[Finding]:
    if wrong := [file for file in table.files if file.error]:
        yield findings.unreadable(wrong)
    if table.differing:
        yield findings.different_columns(table, _without([file.name for file in table.differing]))
    if headless := [file for file in table.files if not file.has_header and not file.error]:
        yield findings.no_header(headless)
    if len(table.names) == 1:
        yield findings.one_column(table.names[0])


def _without(names: list[str]) -> NewData:
    title = (
        _("Train without this file") if len(names) == 1 else _("Train without these %(count)s files", count=len(names))
    )
    return NewData(title, TABLE, lambda: [{"op": "exclude", "files": names}], names=len(names))


def _of_rows(table: TableSet) -> Iterator[Finding]:
    if not table.columns:
        return
    if table.rows < findings.FEWEST_ROWS:
        yield findings.too_few_rows(table.rows)
    elif table.rows < findings.FEW_ROWS:
        yield findings.few_rows(table.rows)
    copies = len(table.sample) - len(set(map(tuple, table.sample)))
    if copies:
        yield findings.duplicate_rows(copies, len(table.sample), is_all=len(table.sample) >= table.rows)


def _of_columns(table: TableSet) -> Iterator[Finding]:
    columns = list(table.columns.values())
    kinds: list[tuple[Any, list[Column]]] = [
        (findings.empty_columns, [each for each in columns if not each.present]),
        (findings.constant_columns, [each for each in columns if each.distinct == 1 and not each.missing]),
        (
            findings.mostly_missing,
            [each for each in columns if each.present and each.missing >= findings.MOSTLY_MISSING * each.rows],
        ),
        (findings.id_like, [each for each in columns if table_advice.is_id_like(each)]),
    ]
    for make, found in kinds:
        if found:
            yield make(found)


def _tellers(table: TableSet, target: str) -> list[str]:
    """Columns each of whose values goes with one value of the target, and the other way round, in all rows seen."""
    cells = table.cells(target)
    if len(cells) < _LEAST_SCANNED or len(set(cells)) < 2:
        return []
    found = []
    for name in table.names:
        if name == target:
            continue
        pairs = {
            pair
            for pair in zip(table.cells(name), cells, strict=True)
            if pair[0] not in MISSING and pair[1] not in MISSING
        }
        ones, others = {one for one, _other in pairs}, {other for _one, other in pairs}
        if len(pairs) == len(ones) == len(others) >= 2 and (_equal(pairs) or len(pairs) * 2 <= len(cells)):
            found.append(name)
    return found


def _equal(pairs: set[tuple[str, str]]) -> bool:
    return all(one == other for one, other in pairs)

"""What TensorBoard asks for, answered from memory: no event files are written, and none are read again and again.

An experiment of TensorBoard's is a set of trainings (`12-15`). Each has two runs, `<training>/train` and
`<training>/validation`, with the same tags, so that they are drawn into one graph.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from tensorboard.data import provider
from tensorboard.plugins.scalar import metadata as scalars

from jobs.boards.trainings import Told, Trainings

_Domain = provider.HyperparameterDomainType
_Filter = provider.HyperparameterFilterType


class TrainingsProvider(provider.DataProvider):
    """Scalars and hyperparameters of trainings; they have nothing else."""

    def __init__(self, trainings: Trainings) -> None:
        self._trainings = trainings
        self._scalar = scalars.create_summary_metadata("", "").plugin_data.content

    def experiment_metadata(self, ctx: Any = None, *, experiment_id: str) -> provider.ExperimentMetadata:
        names = ", ".join(told.name for told in self._trainings.of(experiment_id))
        return provider.ExperimentMetadata(experiment_name=names)

    def list_plugins(self, ctx: Any = None, *, experiment_id: str) -> Collection[str]:
        told = self._trainings.of(experiment_id)
        return [
            *([scalars.PLUGIN_NAME] if any(each.points for each in told) else []),
            *(["hparams"] if any(each.hyperparameters for each in told) else []),
        ]

    def list_runs(self, ctx: Any = None, *, experiment_id: str) -> Collection[provider.Run]:
        began: dict[str, float] = {}
        for run, _tag, points in self._series(experiment_id, None):
            began[run] = min(began.get(run, float("inf")), min(time for time, _value in points.values()))
        return [provider.Run(run_id=run, run_name=run, start_time=time) for run, time in began.items()]

    def list_scalars(
        self, ctx: Any = None, *, experiment_id: str, plugin_name: str, run_tag_filter: Any = None
    ) -> Mapping[str, Mapping[str, provider.ScalarTimeSeries]]:
        found: dict[str, dict[str, provider.ScalarTimeSeries]] = {}
        for run, tag, points in self._series(experiment_id, run_tag_filter):
            step = max(points)
            found.setdefault(run, {})[tag] = provider.ScalarTimeSeries(
                max_step=step,
                max_wall_time=points[step][0],
                plugin_content=self._scalar,
                description="",
                display_name="",
                last_value=points[step][1],
            )
        return found

    def read_scalars(
        self,
        ctx: Any = None,
        *,
        experiment_id: str,
        plugin_name: str,
        downsample: int | None = None,
        run_tag_filter: Any = None,
    ) -> Mapping[str, Mapping[str, Sequence[provider.ScalarDatum]]]:
        found: dict[str, dict[str, list[provider.ScalarDatum]]] = {}
        for run, tag, points in self._series(experiment_id, run_tag_filter):
            steps = _sample(sorted(points), downsample)
            found.setdefault(run, {})[tag] = [provider.ScalarDatum(step, *points[step]) for step in steps]
        return found

    def read_last_scalars(
        self, ctx: Any = None, *, experiment_id: str, plugin_name: str, run_tag_filter: Any = None
    ) -> Mapping[str, Mapping[str, provider.ScalarDatum]]:
        found: dict[str, dict[str, provider.ScalarDatum]] = {}
        for run, tag, points in self._series(experiment_id, run_tag_filter):
            found.setdefault(run, {})[tag] = provider.ScalarDatum(max(points), *points[max(points)])
        return found

    def list_tensors(self, ctx: Any = None, **_asked: Any) -> Mapping[str, Any]:
        return {}

    def list_blob_sequences(self, ctx: Any = None, **_asked: Any) -> Mapping[str, Any]:
        return {}

    def list_hyperparameters(
        self, ctx: Any = None, *, experiment_ids: Collection[str], limit: int | None = None
    ) -> provider.ListHyperparametersResult:
        told = self._told(experiment_ids)
        found = [_hyperparameter(name, values) for name, values in _values(told).items()]
        found.sort(key=lambda each: not each.differs)
        return provider.ListHyperparametersResult(
            hyperparameters=found[:limit] if limit else found, session_groups=_groups(told, None)
        )

    def read_hyperparameters(
        self,
        ctx: Any = None,
        *,
        experiment_ids: Collection[str],
        filters: Collection[provider.HyperparameterFilter] | None = None,
        sort: Sequence[provider.HyperparameterSort] | None = None,
        hparams_to_include: Collection[str] | None = None,
    ) -> Sequence[provider.HyperparameterSessionGroup]:
        told = [each for each in self._told(experiment_ids) if all(_passes(each, rule) for rule in filters or ())]
        for key in reversed(sort or ()):
            falling = key.sort_direction == provider.HyperparameterSortDirection.DESCENDING
            told.sort(key=lambda each: _sort_key(each.hyperparameters.get(key.hyperparameter_name)), reverse=falling)
        return _groups(told, hparams_to_include)

    def _told(self, experiment_ids: Collection[str]) -> list[Told]:
        return [told for ids in experiment_ids for told in self._trainings.of(ids)]

    def _series(self, ids: str, wanted: Any) -> Iterator[tuple[str, str, Mapping[int, tuple[float, float]]]]:
        """(run, tag, {epoch: (time, value)}) of all that a filter of TensorBoard's (None = no filter) lets through."""
        for told in self._trainings.of(ids):
            for (part, tag), points in told.points.items():
                run = f"{told.name}/{part}"
                if wanted is None or (
                    (wanted.runs is None or run in wanted.runs) and (wanted.tags is None or tag in wanted.tags)
                ):
                    yield run, tag, points


def _sample(steps: list[int], most: int | None) -> list[int]:
    """At most so many of the steps, evenly, with the first and the last."""
    if most is None or len(steps) <= most:
        return steps
    if most < 2:
        return steps[-most:] if most else []
    return [steps[place * (len(steps) - 1) // (most - 1)] for place in range(most)]


# -- Hyperparameters -------------------------------------------------------------------------------


def _values(told: Sequence[Told]) -> dict[str, list[Any]]:
    values: dict[str, list[Any]] = {}
    for each in told:
        for name, value in each.hyperparameters.items():
            if value is not None:
                values.setdefault(name, []).append(value)
    return values


def _domain(values: Sequence[Any]) -> provider.HyperparameterDomainType:
    """What all these values can be taken as."""
    if all(isinstance(value, bool) for value in values):
        return _Domain.DISCRETE_BOOL
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return _Domain.INTERVAL
    return _Domain.DISCRETE_STRING


def _hyperparameter(name: str, values: Sequence[Any]) -> provider.Hyperparameter:
    kind = _domain(values)
    if kind == _Domain.INTERVAL:
        domain: Any = (float(min(values)), float(max(values)))
    else:
        domain = sorted(set(values if kind == _Domain.DISCRETE_BOOL else map(str, values)))
    differs = len({str(value) for value in values}) > 1
    return provider.Hyperparameter(name, name, domain_type=kind, domain=domain, differs=differs)


def _groups(told: Sequence[Told], names: Collection[str] | None) -> list[provider.HyperparameterSessionGroup]:
    """A group of one session for each training; `names` are the hyperparameters to tell, None = all."""
    kinds = {name: _domain(values) for name, values in _values(told).items() if names is None or name in names}
    groups = []
    for each in told:
        session = provider.HyperparameterSessionRun(experiment_id="", run=each.name)
        values = [
            provider.HyperparameterValue(name, kinds[name], _as(kinds[name], value))
            for name, value in each.hyperparameters.items()
            if name in kinds and value is not None
        ]
        groups.append(provider.HyperparameterSessionGroup(session, [session], values))
    return groups


def _as(kind: provider.HyperparameterDomainType, value: Any) -> Any:
    if kind == _Domain.INTERVAL:
        return float(value)
    return value if kind == _Domain.DISCRETE_BOOL else str(value)


def _passes(told: Told, rule: provider.HyperparameterFilter) -> bool:
    value = told.hyperparameters.get(rule.hyperparameter_name)
    if value is None:
        return False
    if rule.filter_type == _Filter.REGEX:
        return re.search(rule.filter, str(value)) is not None
    if rule.filter_type == _Filter.INTERVAL:
        low, high = rule.filter
        return isinstance(value, int | float) and low <= value <= high
    return value in rule.filter or str(value) in rule.filter


def _sort_key(value: Any) -> tuple[int, float, str]:
    """Numbers, then texts, then what is missing."""
    if value is None:
        return 2, 0.0, ""
    return (0, float(value), "") if isinstance(value, int | float) else (1, 0.0, str(value))

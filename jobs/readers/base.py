"""What a reader is: it knows how the data of a job must look for the algorithms that say that they read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from datasets.models import Data
from dlmodeler_site.compute.run_folder import RunFolder
from dlmodeler_site.errors import UserError
from dlmodeler_site.sentences import Sentence as _
from dlmodeler_site.sentences import joined
from jobs.algorithms.base import Manifest
from jobs.checking.findings import Finding

if TYPE_CHECKING:
    from jobs.models import Job, Training


@dataclass(frozen=True)
class Examination:
    """All that the check of a job's data found out; each reader adds what it knows of its kind of data."""

    findings: tuple[Finding, ...] = ()

    @property
    def samples(self) -> int:
        """How many samples a training would learn from."""
        return 0

    @property
    def class_counts(self) -> dict[str, int]:
        """Label text -> number of its samples, in the order of the network's outputs; empty for numbers."""
        return {}

    @property
    def follows(self) -> dict[str, Any]:
        """Hyperparameters whose value follows from the data where none is given."""
        return {}

    @property
    def suggested(self) -> dict[str, Any]:
        """Hyperparameters that forms start with; whoever gives none is asked for them."""
        return {}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a table that hyperparameters may name."""
        return ()

    def findings_with(self, hyperparameters: Mapping[str, Any]) -> list[Finding]:
        """What does not fit between the data and these hyperparameters, `Finding.hyperparameter` named."""
        return []

    @property
    def errors(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == "error"]

    def raise_errors(self) -> None:
        """Raises UserError (`preflight_failed`) that names the files, when there is an error."""
        if not (errors := self.errors):
            return
        parts = [errors[0].message]
        if names := errors[0].files[:5]:
            parts.append(_("For example: %(names)s.", names=", ".join(f"“{name}”" for name in names)))
        parts.append(errors[0].fix)
        if len(errors) > 1:
            parts.append(_("The check of the job's data names further problems."))
        raise UserError(
            joined(" ", parts),
            reason="preflight_failed",
            details={"findings": [finding.as_dict() for finding in errors]},
        )


@dataclass(frozen=True)
class Staged:
    """What lies in a run folder for the algorithm: entries of its spec, and the outputs of the network in order."""

    spec: dict[str, Any]
    labels: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Recommendation:
    """An algorithm for some data: why, with which data for which input, and what to start with.

    `reasons`: name of a hyperparameter that is not at its default -> why.
    """

    algorithm: str
    title: str
    reason: str
    inputs: dict[str, int]
    hyperparameters: dict[str, Any]
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Advice:
    """The algorithms that fit, best first; `reason` says why there is none."""

    recommendations: list[Recommendation]
    reason: str = ""


class Reader(Protocol):
    """Reads one kind of data for every algorithm whose manifest names it in `reads`."""

    def examine(self, job: Job) -> Examination:
        """What stands in the way of training on the job's data, and what one should know of it; errors first."""

    def stage(self, job: Job, hyperparameters: Mapping[str, Any], run: RunFolder, *, most: int | None = None) -> Staged:
        """Write the samples into `run.input`, `most` of them where it is given (for a probe).

        Raises:
            UserError: the data does not pass the check.
        """

    def advise(self, manifest: Manifest, ready: Sequence[Data]) -> Advice:
        """How the algorithm would read these completed data, if it can."""

    def check_samples(self, training: Training, data: Data, labels: Data | None) -> None:
        """Raises UserError where the training's model cannot be measured on these data, because nothing has a label."""

    def stage_samples(self, training: Training, data: Data, labels: Data | None, run: RunFolder) -> dict[str, Any]:
        """Write the labelled samples that the training's model is measured on, and answer the entries of the spec."""

    def may_lack(self, name: str, chosen: Mapping[str, Data]) -> bool:
        """Whether the input may be left out although the manifest requires it, beside these `chosen` data."""

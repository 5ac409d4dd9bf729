"""What the form of a new training starts with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobs import submit
from jobs.algorithms.base import Manifest
from jobs.checking import preflight
from jobs.checking.recommend import recommend_for
from jobs.models import Job
from jobs.readers.base import Recommendation

DEFAULTS = "defaults"  # the value of ?start= that asks for the algorithm's own values


@dataclass(frozen=True)
class StartingValues:
    """The fields of the first column, and what is recommended for the job's data, whether it was taken or not."""

    values: dict[str, Any]
    recommended: Recommendation | None
    is_taken: bool

    @property
    def reasons(self) -> list[tuple[str, Any, str]]:
        """Name, value and reason of each hyperparameter that something is said about."""
        if self.recommended is None:
            return []
        chosen = self.recommended.hyperparameters
        return [(name, chosen.get(name), reason) for name, reason in self.recommended.reasons.items()]


def starting_values(job: Job, manifest: Manifest, asked: Mapping[str, Any]) -> StartingValues:
    """A free name; what is recommended, or with ?start=defaults the defaults; and the hyperparameters `asked` for.

    Another variant than the recommended one begins with its own defaults.
    """
    wanted = {each.name: asked[each.name] for each in manifest.hyperparameters if each.name in asked}
    recommended = recommend_for(job)
    is_taken = recommended is not None and asked.get("start") != DEFAULTS
    base: dict[str, Any] = {}
    if recommended is not None and is_taken:
        base = recommended.hyperparameters
        is_taken = manifest.variant_of({**base, **wanted}) == manifest.variant_of(base)
    if not is_taken:
        follows = preflight.examine_job(job).follows
        base = {**manifest.defaults(manifest.variant_of(wanted)), **follows}
    return StartingValues({**base, **wanted, "name": submit.free_name(job)}, recommended, is_taken)

"""Which trainings are compared, and which could be."""

from collections.abc import Iterable, Sequence
from typing import Any

from django.utils.translation import gettext as _

from dlmodeler_site.access import User
from dlmodeler_site.errors import UserError
from dlmodeler_site.parameters import as_whole_number
from jobs.models import Training

LEAST, MOST = 2, 20


def chosen(user: User, given: Iterable[str], *, parameter: str, most: int = MOST, **look_up: Any) -> list[Training]:
    """The trainings with these ids that `user` may see, in this order and each once; `look_up` narrows them.

    Raises:
        UserError: something given is no id, there are more than `most`, or (404) there is no such training.
    """
    ids = list(dict.fromkeys(_id(text, parameter) for text in given))
    if len(ids) > most:
        raise UserError(
            _("At most %(most)s trainings are compared at a time; received %(received)s. Choose fewer.")
            % {"most": most, "received": len(ids)},
            reason="too_many_trainings",
            field=parameter,
        )
    rows = Training.objects.select_related("job__project", "creator").visible_to(user)
    found = rows.filter(**look_up).in_bulk(ids)
    if missing := [pk for pk in ids if pk not in found]:
        raise UserError(
            _("There is no training with the id %(ids)s here, or you may not see it.")
            % {"ids": ", ".join(str(pk) for pk in missing)},
            reason="unknown_training",
            status=404,
            field=parameter,
        )
    return [found[pk] for pk in ids]


def require_enough(trainings: Sequence[Training], *, parameter: str) -> None:
    """UserError where there are too few to compare."""
    if len(trainings) < LEAST:
        raise UserError(
            _("A comparison needs %(least)s to %(most)s trainings; received %(received)s. Name more of them.")
            % {"least": LEAST, "most": MOST, "received": len(trainings)},
            reason="too_few_trainings",
            field=parameter,
        )


def _id(text: str, parameter: str) -> int:
    number = as_whole_number(text.strip())
    if number is None:
        raise UserError(
            _("?%(parameter)s= takes ids of trainings, whole numbers; received “%(received)s”.")
            % {"parameter": parameter, "received": text[:50]},
            reason="invalid",
            field=parameter,
        )
    return number

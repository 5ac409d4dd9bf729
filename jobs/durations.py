"""Spans of time for people."""

from django.utils.translation import gettext as _


def duration(seconds: float | None) -> str:
    """ "42 s", "3 min 20 s", "2 h 5 min"; "" for None."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < 60:
        return _("%(seconds)s s") % {"seconds": whole if whole >= 10 else round(seconds, 1)}
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return _("%(minutes)s min %(seconds)s s") % {"minutes": minutes, "seconds": rest}
    hours, minutes = divmod(minutes, 60)
    return _("%(hours)s h %(minutes)s min") % {"hours": hours, "minutes": minutes}

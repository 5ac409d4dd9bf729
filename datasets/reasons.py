"""The codes of what can be wrong with a file, in a few words; each refused file tells its own in full."""

from django.utils.translation import gettext_lazy as _

TITLES = {
    "empty_file": _("Empty"),
    "not_an_image": _("Not an image"),
    "unknown_content": _("Neither an image nor text"),
    "truncated": _("Cut off: a part is missing"),
    "corrupt": _("Damaged image"),
    "too_many_pixels": _("Too many pixels"),
    "too_many_scans": _("Too many scans"),
    "unsupported": _("A kind that cannot be read"),
    "decoder_crashed": _("Its decoder crashed or took too long"),
    "unreadable": _("Cannot be read"),
    "not_csv": _("Not a table"),
    "not_text": _("Not text"),
    "refused_at_upload": _("Refused at the upload"),
    "object_missing": _("The object is gone"),
    "object_forbidden": _("The object may not be read"),
    "object_changed": _("The object changed meanwhile"),
    "archive_member_damaged": _("Damaged in its archive"),
}


def title_of(reason: str) -> str:
    """In words, or the code where it is a rare one."""
    return str(TITLES.get(reason, reason))

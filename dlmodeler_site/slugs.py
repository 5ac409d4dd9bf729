"""Names of folders in the workspace: made once from a name, unique beside their siblings, never changed."""

from django.db import models
from django.utils.text import slugify


def unique_slug(name: str, siblings: "models.QuerySet[models.Model]", *, max_length: int = 80) -> str:
    """A slug of `name` (letters of every script are kept) that none of `siblings` has; a clash gets `-2`."""
    base = slugify(name, allow_unicode=True)[:max_length].strip("-_") or "unnamed"
    taken = set(siblings.filter(slug__startswith=base).values_list("slug", flat=True))
    slug, number = base, 1
    while slug in taken:
        number += 1
        slug = f"{base}-{number}"
    return slug

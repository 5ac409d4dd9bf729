"""What every form of the site shares."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django import forms

from dlmodeler_site.errors import UserError


@contextmanager
def errors_on(form: forms.BaseForm) -> Iterator[None]:
    """Show a `UserError` raised inside on the form: on the field at fault where it is known, above it otherwise."""
    try:
        yield
    except UserError as error:
        field = error.field if error.field in form.fields else None
        form.add_error(field, error.message)


class SiteForm(forms.Form):
    """A form whose crispy layout is rendered inside the page's own <form>."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if isinstance(field.widget, forms.Textarea):
                field.widget.attrs.setdefault("rows", 3)

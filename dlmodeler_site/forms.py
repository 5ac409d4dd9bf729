"""What every form of the site shares."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy

from dlmodeler_site.errors import UserError


@contextmanager
def errors_on(form: forms.BaseForm) -> Iterator[None]:
    """Show a `UserError` raised inside on the form: on the field at fault where it is known, above it otherwise."""
    try:
        yield
    except UserError as error:
        field = error.field if error.field in form.fields else None
        form.add_error(field, error.message)


_DJANGOS_ROWS = forms.Textarea().attrs["rows"]


class SiteForm(forms.Form):
    """A form that is rendered inside the page's own <form>; a text area that does not say else has three rows."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            if isinstance(field.widget, forms.Textarea) and field.widget.attrs["rows"] == _DJANGOS_ROWS:
                field.widget.attrs["rows"] = 3


class NamedForm(SiteForm):
    """Name and description."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=100)
    description = forms.CharField(
        label=gettext_lazy("Description"), max_length=2000, required=False, widget=forms.Textarea
    )

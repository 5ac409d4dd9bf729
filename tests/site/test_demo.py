"""The demo as a client of the REST API."""

from typing import Any

import pytest
import requests

from dlmodeler_site.demo.life_cycle import Site
from tests.cast import PASSWORD, make_user


@pytest.mark.django_db(transaction=True)
def test_a_refusal_is_raised_in_the_words_of_the_api(live_server: Any) -> None:
    make_user("alice")
    site = Site.login(live_server.url, "alice", PASSWORD)
    body = {"name": "", "description": "demo project"}
    with pytest.raises(requests.HTTPError, match=r"POST .*/projects/: 400: name: This field may not be blank."):
        site.post("/projects/", body)
    with pytest.raises(requests.HTTPError, match=r"GET .*/projects/0/: 404: There is no such object"):
        site.get("/projects/0/")

"""Sentences are made in one language, stored, and read in another."""

import pickle

import pytest
from django.utils import translation

from dlmodeler_site import sentences
from dlmodeler_site.sentences import Sentence, joined
from tests.cast import make_cast, make_data, make_dataset, png


def test_a_sentence_survives_json_and_pickle_with_the_sentences_in_it() -> None:
    inner = Sentence("a number from %(least)d", least=1)
    outer = joined("; ", [Sentence("100 % wrong"), Sentence("Step %(step)d: expected %(what)s.", step=2, what=inner)])
    assert outer == "100 % wrong; Step 2: expected a number from 1."
    for again in (sentences.loads(sentences.dumps(outer)), pickle.loads(pickle.dumps(outer))):
        assert again == outer
        assert sentences.to_json(again) == sentences.to_json(outer)


def test_a_plain_text_stays_as_it_is() -> None:
    assert sentences.loads(sentences.dumps("50 %(x) 한글")) == "50 %(x) 한글"
    assert sentences.loads(sentences.dumps("")) == ""


@pytest.mark.django_db
def test_a_stored_reason_is_read_in_the_readers_language() -> None:
    data = make_data(make_dataset(make_cast().project), [("0.png", png())])
    data.error = Sentence("Something went wrong on our side. Reference: %(reference)s", reference="abc")
    data.save()
    data.refresh_from_db()
    assert data.error == "Something went wrong on our side. Reference: abc"
    with translation.override("ko"):
        data.refresh_from_db()
        korean = data.error
    assert "abc" in korean
    assert "went wrong" not in korean
    data.save()  # what was read in Korean keeps its template
    data.refresh_from_db()
    assert data.error == "Something went wrong on our side. Reference: abc"

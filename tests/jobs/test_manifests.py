"""What algorithms tell about themselves, and which hyperparameters they take."""

import subprocess
import sys

import pytest

from dlmodeler_site.sentences import to_json
from jobs.algorithms.base import Hyperparameter, HyperparameterError, Manifest, validate_hyperparameters
from jobs.algorithms.registry import UnknownAlgorithmError, manifest, manifests

CLASSIFICATION = manifest("image_classification")
TOY = Manifest(
    name="toy",
    title="Toy",
    summary="",
    inputs=(),
    hyperparameters=(
        Hyperparameter(name="shuffle", type="bool", default=False),
        Hyperparameter(name="optimizer", type="choice", default="adam", choices=("adam", "sgd")),
        Hyperparameter(name="size", type="int", minimum=1),
    ),
)


def test_the_originals_defaults_stand_for_what_is_not_given() -> None:
    assert validate_hyperparameters(CLASSIFICATION, {"num_types": 6, "epochs": None, "batch_size": ""}) == {
        "batch_size": 100,
        "epochs": 100,
        "learning_rate": 0.001,
        "num_types": 6,
        "filter_num1": 20,
        "filter_num2": 40,
        "filter_num3": 60,
        "filter_num4": 80,
        "filter_num5": 100,
        "filter_num6": 100,
        "validation_split": 0.0,
    }


def test_text_from_forms_is_parsed() -> None:
    values = validate_hyperparameters(CLASSIFICATION, {"num_types": " 6 ", "learning_rate": "1e-3", "epochs": 5.0})
    assert (values["num_types"], values["learning_rate"], values["epochs"]) == (6, 0.001, 5)
    assert type(values["epochs"]) is int
    values = validate_hyperparameters(TOY, {"shuffle": "on", "optimizer": "sgd", "size": 3})
    assert values == {"shuffle": True, "optimizer": "sgd", "size": 3}


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("epochs", 0, "a whole number from 1 to 100000"),
        ("epochs", "1.5", "a whole number"),
        ("epochs", "1_000", "a whole number"),
        ("epochs", True, "a whole number"),
        ("epochs", "9" * 30, "a whole number"),
        ("epochs", [3], "a whole number"),
        ("learning_rate", "fast", "a number from 1e-08 to 10"),
        ("learning_rate", False, "a number"),
        ("learning_rate", float("nan"), "a number"),
        ("learning_rate", "inf", "a number"),
        ("learning_rate", 10**400, "a number"),
        ("validation_split", 0.6, "a number from 0 to 0.5"),
        ("num_types", 1, "from 2"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(name: str, value: object, allowed: str) -> None:
    with pytest.raises(HyperparameterError) as caught:
        validate_hyperparameters(CLASSIFICATION, {"num_types": 6, name: value})
    assert list(caught.value.details) == [name]
    sentence = caught.value.details[name]
    assert sentence.startswith(f"{name} must be ")
    assert allowed in sentence
    assert f"received {value!r}." in sentence
    stored = to_json(sentence)
    assert stored["template"] == "%(name)s must be %(allowed)s, received %(received)s."
    assert "%(minimum)g" in stored["values"]["allowed"]["template"]


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(HyperparameterError) as caught:
        validate_hyperparameters(TOY, {"optimizer": "lion", "shuffle": 2, "colour": "red"})
    assert set(caught.value.details) == {"colour", "optimizer", "shuffle", "size"}
    assert "adam, sgd" in caught.value.details["optimizer"]
    assert "required" in caught.value.details["size"]
    assert "colour is not a hyperparameter of toy" in caught.value.message
    sentences = to_json(caught.value.message)["values"].values()
    assert all("%(name)s" in each["template"] for each in sentences)


def test_defaults_are_allowed_values() -> None:
    for algorithm in manifests():
        for parameter in algorithm.hyperparameters:
            assert parameter.title
            assert parameter.help
            if parameter.default is not None:
                assert parameter.parse(parameter.default) == parameter.default


def test_an_unknown_algorithm_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownAlgorithmError, match="image_classification"):
        manifest("astrology")


def test_manifests_load_nothing_heavy() -> None:
    code = (
        "import sys, jobs.algorithms.registry; "
        "print(sorted({'keras', 'tensorflow', 'numpy', 'django'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"

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


NETWORKS = Manifest(
    name="networks",
    title="Networks",
    summary="",
    inputs=(),
    hyperparameters=(
        Hyperparameter(name="network", type="choice", default="small", choices=("small", "large")),
        Hyperparameter(name="epochs", type="int", default=100, defaults={"large": 20}),
        Hyperparameter(name="filters", type="int", default=8, variants=("small",)),
        Hyperparameter(name="blocks", type="int", variants=("large",)),
        Hyperparameter(name="seed", type="int", optional=True),
        Hyperparameter(name="target", type="column", optional=True),
    ),
    variant="network",
)


def test_the_originals_defaults_stand_for_what_is_not_given() -> None:
    values = validate_hyperparameters(CLASSIFICATION, {"num_types": 6, "epochs": None, "batch_size": ""})
    original = {
        "network": "original",
        "batch_size": 100,
        "epochs": 100,
        "learning_rate": 0.001,
        "num_types": 6,
        "image_size": 128,
        "filter_num1": 20,
        "filter_num2": 40,
        "filter_num3": 60,
        "filter_num4": 80,
        "filter_num5": 100,
        "filter_num6": 100,
        "validation_split": 0.0,
        "optimizer": "adam",
        "learning_rate_schedule": "constant",
        "class_weight": "none",
    }
    assert values.items() >= original.items()
    assert "seed" not in values
    assert not any(name.startswith("fine_tune") for name in values)
    off = {"early_stopping", "restore_best", "flip_horizontal", "flip_vertical", "rotation", "zoom", "shift"}
    off |= {"brightness", "label_smoothing", "dropout_rate", "weight_decay", "warmup_epochs"}
    assert not any(values[name] for name in off)


def test_transfer_alone_means_its_recommended_settings() -> None:
    values = validate_hyperparameters(CLASSIFICATION, {"network": "transfer", "num_types": 6})
    assert values["fine_tune_blocks"]
    assert values["validation_split"] == 0.1
    assert not any(name.startswith("filter_num") for name in values)


def test_defaults_and_what_applies_follow_the_variant() -> None:
    assert validate_hyperparameters(NETWORKS, {}) == {"network": "small", "epochs": 100, "filters": 8}
    large = validate_hyperparameters(NETWORKS, {"network": "large", "blocks": "2", "seed": 5, "filters": "8"})
    assert large == {"network": "large", "epochs": 20, "blocks": 2, "seed": 5}
    assert NETWORKS.defaults() == {"network": "small", "epochs": 100, "filters": 8}
    assert NETWORKS.defaults("large") == {"network": "large", "epochs": 20}


def test_what_does_not_apply_is_refused_when_it_was_set() -> None:
    with pytest.raises(HyperparameterError) as caught:
        validate_hyperparameters(NETWORKS, {"network": "large", "filters": 9})
    assert set(caught.value.details) == {"filters", "blocks"}
    assert "where network is large, only where it is small" in caught.value.details["filters"]
    assert "required" in caught.value.details["blocks"]
    with pytest.raises(HyperparameterError) as caught:
        validate_hyperparameters(NETWORKS, {"network": "huge", "blocks": 9})
    assert set(caught.value.details) == {"network"}


def test_a_column_is_any_name() -> None:
    assert validate_hyperparameters(NETWORKS, {"target": " the price, net "})["target"] == "the price, net"
    with pytest.raises(HyperparameterError, match="target must be the name of a column"):
        validate_hyperparameters(NETWORKS, {"target": 3})


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
            for default in (parameter.default, *parameter.defaults.values()):
                assert default is None or parameter.parse(default) == default
        if algorithm.variant:
            choices = set(algorithm.hyperparameter(algorithm.variant).choices)
            for parameter in algorithm.hyperparameters:
                assert choices >= {*parameter.defaults, *parameter.variants}


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

"""The JSON Schema says what the reader says, as far as a schema can."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
import yaml

from phased import loader
from phased.loader.fields import FILE, SERVICE, TASK
from tests.loader.reading import load
from tests.loader.test_definitions import EVERYTHING
from tests.loader.test_errors import CASES


@pytest.fixture(scope="module")
def validator() -> Any:
    """A validator of the schema, which is a valid one itself."""
    schema = loader.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_it_has_every_key_with_its_documentation() -> None:
    """What an editor shows while one writes."""
    schema = loader.schema()
    assert list(schema["properties"]) == [field.name for field in FILE.fields]
    for name, record in (("task", TASK), ("service", SERVICE)):
        properties = schema["$defs"][name]["properties"]
        assert list(properties) == [field.name for field in record.fields]
        assert all(entry["description"] for entry in properties.values())


@pytest.mark.parametrize("text", [EVERYTHING, "", "tasks:\nservices:\n", "tasks: {a: {dependsOn: }}"])
def test_it_accepts_what_the_reader_accepts(validator: Any, text: str) -> None:
    """Every key in every form."""
    assert load(text).valid
    validator.validate(yaml.safe_load(text))


BEYOND_A_SCHEMA = {
    "cycle",
    "itself",
    "unknown reference",
    "far reference",
    "ambiguous",
    "duplicate key",
    "duplicate of another spelling",
    "more than a day",
    "NUL",
    "key of two levels",
    "tag",
    "text for boolean",
    "restart",
}
"""What needs the whole file, its text, or YAML 1.2 (the parser of this test knows 1.1)."""


@pytest.mark.parametrize("name", [name for name in CASES if name not in BEYOND_A_SCHEMA])
def test_it_refuses_what_the_reader_refuses(validator: Any, name: str) -> None:
    """Each of the reader's own cases."""
    assert not validator.is_valid(yaml.safe_load(CASES[name][0]))

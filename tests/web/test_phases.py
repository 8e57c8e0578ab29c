"""A phase has one word and one shape, in pages as in their modules: never a colour alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import phased.web
from phased.contract.base import Name
from phased.contract.execution import TaskExecutionPhase
from phased.contract.phased_v1_firing import FiringResult
from phased.contract.service import ServicePhase
from phased.web.rendering import SIGNS, phase_word, sign

ASSETS = Path(phased.web.__file__).parent / "assets"


@pytest.mark.parametrize("phase", [*TaskExecutionPhase, *ServicePhase, *FiringResult])
def test_every_phase_has_a_shape(phase: Name) -> None:
    """Also those that come with a new version of the contract."""
    assert sign(phase_word(phase)) != "?"


def test_modules_show_the_same_shapes() -> None:
    """`phases.js` has the table once more."""
    text = (ASSETS / "phases.js").read_text(encoding="utf-8")
    table = re.findall(r'^  "?([a-z-]+)"?: "(.)",', text, re.MULTILINE)
    assert dict(table) == SIGNS


def test_modules_find_each_other() -> None:
    """What one imports is there."""
    for file in ASSETS.glob("*.js"):
        for name in re.findall(r'(?:from |import\(|URL\()"\./([^"]+)"', file.read_text(encoding="utf-8")):
            assert (ASSETS / name).exists(), f"{file.name} needs {name}"

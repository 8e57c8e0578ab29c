"""All classes of the contract, found by importing every module of it; only tests do that."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from phased import contract
from phased.contract.base import Message, Name


@cache
def messages() -> dict[str, type[Message]]:
    """Every message of the public API by its full name in protobuf."""
    _import_all()
    return {kind.proto: kind for kind in Message.__subclasses__() if kind.proto.startswith("gitpod.v1.")}


@cache
def enums() -> dict[str, type[Name]]:
    """Every enum of the public API by the name of its class; the native service has its own, as messages."""
    _import_all()
    native = "phased.contract.phased_v1"
    return {kind.__name__: kind for kind in Name.__subclasses__() if not kind.__module__.startswith(native)}


def _import_all() -> None:
    for module in iter_modules(contract.__path__):
        import_module(f"phased.contract.{module.name}")

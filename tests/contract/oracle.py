"""What the source's rules say about a value, worked out from the source alone, and values to try.

Knows the rules as `contract.json` writes them and proto3 JSON. Must not know how the contract checks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from phased.contract import names

UUID = "7b0e4a9e-0d0f-4c39-9f0e-2b2f6c7f0a11"
Field = dict[str, Any]

_TEXTS = (
    *("", "a", "ab", "abc", "a b", "a-b", "A_9", "é" * 3, "a\n", "a\nb", "x" * 20_000),
    *(UUID, UUID.upper(), f"{UUID} ", UUID.replace("-", ""), "not-a-uuid"),
    *("https://example.org/a?b=c#d", "ssh://git@example.org", "//example.org", "no uri", "/a/b", "/", "//"),
    *("a/b", "example.org:443", "example.org:99999", "-a.example.org", "manual", "postMachineStart"),
    *("prebuild", "beforeSnapshot", "default", "ai-agent", "[a]", "12"),
)
_INTEGERS = (-(2**31) - 1, -(2**31), -1, 0, 1, 99, 100, 101, 1023, 1024, 65535, 65536, 2**31 - 1, 2**31)
_DURATIONS = ("0s", "1s", "1799s", "1800s", "1800.5s", "86399s", "86400s", "86400.5s", "90000s", "-1s")
_SCALARS = {
    "string": "abc",
    "bool": True,
    "int32": 1,
    "uint32": 1,
    "uint64": "1",
    "bytes": "AAAA",
    "google.protobuf.Timestamp": "2026-01-31T10:00:00Z",
    "google.protobuf.Duration": "1800s",
}
_WRONG: dict[str, tuple[Any, ...]] = {
    "string": (1, True, [], {}),
    "bool": ("true", 1, []),
    "int32": ("x", 1.5, True, []),
    "uint32": ("x", 1.5, -1, 2**32),
    "uint64": ("x", -1, 2**64, True),
    "bytes": ("?", 1, []),
    "google.protobuf.Timestamp": (
        "yesterday",
        "2026-01-31",
        "2026-02-31T10:00:00Z",
        "2026-01-31T10:00:00",
        1,
    ),
    "google.protobuf.Duration": ("1m", "1", 1, "s", "315576000001s"),
}


class Oracle:
    """The answers for one source (the whole of `contract.json`, as it is or changed)."""

    def __init__(self, source: dict[str, Any]) -> None:
        self.messages: dict[str, dict[str, Any]] = source["messages"]
        self.enums: dict[str, list[str]] = source["enums"]

    def minimal(self, message: str) -> dict[str, Any]:
        """The smallest object that is a valid message."""
        whole = self.messages[message]
        data = {
            field["json"]: self.sample(field)
            for name, field in whole.get("fields", {}).items()
            if not self.may_be_absent(message, name) and "oneof" not in field
        }
        for oneof in whole.get("oneofs", []):
            if f"{message}.{oneof}" not in names.MAY_BE_MISSING:
                first = next(field for field in whole["fields"].values() if field.get("oneof") == oneof)
                data[first["json"]] = self.sample(first)
        return data

    def sample(self, field: Field) -> Any:
        """A valid value that is not the empty one."""
        if field.get("repeated"):
            items = field.get("rules", {}).get("repeated", {}).get("items", {})
            return [self.sample({"type": field["type"], "rules": items})]
        if field["type"].startswith("map<"):
            return {"abc": self.sample({"type": _value_type(field)})}
        return next(
            value
            for value in self._candidates(field)
            if self._valid(field, value) and not self._is_zero(field, value)
        )

    def trials(self, message: str, name: str) -> Iterator[tuple[Any, bool, str]]:
        """Values for a field, whether each is valid, and the JSON path that must be named if it is not."""
        field = self.messages[message]["fields"][name]
        path = field["json"]
        if field.get("repeated"):
            yield from self._list_trials(message, name)
        elif field["type"].startswith("map<"):
            yield from self._map_trials(field)
        else:
            for value in self._candidates(field):
                if self._is_zero(field, value) and not self._presence(field):
                    yield value, self.may_be_absent(message, name), path
                else:
                    yield value, self._valid(field, value), path
            for value in self._wrong(field):
                yield value, False, path

    def may_be_absent(self, message: str, name: str) -> bool:
        """Whether a message without this field is valid, as far as this field goes."""
        field = self.messages[message]["fields"][name]
        full = f"{message}.{name}"
        if full in names.MAY_BE_MISSING:
            return True
        rules = field.get("rules", {})
        if full in names.NEEDED or rules.get("required"):
            return False
        if self._presence(field) or field.get("repeated") or field["type"].startswith("map<"):
            return True
        return "ignore" in rules or self._valid(field, self._zero(field))

    def _list_trials(self, message: str, name: str) -> Iterator[tuple[Any, bool, str]]:
        field = self.messages[message]["fields"][name]
        path, rules = field["json"], field.get("rules", {})
        limits, items = rules.get("repeated", {}), dict(rules.get("repeated", {}).get("items", {}))
        more = names.MORE_VALUES.get(f"{message}.{name}")
        if more and "string" in items:
            items["string"] = {"in": [*items["string"]["in"], *more]}
        entry = {"type": field["type"], "rules": items}
        for size in (0, 1, 24, 25, 26, 50, 51, 101, 102, int(limits.get("max_items", 0)) + 1):
            good = size <= int(limits.get("max_items", size)) and (size > 0 or not rules.get("required"))
            yield [self.sample(entry)] * size, good, path
        for value in self._candidates(entry):
            yield [value], self._valid(entry, value), f"{path}[0]"
        for value in self._wrong(entry):
            yield [self.sample(entry), value], False, f"{path}[1]"
        yield "abc", False, path
        yield {}, False, path

    def _map_trials(self, field: Field) -> Iterator[tuple[Any, bool, str]]:
        path, rules = field["json"], field.get("rules", {}).get("map", {})
        key = {"type": "string", "rules": rules.get("keys", {})}
        value = {"type": _value_type(field), "rules": rules.get("values", {})}
        for text in self._candidates(key):
            yield {text: self.sample(value)}, self._valid(key, text), f"{path}{_spell(text)}"
        if value["type"] == "string":
            for text in self._candidates(value):
                yield {"abc": text}, self._valid(value, text), f"{path}.abc"
        for wrong in self._wrong(value):
            yield {"abc": wrong}, False, f"{path}.abc"
        yield "abc", False, path

    def _candidates(self, field: Field) -> Iterator[Any]:
        kind, rules = field["type"], field.get("rules", {})
        if kind in self.messages:
            yield self.minimal(kind)
        elif kind in self.enums:
            yield from (*reversed(self.enums[kind]), 0)
        elif kind == "string":
            text = rules.get("string", {})
            yield from text.get("in", ())
            yield from _TEXTS
            lengths = [int(text[key]) for key in ("min_len", "max_len") if key in text]
            yield from (
                letter * n
                for size in lengths
                for n in (size - 1, size, size + 1)
                for letter in "aé"
                if n >= 0
            )
            yield from ("a" * size for size in (80, 81, 128, 129, 255, 256, 257, 4096, 4097, 10240, 10241))
        elif kind in ("int32", "uint32"):
            low, high = _bounds(kind, rules)
            yield from (*_INTEGERS, low - 1, low, high, high + 1)
        elif kind == "google.protobuf.Duration":
            yield from (_SCALARS[kind], *_DURATIONS)
        elif kind == "bytes":
            yield from ("AAAA", "", "A" * 43 + "=", "A" * 44, "_-8", "A" * 40)
        elif kind == "bool":
            yield from (True, False)
        else:
            yield _SCALARS[kind]

    def _wrong(self, field: Field) -> tuple[Any, ...]:
        if field["type"] in self.messages:
            return ("x", 1, True, ["x"])
        if field["type"] in self.enums:
            return ("NO_SUCH_VALUE", 999, True, [])
        return _WRONG[field["type"]]

    def _valid(self, field: Field, value: Any) -> bool:
        kind, rules = field["type"], field.get("rules", {})
        if kind == "string":
            return _valid_text(rules, value)
        if kind in ("int32", "uint32"):
            low, high = _bounds(kind, rules)
            return bool(low <= value <= high)
        if kind == "google.protobuf.Duration":
            return _valid_duration(rules, float(value.removesuffix("s")))
        if kind == "bytes":
            size = len(value.rstrip("=")) * 3 // 4
            return bool(size == int(rules.get("bytes", {}).get("len", size)))
        if kind in self.enums:
            number = value if isinstance(value, int) else self.enums[kind].index(value)
            return bool(number not in rules.get("enum", {}).get("not_in", ()))
        return True

    def _presence(self, field: Field) -> bool:
        kind = field["type"]
        return bool(
            field.get("optional") or "oneof" in field or kind in self.messages or kind.startswith("google.")
        )

    def _zero(self, field: Field) -> Any:
        return {"string": "", "bool": False, "bytes": "", "uint64": "0"}.get(field["type"], 0)

    def _is_zero(self, field: Field, value: Any) -> bool:
        zeros = [self._zero(field)]
        if field["type"] in self.enums:
            zeros.append(self.enums[field["type"]][0])
        return any(value == zero and type(value) is type(zero) for zero in zeros)


def _value_type(field: Field) -> str:
    return str(field["type"].removesuffix(">").partition(", ")[2])


def _spell(key: str) -> str:
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", key, re.ASCII):
        return f".{key}"
    escaped = key.replace("\n", "\\n")
    return f'["{escaped}"]'


def _bounds(kind: str, rules: dict[str, Any]) -> tuple[int, int]:
    low, high = (0, 2**32 - 1) if kind == "uint32" else (-(2**31), 2**31 - 1)
    return rules.get(kind, {}).get("gte", low), rules.get(kind, {}).get("lte", high)


def _valid_text(rules: dict[str, Any], value: str) -> bool:
    text = rules.get("string", {})
    return (
        int(text.get("min_len", 0)) <= len(value) <= int(text.get("max_len", len(value)))
        and value in text.get("in", (value,))
        and _matches(text.get("pattern", ""), value)
        and (not text.get("uuid") or _matches(r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", value))
        and (not text.get("uri") or _matches(r"^[A-Za-z][A-Za-z0-9+.-]*:\S*$", value))
        and all(_matches(_pattern(rule["expression"]), value) for rule in rules.get("cel", ()))
        and (not rules.get("required") or value != "")
    )


def _pattern(expression: str) -> str:
    found = re.fullmatch(r"""this\.matches\((['"])(.*)\1\)""", expression)
    assert found, f"a rule that this oracle cannot read: {expression}"
    return found[2]


def _matches(pattern: str, value: str) -> bool:
    # RE2's `$` is the end of the text alone; Python's is also before a last newline.
    return re.search(pattern.replace("$", r"\Z"), value) is not None


def _valid_duration(rules: dict[str, Any], seconds: float) -> bool:
    bounds = rules.get("duration", {})
    low, high = (float(bounds.get(key, "nans").removesuffix("s")) for key in ("gte", "lte"))
    if seconds < low or seconds > high:
        return False
    return all(
        seconds == float(exact) or seconds >= float(least)
        for rule in rules.get("cel", ())
        for exact, least in re.findall(
            r"this == duration\('(\d+)s'\) \|\| this >= duration\('(\d+)s'\)", rule["expression"]
        )
    )

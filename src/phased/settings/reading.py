"""All sources of settings, read in their order: default < file < environment < flag.

Knows files and variables. Must not know what a setting means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from phased.errors import FileUnreadable, SettingsError
from phased.settings.places import environment, user_configuration
from phased.settings.sections import Settings, all_settings, sections
from phased.settings.values import Setting, Value, nearest

SYSTEM_FILE = Path("/etc/phased/phased.toml")
"""Read before the user's own file, where it exists."""


def load(
    config: Path | None = None,
    *,
    flags: Mapping[str, tuple[Value, str]] | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read all sources.

    `config` replaces the files that are looked for. `flags` holds by `section.key` the value and the name of
    the option. Raises SettingsError naming the file or variable, the key and what is likely meant;
    FileUnreadable for a file that was named and cannot be read.
    """
    environ = environment() if environ is None else environ
    known = {item.name: item for item in all_settings()}
    found: dict[str, tuple[Value, str]] = {}
    for file in [config] if config else _files(environ):
        found.update(_from_file(file, known))
    found.update(_from_environment(environ, known))
    found.update({name: (value, f"flag {flag}") for name, (value, flag) in (flags or {}).items()})
    values: dict[str, dict[str, Value]] = {}
    for name, (value, _) in found.items():
        values.setdefault(known[name].section, {})[known[name].key] = value
    made = {section: kind(**values.get(section, {})) for section, kind in sections().items()}
    return Settings(**made, origins={name: origin for name, (_, origin) in found.items()})


def _files(environ: Mapping[str, str]) -> list[Path]:
    own = user_configuration(environ)
    candidates = [SYSTEM_FILE, *([own / "phased" / "phased.toml"] if own else [])]
    return [file for file in candidates if _exists(file)]


def _exists(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:
        return False


def _from_file(file: Path, known: Mapping[str, Setting]) -> dict[str, tuple[Value, str]]:
    import tomllib  # noqa: PLC0415 - only where there is a file

    try:
        with file.open("rb") as opened:
            document = tomllib.load(opened)
    except OSError as error:
        raise FileUnreadable(
            f"cannot read the settings in {file}: {error.strerror}; mend or remove it"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the settings in {file}: {error}; mend or remove it") from error
    found: dict[str, tuple[Value, str]] = {}
    for section, table in document.items():
        _refuse_unknown(file, section, sections(), "section")
        if not isinstance(table, dict):
            raise SettingsError(f"cannot use {section} in {file}: it is a section; write it as [{section}]")
        for key, raw in table.items():
            keys = {item.key: item for item in known.values() if item.section == section}
            _refuse_unknown(file, f"{section}.{key}", {f"{section}.{name}": 0 for name in keys}, "setting")
            found[f"{section}.{key}"] = (_value(keys[key], raw, f"in {file}"), f"file {file}")
    return found


def _refuse_unknown(file: Path, name: str, known: Mapping[str, object], noun: str) -> None:
    if name not in known:
        near = nearest(name, known)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known) or 'none'}"
        raise SettingsError(f"cannot use {name} in {file}: there is no such {noun}; {hint}")


def _from_environment(
    environ: Mapping[str, str], known: Mapping[str, Setting]
) -> Iterator[tuple[str, tuple[Value, str]]]:
    """What is set to nothing counts as not set. Only a likely typing error of a name is refused.

    Steps find other variables that begin with PHASED_ (`semantics: Environment of a step`).
    """
    names = {item.variable: item for item in known.values()}
    for variable, text in environ.items():
        if not variable.startswith("PHASED_") or not text:
            continue
        if (item := names.get(variable)) is not None:
            yield item.name, (_value(item, text, f"from {variable}"), f"environment {variable}")
        elif near := _mistyped(variable, names):
            raise SettingsError(
                f"cannot use the variable {variable}: there is no such setting; did you mean {near}?"
            )


def _mistyped(variable: str, names: Mapping[str, Setting]) -> str | None:
    if not any(variable.startswith(f"PHASED_{section}_".upper()) for section in sections()):
        return None
    near = nearest(variable, names, cutoff=0.9)
    return near[0] if near else None


def _value(item: Setting, raw: object, where: str) -> Value:
    try:
        return item.read(raw)
    except ValueError as error:
        raise SettingsError(f"cannot use {item.name} {where}: {error}") from error

"""Writes what follows from the code: pages of docs/reference; the manual page and completions, configs/share.

With --check, says which are not current.

Knows where in the code each fact stands. Must not hold a fact itself that the code has.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from phased import loader
from phased.api.calls import Route
from phased.api.failures import STATUS
from phased.api.routes import ANYBODY, ROUTES
from phased.cli.application import EXIT_CODES, application
from phased.contract.execution import TaskExecutionPhase
from phased.contract.resource import ResourceRole
from phased.core import events, phases
from phased.settings import Setting, all_settings, sections

sys.path.insert(0, str(Path(__file__).parent))
from manual import completion, manual_page

REFERENCE: Final = Path(__file__).parent / "reference"
SHARE: Final = Path(__file__).parents[1] / "configs" / "share"

OUTCOMES: Final[Mapping[int, str]] = {
    0: "It succeeded.",
    1: "The work failed, the file is invalid (also when it does not parse), or a wait timed out.",
    2: "The command line or a setting is wrong, or a file is missing or unreadable.",
    3: "The work was stopped.",
    4: "There is no daemon to talk to, or it refused: not found, not allowed, invalid.",
    130: "Interrupted by Ctrl-C.",
    141: "Whoever read the output went away: 128 + SIGPIPE, as a shell shows it.",
}


Schema = Mapping[str, Any]

SETTINGS: Final = """\
A later one wins: the default, `/etc/phased/phased.toml`, `$XDG_CONFIG_HOME/phased/phased.toml` (or, instead
of both, the file given with `--config`), the environment variable, the option of the command line.
`phased config show --origin` prints each value and where it came from; a setting that does not exist, or a
value that it cannot have, is refused with the likeliest correction."""

PHASES: Final = """\
What the outside sees of a step is its phase; inside, a finer state moves by the events of this table. A state
without a way out is final. An event that a state has no entry for is refused and changes nothing."""

EXECUTION: Final = """\
PENDING before its first step; RUNNING while a step is live or a group is still to start; then {order}: the
first of these that any of its steps has."""

FILE: Final = """\
YAML 1.2, or JSON. `phased schema` prints the JSON Schema that this page is made from; an editor that is given
it completes and checks while you type. `phased validate` checks more than a schema can say."""

API: Final = """\
`POST /<service>/<method>`, under `/` and under `/api/`, on the socket and on TCP alike: JSON
(`application/json`), and with the extra `phased[proto]` binary protobuf (`application/proto`), as the Connect
protocol has it. Streams: `application/connect+json`, `application/connect+proto`, or JSON Lines for a request
in `application/json`. Methods that only read answer `GET` too. [How to call it](../how-to/api.md).

A role stands for what it holds as well: who may use an environment may view it. `acts` means that twice does
it twice: errors of these say `x-should-retry: false`. Beside the methods there are `GET /events`,
`GET /logs/executions/ID`, `GET /logs/services/ID`, `GET /healthz`, `GET /readyz` and `GET /metrics`."""

NOTE: Final = "<!-- Made by docs/generate.py; change the code, then run: make reference -->"


def settings_page() -> str:
    """Every setting, by section."""
    lines = [
        "# Settings",
        "",
        SETTINGS,
        "",
        "Durations are written `30s`, `10m`, `1h30m`, or as a number of seconds.",
    ]
    for name, kind in sections().items():
        lines += ["", f"## [{name}]", "", inspect.getdoc(kind) or "", ""]
        own = (item for item in all_settings() if item.section == name)
        lines += table(("key", "default", "variable", "meaning"), (_setting_row(item) for item in own))
    return page(lines)


def _setting_row(item: Setting) -> tuple[str, ...]:
    bounds = f" At least {item.least:g}." if item.least is not None else ""
    choices = f" One of {', '.join(f'`{choice}`' for choice in item.choices)}." if item.choices else ""
    return (
        f"`{item.key}`",
        f"`{_spell(item.default)}`",
        f"`{item.variable}`",
        f"{item.meaning}{bounds}{choices}",
    )


def _spell(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}s"
        case str():
            return f'"{value}"'
        case tuple():
            return f"[{', '.join(_spell(one) for one in value)}]"
        case _:
            return str(value)


def commands_page() -> str:
    """Every command with its options, as click knows them."""
    lines = ["# Commands", "", "Options that every command has may stand before or after its name.", ""]
    lines += table(("option", "meaning"), (_option_row(one) for one in _options(application)))
    common = {name for one in _options(application) for name in one.opts}
    for path, command in walk(application, ()):
        lines += ["", f"## phased {' '.join(path)}", "", f"`{_usage(path, command)}`", ""]
        lines += [_paragraphs(command.help or command.short_help or "")]
        own = [one for one in _options(command) if not common & set(one.opts)]
        if own:
            lines += ["", *table(("option", "meaning"), (_option_row(one) for one in own))]
    return page(lines)


def walk(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below a group that is not hidden, in the order in which help lists them."""
    context = click.Context(group, info_name="phased")
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        if isinstance(command, click.Group):
            yield from walk(command, (*path, name))
        else:
            yield (*path, name), command


def _options(command: click.Command) -> list[click.Option]:
    found = [one for one in command.params if isinstance(one, click.Option)]
    return [one for one in found if not one.hidden]


def _usage(path: tuple[str, ...], command: click.Command) -> str:
    pieces = ["phased", *path]
    context = click.Context(command)
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    return " ".join([*pieces, "[OPTIONS]", *(one.make_metavar(context) for one in arguments)])


def _option_row(one: click.Option) -> tuple[str, str]:
    names = ", ".join([*one.opts, *one.secondary_opts])
    value = "" if one.is_flag or one.count else f" {one.make_metavar(click.Context(application))}"
    shown = f" Default: {one.show_default}." if isinstance(one.show_default, str) else ""
    return f"`{names}{value}`", f"{one.help or ''}{shown}"


def _paragraphs(text: str) -> str:
    """Help text as Markdown: what click is told not to wrap is a code block."""
    blocks = []
    for block in inspect.cleandoc(text).split("\n\n"):
        if block.startswith("\b"):
            blocks.append(f"```\n{block.removeprefix(chr(8)).strip(chr(10))}\n```")
        else:
            blocks.append(block)
    return "\n\n".join(blocks)


def phases_page() -> str:
    """The phases of a step: the table of the code, drawn and written out."""
    lines = [
        "# Phases",
        "",
        PHASES,
        "",
        "## The phase that each state shows",
        "",
    ]
    rows = (
        (f"`{state.value}`", _phase(state), "yes" if state in phases.TERMINAL else "")
        for state in phases.State
    )
    lines += table(("state", "phase", "final"), rows)
    lines += ["", "## Transitions", ""]
    lines += table(
        ("state", "event", "leads to"),
        (
            (f"`{state.value}`", f"`{event.__name__}`", f"`{after.value}`")
            for state, leads_to in phases.TRANSITIONS.items()
            for event, after in leads_to.items()
        ),
    )
    used = dict.fromkeys(event for leads_to in phases.TRANSITIONS.values() for event in leads_to)
    lines += ["", "## Events", ""]
    lines += table(("event", "what happened"), ((f"`{one.__name__}`", _first_line(one)) for one in used))
    lines += [
        "",
        "## The same as a diagram (Mermaid)",
        "",
        "```mermaid",
        *mermaid(),
        "```",
        "",
        *_execution_phase(),
    ]
    return page(lines)


def _phase(state: phases.State) -> str:
    phase = phases.PHASE_OF[state]
    return "(absent: not started)" if phase is TaskExecutionPhase.UNSPECIFIED else phase.name


def mermaid() -> list[str]:
    """The transition table as a Mermaid state diagram; ways between the same two states share an arrow."""
    lines = ["stateDiagram-v2", f"    [*] --> {phases.State.WAITING.value}"]
    for state, leads_to in phases.TRANSITIONS.items():
        arrows: dict[phases.State, list[str]] = {}
        for event, after in leads_to.items():
            arrows.setdefault(after, []).append(event.__name__.removeprefix("Step"))
        lines += [
            f"    {state.value} --> {after.value}: {', '.join(names)}" for after, names in arrows.items()
        ]
        if state in phases.TERMINAL:
            lines.append(f"    {state.value} --> [*]")
    return lines


def _execution_phase() -> list[str]:
    order = " before ".join(phase.name for phase in phases.TERMINAL_PHASES)
    return ["## The phase of an execution", "", EXECUTION.format(order=order)]


def _first_line(kind: type[events.StepEvent]) -> str:
    return (inspect.getdoc(kind) or "").partition("\n")[0]


def file_page() -> str:
    """The keys of the automations file, from its JSON Schema."""
    schema = loader.schema()
    lines = ["# The automations file", "", FILE]
    lines += ["", "## The file", "", *table(("key", "value", "meaning"), _keys(schema, ""))]
    for name, part in schema["$defs"].items():
        lines += ["", f"## A {name}", ""]
        if "description" in part:
            lines += [part["description"], ""]
        lines += table(("key", "value", "meaning"), _keys(part, ""))
    return page(lines)


def _keys(part: Schema, prefix: str) -> Iterator[tuple[str, ...]]:
    """A row for each key, and below it those of the objects that its value may be: `runsOn.docker.image`."""
    required = part.get("required", ())
    for key, value in part.get("properties", {}).items():
        needed = " (needed)" if key in required else ""
        yield f"`{prefix}{key}`{needed}", _kind(value), value.get("description", "")
        for choice in _choices(value):
            yield from _keys(choice, f"{prefix}{key}.")
            inner = choice.get("additionalProperties")
            for entry in _choices(inner) if isinstance(inner, dict) else ():
                yield from _keys(entry, f"{prefix}{key}.NAME.")


def _choices(part: Schema) -> list[Schema]:
    """What a value may be, but for null, which is the same as leaving the key out."""
    alternatives = part.get("anyOf") or part.get("oneOf")
    if alternatives is None:
        return [] if part.get("type") == "null" else [part]
    return [choice for one in alternatives for choice in _choices(one)]


def _kind(part: Schema) -> str:
    """What a value may be, in words."""
    return " or ".join(dict.fromkeys(_word(choice) for choice in _choices(part)))


def _word(part: Schema) -> str:
    match part:
        case {"$ref": str(reference)}:
            word = reference.rpartition("/")[2]
        case {"enum": list(values)}:
            word = "one of " + ", ".join(f"`{value}`" if value != "" else "empty" for value in values)
        case {"const": value}:
            word = f"`{value}`"
        case {"type": "array", "items": dict(items)}:
            word = f"list of {_kind(items)}"
        case {"type": "object", "additionalProperties": dict(values)}:
            word = f"map of {_kind(values)}"
        case {"type": str(name)}:
            word = name
        case {"type": list(names)}:
            word = " or ".join(name for name in names if name != "null")
        case _:
            word = "any"
    return word


def api_page() -> str:
    """Every method: what it touches, whose role suffices, and what it does to the state."""
    lines = ["# API", "", API]
    for service in dict.fromkeys(route.service for route in ROUTES):
        lines += ["", f"## {service}", ""]
        rows = (_route_row(route) for route in ROUTES if route.service == service)
        lines += table(("method", "resource", "roles of which one suffices", "effect"), rows)
    lines += ["", "## Errors", ""]
    errors = ((f"`{code.value}`", str(status)) for code, status in STATUS.items())
    return page([*lines, *table(("code", "HTTP status"), errors)])


def _route_row(route: Route) -> tuple[str, ...]:
    roles = "any" if route.roles is ANYBODY else ", ".join(sorted(_role(role) for role in route.roles))
    effect = f"{route.effect.value}, a stream" if route.streams else route.effect.value
    kind = route.resource.value.removeprefix("RESOURCE_TYPE_")
    return f"`{route.method}`", f"`{kind}`", roles, effect


def _role(role: ResourceRole) -> str:
    return f"`{role.value.removeprefix('RESOURCE_ROLE_')}`"


def exit_codes_page() -> str:
    """What the exit codes mean, and which errors end with which."""
    by_code: dict[int, list[str]] = {code: [] for code in OUTCOMES}
    for kind, code in EXIT_CODES.items():
        by_code[code].append(f"`{kind.__name__}`")
    rows = ((str(code), OUTCOMES[code], ", ".join(sorted(names))) for code, names in by_code.items())
    lines = ["# Exit codes", "", *table(("code", "meaning", "errors that end so"), rows), ""]
    lines += ["Of several outcomes the worst counts: 1, then 3, then 0."]
    return page(lines)


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """A Markdown table; the text of a cell may hold anything."""
    clean = [" | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) for row in rows]
    return [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *(f"| {row} |" for row in clean)]


def page(lines: Iterable[str]) -> str:
    """The text of a page, with the note that it is made."""
    return "\n".join([NOTE, *lines, ""])


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "api.md": api_page,
    "settings.md": settings_page,
    "commands.md": commands_page,
    "phases.md": phases_page,
    "automations-file.md": file_page,
    "exit-codes.md": exit_codes_page,
}


INSTALLED: Final[Mapping[str, Callable[[], str]]] = {
    "man/man1/phased.1": lambda: manual_page(OUTCOMES),
    "bash-completion/completions/phased": lambda: completion("bash"),
    "zsh/site-functions/_phased": lambda: completion("zsh"),
    "fish/vendor_completions.d/phased.fish": lambda: completion("fish"),
}
"""What the wheel puts below `share/`, where these programs look."""


def main(arguments: list[str]) -> int:
    """Write the files, or with --check compare them; the exit code."""
    check = arguments == ["--check"]
    made = [(REFERENCE / name, make) for name, make in PAGES.items()]
    made += [(SHARE / name, make) for name, make in INSTALLED.items()]
    stale = []
    for path, make in made:
        text = make()
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(path.name)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if check and stale:
        print(
            f"cannot pass: not current: {', '.join(stale)}; run: make reference",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

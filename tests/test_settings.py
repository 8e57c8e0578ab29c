"""Settings: sources, their order, what is refused and how, and where things lie."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phased.cli.config import example_file
from phased.errors import FileUnreadable, SettingsError
from phased.settings import (
    all_settings,
    base_environment,
    default_socket,
    default_state_directory,
    duration,
    load,
    sections,
    wants_no_color,
)
from phased.settings.values import size

ROOT = Path(__file__).parents[1]


def write(path: Path, text: str) -> Path:
    """Make a file with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_any_source_every_value_is_the_default() -> None:
    """Without any source every value is the default."""
    found = load(environ={"HOME": "/nowhere"})
    for item in all_settings():
        assert getattr(getattr(found, item.section), item.key) == item.default
        assert found.origin(item.name) == "default"


def test_a_later_source_wins(tmp_path: Path) -> None:
    """Default < file < environment < flag."""
    file = write(
        tmp_path / "phased.toml", '[run]\nmax_parallel = 1\nstop_timeout = "2s"\nshell = "/bin/sh"\n'
    )
    environ = {"PHASED_RUN_MAX_PARALLEL": "2", "PHASED_RUN_SHELL": "/bin/ash"}
    found = load(file, environ=environ, flags={"run.max_parallel": (3, "--max-parallel")})
    assert (found.run.max_parallel, found.origin("run.max_parallel")) == (3, "flag --max-parallel")
    assert (found.run.shell, found.origin("run.shell")) == ("/bin/ash", "environment PHASED_RUN_SHELL")
    assert (found.run.stop_timeout, found.origin("run.stop_timeout")) == (2.0, f"file {file}")
    assert found.origin("log.level") == "default"


def test_the_users_file_is_found(tmp_path: Path) -> None:
    """The users file is found."""
    write(tmp_path / "phased" / "phased.toml", "[history]\nlimit = 7\n")
    assert load(environ={"XDG_CONFIG_HOME": str(tmp_path)}).history.limit == 7
    write(tmp_path / "home" / ".config" / "phased" / "phased.toml", "[history]\nlimit = 8\n")
    assert load(environ={"HOME": str(tmp_path / "home"), "XDG_CONFIG_HOME": "relative"}).history.limit == 8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[runn]\n", "cannot use runn in .*no such section; did you mean run\\?"),
        ("[run]\nmax_paralel = 3\n", "did you mean run.max_parallel\\?"),
        ("run = 3\n", "write it as \\[run\\]"),
        ("[run]\nmax_parallel = 0\n", "cannot use run.max_parallel in .*at least 1, not 0"),
        ('[run]\nmax_parallel = "many"\n', "a whole number, not 'many'"),
        ("[run]\nmax_parallel = true\n", "a whole number, not True"),
        ('[run]\nstop_timeout = "soon"\n', "a duration as 30s, 10m or 1h30m, not 'soon'"),
        ("[run]\nstop_timeout = -1\n", "a duration"),
        ("[run]\nstop_timeout = inf\n", "a duration"),
        ("[run]\nshell = 3\n", "it is text, not 3"),
        ('[run]\nshell = "a\\u0000b"\n', "it is text"),
        ('[log]\nlevel = "warnin"\n', "did you mean warning\\?"),
        ("[run\n", "cannot read the settings in"),
    ],
)
def test_a_bad_file_is_refused_naming_it_and_the_way_out(tmp_path: Path, text: str, said: str) -> None:
    """A bad file is refused naming it and the way out."""
    file = write(tmp_path / "phased.toml", text)
    with pytest.raises(SettingsError, match=said) as caught:
        load(file, environ={})
    assert str(file) in str(caught.value)
    assert str(caught.value).startswith("cannot ")


def test_a_file_of_bytes_that_are_no_text_is_refused(tmp_path: Path) -> None:
    """A file of bytes that are no text is refused."""
    file = tmp_path / "phased.toml"
    file.write_bytes(b"[run]\nshell = '\xff'\n")
    with pytest.raises(SettingsError, match="cannot read"):
        load(file, environ={})


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_named_file_that_cannot_be_read_is_an_error(tmp_path: Path, name: str) -> None:
    """A named file that cannot be read is an error."""
    with pytest.raises(FileUnreadable, match="cannot read the settings in"):
        load(tmp_path / name, environ={})


def test_a_bad_variable_is_refused_by_its_name() -> None:
    """A bad variable is refused by its name."""
    with pytest.raises(SettingsError, match="from PHASED_LOG_LEVEL: it is one of"):
        load(environ={"PHASED_LOG_LEVEL": "loud"})
    with pytest.raises(SettingsError, match=r"PHASED_RUN_MAX_PARALEL.*did you mean PHASED_RUN_MAX_PARALLEL"):
        load(environ={"PHASED_RUN_MAX_PARALEL": "3"})


def test_variables_that_steps_find_are_no_settings() -> None:
    """A step that calls phased has them; an empty variable counts as not set."""
    found = load(
        environ={
            "PHASED_RUN_ID": "x", "PHASED_OUTPUT": "/x", "PHASED_OUTPUT_RUN_MAX": "1", "PHASED_TASK": "build",
            "PHASED_EXECUTION_ID": "x", "PHASED_STEP_ID": "x", "PHASED_ENVIRONMENT_ID": "x",
            "PHASED_LOG_LEVEL": "",
        }
    )  # fmt: skip
    assert found.log.level == "warning"


def test_the_documented_variables_of_places() -> None:
    """The documented variables of places."""
    found = load(environ={"PHASED_STATE_DIR": "/s", "PHASED_SOCKET": "/k/sock"})
    assert (str(found.state_directory), str(found.socket_path)) == ("/s", "/k/sock")


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({"XDG_STATE_HOME": "/x"}, "/x/phased"),
        ({"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/phased"),
        ({"HOME": "/h"}, "/h/.local/state/phased"),
        ({"HOME": "/h", "STATE_DIRECTORY": "/var/lib/phased"}, "/var/lib/phased"),
        ({"HOME": "/h", "STATE_DIRECTORY": "/var/lib/other"}, "/h/.local/state/phased"),
    ],
)
def test_where_the_state_lies(environ: dict[str, str], place: str) -> None:
    """Where the state lies."""
    assert str(default_state_directory(environ)) == place


def test_without_a_home_the_users_entry_counts() -> None:
    """Without a home the users entry counts."""
    home = pwd.getpwuid(os.getuid()).pw_dir
    assert str(default_state_directory({})) == f"{home}/.local/state/phased"
    assert str(default_state_directory({"HOME": "odd"})) == f"{home}/.local/state/phased"


def test_where_the_socket_lies() -> None:
    """Where the socket lies."""
    state = Path("/s")
    assert str(default_socket(state, {"RUNTIME_DIRECTORY": "/run/phased"})) == "/run/phased/phased.sock"
    assert str(default_socket(state, {"XDG_RUNTIME_DIR": "/run/user/7"})) == "/run/user/7/phased.sock"
    assert str(default_socket(state, {})) == "/s/phased.sock"


def test_steps_inherit_nothing_of_ours() -> None:
    """Steps inherit nothing of ours."""
    environ = {"PATH": "/bin", "PHASED_TOKEN": "t", "GITPOD_ENVIRONMENT_ID": "e", "_PHASED_COMPLETE": "x"}
    assert base_environment(environ) == {"PATH": "/bin"}


def test_color() -> None:
    """What forbids colour."""
    assert wants_no_color({"NO_COLOR": "1"})
    assert not wants_no_color({"NO_COLOR": ""})
    assert wants_no_color({"TERM": "dumb"})


@pytest.mark.parametrize(
    ("raw", "seconds"),
    [
        ("30s", 30),
        ("10m", 600),
        ("1h30m", 5400),
        ("1.5s", 1.5),
        ("200ms", 0.2),
        ("2d", 172800),
        ("7", 7),
        (7, 7),
        (0.5, 0.5),
    ],
)
def test_durations(raw: object, seconds: float) -> None:
    """Each way to write a duration."""
    assert duration(raw) == pytest.approx(seconds)


@given(st.one_of(st.text(), st.floats(), st.integers(), st.booleans(), st.none(), st.lists(st.text())))
@settings(max_examples=100, deadline=None)
def test_whatever_is_read_is_a_value_or_refused(raw: object) -> None:
    """No source can make a setting that its meaning excludes."""
    for item in all_settings():
        try:
            value = item.read(raw)
        except ValueError:
            continue
        assert type(value) is type(item.default)
        assert item.least is None or value >= item.least
        assert not item.choices or value in item.choices


def test_every_setting_says_what_it_means() -> None:
    """Every setting says what it means."""
    variables = [item.variable for item in all_settings()]
    assert len(set(variables)) == len(variables)
    for item in all_settings():
        assert item.meaning.endswith(".")
        assert item.read(item.default) == item.default
    assert all(kind.__doc__ for kind in sections().values())


def test_the_shipped_file_is_what_the_settings_say(tmp_path: Path) -> None:
    """The shipped file is what the settings say."""
    shipped = (ROOT / "configs" / "phased.toml").read_text()
    assert shipped == example_file(), (
        "write it anew: python -c 'from phased.cli.config import example_file as e; print(e(), end=\"\")' "
        "> configs/phased.toml"
    )
    opened = write(tmp_path / "all.toml", shipped.replace("\n#", "\n").replace("\n ", "\n# "))
    assert load(opened, environ={}).run == load(environ={"HOME": "/nowhere"}).run


@pytest.mark.parametrize(
    ("raw", "found"),
    [(5, 5), ("0", 0), ("100MiB", 100 * 1024**2), ("1.5 kB", 1500), ("2GB", 2 * 10**9), ("1tib", 1024**4)],
)
def test_sizes(raw: object, found: int) -> None:
    """Each way to write a number of bytes."""
    assert size(raw) == found


@pytest.mark.parametrize("raw", [-1, True, 1.5, "", "MiB", "-1", "1 M", "1e9"])
def test_what_is_no_size(raw: object) -> None:
    """And what is none."""
    with pytest.raises(ValueError, match="it is a size as 500000, 100MiB or 2GB"):
        size(raw)

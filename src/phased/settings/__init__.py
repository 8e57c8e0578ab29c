"""Settings: which there are, and what they are set to. Standard library only.

`sections` holds them all and is where one is added; `values` says what a setting is; `reading` reads the
sources; `places` knows the environment and where things lie. The one part that reads `os.environ`.
"""

from phased.settings.asking import ClientEnvironment, client_environment
from phased.settings.places import (
    base_environment,
    credentials_directory,
    default_socket,
    default_state_directory,
    environment_after_reload,
    has_display,
    is_service,
    journal_stream,
    reloaded,
    reloaded_sequence,
    service_notices,
    service_sockets,
    user_configuration,
    wants_no_color,
)
from phased.settings.reading import SYSTEM_FILE, load
from phased.settings.sections import Settings, all_settings, sections
from phased.settings.values import Setting, duration, setting

__all__ = [
    "SYSTEM_FILE",
    "ClientEnvironment",
    "Setting",
    "Settings",
    "all_settings",
    "base_environment",
    "client_environment",
    "credentials_directory",
    "default_socket",
    "default_state_directory",
    "duration",
    "environment_after_reload",
    "has_display",
    "is_service",
    "journal_stream",
    "load",
    "reloaded",
    "reloaded_sequence",
    "sections",
    "service_notices",
    "service_sockets",
    "setting",
    "user_configuration",
    "wants_no_color",
]

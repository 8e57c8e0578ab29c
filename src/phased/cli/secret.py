"""`phased secret`: values that steps get and nobody is shown.

Knows the public methods. Must not know how a value is kept. A value comes from standard input, never from the
command line, which everybody can read.
"""

from __future__ import annotations

import sys

import click

from phased.cli import finding, showing
from phased.cli.connection import PAGE, Connection, connected
from phased.cli.groups import LazyGroup
from phased.cli.options import Common, common_options, common_parameters
from phased.contract.base import Message
from phased.contract.identity import GetAuthenticatedIdentityRequest
from phased.contract.pagination import PaginationRequest
from phased.contract.secret import Secret, SecretScope
from phased.contract.secret_calls import (
    CreateSecretRequest,
    DeleteSecretRequest,
    ListSecretsRequest,
    ListSecretsRequestFilter,
    ListSecretsResponse,
    UpdateSecretValueRequest,
)
from phased.errors import InvalidArgument, NotFound

secret = LazyGroup(
    {
        "list": ("secret:list_", "Show the secrets, without their values."),
        "set": ("secret:set_", "Set a secret's value, read from standard input."),
        "delete": ("secret:delete", "Delete a secret."),
    },
    name="secret",
    short_help="Secrets of an environment: list, set, delete.",
    help="Values that steps get and that nobody is shown.",
    params=common_parameters(),
)

_USER = click.option("--user", is_flag=True, help="A secret of yours, in all environments; else of this one.")


@click.command("list", short_help="Show the secrets, without their values.")
@_USER
@common_options
def list_(common: Common, user: bool) -> int:
    """Show the secrets of an environment, without their values.

    Examples:
      phased secret list
    """
    with connected(common) as daemon:
        found = _secrets(daemon, _scope(daemon, user=user))
    message = ListSecretsResponse.model_construct(secrets=tuple(found))
    rows = [(one.name or "", _mount(one), showing.when(one.updated_at), one.id) for one in found]
    showing.write_list(common, message, rows, ("NAME", "STEPS GET IT AS", "SET", "ID"), "no secrets")
    return 0


@click.command("set", short_help="Set a secret's value, read from standard input.")
@click.argument("name", metavar="NAME")
@click.option("--as-file", "file_path", metavar="PATH", help="Steps get it as this file, an absolute path.")
@click.option("--registry", metavar="HOST", help="It is the login of a container registry.")
@click.option("--api-only", is_flag=True, help="Steps get it only where they ask for it by name.")
@_USER
@common_options
def set_(
    common: Common, name: str, file_path: str | None, registry: str | None, api_only: bool, user: bool
) -> int:
    """Set the value of the secret NAME, which is made where it is new. Steps get it as a variable NAME.

    The value is read from standard input; one newline at its end is left out.

    Examples:
      phased secret set NPM_TOKEN < token
      pass show npm | phased secret set NPM_TOKEN
    """
    if sum((file_path is not None, registry is not None, api_only)) > 1:
        raise click.UsageError("cannot use more than one of --as-file, --registry and --api-only")
    value = _read_value(name)
    with connected(common) as daemon:
        scope = _scope(daemon, user=user)
        message: Message
        known = [one for one in _secrets(daemon, scope) if one.name == name]
        if known:
            request = UpdateSecretValueRequest(secret_id=known[0].id, value=value)
            message = daemon.client.update_secret_value(request)
        else:
            mounted = CreateSecretRequest(
                name=name,
                value=value,
                scope=scope,
                file_path=file_path,
                container_registry_basic_auth_host=registry,
                api_only=api_only or None,
                environment_variable=True if not (file_path or registry or api_only) else None,
            )
            message = daemon.client.create_secret(mounted)
    if common.output != "text":
        showing.write_message(common, message)
    else:
        click.echo(f"{'changed' if known else 'made'} {name}")
    return 0


@click.command("delete", short_help="Delete a secret.")
@click.argument("name", metavar="NAME|ID")
@_USER
@common_options
def delete(common: Common, name: str, user: bool) -> int:
    """Delete the secret with this name or id.

    Examples:
      phased secret delete NPM_TOKEN
    """
    with connected(common) as daemon:
        secret_id = name
        if not finding.is_id(name):
            known = [one.id for one in _secrets(daemon, _scope(daemon, user=user)) if one.name == name]
            if not known:
                raise NotFound(f"cannot find a secret {name!r}; `phased secret list` shows them")
            secret_id = known[0]
        answer = daemon.client.delete_secret(DeleteSecretRequest(secret_id=secret_id))
    if common.output != "text":
        showing.write_message(common, answer)
    else:
        click.echo(f"deleted {name}")
    return 0


def _read_value(name: str) -> str:
    """Raises InvalidArgument."""
    if sys.stdin is not None and sys.stdin.isatty():
        return str(click.prompt(f"value of {name}", hide_input=True, err=True))
    raw = sys.stdin.buffer.read() if sys.stdin is not None else b""
    try:
        value = raw.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise InvalidArgument("cannot use this value: it is not text in UTF-8") from None
    if not value:
        raise InvalidArgument("cannot set a secret to nothing: its value is read from standard input")
    return value


def _scope(daemon: Connection, *, user: bool) -> SecretScope:
    if not user:
        return SecretScope(project_id=daemon.environment_id)
    subject = daemon.client.get_authenticated_identity(GetAuthenticatedIdentityRequest()).subject
    return SecretScope(user_id=subject.id if subject else None)


def _secrets(daemon: Connection, scope: SecretScope) -> list[Secret]:
    request = ListSecretsRequest(
        pagination=PaginationRequest(page_size=PAGE), filter=ListSecretsRequestFilter(scope=scope)
    )
    pages = daemon.client.pages(daemon.client.list_secrets, request)
    return [one for page in pages for one in page.secrets]


def _mount(one: Secret) -> str:
    if one.file_path:
        return f"file {one.file_path}"
    if one.container_registry_basic_auth_host:
        return f"login of {one.container_registry_basic_auth_host}"
    return "nothing" if one.api_only else f"variable {one.name}"

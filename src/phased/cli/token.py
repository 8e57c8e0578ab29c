"""`phased token`: tokens for clients that do not come over the socket.

Knows the daemon's own methods. Must not know how tokens are kept. A token is shown once, when it is made.
"""

from __future__ import annotations

from datetime import timedelta

import click

from phased.cli import showing
from phased.cli.connection import PAGE, connected
from phased.cli.groups import LazyGroup
from phased.cli.options import Common, common_options, common_parameters
from phased.contract.pagination import PaginationRequest
from phased.contract.phased_v1 import (
    CreateTokenRequest,
    ListTokensRequest,
    ListTokensResponse,
    RevokeTokenRequest,
    Token,
)
from phased.settings import duration

token = LazyGroup(
    {
        "create": ("token:create", "Make a token and print it, this once."),
        "list": ("token:list_", "Show the tokens that are good now."),
        "revoke": ("token:revoke", "Make a token useless at once."),
    },
    name="token",
    short_help="Tokens: create, list, revoke.",
    help="Tokens with which clients over TCP show who they are.",
    params=common_parameters(),
)


@click.command("create", short_help="Make a token and print it, this once.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    metavar="ROLE",
    help="What it may do, as ENVIRONMENT_USER; again for more.",
)
@click.option(
    "--expires", metavar="DURATION", help="After how long it is useless, as 12h or 30d. Default: never."
)
@click.option("--description", metavar="TEXT", help="What it is for.")
@common_options
def create(common: Common, roles: tuple[str, ...], expires: str | None, description: str | None) -> int:
    """Make a token for your own use, of one environment where --environment names it, and print it alone.

    Examples:
      phased token create --role ENVIRONMENT_VIEWER --expires 12h
      phased token create --environment 4f1c2a77-0c2e-4f4e-9f7c-6a1d0a3c5b11 > token
    """
    try:
        seconds = None if expires is None else duration(expires)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--expires") from error
    with connected(common) as daemon:
        wanted = common.said("environment")
        request = CreateTokenRequest(
            roles=roles,
            environment_id=None if wanted is None else daemon.find_environment(wanted),
            expires_in=None if seconds is None else timedelta(seconds=seconds),
            description=description,
        )
        answer = daemon.client.create_token(request)
    if common.output != "text":
        showing.write_message(common, answer)
    else:
        click.echo(answer.value)
    return 0


@click.command("list", short_help="Show the tokens that are good now.")
@common_options
def list_(common: Common) -> int:
    """Show the tokens that are good now; never the tokens themselves.

    Examples:
      phased token list
    """
    with connected(common) as daemon:
        request = ListTokensRequest(pagination=PaginationRequest(page_size=PAGE))
        pages = daemon.client.pages(daemon.client.list_tokens, request)
        found = [one for page in pages for one in page.tokens]
    message = ListTokensResponse.model_construct(tokens=tuple(found))
    head = ("ID", "ROLES", "ENVIRONMENT", "CREATED", "EXPIRES", "DESCRIPTION")
    showing.write_list(common, message, [_row(one) for one in found], head, "no tokens")
    return 0


def _row(one: Token) -> tuple[str, ...]:
    return (
        one.id or "",
        ", ".join(role.value.removeprefix("RESOURCE_ROLE_") for role in one.roles),
        one.environment_id or "all",
        showing.when(one.created_at),
        showing.when(one.expires_at) or "never",
        one.description or "",
    )


@click.command("revoke", short_help="Make a token useless at once.")
@click.argument("which", metavar="ID")
@common_options
def revoke(common: Common, which: str) -> int:
    """Make the token with this id useless at once.

    Examples:
      phased token revoke 4f1c2a77-0c2e-4f4e-9f7c-6a1d0a3c5b11
    """
    with connected(common) as daemon:
        answer = daemon.client.revoke_token(RevokeTokenRequest(id=which))
    showing.write_answer(common, answer, f"revoked {which}")
    return 0

"""The command line: `fraiseql-assets`. Each command has its own module."""

import typer

from fraiseql_assets.cli.commands.bridge import bridge
from fraiseql_assets.cli.commands.dead_letters import dead_letters
from fraiseql_assets.cli.commands.dev import dev
from fraiseql_assets.cli.commands.doctor import doctor
from fraiseql_assets.cli.commands.erase import erase
from fraiseql_assets.cli.commands.events import events
from fraiseql_assets.cli.commands.init import init
from fraiseql_assets.cli.commands.publish import publish
from fraiseql_assets.cli.commands.query import query
from fraiseql_assets.cli.commands.search import search
from fraiseql_assets.cli.commands.setup import setup
from fraiseql_assets.cli.commands.status import status
from fraiseql_assets.cli.commands.users import users

app = typer.Typer(
    name="fraiseql-assets",
    help="FraiseQL's dual data plane: events from NATS into ClickHouse and Elasticsearch, kept by "
    "Dagster, served as Arrow over Flight.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

for command in (dev, setup, publish, status, query, events, search, erase, init, bridge, doctor):
    app.command()(command)

app.add_typer(dead_letters, name="dead-letters")
app.add_typer(users, name="users")

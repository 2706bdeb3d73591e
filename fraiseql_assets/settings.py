"""Every setting of the project: environment variables with the prefix `FRAISEQL_`, and a `.env`.

Every setting stands here once, so this file is longer than others.

What neither says, a local stack that runs on `.fraiseql` says: `fraiseql-assets dev` in one
terminal, and commands in another find it on whatever ports it has.
"""

import os
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from fraiseql_assets.endpoints import of_running_stack

Dependency = Literal["log", "analytics", "operational", "database"]
"""A server that the Flight service reads from."""

PLANES: tuple[Literal["analytics", "operational"], ...] = ("analytics", "operational")

DEFAULT_DATA_DIR = Path(".fraiseql")
"""Where `dev` keeps the embedded servers' data and Dagster's home."""


SECRETS_DIR = "FRAISEQL_SECRETS_DIR"
"""Names the folder with a file for each setting that is a secret, under its variable's name."""

DAGSTER_USER = "dagster"
"""The user that has the password of Dagster's web server."""


class Settings(BaseSettings):
    """The settings, each documented where it is defined; `docs/settings.md` is made from here."""

    model_config = SettingsConfigDict(
        env_prefix="FRAISEQL_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        validate_by_name=True,
    )

    # Where the servers are.
    nats_url: SecretStr = Field(
        default=SecretStr("nats://127.0.0.1:4222"),
        description="NATS server, `nats://[user:password@]host:port`, or `tls://`; several servers "
        "of one cluster are separated by commas. A token stands in the place of the user.",
    )
    nats_ca_file: Path | None = Field(
        default=None,
        description="The certificates of the authorities that NATS servers are trusted by (PEM); "
        "unset, those of the system.",
    )
    nats_credentials_file: Path | None = Field(
        default=None,
        description="The user's credentials file (`.creds`: a JWT and its nkey seed).",
    )
    nats_nkey_file: Path | None = Field(
        default=None, description="The file with the user's nkey seed, where there is no JWT."
    )
    clickhouse_url: SecretStr = Field(
        default=SecretStr("http://default:@127.0.0.1:8123/default"),
        description="ClickHouse over HTTP, `http[s]://user:password@host:port/database`.",
    )
    clickhouse_cluster: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9_-]*$",
        description="The cluster of ClickHouse, as `remote_servers` names it, on which `setup` "
        "creates replicated and distributed tables; unset, the tables are on one server. See "
        "[scaling](scaling.md).",
    )
    elasticsearch_url: SecretStr = Field(
        default=SecretStr("http://127.0.0.1:9200"),
        description="Elasticsearch 8 or 9, or OpenSearch 2 or 3, "
        "`http[s]://[user:password@]host:port`.",
    )
    database_url: SecretStr = Field(
        default=SecretStr("postgresql://postgres@127.0.0.1:5432/postgres"),
        description="The application's PostgreSQL, FraiseQL's system of record.",
    )
    flight_url: str = Field(
        default="grpc://127.0.0.1:50051",
        description="The Flight service: where it listens and is called, `grpc://host:port`, or "
        "`grpc+tls://` with TLS.",
    )
    http_url: str = Field(
        default="http://127.0.0.1:8080",
        description="The Flight service's HTTP side: where it listens and is called, "
        "`http://host:port`, or `https://` with TLS.",
    )
    dagster_url: str = Field(default="http://127.0.0.1:3000", description="Dagster's web server.")
    dagster_hosts: list[str] = Field(
        default=[],
        description="Further host names by which Dagster's web server may be called, beside the "
        "one of `FRAISEQL_DAGSTER_URL`, as a JSON list.",
    )
    dagster_password: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="The password of Dagster's web server, for the user `dagster`; unset, whoever "
        "can reach it may use it.",
    )

    # GraphQL.
    schema_path: Path | None = Field(
        default=None,
        # A field named `schema` would hide one of pydantic's own methods.
        validation_alias="FRAISEQL_SCHEMA",
        description="The path of the compiled schema, `schema.compiled.json`; unset, there is no "
        "GraphQL.",
    )
    graphql_url: str | None = Field(
        default=None,
        description="A FraiseQL server's `http[s]://host:port/graphql`, to which mutations are "
        "forwarded, and queries too where `FRAISEQL_DATABASE_URL` is not set.",
    )
    graphql_forward_bytes: int = Field(
        default=64 * 2**20,
        ge=2**16,
        description="How many bytes the FraiseQL server's answer to a forwarded request may have.",
    )
    graphql_connections: int = Field(
        default=16,
        ge=1,
        description="Connections to PostgreSQL that GraphQL queries share; at most half of them "
        "for results that may be large, and half of that half for those of one principal.",
    )
    graphql_max_depth: int = Field(
        default=15, ge=1, description="How many levels deep a query may select."
    )
    graphql_max_fields: int = Field(
        default=1000,
        ge=1,
        description="How many fields a query may select, fragments counted where they are spread.",
    )
    graphql_max_complexity: int = Field(
        default=20_000,
        ge=1,
        description="A query's fields, each counted ten times for every list within a list.",
    )
    graphql_max_conditions: int = Field(
        default=1000,
        ge=1,
        description="How many values the arguments of a field may hold, such as the conditions of "
        "`where`; a list of values counts as one.",
    )
    graphql_cache_bytes: int = Field(
        default=64 * 2**20,
        ge=2**20,
        description="About how much memory planned queries may take that are remembered.",
    )
    graphql_result_cache_bytes: int = Field(
        default=64 * 2**20,
        ge=0,
        description="How many bytes of results may be cached, of queries whose schema has "
        "`cache_ttl_seconds`; 0 caches none.",
    )
    graphql_max_rows: int = Field(
        default=10_000_000, ge=1, description="How many rows a query may give."
    )
    graphql_timeout_seconds: float = Field(
        default=300.0,
        gt=0,
        description="How long a query's statement may run, its client's reading included.",
    )
    graphql_wait_seconds: float = Field(
        default=10.0,
        gt=0,
        description="How long a query waits while all connections, or all threads of the HTTP "
        "side, are busy; then it is refused, over HTTP with 503 and `Retry-After`.",
    )
    graphql_stall_seconds: float = Field(
        default=30.0,
        gt=0,
        description="How long a client may leave a result unread; then its query is cancelled and "
        "gives back its connection.",
    )
    graphql_parallel_rows: int = Field(
        default=200_000,
        ge=1,
        description="From how many rows on, as PostgreSQL estimates them, a list is offered as "
        "several endpoints.",
    )
    graphql_parallel_endpoints: int = Field(
        default=4,
        ge=1,
        description="How many endpoints a large list is offered as; with `FRAISEQL_JWT_SECRET`, no "
        "more than one principal may read at once.",
    )
    graphql_snapshots: int = Field(
        default=4,
        ge=1,
        description="How many snapshots may be held for such endpoints, each by a connection of "
        "its own, half of them by one principal; when none is left, one endpoint has all rows.",
    )
    graphql_snapshot_seconds: float = Field(
        default=120.0,
        gt=0,
        description="How long after GetFlightInfo such endpoints can be read.",
    )

    # What the Flight service's HTTP side lets through.
    trusted_hosts: list[str] = Field(
        default=[],
        description="Hosts that HTTP requests may name in `Host`, such as `assets.example` or "
        "`*.example`, as a JSON list, beside this machine's loopback names and the host of "
        "`FRAISEQL_HTTP_URL`; `*` is any.",
    )
    http_connections: int = Field(
        default=1000,
        ge=1,
        description="How many connections the HTTP side takes; further ones get 503.",
    )
    cors_origins: list[str] = Field(
        default=[],
        description="The origins, such as `https://app.example`, whose web pages may call the HTTP "
        "side, as a JSON list.",
    )

    # Flight SQL.
    sql: bool = Field(default=True, description="Whether the Flight service answers Flight SQL.")
    sql_timeout_seconds: float = Field(
        default=300.0, gt=0, description="How long a statement may run, its reading included."
    )
    sql_memory_bytes: int = Field(
        default=2**30,
        ge=2**20,
        description="How much memory a statement may take in ClickHouse; sorts and groups go to "
        "the disk before. In PostgreSQL each sort of it has a sixteenth.",
    )
    sql_connections: int = Field(
        default=16,
        ge=2,
        description="Connections to PostgreSQL that statements share; half of them stream, and "
        "half of that half for one principal.",
    )

    raw_sql: bool = Field(
        default=False,
        description="Whether tickets may hold SQL: the `filter` of `OptimizedView` and "
        "`BulkExport`, and `BatchedQueries`.",
    )
    views: list[str] = Field(
        default=[],
        description="Relations of PostgreSQL beside those of the compiled schema that may be "
        "read, such as `analytics.va_orders_daily`, as a JSON list. Whoever may send SQL reads all "
        "their columns; a principal with a tenant only its own rows, where they have a column "
        "`tenant_id` or `org_id`.",
    )

    # Who may call the Flight service.
    jwt_secret: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="The secret that signs callers' tokens (JWT, HS256), 32 characters or more. "
        "Without it, `FRAISEQL_JWT_JWKS` and `FRAISEQL_USERS_FILE` the Flight service is open to "
        "whoever reaches it.",
    )
    jwt_jwks: str | None = Field(
        default=None,
        description="The public keys of callers' tokens (JWT, RS256 and ES256): a JWKS at an "
        "`https://` address, or the path of one.",
    )
    jwt_issuer: str | None = Field(
        default=None, description="The issuer (`iss`) that tokens must have; unset, any."
    )
    jwt_audience: str | None = Field(
        default=None,
        description="The audience (`aud`) that tokens must be for; unset, any or none.",
    )
    jwt_require_exp: bool = Field(
        default=True,
        description="Whether tokens must expire (`exp`); `false` accepts tokens that are valid "
        "for ever.",
    )
    users_file: Path | None = Field(
        default=None,
        description="The file of users who may log in with a password; "
        "`fraiseql-assets users add` writes it.",
    )
    session_secret: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="The secret that signs session tokens and the tickets of endpoints, 32 "
        "characters or more, the same for processes behind one address; unset, one that is made of "
        "`FRAISEQL_JWT_SECRET`, or else a random one for each process.",
    )
    session_seconds: float = Field(
        default=3600.0, ge=1, description="How long a session token of Handshake is valid."
    )
    allow_unauthenticated: bool = Field(
        default=False,
        description="Whether the Flight service may listen on an address that other machines reach "
        "without authentication; otherwise it does not start.",
    )
    required_scopes: dict[str, str] = Field(
        default={},
        description="Scopes that ticket types and actions require beside their own, such as "
        '`{"Search": "search"}`, as a JSON object; over HTTP they hold for the same flights.',
    )
    principal_streams: int = Field(
        default=128,
        ge=1,
        description="How many results one principal may read at once, over Flight and HTTP "
        "together; without authentication there is no such limit.",
    )
    flight_token: SecretStr | None = Field(
        default=None,
        description="The token with which the command line calls the Flight service.",
    )

    # TLS of the Flight service, and of the command line as its client.
    tls_certificate: Path | None = Field(
        default=None,
        description="The Flight service's certificate and those that it is signed by (PEM), for "
        "addresses with `grpc+tls://` and `https://`.",
    )
    tls_key: Path | None = Field(
        default=None, description="The private key of that certificate (PEM, not encrypted)."
    )
    tls_client_ca: Path | None = Field(
        default=None,
        description="The authorities of clients' certificates (PEM): with them, addresses with TLS "
        "accept only clients that have a certificate (mutual TLS).",
    )
    flight_ca_file: Path | None = Field(
        default=None,
        description="The authorities by which the command line trusts the Flight service (PEM); "
        "unset, those of the system.",
    )
    flight_client_certificate: Path | None = Field(
        default=None,
        description="The certificate that the command line shows to the Flight service (PEM).",
    )
    flight_client_key: Path | None = Field(
        default=None, description="The private key of that certificate (PEM)."
    )

    # What the Flight service writes.
    writable: list[str] = Field(
        default=[],
        description="What clients may write to, as a JSON list: `events` for the log, and tables "
        "of `FRAISEQL_DATABASE_URL`, with their schema if it is not on the search path. Empty, "
        "nothing can be written.",
    )
    upload_connections: int = Field(
        default=4,
        ge=1,
        description="Connections to PostgreSQL for uploads; each upload holds one until it ends.",
    )
    exchange_requests: int = Field(
        default=8,
        ge=1,
        description="How many queries and uploads of one DoExchange run at once; further ones "
        "wait. It is also how many subscriptions one may have; further ones are refused.",
    )

    # How the Flight service is watched.
    metrics_token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="The bearer token that `GET /metrics` asks for; unset, metrics are open to "
        "clients on the service's own machine alone.",
    )
    call_log: bool = Field(
        default=True,
        description="Whether the Flight service logs a line for every call.",
    )
    log_format: Literal["text", "json"] = Field(
        default="text",
        description="How the Flight service logs: as `text`, or as `json`, one object a line.",
    )

    trace_details: bool = Field(
        default=False,
        description="Whether traces have the subjects of tokens and the texts of SQL statements, "
        "which may hold values.",
    )

    health_url: str | None = Field(
        default=None,
        description="Where the Flight service serves gRPC's health protocol, `grpc://host:port`; "
        "unset, it does not.",
    )
    ready_requires: list[Dependency] = Field(
        default=[],
        description="The servers without which the Flight service is not ready: `log`, "
        "`analytics`, `operational`, `database`, as a JSON list. It is never ready while all are "
        "down.",
    )
    drain_seconds: float = Field(
        default=5.0,
        ge=0,
        description="How long calls under way may go on after SIGTERM, while new ones are refused.",
    )

    # The log.
    stream: str = Field(default="fraiseql_events", description="The JetStream stream of events.")
    subjects: list[str] = Field(
        default=["fraiseql.mutation.>", "entity.change.>", "fraiseql._none_.*"],
        description="The subjects that the stream captures, as a JSON list.",
    )
    subject_prefix: str = Field(
        default="fraiseql.mutation", description="The prefix under which `publish` publishes."
    )
    stream_max_age_days: int = Field(
        default=90,
        ge=1,
        description="How long the log keeps a message; then a plane is the source.",
    )
    stream_max_bytes: int = Field(
        default=-1, ge=-1, description="How large the log may grow, in bytes; -1 is without limit."
    )
    stream_replicas: int = Field(
        default=1, ge=1, le=5, description="Replicas of the streams that `setup` makes."
    )
    dead_letter_stream: str = Field(
        default="fraiseql_dead_letters",
        description="The JetStream stream of messages that could not be used.",
    )

    # The bridge from FraiseQL's change log to the log.
    bridge_table: str = Field(
        default="core.tb_entity_change_log",
        description="FraiseQL's change log, the table whose rows `bridge` publishes.",
    )
    bridge_name: str = Field(
        default="change_log",
        pattern=r"^[A-Za-z0-9_-]+$",
        description="The name under which `bridge` stores its position; each change log needs its "
        "own.",
    )
    bridge_bucket: str = Field(
        default="fraiseql_bridge",
        pattern=r"^[A-Za-z0-9_-]+$",
        description="The key-value bucket of JetStream that holds the positions of bridges.",
    )
    bridge_channel: str = Field(
        default="fraiseql_events",
        description="The channel on which PostgreSQL notifies of new rows of the change log.",
    )
    bridge_poll_seconds: float = Field(
        default=1.0,
        gt=0,
        description="How often `bridge` looks for new rows without being notified.",
    )
    bridge_rows: int = Field(
        default=1_000,
        ge=1,
        le=10_000,
        description="How many rows `bridge` publishes between two saved positions, at most.",
    )

    # The log of GraphQL requests.
    request_log: bool = Field(
        default=True,
        description="Whether the Flight service records GraphQL requests.",
    )
    request_stream: str = Field(
        default="fraiseql_requests", description="The JetStream stream of GraphQL requests."
    )
    request_subject_prefix: str = Field(
        default="fraiseql.request",
        description="The prefix of the subjects of GraphQL requests, which the stream captures.",
    )
    request_log_buffer: int = Field(
        default=10_000,
        ge=1,
        description="Requests that may wait to be published; further ones are dropped and counted.",
    )
    request_log_redact: list[str] = Field(
        default=[],
        description="Paths of variables and arguments to redact beside what looks like a secret, "
        "such as `input.email` or `*.phone`, as a JSON list.",
    )

    # The planes.
    analytics_plane: bool = Field(
        default=True, description="Whether there is an analytics plane; `false` switches it off."
    )
    operational_plane: bool = Field(
        default=True, description="Whether there is an operational plane; `false` switches it off."
    )
    index_prefix: str = Field(
        default="fraiseql",
        pattern=r"^[a-z0-9][a-z0-9_-]*$",
        # An index's name has 255 bytes at most, and the day and number of one stand behind this.
        max_length=200,
        description="What the names of indices, aliases and templates in Elasticsearch begin with.",
    )
    elasticsearch_shards: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="Primary shards of each new day's index in Elasticsearch.",
    )
    elasticsearch_replicas: int | None = Field(
        default=None,
        ge=0,
        le=100,
        description="Replicas of each new day's index in Elasticsearch; unset, one where there is "
        "a second node.",
    )
    elasticsearch_heap: str = Field(
        default="512m",
        pattern=r"^[1-9][0-9]*[mg]$",
        description="The memory of the search engine that `dev` starts, as Java's heap.",
    )

    clickhouse_external_sources: bool = Field(
        default=False,
        description="Whether statements on the ClickHouse that `dev` starts may read and write "
        "files and other servers (`file`, `url`, `s3`, `remote` and others).",
    )

    # How much at once.
    batch_rows: int = Field(
        default=10_000, ge=1, description="Messages decoded together, rows per Arrow batch."
    )
    range_messages: int = Field(
        default=500_000,
        ge=1,
        description="The largest range of the log, in messages, that is committed at once.",
    )
    batch_bytes: int = Field(
        default=16 * 2**20, ge=2**16, description="Bytes of messages decoded together, at most."
    )
    block_rows: int = Field(default=100_000, ge=1, description="Rows per INSERT into ClickHouse.")
    block_bytes: int = Field(
        default=64 * 2**20,
        ge=2**20,
        description="Bytes of Arrow at which a block is cut, however few rows.",
    )
    bulk_bytes: int = Field(
        default=8 * 2**20, ge=2**16, description="Bytes per `_bulk` request to Elasticsearch."
    )
    queue_batches: int = Field(
        default=8,
        ge=1,
        description="Decoded batches that may wait to be written; the backpressure.",
    )

    # Dagster.
    first_day: date | None = Field(
        default=None,
        description="The first partition, such as `2026-01-31`; unset, the oldest day that the log "
        "or a plane holds when the code location is loaded.",
    )
    run_seconds: float = Field(
        default=300.0,
        gt=0,
        description="How long a run keeps going while messages keep coming.",
    )
    run_quiet_seconds: float = Field(
        default=20.0,
        gt=0,
        description="How long the log may be quiet before a run ends.",
    )
    run_history_days: int = Field(
        default=7,
        ge=1,
        description="How long Dagster keeps runs that have ended; the last materialisation of each "
        "partition is kept.",
    )
    tick_history_hours: float = Field(
        default=1.0,
        gt=0,
        description="How long Dagster keeps ticks of sensors that requested nothing.",
    )
    start_sensors: bool = Field(
        default=False,
        description="Whether sensors and schedules run from the start; otherwise they are switched "
        "on in Dagster's UI. `fraiseql-assets dev` sets it.",
    )
    source_url: str | None = Field(
        default=None,
        description="Where this project's files are at a Git host, such as "
        "`https://github.com/acme/fraiseql-assets/tree/main`: Dagster's UI then links each asset "
        "to its code. Otherwise it shows the file and line.",
    )
    failure_webhook: SecretStr | None = Field(
        default=None,
        description="An `http[s]://` address that gets a JSON message for each failed run.",
    )

    # How long things are kept, and waited for.
    retention_raw_days: int = Field(
        default=90, ge=1, description="Days that both planes keep raw events."
    )
    retention_request_days: int = Field(
        default=30, ge=1, description="Days that GraphQL requests are kept, in the log as well."
    )
    retention_aggregate_days: int = Field(
        default=120, ge=1, description="Days that aggregates are kept."
    )
    request_timeout_seconds: float = Field(
        default=60.0, gt=0, description="How long one request to a plane may take in a run."
    )
    probe_timeout_seconds: float = Field(
        default=3.0, gt=0, description="How long a sensor, `status` or `doctor` waits for a server."
    )

    @property
    def dagster_login(self) -> tuple[str, str] | None:
        """The user and the password of Dagster's web server, if it has one."""
        if self.dagster_password is None:
            return None
        return DAGSTER_USER, self.dagster_password.get_secret_value()

    @property
    def is_guarded(self) -> bool:
        """Whether clients of the Flight service are known by tokens."""
        return any((self.jwt_secret, self.jwt_jwks, self.users_file))

    def has_plane(self, name: str) -> bool:
        """Whether the plane of this name is switched on."""
        return bool(getattr(self, f"{name}_plane"))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then `.env`, then files of secrets, then a local stack
        that runs."""
        running = of_running_stack(DEFAULT_DATA_DIR)
        local = DotEnvSettingsSource(settings_cls, env_file=running)
        secrets = SecretsSettingsSource(settings_cls, secrets_dir=os.environ.get(SECRETS_DIR))
        return init_settings, env_settings, dotenv_settings, secrets, local


def variable(name: str) -> str:
    """The environment variable of a setting."""
    alias = Settings.model_fields[name].validation_alias
    if isinstance(alias, str):
        return alias
    return f"{Settings.model_config.get('env_prefix', '')}{name}".upper()


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        pydantic.ValidationError: naming each variable that does not fit.
    """
    return Settings()


def problems_of(error: ValidationError) -> list[str]:
    """One sentence for each variable that is invalid, with its name."""
    fields = [(str(wrong["loc"][0]), wrong["msg"]) for wrong in error.errors()]
    return [
        f"{variable(field) if field in Settings.model_fields else field}: {message}"
        for field, message in fields
    ]

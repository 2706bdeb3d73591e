"""Every setting of the project: environment variables with the prefix `FRAISEQL_`, and a `.env`.

Every setting is defined here once, so this file is longer than others.

If neither has a setting, its value comes from a local stack that runs on `.fraiseql`: start
`fraiseql-assets dev` in one terminal, and commands in another find it, whatever its ports are.
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
        description="NATS server, `nats://[user:password@]host:port`, or `tls://`. Separate "
        "several servers of one cluster by commas. A token is written in place of "
        "the user.",
    )
    nats_ca_file: Path | None = Field(
        default=None,
        description="The certificates of the authorities that may sign those of the NATS "
        "servers (PEM); unset, the system's.",
    )
    nats_credentials_file: Path | None = Field(
        default=None,
        description="The user's credentials file (`.creds`: a JWT and its nkey seed).",
    )
    nats_nkey_file: Path | None = Field(
        default=None, description="The file with the user's nkey seed, if there is no JWT."
    )
    clickhouse_url: SecretStr = Field(
        default=SecretStr("http://default:@127.0.0.1:8123/default"),
        description="ClickHouse over HTTP, `http[s]://user:password@host:port/database`.",
    )
    clickhouse_cluster: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9_-]*$",
        description="The name of the ClickHouse cluster in `remote_servers` on which `setup` "
        "creates replicated and distributed tables; unset, the tables are on one "
        "server. See [scaling](scaling.md).",
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
        description="The address at which the Flight service listens and clients call it, "
        "`grpc://host:port`, or `grpc+tls://` with TLS.",
    )
    http_url: str = Field(
        default="http://127.0.0.1:8080",
        description="The address at which the Flight service listens for HTTP and clients call "
        "it, `http://host:port`, or `https://` with TLS.",
    )
    dagster_url: str = Field(default="http://127.0.0.1:3000", description="Dagster's web server.")
    dagster_hosts: list[str] = Field(
        default=[],
        description="Host names of Dagster's web server in addition to the one in "
        "`FRAISEQL_DAGSTER_URL`, as a JSON list.",
    )
    dagster_password: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="The password of Dagster's web server, for the user `dagster`; unset, "
        "everyone who can reach it may use it.",
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
        "forwarded, and queries too if `FRAISEQL_DATABASE_URL` is not set.",
    )
    graphql_forward_bytes: int = Field(
        default=64 * 2**20,
        ge=2**16,
        description="The maximum size in bytes of the FraiseQL server's answer to a forwarded "
        "request.",
    )
    graphql_connections: int = Field(
        default=16,
        ge=1,
        description="Connections to PostgreSQL that GraphQL queries share. At most half of "
        "them are used for results that may be large, and at most half of that "
        "half for those of one principal.",
    )
    graphql_max_depth: int = Field(
        default=15, ge=1, description="The maximum number of levels that a query may select."
    )
    graphql_max_fields: int = Field(
        default=1000,
        ge=1,
        description="The maximum number of fields that a query may select. The fields of a "
        "fragment count each time it is spread.",
    )
    graphql_max_complexity: int = Field(
        default=20_000,
        ge=1,
        description="The maximum number of fields of a query, each counted ten times for every "
        "list within a list.",
    )
    graphql_max_conditions: int = Field(
        default=1000,
        ge=1,
        description="The maximum number of values in the arguments of a field, such as the "
        "conditions of `where`. A list of values counts as one.",
    )
    graphql_cache_bytes: int = Field(
        default=64 * 2**20,
        ge=2**20,
        description="About how much memory cached query plans may take, in bytes.",
    )
    graphql_result_cache_bytes: int = Field(
        default=64 * 2**20,
        ge=0,
        description="The maximum number of bytes of cached results. Only queries with "
        "`cache_ttl_seconds` in the schema are cached; 0 disables the cache.",
    )
    graphql_max_rows: int = Field(
        default=10_000_000, ge=1, description="The maximum number of rows of a query."
    )
    graphql_timeout_seconds: float = Field(
        default=300.0,
        gt=0,
        description="The time limit for a query's statement, including the time in which its "
        "client reads the result.",
    )
    graphql_wait_seconds: float = Field(
        default=10.0,
        gt=0,
        description="How long a query waits while all connections, or all threads of the HTTP "
        "side, are busy. Then it is refused, over HTTP with 503 and `Retry-After`.",
    )
    graphql_stall_seconds: float = Field(
        default=30.0,
        gt=0,
        description="How long a client may leave a result unread. Then its query is cancelled "
        "and its connection is released. Also how long the client of an upload may send nothing, "
        "and after what time a stream of DoExchange without a request gets an error.",
    )
    graphql_parallel_rows: int = Field(
        default=200_000,
        ge=1,
        description="The number of rows, as PostgreSQL estimates it, from which a list is "
        "offered as several endpoints.",
    )
    graphql_parallel_endpoints: int = Field(
        default=4,
        ge=1,
        description="The number of endpoints of a large list. With `FRAISEQL_JWT_SECRET` it is "
        "at most the number of results that one principal may read at once.",
    )
    graphql_snapshots: int = Field(
        default=4,
        ge=1,
        description="The maximum number of snapshots for such endpoints. Each holds a "
        "connection of its own, and one principal may hold half of them. If none "
        "is left, one endpoint has all rows.",
    )
    graphql_snapshot_seconds: float = Field(
        default=120.0,
        gt=0,
        description="How long such endpoints can be read after GetFlightInfo.",
    )

    # What the Flight service's HTTP side lets through.
    trusted_hosts: list[str] = Field(
        default=[],
        description="Hosts that HTTP requests may name in `Host`, such as `assets.example` or "
        "`*.example`, as a JSON list. Loopback names and the host of "
        "`FRAISEQL_HTTP_URL` are always trusted; `*` trusts any host.",
    )
    http_connections: int = Field(
        default=1000,
        ge=1,
        description="The maximum number of HTTP connections. Requests on further ones get 503.",
    )
    cors_origins: list[str] = Field(
        default=[],
        description="The origins whose web pages may call the HTTP side, such as "
        "`https://app.example`, as a JSON list.",
    )

    # Flight SQL.
    sql: bool = Field(default=True, description="Whether the Flight service answers Flight SQL.")
    sql_timeout_seconds: float = Field(
        default=300.0,
        gt=0,
        description="The time limit for a statement, including the time in which its client "
        "reads the result.",
    )
    sql_memory_bytes: int = Field(
        default=2**30,
        ge=2**20,
        description="How much memory a statement may take in ClickHouse. Sorts and groups use "
        "the disk before they reach this limit. In PostgreSQL each sort may take a "
        "sixteenth of it.",
    )
    sql_connections: int = Field(
        default=16,
        ge=2,
        description="Connections to PostgreSQL that statements share. At most half of them "
        "stream results, and at most half of that half those of one principal.",
    )
    sql_parallel_rows: int = Field(
        default=1_000_000,
        ge=1,
        description="The number of rows from which a statement on the events of ClickHouse is "
        "offered as several endpoints, each with some days.",
    )
    sql_parallel_endpoints: int = Field(
        default=8,
        ge=1,
        description="The maximum number of endpoints of such a statement. With "
        "authentication it is at most `FRAISEQL_PRINCIPAL_STREAMS`.",
    )

    raw_sql: bool = Field(
        default=False,
        description="Whether tickets may contain SQL: the `filter` of `OptimizedView` and "
        "`BulkExport`, and `BatchedQueries`.",
    )
    views: list[str] = Field(
        default=[],
        description="Relations of PostgreSQL that may be read in addition to those of the "
        "compiled schema, such as `analytics.va_orders_daily`, as a JSON list. "
        "Principals that may send SQL read all their columns. A principal with a "
        "tenant reads only its own rows, of relations with a column `tenant_id` or "
        "`org_id`.",
    )

    # Who may call the Flight service.
    jwt_secret: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="The secret that signs clients' tokens (JWT, HS256), 32 characters or "
        "more. Without it, `FRAISEQL_JWT_JWKS` and `FRAISEQL_USERS_FILE` the "
        "Flight service is open to everyone who can reach it.",
    )
    jwt_jwks: str | None = Field(
        default=None,
        description="The public keys of clients' tokens (JWT, RS256 and ES256): a JWKS at an "
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
        description="Whether tokens must expire (`exp`). `false` also accepts tokens that "
        "never expire.",
    )
    users_file: Path | None = Field(
        default=None,
        description="The file of the users who may log in with a password. `fraiseql-assets "
        "users add` writes it.",
    )
    session_secret: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="The secret that signs session tokens and the tickets of endpoints, 32 "
        "characters or more. All processes behind one address need the same. "
        "Unset, it is derived from `FRAISEQL_JWT_SECRET`, or random for each "
        "process if that is unset too.",
    )
    session_seconds: float = Field(
        default=3600.0, ge=1, description="How long a session token of Handshake is valid."
    )
    allow_unauthenticated: bool = Field(
        default=False,
        description="Whether the Flight service may listen without authentication on an "
        "address that other machines can reach. Otherwise it refuses to start.",
    )
    required_scopes: dict[str, str] = Field(
        default={},
        description="Scopes that ticket types and actions require in addition to their own, "
        'such as `{"Search": "search"}`, as a JSON object. They also apply to the '
        "same flights over HTTP.",
    )
    principal_streams: int = Field(
        default=128,
        ge=1,
        description="The maximum number of results that one principal reads at once, over "
        "Flight and HTTP together. Without authentication there is no such limit.",
    )
    flight_token: SecretStr | None = Field(
        default=None,
        description="The token that the command line sends to the Flight service.",
    )

    # TLS of the Flight service, and of the command line as its client.
    tls_certificate: Path | None = Field(
        default=None,
        description="The Flight service's certificate and the certificates of its authorities "
        "(PEM), for addresses with `grpc+tls://` and `https://`.",
    )
    tls_key: Path | None = Field(
        default=None, description="The private key of that certificate (PEM, not encrypted)."
    )
    tls_client_ca: Path | None = Field(
        default=None,
        description="The authorities of clients' certificates (PEM). If it is set, addresses "
        "with TLS accept only clients with a certificate (mutual TLS).",
    )
    flight_ca_file: Path | None = Field(
        default=None,
        description="The authorities that may sign the Flight service's certificate, for the "
        "command line (PEM); unset, the system's.",
    )
    flight_client_certificate: Path | None = Field(
        default=None,
        description="The certificate that the command line presents to the Flight service (PEM).",
    )
    flight_client_key: Path | None = Field(
        default=None, description="The private key of that certificate (PEM)."
    )

    # What the Flight service writes.
    writable: list[str] = Field(
        default=[],
        description="What clients may write to, as a JSON list: `events` for the log, and "
        "tables of `FRAISEQL_DATABASE_URL`, with their schema if it is not on the "
        "search path. If it is empty, nothing can be written.",
    )
    upload_connections: int = Field(
        default=4,
        ge=1,
        description="Connections to PostgreSQL for uploads. Each upload holds one until it ends.",
    )
    exchange_requests: int = Field(
        default=8,
        ge=1,
        description="How many queries and uploads of one DoExchange run at once; further ones "
        "wait. A DoExchange may have the same number of subscriptions; further "
        "ones are refused.",
    )

    # How the Flight service is watched.
    metrics_token: SecretStr | None = Field(
        default=None,
        min_length=16,
        description="The bearer token that `GET /metrics` requires; unset, only clients on the "
        "service's own machine can read metrics.",
    )
    call_log: bool = Field(
        default=True,
        description="Whether the Flight service logs a line for every call.",
    )
    log_format: Literal["text", "json"] = Field(
        default="text",
        description="The format of the Flight service's log: `text`, or `json` with one object "
        "per line.",
    )

    trace_details: bool = Field(
        default=False,
        description="Whether traces contain the subjects of tokens and the text of SQL "
        "statements, which may contain values.",
    )

    health_url: str | None = Field(
        default=None,
        description="The address at which the Flight service serves gRPC's health protocol, "
        "`grpc://host:port`; unset, it is off.",
    )
    ready_requires: list[Dependency] = Field(
        default=[],
        description="The servers without which the Flight service is not ready: `log`, "
        "`analytics`, `operational`, `database`, as a JSON list. While all are "
        "down, it is never ready.",
    )
    drain_seconds: float = Field(
        default=5.0,
        ge=0,
        description="How long running calls may continue after SIGTERM. New calls are refused "
        "meanwhile.",
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
        description="How long the log keeps a message. Older days are rebuilt from the other "
        "plane.",
    )
    stream_max_bytes: int = Field(
        default=-1, ge=-1, description="The maximum size of the log in bytes; -1 means no limit."
    )
    stream_replicas: int = Field(
        default=1, ge=1, le=5, description="Replicas of the streams that `setup` creates."
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
        description="The name under which `bridge` stores its position. Each change log needs "
        "its own.",
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
        description="How often `bridge` looks for new rows if it is not notified.",
    )
    bridge_rows: int = Field(
        default=1_000,
        ge=1,
        le=10_000,
        description="The maximum number of rows that `bridge` publishes between two saved "
        "positions.",
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
        description="The maximum number of requests that wait to be published. Further ones "
        "are dropped and counted.",
    )
    request_log_redact: list[str] = Field(
        default=[],
        description="Paths of variables and arguments to redact in addition to what looks like "
        "a secret, such as `input.email` or `*.phone`, as a JSON list.",
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
        description="The prefix of the names of indices, aliases and templates in Elasticsearch.",
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
        description="Replicas of each new day's index in Elasticsearch; unset, one if there is "
        "a second node.",
    )
    elasticsearch_heap: str = Field(
        default="512m",
        pattern=r"^[1-9][0-9]*[mg]$",
        description="The maximum size of the Java heap of the search engine that `dev` starts.",
    )

    clickhouse_external_sources: bool = Field(
        default=False,
        description="Whether statements on the ClickHouse that `dev` starts may read and write "
        "files and other servers (`file`, `url`, `s3`, `remote` and others).",
    )

    # How much at once.
    batch_rows: int = Field(
        default=10_000, ge=1, description="Messages decoded together, and rows per Arrow batch."
    )
    range_messages: int = Field(
        default=500_000,
        ge=1,
        description="The largest range of the log that is committed at once, in messages.",
    )
    batch_bytes: int = Field(
        default=16 * 2**20,
        ge=2**16,
        description="The maximum number of bytes of messages decoded together.",
    )
    block_rows: int = Field(default=100_000, ge=1, description="Rows per INSERT into ClickHouse.")
    block_bytes: int = Field(
        default=64 * 2**20,
        ge=2**20,
        description="The size of a block in bytes of Arrow at which it ends, even if it has "
        "fewer rows than `FRAISEQL_BLOCK_ROWS`.",
    )
    bulk_bytes: int = Field(
        default=8 * 2**20, ge=2**16, description="Bytes per `_bulk` request to Elasticsearch."
    )
    queue_batches: int = Field(
        default=8,
        ge=1,
        description="The maximum number of decoded batches that wait to be written. If the "
        "queue is full, decoding pauses.",
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
        description="How long a run continues while messages arrive.",
    )
    run_quiet_seconds: float = Field(
        default=20.0,
        gt=0,
        description="How long the log may be quiet before a run ends.",
    )
    run_history_days: int = Field(
        default=7,
        ge=1,
        description="How long Dagster keeps runs that have ended. The run that last "
        "materialised each partition is always kept.",
    )
    tick_history_hours: float = Field(
        default=1.0,
        gt=0,
        description="How long Dagster keeps ticks of sensors that requested nothing.",
    )
    start_sensors: bool = Field(
        default=False,
        description="Whether sensors and schedules run from the start. Otherwise, start them "
        "in Dagster's UI. `fraiseql-assets dev` sets it.",
    )
    source_url: str | None = Field(
        default=None,
        description="The address of this project's files at a Git host, such as "
        "`https://github.com/acme/fraiseql-assets/tree/main`. Dagster's UI then "
        "links each asset to its code; otherwise it shows the file and line.",
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
        default=30, ge=1, description="Days that GraphQL requests are kept, also in the log."
    )
    retention_aggregate_days: int = Field(
        default=120, ge=1, description="Days that aggregates are kept."
    )
    request_timeout_seconds: float = Field(
        default=60.0, gt=0, description="The time limit for one request of a run to a plane."
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

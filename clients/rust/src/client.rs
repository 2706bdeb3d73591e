use arrow_array::RecordBatch;
use arrow_flight::FlightClient;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use serde_json::{Map, Value, json};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint as Address};

use crate::writing::{self, Written};
use crate::{Error, Flight, Position, Result, Tail};

/// How to connect. What is not set comes from the environment.
#[derive(Debug, Clone, Default)]
pub struct Connect {
    /// `grpc://host:port` or `grpc+tls://host:port`; else `FRAISEQL_FLIGHT_URL`, or this machine.
    pub url: Option<String>,
    /// Else `FRAISEQL_FLIGHT_TOKEN`.
    pub token: Option<String>,
    /// The certificate authority in PEM; else the file that `FRAISEQL_FLIGHT_CA_FILE` names,
    /// or the authorities that this machine trusts.
    pub tls_ca: Option<Vec<u8>>,
}

/// Asks the service. Clones share its connection.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    token: Option<String>,
}

impl Client {
    /// Connects as the environment says.
    pub async fn from_env() -> Result<Self> {
        Self::connect(Connect::default()).await
    }

    /// Connects.
    pub async fn connect(how: Connect) -> Result<Self> {
        let url = how
            .url
            .or_else(|| variable("FRAISEQL_FLIGHT_URL"))
            .unwrap_or_else(|| "grpc://127.0.0.1:50051".into());
        let (is_tls, rest) = match url.split_once("://") {
            Some(("grpc" | "grpc+tcp" | "http", rest)) => (false, rest),
            Some(("grpc+tls" | "https", rest)) => (true, rest),
            _ => {
                return Err(Error::InvalidRequest(format!(
                    "{url} is no address. Write grpc://host:port or grpc+tls://host:port."
                )));
            }
        };
        let silent = |error: tonic::transport::Error| {
            let reason = innermost(&error);
            Error::Unavailable(if reason.contains("certificate") {
                format!(
                    "The certificate of {url} is not trusted ({reason}). Set \
                     FRAISEQL_FLIGHT_CA_FILE to the file of its certificate authority."
                )
            } else {
                format!("No service answers at {url} ({reason}). Start it, or set FRAISEQL_FLIGHT_URL.")
            })
        };
        let scheme = if is_tls { "https" } else { "http" };
        let mut address = Address::from_shared(format!("{scheme}://{rest}"))
            .map_err(|error| Error::InvalidRequest(format!("{url} is no address: {error}.")))?;
        if is_tls {
            let config = match how.tls_ca.map_or_else(authority, |given| Ok(Some(given)))? {
                Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
                None => ClientTlsConfig::new().with_native_roots(),
            };
            address = address.tls_config(config).map_err(&silent)?;
        }
        let channel = address.connect().await.map_err(&silent)?;
        let token = how.token.or_else(|| variable("FRAISEQL_FLIGHT_TOKEN"));
        Ok(Self { channel, token })
    }

    /// The rows of a GraphQL query.
    pub fn query(&self, query: &str) -> Flight {
        self.query_with(query, json!({}))
    }

    /// The rows of a GraphQL query with variables.
    pub fn query_with(&self, query: &str, variables: Value) -> Flight {
        self.read(json!({"type": "GraphQLQuery", "query": query, "variables": variables}))
    }

    /// The rows of an asset, such as `analytics/events`.
    pub fn read_asset(&self, name: &str) -> Flight {
        self.read(json!({"type": "Asset", "asset": name}))
    }

    /// Events and requests that match; `more` has further fields of the ticket `Search`.
    pub fn search(&self, query: &str, more: Map<String, Value>) -> Flight {
        let mut ticket = more;
        ticket.insert("type".into(), "Search".into());
        ticket.insert("query".into(), query.into());
        self.read(Value::Object(ticket))
    }

    /// The rows of any ticket.
    pub fn read(&self, ticket: Value) -> Flight {
        Flight::new(self.clone(), ticket.to_string())
    }

    /// Publishes events, all batches with the same columns. Sends them again while the service is
    /// unavailable: the log stores no batch twice.
    pub async fn write(&self, batches: &[RecordBatch]) -> Result<Written> {
        writing::write(self, batches).await
    }

    /// New events, all or of one type: from now on, or from a position on.
    pub async fn follow(&self, entity_type: Option<&str>, after: Option<Position>) -> Result<Tail> {
        Tail::begin(self.clone(), entity_type.map(str::to_owned), after).await
    }

    /// A client of Flight SQL on the same connection.
    pub fn sql(&self) -> FlightSqlServiceClient<Channel> {
        let inner = FlightServiceClient::new(self.channel.clone());
        let mut sql = FlightSqlServiceClient::new_from_inner(inner);
        if let Some(token) = &self.token {
            sql.set_token(token.clone());
        }
        sql
    }

    /// Arrow's own client on the same connection, with the token.
    pub fn arrow(&self) -> Result<FlightClient> {
        let mut client = FlightClient::new(self.channel.clone());
        if let Some(token) = &self.token {
            client
                .add_header("authorization", &format!("Bearer {token}"))
                .map_err(|_| Error::Unauthenticated("The token is no valid header.".into()))?;
        }
        Ok(client)
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn authority() -> Result<Option<Vec<u8>>> {
    let Some(path) = variable("FRAISEQL_FLIGHT_CA_FILE") else { return Ok(None) };
    std::fs::read(&path)
        .map(Some)
        .map_err(|error| Error::InvalidRequest(format!("FRAISEQL_FLIGHT_CA_FILE, {path}: {error}.")))
}

fn innermost(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => innermost(source),
        None => error.to_string(),
    }
}

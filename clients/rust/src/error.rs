//! What can go wrong, and what to do.

use arrow_flight::error::FlightError;
use tonic::{Code, Status};

pub type Result<T> = std::result::Result<T, Error>;

/// An error of the service, or of the way to it. Its message says what to do.
#[derive(Debug)]
pub enum Error {
    /// A query, a name or another argument is invalid.
    InvalidRequest(String),
    /// No asset, query or view has this name.
    NotFound(String),
    /// The token is missing, expired or of another service.
    Unauthenticated(String),
    /// The token may not read this.
    Forbidden(String),
    /// The service, or a server behind it, does not answer. Asking again may help.
    Unavailable(String),
    /// Fewer rows arrived than were announced.
    Incomplete { arrived: usize, announced: usize },
    /// Anything else.
    Failed(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Unauthenticated(said) => write!(f, "{said} Set FRAISEQL_FLIGHT_TOKEN."),
            Error::Incomplete { arrived, announced } => {
                write!(f, "{arrived} of {announced} announced rows arrived. Read it again.")
            }
            Error::InvalidRequest(said)
            | Error::NotFound(said)
            | Error::Forbidden(said)
            | Error::Unavailable(said)
            | Error::Failed(said) => f.write_str(said),
        }
    }
}

impl std::error::Error for Error {}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let said = sentence(status.message());
        if std::error::Error::source(&status).is_some() {
            // The connection broke: the service did not say this.
            return Error::Unavailable(said);
        }
        match status.code() {
            Code::InvalidArgument | Code::Unimplemented => Error::InvalidRequest(said),
            Code::NotFound => Error::NotFound(said),
            Code::Unauthenticated => Error::Unauthenticated(said),
            Code::PermissionDenied => Error::Forbidden(said),
            Code::Unavailable | Code::DeadlineExceeded => Error::Unavailable(said),
            _ => Error::Failed(said),
        }
    }
}

impl From<FlightError> for Error {
    fn from(error: FlightError) -> Self {
        match error {
            FlightError::Tonic(status) => Error::from(*status),
            other => Error::Failed(other.to_string()),
        }
    }
}

impl From<arrow_schema::ArrowError> for Error {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Error::Failed(error.to_string())
    }
}

/// The service's sentence, without what Arrow adds to it.
fn sentence(message: &str) -> String {
    let said = message.split(". Detail: ").next().unwrap_or(message);
    format!("{}.", said.trim_end_matches('.'))
}

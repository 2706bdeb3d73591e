//! Reads FraiseQL's events, aggregates, search hits and GraphQL results as Arrow, and writes events.
//!
//! ```no_run
//! use fraiseql_client::Client;
//! use futures::TryStreamExt;
//!
//! # async fn rows() -> fraiseql_client::Result<()> {
//! let client = Client::from_env().await?;
//! let mut batches = client.query("{ orders(limit: 3) { id } }").stream().await?;
//! while let Some(batch) = batches.try_next().await? {
//!     println!("{} rows", batch.num_rows());
//! }
//! # Ok(())
//! # }
//! ```

mod client;
mod error;
mod flight;
mod position;
mod tail;
mod writing;

pub use client::{Client, Connect};
pub use error::{Error, Result};
pub use flight::{Endpoint, Flight, Found, complete};
pub use position::Position;
pub use tail::Tail;
pub use writing::Written;

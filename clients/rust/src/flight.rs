use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow_array::RecordBatch;
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use arrow_schema::{Schema, SchemaRef};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use serde_json::Value;

use crate::{Client, Error, Result};

/// A result that was asked for and not yet read.
#[derive(Clone)]
pub struct Flight {
    client: Client,
    ticket: String,
}

/// The schema, the announced number of rows and the endpoints of a result.
pub struct Found {
    pub schema: SchemaRef,
    /// `None` where the service does not know it.
    pub rows: Option<usize>,
    pub endpoints: Vec<Endpoint>,
    /// What the service tells about the result.
    pub about: Value,
}

/// A part of a result, which can be read by itself.
#[derive(Clone)]
pub struct Endpoint {
    client: Client,
    ticket: Ticket,
    /// What the service tells about the part: its partition, and its rows where they are known.
    pub about: Value,
}

impl Flight {
    pub(crate) fn new(client: Client, ticket: String) -> Self {
        Self { client, ticket }
    }

    /// Asks what there is to read.
    pub async fn info(&self) -> Result<Found> {
        let descriptor = FlightDescriptor::new_cmd(self.ticket.clone());
        let info = self.client.arrow()?.get_flight_info(descriptor).await?;
        let about = json(&info.app_metadata);
        let rows = usize::try_from(info.total_records).ok();
        let endpoints = info.endpoint.iter().filter_map(|each| self.endpoint(each)).collect();
        Ok(Found { schema: schema(info)?, rows, endpoints, about })
    }

    /// The rows as they arrive, in the service's order, in bounded memory.
    ///
    /// # Errors
    /// The last item is `Error::Incomplete`, if fewer rows arrived than were announced.
    pub async fn stream(&self) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let Found { endpoints, rows, .. } = self.info().await?;
        let arrived = Arc::new(AtomicUsize::new(0));
        let counted = arrived.clone();
        let batches = stream::iter(endpoints.into_iter().map(Ok))
            .and_then(|endpoint: Endpoint| async move { endpoint.stream().await })
            .try_flatten()
            .inspect_ok(move |batch| {
                counted.fetch_add(batch.num_rows(), Ordering::Relaxed);
            });
        let end = stream::once(async move { complete(arrived.load(Ordering::Relaxed), rows) })
            .filter_map(|checked| ready(checked.err().map(Err)));
        Ok(batches.chain(end).boxed())
    }

    /// All rows, from `parallel` endpoints at once, in the service's order.
    ///
    /// # Errors
    /// `Error::Incomplete`, if fewer rows arrived than were announced.
    pub async fn read_all(&self, parallel: usize) -> Result<(SchemaRef, Vec<RecordBatch>)> {
        let found = self.info().await?;
        let parts: Vec<Vec<RecordBatch>> = stream::iter(found.endpoints)
            .map(|endpoint| tokio::spawn(async move { endpoint.stream().await?.try_collect().await }))
            .buffered(parallel.max(1))
            .map(|joined| joined.map_err(|error| Error::Failed(error.to_string()))?)
            .try_collect()
            .await?;
        let batches = parts.concat();
        complete(batches.iter().map(RecordBatch::num_rows).sum(), found.rows)?;
        Ok((found.schema, batches))
    }

    fn endpoint(&self, given: &FlightEndpoint) -> Option<Endpoint> {
        Some(Endpoint {
            client: self.client.clone(),
            ticket: given.ticket.clone()?,
            about: json(&given.app_metadata),
        })
    }
}

impl Endpoint {
    /// The part's rows as they arrive.
    pub async fn stream(&self) -> Result<BoxStream<'static, Result<RecordBatch>>> {
        let stream = self.client.arrow()?.do_get(self.ticket.clone()).await?;
        Ok(stream.map_err(Error::from).boxed())
    }
}

/// Refuses a short result. More rows than announced may come: events arrive meanwhile.
pub fn complete(arrived: usize, announced: Option<usize>) -> Result<()> {
    match announced {
        Some(announced) if arrived < announced => Err(Error::Incomplete { arrived, announced }),
        _ => Ok(()),
    }
}

fn schema(info: FlightInfo) -> Result<SchemaRef> {
    Ok(Arc::new(Schema::try_from(info)?))
}

fn json(metadata: &Bytes) -> Value {
    serde_json::from_slice(metadata).unwrap_or(Value::Null)
}

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::{FlightDescriptor, PutResult};
use futures::{TryStreamExt, stream};
use serde_json::Value;

use crate::{Client, Error, Result};

const ATTEMPTS: u32 = 3;

/// What the service has stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    pub rows: u64,
    /// How many messages the log had already, and did not store again.
    pub duplicates: u64,
    /// The messages of the log that hold the events.
    pub first_sequence: u64,
    pub last_sequence: u64,
}

/// Publishes events. The log stores no batch twice that is sent again.
pub(crate) async fn write(client: &Client, batches: &[RecordBatch]) -> Result<Written> {
    let mut attempt = 0;
    loop {
        match once(client, batches).await {
            Err(Error::Unavailable(_)) if attempt < ATTEMPTS => attempt += 1,
            done => return done,
        }
        tokio::time::sleep(Duration::from_millis(200 << attempt)).await;
    }
}

async fn once(client: &Client, batches: &[RecordBatch]) -> Result<Written> {
    let data = FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(FlightDescriptor::new_path(vec!["events".into()])))
        .build(stream::iter(batches.to_vec().into_iter().map(Ok)));
    let receipts: Vec<PutResult> = client.arrow()?.do_put(data).await?.try_collect().await?;
    // The last receipt is the sum of all.
    let last = receipts.last().map(|receipt| receipt.app_metadata.as_ref()).unwrap_or_default();
    let told: Value = serde_json::from_slice(last)
        .map_err(|_| Error::Failed("The service confirmed nothing.".into()))?;
    let number = |name: &str| told[name].as_u64().unwrap_or(0);
    Ok(Written {
        rows: number("rows"),
        duplicates: number("duplicates"),
        first_sequence: number("first_sequence"),
        last_sequence: number("last_sequence"),
    })
}

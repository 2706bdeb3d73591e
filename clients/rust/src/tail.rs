use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_select::filter::filter_record_batch;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use serde_json::json;

use crate::{Client, Error, Position, Result};

const LOG: &str = "stream/events";
const ATTEMPTS: u32 = 5;

/// New events in the log's order, each once.
///
/// If the connection breaks it connects again, and goes on with the next event.
pub struct Tail {
    client: Client,
    entity_type: Option<String>,
    position: Position,
    batches: BoxStream<'static, Result<RecordBatch>>,
}

impl Tail {
    pub(crate) async fn begin(
        client: Client,
        entity_type: Option<String>,
        after: Option<Position>,
    ) -> Result<Self> {
        let position = match after {
            Some(given) => given,
            None => Position { sequence: head(&client).await?, row: u32::MAX },
        };
        let batches = opened(&client, &entity_type, after).await?;
        Ok(Self { client, entity_type, position, batches })
    }

    /// Where it stands: pass it to [`Client::follow`] to go on in another process.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The next events. Waits for them.
    pub async fn next(&mut self) -> Result<RecordBatch> {
        loop {
            match self.batches.try_next().await {
                Ok(Some(batch)) => {
                    let new = self.position.after(&batch)?;
                    if let Some(last) = Position::of_last(&new) {
                        self.position = last;
                        return Ok(new);
                    }
                }
                // The service ends its streams when it stops.
                Ok(None) | Err(Error::Unavailable(_)) => self.reopen().await?,
                Err(error) => return Err(error),
            }
        }
    }

    async fn reopen(&mut self) -> Result<()> {
        let mut attempt = 0;
        loop {
            tokio::time::sleep(Duration::from_millis(200 << attempt)).await;
            match opened(&self.client, &self.entity_type, Some(self.position)).await {
                Err(Error::Unavailable(_)) if attempt < ATTEMPTS => attempt += 1,
                opened => {
                    self.batches = opened?;
                    return Ok(());
                }
            }
        }
    }
}

/// The tail, and before it what the log holds from a position on. The tail begins first, so that
/// nothing is missed in between; some events come from both.
async fn opened(
    client: &Client,
    entity_type: &Option<String>,
    after: Option<Position>,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let ticket = json!({"type": "Tail", "entity_type": entity_type});
    let following = client.arrow()?.do_get(arrow_flight::Ticket::new(ticket.to_string())).await?;
    let following = following.map_err(Error::from).boxed();
    let Some(position) = after else { return Ok(following) };
    let mut missed = Vec::new();
    for endpoint in client.read_asset(LOG).info().await?.endpoints {
        if endpoint.about["last_sequence"].as_u64() >= Some(position.sequence) {
            missed.push(endpoint);
        }
    }
    let wanted = entity_type.clone();
    let missed = stream::iter(missed.into_iter().map(Ok))
        .and_then(|endpoint| async move { endpoint.stream().await })
        .try_flatten()
        .and_then(move |batch| {
            let wanted = wanted.clone();
            async move { of_type(batch, wanted.as_deref()) }
        });
    Ok(missed.chain(following).boxed())
}

fn of_type(batch: RecordBatch, wanted: Option<&str>) -> Result<RecordBatch> {
    let Some(wanted) = wanted else { return Ok(batch) };
    let types = batch["entity_type"].as_string::<i32>();
    let is_wanted = types.iter().map(|each| Some(each == Some(wanted))).collect();
    Ok(filter_record_batch(&batch, &is_wanted)?)
}

async fn head(client: &Client) -> Result<u64> {
    let about = client.read_asset(LOG).info().await?.about;
    Ok(about["last_sequence"].as_u64().unwrap_or(0))
}

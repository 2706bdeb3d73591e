use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_flight::Ticket;
use arrow_flight::decode::{DecodedFlightData, DecodedPayload, FlightDataDecoder};
use futures::TryStreamExt;
use serde_json::{Value, json};

use crate::{Client, Error, Position, Result};

const LOG: &str = "stream/events";
/// How often it tries to connect again: for about a minute.
const ATTEMPTS: u32 = 15;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// New events in the log's order, each once.
///
/// If the connection breaks it connects again, and goes on with the next event.
pub struct Tail {
    client: Client,
    entity_type: Option<String>,
    position: Option<Position>,
    messages: FlightDataDecoder,
}

impl Tail {
    pub(crate) async fn begin(
        client: Client,
        entity_type: Option<String>,
        after: Option<Position>,
    ) -> Result<Self> {
        let position = match after {
            Some(given) => Some(given),
            None => head(&client).await?,
        };
        let messages = opened(&client, &entity_type, position).await?;
        Ok(Self { client, entity_type, position, messages })
    }

    /// Where it stands: pass it to [`Client::follow`] to go on in another process. `None` where the
    /// token may not know how far the log reaches, until the first events have come.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// The next events. Waits for them.
    pub async fn next(&mut self) -> Result<RecordBatch> {
        loop {
            match self.messages.try_next().await.map_err(Error::from) {
                Ok(Some(DecodedFlightData { inner, payload })) => {
                    let DecodedPayload::RecordBatch(batch) = payload else { continue };
                    // Events that the service left out need not be looked at again.
                    let told = Position::told(&inner.app_metadata);
                    self.position = told.or(Position::of_last(&batch)).or(self.position);
                    if batch.num_rows() > 0 {
                        return Ok(batch);
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
            tokio::time::sleep(Duration::from_millis(200 << attempt).min(LONGEST_PAUSE)).await;
            match opened(&self.client, &self.entity_type, self.position).await {
                Err(Error::Unavailable(_)) if attempt < ATTEMPTS => attempt += 1,
                opened => {
                    self.messages = opened?;
                    return Ok(());
                }
            }
        }
    }
}

async fn opened(
    client: &Client,
    entity_type: &Option<String>,
    after: Option<Position>,
) -> Result<FlightDataDecoder> {
    let mut ticket = json!({"type": "Tail", "entity_type": entity_type});
    if let (Some(position), Value::Object(fields)) = (after, &mut ticket) {
        fields.extend(position.next());
    }
    let following = client.arrow()?.do_get(Ticket::new(ticket.to_string())).await?;
    Ok(following.into_inner())
}

/// Where the log ends; `None` of an empty one, and where the token may not know.
async fn head(client: &Client) -> Result<Option<Position>> {
    let about = client.read_asset(LOG).info().await?.about;
    Ok(about["last_sequence"].as_u64().map(Position::whole))
}

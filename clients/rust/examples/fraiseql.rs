//! Reads an asset, runs a query or SQL, searches, writes events and follows the log.
//!
//! ```sh
//! cargo run --example fraiseql -- read analytics/events
//! cargo run --example fraiseql -- query '{ orders(limit: 3) { id totalPrice } }'
//! cargo run --example fraiseql -- sql 'SELECT entity_type, count(*) FROM fraiseql_events GROUP BY 1'
//! cargo run --example fraiseql -- search 'entity_type:Order'
//! cargo run --example fraiseql -- write 3
//! cargo run --example fraiseql -- follow 3
//! cargo run --example fraiseql -- follow 3 1042:0
//! ```

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arrow_array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use fraiseql_client::{Client, Error, Result, complete};
use futures::TryStreamExt;
use serde_json::{Map, json};

const PARALLEL: usize = 4;

#[tokio::main]
async fn main() {
    if let Err(error) = run().await {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

async fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let client = Client::from_env().await?;
    match words[..] {
        ["read", asset] => read(&client, asset).await,
        ["query", query] => query_rows(&client, query).await,
        ["sql", statement] => sql(&client, statement).await,
        ["follow", count] => follow(&client, count, None).await,
        ["follow", count, after] => follow(&client, count, Some(after)).await,
        ["search", text] => search(&client, text).await,
        ["write", count] => write(&client, count).await,
        _ => Err(Error::InvalidRequest(
            "Give one of: read ASSET, query GRAPHQL, sql SELECT, search TEXT, write COUNT, follow \
             COUNT [AFTER]."
                .into(),
        )),
    }
}

/// Reads all endpoints in parallel, batch by batch, and compares with the announced total.
async fn read(client: &Client, asset: &str) -> Result<()> {
    let started = Instant::now();
    let found = client.read_asset(asset).info().await?;
    let parts = found.endpoints.len();
    let counts = futures::stream::iter(found.endpoints.into_iter().map(Ok))
        .map_ok(|endpoint| async move {
            let batches = endpoint.stream().await?;
            batches.try_fold(0, |rows, batch| async move { Ok(rows + batch.num_rows()) }).await
        })
        .try_buffer_unordered(PARALLEL);
    let arrived: usize = counts.try_fold(0, |all, rows| async move { Ok(all + rows) }).await?;
    let announced = found.rows.map_or("unknown".into(), |rows| rows.to_string());
    println!(
        "{asset}: {arrived} rows of {announced} announced, {parts} endpoints, {:.2} s",
        started.elapsed().as_secs_f64()
    );
    complete(arrived, found.rows)
}

async fn query_rows(client: &Client, query: &str) -> Result<()> {
    let mut batches = client.query(query).stream().await?;
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows();
    }
    println!("{rows} rows");
    Ok(())
}

async fn sql(client: &Client, statement: &str) -> Result<()> {
    let mut sql = client.sql();
    let info = sql.execute(statement.into(), None).await?;
    let announced = usize::try_from(info.total_records).ok();
    let mut rows = 0;
    for endpoint in info.endpoint {
        let Some(ticket) = endpoint.ticket else { continue };
        let mut batches = sql.do_get(ticket).await?;
        while let Some(batch) = batches.try_next().await? {
            rows += batch.num_rows();
        }
    }
    println!("{rows} rows");
    complete(rows, announced)
}

async fn search(client: &Client, text: &str) -> Result<()> {
    let (_, batches) = client.search(text, Map::new()).read_all(1).await?;
    let hits: usize = batches.iter().map(|batch| batch.num_rows()).sum();
    println!("{hits} hits");
    Ok(())
}

async fn follow(client: &Client, count: &str, after: Option<&str>) -> Result<()> {
    let wanted = number(count)?;
    let mut tail = client.follow(None, after.map(str::parse).transpose()?).await?;
    println!("following");
    let mut events = 0;
    while events < wanted {
        let batch = tail.next().await?;
        events += batch.num_rows();
        let position = tail.position().map_or("unknown".into(), |at| at.to_string());
        println!("{} events up to {position}", batch.num_rows());
    }
    Ok(())
}

async fn write(client: &Client, count: &str) -> Result<()> {
    let count = number(count)?;
    let written = client.write(&[notes(count)?]).await?;
    println!("{} events written, up to sequence {}", written.rows, written.last_sequence);
    complete(written.rows as usize, Some(count))
}

/// Events to write, with the columns that every event needs.
fn notes(count: usize) -> Result<RecordBatch> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as i64;
    let texts = |text: &dyn Fn(usize) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values((0..count).map(text)))
    };
    let times = TimestampMicrosecondArray::from(vec![now; count]).with_timezone("UTC");
    Ok(RecordBatch::try_from_iter([
        ("event_id", texts(&|number| format!("note-{now}-{number}"))),
        ("event_type", texts(&|_| "INSERT".into())),
        ("entity_type", texts(&|_| "Note".into())),
        ("entity_id", texts(&|number| format!("{number}"))),
        ("timestamp", Arc::new(times)),
        ("data", texts(&|number| json!({"number": number}).to_string())),
    ])?)
}

fn number(text: &str) -> Result<usize> {
    text.parse().map_err(|_| Error::InvalidRequest(format!("{text} is no number of events.")))
}

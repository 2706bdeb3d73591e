//! Reads an asset, runs a query or SQL, follows the log and searches.
//!
//! ```sh
//! cargo run --example fraiseql -- read analytics/events
//! cargo run --example fraiseql -- query '{ orders(limit: 3) { id totalPrice } }'
//! cargo run --example fraiseql -- sql 'SELECT entity_type, count(*) FROM fraiseql_events GROUP BY 1'
//! cargo run --example fraiseql -- follow 3
//! cargo run --example fraiseql -- search 'entity_type:Order'
//! ```

use std::time::Instant;

use fraiseql_client::{Client, Error, Result};
use futures::TryStreamExt;
use serde_json::Map;

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
        _ => Err(Error::InvalidRequest(
            "Give one of: read ASSET, query GRAPHQL, sql SELECT, follow COUNT [AFTER], search TEXT."
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
    match found.rows {
        Some(announced) if arrived < announced => Err(Error::Incomplete { arrived, announced }),
        _ => Ok(()),
    }
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
    let mut rows = 0;
    for endpoint in info.endpoint {
        let Some(ticket) = endpoint.ticket else { continue };
        let mut batches = sql.do_get(ticket).await?;
        while let Some(batch) = batches.try_next().await? {
            rows += batch.num_rows();
        }
    }
    println!("{rows} rows");
    Ok(())
}

async fn follow(client: &Client, count: &str, after: Option<&str>) -> Result<()> {
    let wanted: usize = count
        .parse()
        .map_err(|_| Error::InvalidRequest(format!("{count} is no number of events.")))?;
    let mut tail = client.follow(None, after.map(str::parse).transpose()?).await?;
    println!("following");
    let mut events = 0;
    while events < wanted {
        let batch = tail.next().await?;
        events += batch.num_rows();
        println!("{} events up to {}", batch.num_rows(), tail.position());
    }
    Ok(())
}

async fn search(client: &Client, text: &str) -> Result<()> {
    let (_, batches) = client.search(text, Map::new()).read_all(1).await?;
    let hits: usize = batches.iter().map(|batch| batch.num_rows()).sum();
    println!("{hits} hits");
    Ok(())
}

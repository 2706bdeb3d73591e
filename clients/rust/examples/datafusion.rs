//! SQL in this process over an asset: DataFusion reads each endpoint as a partition, while it arrives.
//!
//! ```sh
//! cargo run --features datafusion --example datafusion -- analytics/events \
//!   'SELECT entity_type, count(*) AS events FROM asset GROUP BY entity_type ORDER BY events DESC'
//! ```

use std::fmt;
use std::sync::Arc;

use arrow_schema::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{SessionConfig, SessionContext};
use fraiseql_client::{Client, Endpoint};
use futures::TryStreamExt;
use futures::stream;

/// An endpoint as a partition of a table.
struct Part {
    schema: SchemaRef,
    endpoint: Endpoint,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part {}", self.endpoint.about["partition"])
    }
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let endpoint = self.endpoint.clone();
        let batches = stream::once(async move { endpoint.stream().await })
            .try_flatten()
            .map_err(|error| DataFusionError::External(Box::new(error)));
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), batches))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [asset, statement] = &arguments[..] else {
        return Err("Give an asset and a SELECT from the table asset.".into());
    };
    let client = Client::from_env().await?;
    let found = client.read_asset(asset).info().await?;
    let part = |endpoint| -> Arc<dyn PartitionStream> {
        Arc::new(Part { schema: found.schema.clone(), endpoint })
    };
    let parts = found.endpoints.iter().cloned().map(part).collect();
    let context = SessionContext::new_with_config(SessionConfig::new());
    let table = StreamingTable::try_new(found.schema.clone(), parts)?;
    context.register_table("asset", Arc::new(table))?;
    context.sql(statement).await?.show().await?;
    Ok(())
}

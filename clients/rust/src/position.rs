use std::fmt;
use std::str::FromStr;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use serde_json::{Map, Value};

use crate::{Error, Result};

/// Where an event stands in the log. It can be stored as text: `1042:0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub sequence: u64,
    /// The row in a message that carries several events.
    pub row: u32,
}

impl Position {
    /// The position behind all rows of a message.
    pub(crate) fn whole(sequence: u64) -> Self {
        Self { sequence, row: u32::MAX }
    }

    /// The position up to which the service has looked, as it tells it beside a batch. Where a large
    /// batch was divided, it tells it beside the last part.
    pub(crate) fn told(about: &[u8]) -> Option<Self> {
        let told: Value = serde_json::from_slice(about).ok()?;
        let next = &told["next"];
        let row = u32::try_from(next["start_row"].as_u64()?).ok()?.checked_sub(1)?;
        Some(Self { sequence: next["start_sequence"].as_u64()?, row })
    }

    /// The position of the last event of a batch; `None` of an empty one.
    pub(crate) fn of_last(batch: &RecordBatch) -> Option<Self> {
        let last = batch.num_rows().checked_sub(1)?;
        let sequences = batch.column_by_name("stream_seq")?.as_primitive_opt::<UInt64Type>()?;
        let rows = batch.column_by_name("stream_row")?.as_primitive_opt::<UInt32Type>()?;
        Some(Self { sequence: sequences.value(last), row: rows.value(last) })
    }

    /// The fields of a ticket that goes on behind it.
    pub(crate) fn next(self) -> Map<String, Value> {
        let mut fields = Map::new();
        match self.row.checked_add(1) {
            Some(row) if self.sequence > 0 => {
                fields.insert("start_sequence".into(), self.sequence.into());
                fields.insert("start_row".into(), row.into());
            }
            _ => {
                fields.insert("start_sequence".into(), (self.sequence + 1).into());
            }
        }
        fields
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, self.row)
    }
}

impl FromStr for Position {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (sequence, row) = text.split_once(':').unwrap_or((text, "0"));
        match (sequence.parse(), row.parse()) {
            (Ok(sequence), Ok(row)) => Ok(Self { sequence, row }),
            _ => Err(Error::InvalidRequest(format!("{text} is no position such as 1042:0."))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_written() {
        let position = Position { sequence: 1042, row: 7 };
        assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
        assert!("later".parse::<Position>().is_err());
    }

    #[test]
    fn a_ticket_goes_on_behind_a_position() {
        let next = |position: Position| Value::Object(position.next()).to_string();
        let inside = Position { sequence: 1042, row: 7 };
        assert_eq!(next(inside), r#"{"start_row":8,"start_sequence":1042}"#);
        assert_eq!(next(Position::whole(1042)), r#"{"start_sequence":1043}"#);
        let about = format!(r#"{{"next": {}}}"#, next(inside));
        assert_eq!(Position::told(about.as_bytes()), Some(inside));
    }
}

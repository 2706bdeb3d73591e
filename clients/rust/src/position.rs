use std::fmt;
use std::str::FromStr;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;

use crate::{Error, Result};

/// Where an event stands in the log. It can be stored as text: `1042:0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub sequence: u64,
    /// The row in a message that carries several events.
    pub row: u32,
}

impl Position {
    /// The position of the last event of a batch; `None` of an empty one.
    pub fn of_last(batch: &RecordBatch) -> Option<Self> {
        let last = batch.num_rows().checked_sub(1)?;
        Some(positions(batch)?.nth(last)?)
    }

    /// The events of a batch that stand behind the position.
    pub(crate) fn after(self, batch: &RecordBatch) -> Result<RecordBatch> {
        let Some(found) = positions(batch) else {
            return Err(Error::Failed("The events have no stream_seq and stream_row.".into()));
        };
        let is_new: BooleanArray = found.map(|each| Some(each > self)).collect();
        Ok(filter_record_batch(batch, &is_new)?)
    }
}

fn positions(batch: &RecordBatch) -> Option<impl Iterator<Item = Position> + '_> {
    let sequences = batch.column_by_name("stream_seq")?.as_primitive_opt::<UInt64Type>()?;
    let rows = batch.column_by_name("stream_row")?.as_primitive_opt::<UInt32Type>()?;
    let pairs = sequences.values().iter().zip(rows.values().iter());
    Some(pairs.map(|(&sequence, &row)| Position { sequence, row }))
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
    fn positions_are_ordered_by_sequence_then_row() {
        let at = |sequence, row| Position { sequence, row };
        assert!(at(1, 9) < at(2, 0) && at(2, 0) < at(2, 1));
    }
}

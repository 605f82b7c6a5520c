//! redb alone: the limit of a bulk ingest.

use std::path::Path;

use cpu_time::ProcessTime;
use redb::{Database, ReadableDatabase, ReadableTableMetadata, TableDefinition};

const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

/// CPU seconds to put rows, sorted by key, into one table of a new file, in one durable transaction.
///
/// # Errors
///
/// If the file cannot be written, or does not have all of the rows in the end.
pub(crate) fn cpu(rows: &[(Vec<u8>, Vec<u8>)], file: &Path) -> Result<f64, String> {
    let taken = write(rows, file).map_err(|err| err.to_string())?;
    let (Taken { cpu, len }, expected) = (taken, rows.len() as u64);
    if len == expected { Ok(cpu) } else { Err(format!("{len} rows are in the file, not {expected}")) }
}

struct Taken {
    cpu: f64,
    len: u64,
}

fn write(rows: &[(Vec<u8>, Vec<u8>)], file: &Path) -> Result<Taken, redb::Error> {
    let database = Database::create(file)?;
    let before = ProcessTime::now();
    let transaction = database.begin_write()?;
    let mut table = transaction.open_table(ROWS)?;
    for (key, value) in rows {
        table.insert(key.as_slice(), value.as_slice())?;
    }
    drop(table);
    transaction.commit()?;
    let cpu = before.elapsed().as_secs_f64();
    let len = database.begin_read()?.open_table(ROWS)?.len()?;
    Ok(Taken { cpu, len })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_rows_are_written_and_a_row_that_is_there_twice_is_found_out() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let row = |key: u8| (vec![key], vec![key; 20]);
        let rows: Vec<_> = (0..100).map(row).collect();
        assert!(cpu(&rows, &folder.path().join("all")).expect("the file can be written") > 0.0);
        assert!(cpu(&[row(1), row(1)], &folder.path().join("twice")).is_err());
    }
}

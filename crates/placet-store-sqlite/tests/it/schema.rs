//! The tables, as SQLite's own catalogue tells them.

use placet_store::rows::{Kind, TABLES};
use placet_store_sqlite::SqliteStore;
use rusqlite::Connection;
use tempfile::TempDir;

#[test]
fn the_file_has_the_tables_that_every_store_has() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("placet.db");
    drop(SqliteStore::open(&path).unwrap());
    let mut expected: Vec<String> = TABLES.iter().map(ToString::to_string).collect();
    // Where this one keeps what would be too long for its rows.
    expected.push("piece(iid Integer, kind Integer, seq Integer, part Integer, data Bytes)".to_owned());
    expected.sort();
    assert_eq!(catalogue(&Connection::open(&path).unwrap()), expected);
}

fn catalogue(connection: &Connection) -> Vec<String> {
    let mut tables = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").unwrap();
    let names = tables.query_map([], |row| row.get(0)).unwrap();
    let described = names.map(|name: rusqlite::Result<String>| {
        let name = name.unwrap();
        let mut columns = connection.prepare(&format!("PRAGMA table_info({name})")).unwrap();
        let columns = columns.query_map([], |row| {
            let kind = match row.get::<_, String>(2)?.as_str() {
                "INTEGER" => Kind::Integer,
                "TEXT" => Kind::Text,
                "BLOB" => Kind::Bytes,
                other => panic!("{name} has a column of type {other}"),
            };
            let (column, not_null): (String, bool) = (row.get(1)?, row.get(3)?);
            Ok(format!("{column} {kind:?}{}", if not_null { "" } else { "?" }))
        });
        let columns: Vec<String> = columns.unwrap().map(Result::unwrap).collect();
        format!("{name}({})", columns.join(", "))
    });
    described.collect()
}

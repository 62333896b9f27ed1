//! The tables that every store has, each with its columns, once. A store writes them in its own dialect; its
//! schema test reads the engine's catalogue and compares it with [`TABLES`], so that no store forgets a column.
//!
//! Every row that a decision rests on has a checksum (`crc`) over all of its columns, which the store computes when
//! it writes and compares when it reads: a damaged page is an error, never a wrong decision (P1, P9).

use std::fmt;

/// What a column holds. The engine's own type may be narrower (PostgreSQL has integers of several widths).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A whole number of up to 64 bits; a time in microseconds; a truth as 0 or 1.
    Integer,
    /// UTF-8, compared byte by byte.
    Text,
    /// Bytes, unread.
    Bytes,
}

/// A column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may be absent.
    pub nullable: bool,
}

/// A table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// Its columns, in order.
    pub columns: &'static [Column],
}

/// All tables, by name.
pub const TABLES: &[Table] = &[
    Table { name: "activity", columns: &[integer("iid"), integer("seq"), integer("crc"), bytes("data")] },
    // Published rows of which the index of terms tells something else than they do, and what it tells.
    Table { name: "behind", columns: &[integer("row"), nullable(bytes("terms"))] },
    Table {
        name: "entry",
        columns: &[
            integer("row"),
            integer("hub"),
            integer("part"),
            integer("number"),
            bytes("link"),
            text("owner"),
            integer("owner_sum"),
            integer("crc"),
            bytes("said"),
        ],
    },
    Table {
        name: "history",
        columns: &[integer("iid"), integer("turn"), integer("count"), integer("crc"), bytes("events")],
    },
    Table { name: "hub", columns: &[integer("hub"), text("name")] },
    Table { name: "inbox", columns: &[integer("iid"), integer("seq"), integer("crc"), bytes("data")] },
    Table {
        name: "instance",
        columns: &[
            integer("iid"),
            integer("hub"),
            text("id"),
            text("name"),
            integer("status"),
            integer("active"),
            integer("created_at"),
            integer("updated_at"),
            nullable(integer("completed_at")),
            integer("crc"),
            bytes("body"),
        ],
    },
    Table { name: "meta", columns: &[text("key"), integer("value")] },
    // An index: where the entries of a chain are.
    Table { name: "placed", columns: &[integer("hub"), integer("part"), integer("number"), integer("row")] },
    Table {
        name: "published",
        columns: &[
            integer("row"),
            integer("hub"),
            text("kind"),
            text("key"),
            integer("crc"),
            bytes("body"),
            // The id of the instance that published it last, if that is not the key.
            nullable(text("owner")),
            nullable(bytes("terms")),
        ],
    },
    Table {
        name: "record",
        columns: &[
            integer("hub"),
            text("kind"),
            text("key"),
            integer("version"),
            nullable(integer("expires_at")),
            integer("crc"),
            bytes("body"),
        ],
    },
    Table {
        name: "reply",
        columns: &[integer("iid"), text("ask_id"), integer("crc"), nullable(text("answer")), integer("turn")],
    },
    // How many instances of a hub have each status: kept with every batch, so that nobody has to count. No decision rests on it.
    Table { name: "tally", columns: &[integer("hub"), integer("status"), integer("count")] },
    // An index: what it says of a row holds if the row says so.
    Table { name: "term", columns: &[integer("hub"), text("kind"), text("text"), integer("place"), integer("row")] },
    Table {
        name: "timer",
        columns: &[integer("fire_at"), integer("iid"), integer("seq"), integer("part"), integer("crc")],
    },
];

const fn integer(name: &'static str) -> Column {
    Column { name, kind: Kind::Integer, nullable: false }
}

const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text, nullable: false }
}

const fn bytes(name: &'static str) -> Column {
    Column { name, kind: Kind::Bytes, nullable: false }
}

const fn nullable(column: Column) -> Column {
    Column { nullable: true, ..column }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Column { name, kind, nullable } = self;
        write!(f, "{name} {kind:?}{}", if *nullable { "?" } else { "" })
    }
}

impl fmt::Display for Table {
    /// One line a table, in the form that a schema test makes of its engine's catalogue.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<String> = self.columns.iter().map(Column::to_string).collect();
        write!(f, "{}({})", self.name, columns.join(", "))
    }
}

//! The figures, for people: lines on stdout as they come, and `bench/RESULTS.md`.
#![expect(clippy::print_stdout, reason = "what a benchmark says is its output")]

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;

use crate::machine::Machine;

/// Where the written results go.
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");

/// Figures on one subject.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    /// What is meant, above the tables.
    pub(crate) about: String,
    pub(crate) tables: Vec<Table>,
}

/// A table; its rows are printed as they come.
#[derive(Debug)]
pub(crate) struct Table {
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
}

/// How wide the first column is on stdout, and the others at least.
const WIDTH_FIRST: usize = 32;
const WIDTH: usize = 8;

impl Table {
    pub(crate) fn new(columns: &'static [&'static str]) -> Table {
        let table = Table { columns, rows: Vec::new() };
        let head: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        println!("\n{}", table.aligned(&head));
        table
    }

    /// # Panics
    /// If there are not as many cells as columns.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        assert_eq!(cells.len(), self.columns.len(), "a cell for each column");
        println!("{}", self.aligned(&cells));
        self.rows.push(cells);
    }

    fn aligned(&self, cells: &[String]) -> String {
        let mut line = String::new();
        for (at, (cell, column)) in cells.iter().zip(self.columns).enumerate() {
            if at == 0 {
                write!(line, "{cell:<WIDTH_FIRST$}").expect("a string takes all");
            } else {
                write!(line, "  {cell:>width$}", width = column.chars().count().max(WIDTH))
                    .expect("a string takes all");
            }
        }
        line
    }

    fn markdown(&self, text: &mut String) {
        let mut row = |cells: Vec<&str>| writeln!(text, "| {} |", cells.join(" | ")).expect("a string takes all");
        row(self.columns.to_vec());
        row((0..self.columns.len()).map(|at| if at == 0 { "---" } else { "---:" }).collect());
        for cells in &self.rows {
            row(cells.iter().map(String::as_str).collect());
        }
    }
}

impl Section {
    fn markdown(&self) -> String {
        let mut text = format!("{}\n\n", self.about.trim());
        for table in &self.tables {
            table.markdown(&mut text);
            text.push('\n');
        }
        text
    }
}

pub(crate) fn machine(machine: &Machine) {
    println!("{}", describe(machine));
    if !machine.has_real_disk() {
        println!("This file system is in memory: a sync costs nothing there, and the figures mean little.");
    }
}

/// Says what is measured next.
pub(crate) fn begin(title: &str) {
    println!("\n── {title}");
}

fn describe(machine: &Machine) -> String {
    let or_unknown = |known: Option<String>| known.unwrap_or_else(|| "unknown".to_owned());
    format!(
        "Machine: {} cores, {} GiB of memory; file system {}; 4 KiB appended and synced in {} ms (p50), {} ms (p99); \
         load before the run {}.",
        machine.cores,
        or_unknown(machine.memory_gib.map(|gib| gib.to_string())),
        or_unknown(machine.file_system.clone()),
        ms(machine.sync[0]),
        ms(machine.sync[1]),
        or_unknown(machine.load.map(|load| format!("{load:.1}"))),
    )
}

/// Writes these sections into `bench/RESULTS.md`; those that are not among them stay, and so does what people wrote
/// below the mark. `order` has the titles of all that there can be.
pub(crate) fn write(machine: &Machine, order: &[&str], sections: &[Section]) -> Result<()> {
    let written = std::fs::read_to_string(RESULTS).unwrap_or_default();
    std::fs::write(RESULTS, merged(&written, &describe(machine), order, sections))?;
    println!("\nwritten to {RESULTS}");
    Ok(())
}

fn merged(written: &str, machine: &str, order: &[&str], sections: &[Section]) -> String {
    let (generated, notes) = written.split_once(MARK).unwrap_or((written, "\n"));
    let mut text = String::from(HEAD);
    for title in order {
        let old = || {
            let (_, rest) = generated.split_once(&format!("\n## {title}\n\n"))?;
            let end = rest.find("\n## ").map_or(rest.len(), |end| end + 1);
            Some(rest[..end].trim_end().to_owned() + "\n\n")
        };
        let new = sections.iter().find(|section| section.title == *title);
        if let Some(body) = new.map(|section| format!("{machine}\n\n{}", section.markdown())).or_else(old) {
            write!(text, "## {title}\n\n{body}").expect("a string takes all");
        }
    }
    text + MARK + notes
}

pub(crate) fn ms(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}

pub(crate) fn mb(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

/// Below it stands what is written by hand.
const MARK: &str = "<!-- Written by hand from here on. -->";

const HEAD: &str = "# Results

Made by `cargo xtask bench --write` (`--long` for what takes many minutes); how is told in `bench/src/`. Every step is
synced before it is acknowledged, on a fresh data folder. HTTP and gRPC go over real sockets on loopback; server, worker
and callers share the machine's cores.

";

#[cfg(test)]
mod tests {
    use super::*;

    fn section(title: &'static str, about: &str) -> Section {
        Section { title, about: about.to_owned(), tables: Vec::new() }
    }

    #[test]
    fn what_was_not_measured_again_stays_and_so_does_what_people_wrote() {
        let order = ["A", "B", "C"];
        let first = merged("", "Machine: 1.", &order, &[section("A", "a1"), section("C", "c1")]);
        let second = merged(&(first + "Notes.\n"), "Machine: 2.", &order, &[section("B", "b2"), section("C", "c2")]);
        let body = second.strip_prefix(HEAD).unwrap();
        let expected = "## A\n\nMachine: 1.\n\na1\n\n## B\n\nMachine: 2.\n\nb2\n\n## C\n\nMachine: 2.\n\nc2\n\n";
        assert_eq!(body, format!("{expected}{MARK}\nNotes.\n"));
    }
}

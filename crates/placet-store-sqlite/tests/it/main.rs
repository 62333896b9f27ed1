//! The embedded store, from outside: the contract, the schema, what it does with files that are not right.
#![expect(clippy::unwrap_used, reason = "what a test did not expect fails it")]

mod child;
mod contract;
mod damage;
mod data_of_earlier_releases;
mod disk;
mod durability;
mod files;
mod opening;
mod schema;

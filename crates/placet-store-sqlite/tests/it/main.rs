//! The embedded store, from outside: the contract, the schema, what it does with files that are not right.

mod contract;
mod data_of_earlier_releases;
mod durability;
mod files;
mod opening;
mod schema;

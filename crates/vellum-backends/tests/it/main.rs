//! What the adapters show from outside: the conformance suite of their port, and what only a real disk
//! has, such as links, damage and other processes.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod buckets;
mod dialect;
mod faults;
mod faulty;
mod folder;
mod identity;
mod identity_azure;
mod identity_gcs;
mod mlflow;
mod servers;
mod site;
mod sqlite;
mod tei;
mod web;

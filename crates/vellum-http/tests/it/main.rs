//! The server without a socket, on the in-memory peers of the ports.
//!
//! [`api`]: every route as data; [`events`]: what buckets tell; [`gate`]: who may call; [`stream`]: server-sent events; [`pages`]: the
//! console; [`limits`]: what happens under load and on a panic; [`contract`]: the OpenAPI snapshot and
//! the JSON names that clients rely on.

#![expect(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

mod api;
mod contract;
mod datasets;
mod events;
mod gate;
mod limits;
mod pages;
mod spy;
mod stream;
mod versions;
mod world;

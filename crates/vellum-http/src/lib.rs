//! The public contract: JSON API below `/api/v1`, console at `/`, health and metrics.
//!
//! ```text
//! request -> prefix -> headers, metrics, span, panic -> gate (who may) -> time limit -> route -> vellum-rag
//! ```
//!
//! - [`wire`]: the JSON types, also what the CLI prints and its remote client reads.
//! - [`problem`]: errors as problem+json.
//! - [`guard`]: hosts, origins, tokens; handlers turn what it found into a `Pass`.
//! - [`router()`] makes the routes without a socket; [`serve()`] puts them on one.
//!
//! Architecture invariants: handlers call `vellum-rag`, never a port; every route is in one table (see
//! `router`), and what the table does not name as a read needs the right to change; every page is
//! escaped by its template; links are relative, so that all of it works below a prefix.

mod api;
mod console;
mod extract;
mod gate;
pub mod guard;
mod metrics;
mod openapi;
pub mod problem;
mod router;
mod serve;
mod server;
mod status;
pub mod wire;

pub use console::utc;
pub use guard::{Guard, Secret};
pub use openapi::openapi_json;
pub use problem::Problem;
pub use router::{router, routes};
pub use serve::serve;
pub use server::State;

//! The product over in-memory ports: ingest, retrieval and answers as users meet them.

mod answer;
mod faults;
mod ingest;
mod world;

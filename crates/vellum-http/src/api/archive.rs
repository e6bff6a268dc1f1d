//! `GET /api/v1/collections/{name}/export` and `POST /api/v1/import`.

use crate::extract::{Caller, Json, Path, Query};
use crate::problem::Problem;
use crate::server::{Server, Work};
use crate::wire::{ImportReport, ImportRequest};
use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use serde::Deserialize;
use std::io::{self, Write};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use utoipa::IntoParams;
use vellum_core::access::{Pass, Verb};
use vellum_core::ids::CollectionName;
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::archive::{self, Originals};

/// Bytes handed to the connection at a time.
const FRAME: usize = 64 << 10;
/// Frames that wait for the connection.
const FRAMES: usize = 4;

/// What of a collection is exported.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportQuery {
    /// Whether the documents themselves are in the file.
    #[serde(default = "yes")]
    #[param(default = true)]
    originals: bool,
}

fn yes() -> bool {
    true
}

/// Streams a collection as one file. A reader that gets no seal at its end has no whole file.
#[utoipa::path(
    get, path = "/api/v1/collections/{name}/export", tag = "collections",
    params(("name" = String, Path), ExportQuery),
    responses(
        (status = 200, description = "The file", content_type = "application/zstd"),
        (status = "default", body = Problem)
    )
)]
pub(crate) async fn export(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Path(name): Path<String>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let name: CollectionName = name.parse()?;
    let pass = Pass::grant(&principal, &name, Verb::Read)?;
    let permit = server.permit(Work::Original)?;
    let originals = if query.originals { Originals::With } else { Originals::Without };
    let (frames, mut received) = mpsc::channel(FRAMES);
    let app = server.app.clone();
    let work = tokio::spawn(async move {
        let out = Frames { frames, pending: Vec::with_capacity(FRAME) };
        archive::export(&app, &pass, originals, out, &|_| {}).await.map(drop)
    });
    // What fails before the first byte is answered as a problem.
    let Some(first) = received.recv().await else {
        work.await.map_err(|error| {
            Error::new(ErrorKind::Internal, "the export panicked").with_source(error)
        })??;
        return Err(Error::new(ErrorKind::Internal, "the export is empty").into());
    };
    let body = stream::unfold((Some(first), received, Some(work)), move |state| {
        let _held = &permit;
        next_frame(state)
    });
    let headers = [
        (header::CONTENT_TYPE, "application/zstd".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.vellum\"")),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// What is left to be sent: the first frame, those to come, and the export that makes them.
type Unsent = (Option<Bytes>, mpsc::Receiver<Bytes>, Option<JoinHandle<Result<()>>>);

/// Returns the next frame; at the end, the failure of the export, which breaks the answer off.
async fn next_frame((first, mut received, work): Unsent) -> Option<(io::Result<Bytes>, Unsent)> {
    let frame = match first {
        Some(first) => Some(first),
        None => received.recv().await,
    };
    if let Some(frame) = frame {
        return Some((Ok(frame), (None, received, work)));
    }
    match work?.await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            let message = error.full_message();
            tracing::warn!(message, "an export broke off");
            Some((Err(io::Error::other(message)), (None, received, None)))
        }
        Err(error) => Some((Err(io::Error::other(error)), (None, received, None))),
    }
}

/// Hands what is written on as frames. Blocks while the connection is slow.
struct Frames {
    frames: mpsc::Sender<Bytes>,
    pending: Vec<u8>,
}

impl Frames {
    fn send(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let frame = std::mem::replace(&mut self.pending, Vec::with_capacity(FRAME));
        let gone =
            |_| io::Error::new(io::ErrorKind::BrokenPipe, "the reader of the export is gone");
        self.frames.blocking_send(frame.into()).map_err(gone)
    }
}

impl Write for Frames {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= FRAME {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

/// Makes a collection of an exported file; answers when it is there. A caller that goes away ends the import, and nothing of
/// it is seen.
#[utoipa::path(
    post, path = "/api/v1/import", tag = "collections", request_body = ImportRequest,
    responses((status = 200, body = ImportReport), (status = "default", body = Problem))
)]
pub(crate) async fn import(
    State(server): State<Arc<Server>>,
    Caller(principal): Caller,
    Json(request): Json<ImportRequest>,
) -> Result<axum::Json<ImportReport>, Problem> {
    let _permit = server.permit(Work::Original)?;
    // Who may not write to a collection that the caller names may not look into files either.
    if let Some(name) = &request.collection {
        Pass::grant(&principal, name, Verb::Write)?;
    }
    let opened = archive::open(request.file.into()).await?;
    let name = request.collection.unwrap_or_else(|| opened.manifest().collection.clone());
    let pass = Pass::grant(&principal, &name, Verb::Write)?;
    let imported = archive::import(&server.app, &pass, opened, &|_| {}).await?;
    Ok(axum::Json(imported.into()))
}

//! Puts the router on a socket.

use crate::router::router_until;
use crate::server::State;
use axum::serve::ListenerExt;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use vellum_core::{Error, Result};

/// Time that requests in flight get to end after the shutdown began.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves until `shutdown` completes; then accepts nothing more, ends the streams, lets requests in flight
/// end for up to ten seconds, and returns.
///
/// # Errors
/// `Io` when the listener fails.
pub async fn serve(
    listener: TcpListener,
    state: State,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let (close, closing) = watch::channel(false);
    let router = router_until(state, closing.clone());
    // Answers are written whole, so waiting to fill a packet only adds delay.
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
    });
    let closed = async move {
        shutdown.await;
        // Fails only without receivers, and then nothing is left to end.
        let _ = close.send(true);
    };
    let serving = axum::serve(listener, router).with_graceful_shutdown(closed);
    let patience = async {
        let mut closing = closing;
        let _ = closing.wait_for(|closing| *closing).await;
        tokio::time::sleep(PATIENCE).await;
    };
    tokio::select! {
        served = serving.into_future() => served.map_err(|error| Error::io("serve", error)),
        () = patience => {
            tracing::warn!("requests in flight were cut off after {} s", PATIENCE.as_secs());
            Ok(())
        }
    }
}

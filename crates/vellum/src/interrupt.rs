//! Ctrl-C, noticed whenever it is pressed.
//!
//! A future of `tokio::signal::ctrl_c` learns only of what is pressed after it was made, so one that is made anew for
//! each turn of a loop misses what falls between two turns.

use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Listens as long as it lives.
pub(crate) struct Interrupts {
    pressed: Arc<Notify>,
    listener: JoinHandle<()>,
}

impl Interrupts {
    pub(crate) fn listen() -> Self {
        let pressed = Arc::new(Notify::new());
        let notify = Arc::clone(&pressed);
        let listener = tokio::spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                notify.notify_one();
            }
        });
        Self { pressed, listener }
    }

    /// Returns once Ctrl-C was pressed since the last return, or since this began to listen.
    pub(crate) async fn next(&self) {
        self.pressed.notified().await;
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

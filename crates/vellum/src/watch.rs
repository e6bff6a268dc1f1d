//! Notices changes below a source.
//!
//! Editors save by renaming and writing in bursts, so a change in a folder is reported once it has been quiet for a
//! moment. A full comparison is due from time to time besides, because not every file system tells, and buckets do not.

use crate::interrupt::Interrupts;
use notify::{RecursiveMode, Watcher};
use std::time::Duration;
use tokio::sync::mpsc;
use vellum_backends::{is_remote, local_path};
use vellum_core::{Error, ErrorKind, Result};

/// Quiet time after the last change.
const QUIET: Duration = Duration::from_millis(700);
/// Longest time that constant change can put off a comparison.
const LONGEST_BURST: Duration = Duration::from_secs(10);

/// Changes below a source, as they happen.
pub(crate) struct Changes {
    /// Signals of a folder, and what gives them until it is dropped.
    watched: Option<(mpsc::Receiver<()>, notify::RecommendedWatcher)>,
    interrupts: Interrupts,
    rescan: Duration,
}

impl Changes {
    /// Starts watching a resolved source.
    ///
    /// # Errors
    /// `Unsupported` when the system cannot watch it, say because its limit of watches is reached.
    pub(crate) fn of(source: &str, rescan_s: u64) -> Result<Self> {
        let (interrupts, rescan) = (Interrupts::listen(), Duration::from_secs(rescan_s.max(1)));
        if is_remote(source) {
            return Ok(Self { watched: None, interrupts, rescan });
        }
        let path = local_path(source)?;
        // One waiting signal is enough: whatever comes in meanwhile is part of the same comparison.
        let (signal, changed) = mpsc::channel(1);
        let failed = |error: notify::Error| {
            Error::new(ErrorKind::Unsupported, format!("watch `{}`", path.display()))
                .with_source(error)
                .with_hint("on Linux raise fs.inotify.max_user_watches, or ingest without watching")
        };
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                if event.map_or(true, |event| !event.kind.is_access()) {
                    let _ = signal.try_send(());
                }
            })
            .map_err(failed)?;
        watcher.watch(&path, RecursiveMode::Recursive).map_err(failed)?;
        Ok(Self { watched: Some((changed, watcher)), interrupts, rescan })
    }

    /// Returns when a comparison is due: after a change that has settled, or after the rescan time.
    /// `false` when interrupted (Ctrl-C).
    pub(crate) async fn next(&mut self) -> bool {
        let changed = async {
            match &mut self.watched {
                Some((changed, _)) => settled(changed).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep(self.rescan) => {}
            () = self.interrupts.next() => return false,
        }
        true
    }
}

/// Returns after a change, once it has been quiet for a moment.
async fn settled(changed: &mut mpsc::Receiver<()>) {
    let _ = changed.recv().await;
    let quiet = async { while tokio::time::timeout(QUIET, changed.recv()).await.is_ok() {} };
    let _ = tokio::time::timeout(LONGEST_BURST, quiet).await;
}

//! Credentials while they hold: found once, kept until shortly before they end, and found anew when a service says that
//! they ended earlier.

use crate::client::{Answer, Client, Refusal, Tries};
use async_trait::async_trait;
use reqwest::RequestBuilder;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Mutex;
use vellum_core::Result;

/// How long credentials are used at most; temporary ones are mostly issued for an hour.
const KEEP: Duration = Duration::from_secs(40 * 60);
/// How long before their end they are fetched anew, and how long they are used in any case.
const AHEAD: Duration = Duration::from_secs(5 * 60);
const LEAST: Duration = Duration::from_secs(60);

/// Knows where credentials come from.
#[async_trait]
pub(crate) trait Finder: std::fmt::Debug + Send + Sync {
    /// What requests are signed with.
    type Credentials: Send + Sync;

    /// Returns credentials; `None` to send requests unsigned.
    ///
    /// # Errors
    /// `Invalid` when what is configured cannot be read, `Unauthenticated` when none are given for it.
    async fn find(&self, client: &Client) -> Result<Option<Found<Self::Credentials>>>;

    /// Returns whether a refusal says that the credentials ended.
    fn is_over(&self, refusal: &Refusal) -> bool;
}

/// Credentials that were found.
pub(crate) struct Found<C> {
    pub(crate) credentials: C,
    /// When they end, in milliseconds since 1970, if that is known.
    pub(crate) expires: Option<i64>,
}

impl<C> Found<C> {
    /// Returns credentials that end so many seconds from now.
    pub(crate) fn lasting(credentials: C, seconds: i64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        let end = now.saturating_add(seconds.saturating_mul(1_000));
        Self { credentials, expires: Some(end) }
    }
}

impl<C> From<C> for Found<C> {
    fn from(credentials: C) -> Self {
        Self { credentials, expires: None }
    }
}

/// Gives credentials, and keeps them while they hold.
pub(crate) struct Keeper<F: Finder> {
    finder: F,
    known: Mutex<Option<Known<F::Credentials>>>,
}

struct Known<C> {
    /// Unset: nobody.
    credentials: Option<Arc<C>>,
    until: Instant,
}

impl<F: Finder> std::fmt::Debug for Keeper<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What is known is secret.
        f.debug_struct("Keeper").field("finder", &self.finder).finish_non_exhaustive()
    }
}

impl<F: Finder> Keeper<F> {
    pub(crate) fn new(finder: F) -> Self {
        Self { finder, known: Mutex::new(None) }
    }

    /// Returns whether no credentials were found.
    pub(crate) fn is_anonymous(&self) -> bool {
        self.known
            .try_lock()
            .is_ok_and(|known| known.as_ref().is_some_and(|known| known.credentials.is_none()))
    }

    /// Returns the credentials; `None` to send requests unsigned.
    ///
    /// # Errors
    /// As [`Finder::find`].
    pub(crate) async fn get(&self, client: &Client) -> Result<Option<Arc<F::Credentials>>> {
        let mut known = self.known.lock().await;
        if let Some(Known { credentials, until }) = &*known
            && Instant::now() < *until
        {
            return Ok(credentials.clone());
        }
        let found = self.finder.find(client).await?;
        let expires = found.as_ref().and_then(|found| found.expires);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let until = Instant::now() + kept(expires, now);
        let credentials = found.map(|found| Arc::new(found.credentials));
        *known = Some(Known { credentials: credentials.clone(), until });
        Ok(credentials)
    }

    /// Forgets credentials that ended earlier than was known, unless others are known already.
    async fn forget(&self, ended: Option<&Arc<F::Credentials>>) {
        let mut known = self.known.lock().await;
        let current = known.as_ref().and_then(|known| known.credentials.as_ref());
        if current.is_some_and(|current| ended.is_some_and(|ended| Arc::ptr_eq(current, ended))) {
            *known = None;
        }
    }

    /// Sends what `request` makes of the credentials, and once more when they just ended.
    ///
    /// # Errors
    /// As [`Tries::send`] and [`Finder::find`].
    pub(crate) async fn send(
        &self,
        client: &Client,
        tries: &mut Tries<'_>,
        request: impl Fn(&reqwest::Client, Option<&F::Credentials>) -> RequestBuilder + Send + Sync,
    ) -> Result<Answer> {
        let credentials = self.get(client).await?;
        let answer = tries.send(|http| request(http, credentials.as_deref())).await?;
        if !answer.as_ref().is_err_and(|refusal| self.finder.is_over(refusal)) {
            return Ok(answer);
        }
        self.forget(credentials.as_ref()).await;
        let credentials = self.get(client).await?;
        tries.send(|http| request(http, credentials.as_deref())).await
    }
}

/// Returns how long credentials are used that end at `expires` when it is `now`.
fn kept(expires: Option<i64>, now: Duration) -> Duration {
    let Some(expires) = expires else { return KEEP };
    let expires = Duration::from_millis(u64::try_from(expires).unwrap_or_default());
    expires.saturating_sub(now + AHEAD).clamp(LEAST, KEEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_used_until_shortly_before_they_end() {
        let now = Duration::from_secs(1_000_000);
        let ends_in = |seconds: i64| kept(Some((1_000_000 + seconds) * 1_000), now).as_secs();
        assert_eq!(kept(None, now), KEEP);
        assert_eq!((ends_in(15 * 60), ends_in(6 * 3600)), (10 * 60, KEEP.as_secs()));
        assert_eq!((ends_in(30), ends_in(-30)), (LEAST.as_secs(), LEAST.as_secs()));
    }
}

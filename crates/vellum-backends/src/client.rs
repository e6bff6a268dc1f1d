//! The one policy under which anything outside is called over HTTP: deadlines, retries under a budget, a breaker.
//!
//! A call is tried until it gives an answer that is not the server's trouble, or until its deadline. Between tries it
//! waits: as long as the server asks, else exponentially with full jitter. Retries of all calls of a client share
//! one budget (a fifth of the calls and ten a second, as in Linkerd and Finagle), so that an outage is never amplified; a
//! call that finds it empty waits for its turn. After [`BREAK_AFTER`] failures in a row nothing is sent for
//! [`BREAK_FOR`], then one call tries the way.
//!
//! A body that is read in pieces ([`Tries`]) has its deadline anew with every [`LEAST_PROGRESS`] bytes that arrive, so
//! a long one may take long, and one that creeps ends.

use reqwest::{RequestBuilder, Response, StatusCode, header};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use vellum_core::{Error, ErrorKind, Result};

/// Time for a connection, and for each piece of an answer.
const CONNECT: Duration = Duration::from_secs(5);
const READ: Duration = Duration::from_secs(30);
/// How long work in the background tries before it gives up.
pub(crate) const PATIENTLY: Duration = Duration::from_secs(120);
/// The same while a person waits for the first word of a service.
pub(crate) const PROMPTLY: Duration = Duration::from_secs(8);
/// How long a service is waited for that may not be there.
pub(crate) const PERHAPS: Duration = Duration::from_secs(1);
/// First and longest wait between two tries.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// Retries that a call adds to the budget, retries that a second adds, and the most that are saved up.
const RETRIES_PER_CALL: f64 = 0.2;
const RETRIES_PER_SECOND: f64 = 10.0;
const SAVED_RETRIES: f64 = 100.0;
/// Failures in a row that open the breaker, and how long it stays open.
const BREAK_AFTER: u32 = 8;
const BREAK_FOR: Duration = Duration::from_secs(1);
/// Longest wait for the budget or the breaker before looking again.
const TURN: Duration = Duration::from_millis(50);
/// Bytes that have to arrive within one deadline: 546 a second of [`PATIENTLY`].
const LEAST_PROGRESS: u64 = 64 << 10;
/// How much of an answer that is an error is read.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Calls one service.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    retries: f64,
    filled: Instant,
    failures: u32,
    /// Until when nothing is sent.
    open_until: Option<Instant>,
}

/// An answer that is no success: status, where it leads, and the first of its body.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) location: Option<String>,
    pub(crate) body: String,
}

/// What came of a call: an answer, or a refusal that trying again would not change.
pub(crate) type Answer = std::result::Result<Response, Refusal>;

impl Client {
    /// Returns a client.
    ///
    /// # Errors
    /// When the system's certificates cannot be used.
    pub fn new() -> Result<Self> {
        Ok(Self::over(built(builder())?))
    }

    /// Returns a client that sends through `http`, which comes from [`builder`].
    pub(crate) fn over(http: reqwest::Client) -> Self {
        let state = State {
            retries: SAVED_RETRIES / 10.0,
            filled: Instant::now(),
            failures: 0,
            open_until: None,
        };
        Self { http, state: Mutex::new(state) }
    }

    /// Sends what `request` makes, for as long as `patience` again where that can help; `operation` names the call in
    /// errors.
    ///
    /// # Errors
    /// `Unavailable` when that time has passed; the last failure is named in it.
    pub(crate) async fn call(
        &self,
        operation: &str,
        patience: Duration,
        request: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Answer> {
        self.tries(operation, patience).send(request).await
    }

    /// Begins the tries of a call whose answer is read in pieces: see [`Tries`].
    pub(crate) fn tries<'a>(&'a self, operation: &'a str, patience: Duration) -> Tries<'a> {
        self.state().retries += RETRIES_PER_CALL;
        Tries {
            client: self,
            operation,
            patience,
            began: Instant::now(),
            arrived: 0,
            n_failed: 0,
            n_in_a_row: 0,
            last: None,
            wait: None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn succeeded(&self) {
        let mut state = self.state();
        (state.failures, state.open_until) = (0, None);
    }

    /// Takes the right to send, a retry's share of the budget included.
    fn may_send(&self, is_retry: bool) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        let since = now.duration_since(state.filled).as_secs_f64();
        state.filled = now;
        state.retries = (state.retries + since * RETRIES_PER_SECOND).min(SAVED_RETRIES);
        if state.open_until.is_some_and(|until| now < until) || is_retry && state.retries < 1.0 {
            return false;
        }
        if state.open_until.is_some() {
            // One call tries the way; the others wait for what it finds.
            state.open_until = Some(now + BREAK_FOR);
        }
        if is_retry {
            state.retries -= 1.0;
        }
        true
    }
}

/// Returns the client for services of this machine or container, which are never asked through a proxy and may not be there.
///
/// # Errors
/// As [`built`].
pub(crate) fn near() -> Result<Client> {
    let builder = builder().no_proxy().connect_timeout(PERHAPS).read_timeout(PROMPTLY);
    Ok(Client::over(built(builder)?))
}

/// Returns what clients are built from.
pub(crate) fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .read_timeout(READ)
        // An address is what it was configured to be, and credentials go nowhere else.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("vellum/", env!("CARGO_PKG_VERSION")))
}

/// Returns the client.
///
/// # Errors
/// When the system's certificates cannot be used.
pub(crate) fn built(builder: reqwest::ClientBuilder) -> Result<reqwest::Client> {
    builder.build().map_err(|error| {
        Error::new(ErrorKind::Unavailable, "cannot set up an HTTP client").with_source(error)
    })
}

/// Why a connection must not be made: what resolves names says so, and trying again cannot help.
#[derive(Debug)]
pub(crate) struct NotAllowed(pub(crate) String);

impl std::fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotAllowed {}

/// The tries of one call.
pub(crate) struct Tries<'a> {
    client: &'a Client,
    operation: &'a str,
    patience: Duration,
    /// When the call began, or last got on.
    began: Instant,
    /// Bytes since then.
    arrived: u64,
    n_failed: u32,
    /// The same since the call last got on.
    n_in_a_row: u32,
    last: Option<String>,
    wait: Option<Duration>,
}

impl Tries<'_> {
    /// Sends what `request` makes until there is an answer.
    ///
    /// # Errors
    /// `Unavailable` when the deadline passed, `Forbidden` for an address that must not be called.
    pub(crate) async fn send(
        &mut self,
        request: impl Fn(&reqwest::Client) -> RequestBuilder,
    ) -> Result<Answer> {
        loop {
            self.turn().await?;
            match request(&self.client.http).send().await {
                Ok(response) if response.status().is_success() => {
                    self.client.succeeded();
                    return Ok(Ok(response));
                }
                Ok(response) => {
                    let status = response.status();
                    let wait = retry_after(&response);
                    // Some servers write it in letters of their own.
                    let location = response.headers().get(header::LOCATION);
                    let location =
                        location.map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
                    let body = start_of(response).await;
                    if !is_passing(status) {
                        self.client.succeeded();
                        return Ok(Err(Refusal { status, location, body }));
                    }
                    self.failed(format!("the answer was {status}"), wait);
                }
                Err(error) => match not_allowed(&error) {
                    Some(why) => return Err(Error::new(ErrorKind::Forbidden, &why.0)),
                    None => self.failed(told(&error), None),
                },
            }
        }
    }

    /// Waits until the next try may be sent.
    ///
    /// # Errors
    /// `Unavailable` when the deadline passed.
    pub(crate) async fn turn(&mut self) -> Result<()> {
        if let Some(wait) = self.wait.take() {
            tokio::time::sleep(wait).await;
        }
        loop {
            self.in_time()?;
            if self.client.may_send(self.n_failed > 0) {
                return Ok(());
            }
            tokio::time::sleep(TURN).await;
        }
    }

    /// Notes that a try failed, and for how long the server wants peace.
    pub(crate) fn failed(&mut self, why: String, wait: Option<Duration>) {
        tracing::debug!(operation = self.operation, why, "a call failed");
        {
            let mut state = self.client.state();
            state.failures += 1;
            if state.failures >= BREAK_AFTER {
                state.open_until = Some(Instant::now() + BREAK_FOR);
            }
        }
        let most = FIRST_WAIT.saturating_mul(1 << self.n_in_a_row.min(16)).min(LONGEST_WAIT);
        self.wait = Some(wait.unwrap_or_else(|| most.mul_f64(fastrand::f64())));
        self.n_failed += 1;
        self.n_in_a_row += 1;
        self.last = Some(why);
    }

    /// Notes that `n` bytes arrived which had not before; enough of them renew the deadline.
    ///
    /// # Errors
    /// `Unavailable` when the deadline passed.
    pub(crate) fn got_on(&mut self, n: u64) -> Result<()> {
        self.client.succeeded();
        self.arrived += n;
        if self.arrived >= LEAST_PROGRESS {
            (self.began, self.arrived, self.n_in_a_row) = (Instant::now(), 0, 0);
        }
        self.in_time()
    }

    fn in_time(&self) -> Result<()> {
        if self.began.elapsed() <= self.patience {
            return Ok(());
        }
        let (seconds, tries) = (self.patience.as_secs(), self.n_failed);
        let why = self.last.as_deref().unwrap_or("it was not its turn");
        let what = match (self.arrived, tries) {
            (0, _) => format!("no success in {seconds} s and {tries} tries; last: {why}"),
            (n, 0) => format!("only {n} bytes arrived in {seconds} s"),
            (n, _) => {
                format!("only {n} bytes arrived in {seconds} s and {tries} tries; last: {why}")
            }
        };
        Err(Error::new(ErrorKind::Unavailable, format!("{}: {what}", self.operation))
            .with_hint("check that the service runs and can be reached from here"))
    }
}

/// Returns whether a status tells of trouble that passes.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds =
        response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

async fn start_of(mut response: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        body.extend_from_slice(&piece[..piece.len().min(MAX_ERROR_BYTES - body.len())]);
        if body.len() == MAX_ERROR_BYTES {
            break;
        }
    }
    String::from_utf8_lossy(&body).into_owned()
}

/// Returns why a connection was not made, if a rule of ours was in its way.
fn not_allowed(error: &reqwest::Error) -> Option<&NotAllowed> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(why) = error.downcast_ref() {
            return Some(why);
        }
        cause = error.source();
    }
    None
}

/// Tells a failed try in one line, without the address, which may hold a signature.
pub(crate) fn told(error: &reqwest::Error) -> String {
    let mut text = if error.is_connect() {
        "cannot connect".to_owned()
    } else if error.is_timeout() {
        "no answer in time".to_owned()
    } else {
        "the connection broke".to_owned()
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let part = error.to_string();
        if !part.contains("http") && !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Serves `answer(n)` to the n-th request, from 0; returns the address and the count.
    async fn serve(answer: fn(usize) -> &'static str) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap());
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let n = counted.fetch_add(1, Ordering::Relaxed);
                let mut request = [0; 4096];
                let _ = socket.read(&mut request).await;
                let head = answer(n);
                let answer =
                    format!("HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        (address, count)
    }

    #[tokio::test]
    async fn trouble_that_passes_is_waited_for() {
        let answer = |n| if n < 3 { "503 Slow Down" } else { "200 OK" };
        let (address, count) = serve(answer).await;
        let client = Client::new().unwrap();
        let answer = client.call("read", PATIENTLY, |http| http.get(&address)).await.unwrap();
        assert_eq!(answer.unwrap().status(), 200);
        assert_eq!(count.load(Ordering::Relaxed), 4);
    }

    #[tokio::test]
    async fn a_refusal_is_not_repeated() {
        let (address, count) = serve(|_| "403 Forbidden").await;
        let client = Client::new().unwrap();
        let refusal =
            client.call("read", PATIENTLY, |http| http.get(&address)).await.unwrap().unwrap_err();
        assert_eq!((refusal.status.as_u16(), refusal.body.as_str()), (403, "ok"));
        assert_eq!(count.load(Ordering::Relaxed), 1);
    }

    /// R8: retries add at most a fifth and ten a second, and the error tells what was last seen.
    #[tokio::test]
    async fn r8_an_outage_is_not_amplified() {
        let (address, count) = serve(|_| "500 Internal Server Error").await;
        let patience = Duration::from_secs(2);
        let client = Arc::new(Client::new().unwrap());
        let calls = (0..50).map(|_| {
            let (client, address) = (Arc::clone(&client), address.clone());
            tokio::spawn(
                async move { client.call("read", patience, |http| http.get(&address)).await },
            )
        });
        for call in futures::future::join_all(calls).await {
            let error = call.unwrap().unwrap_err();
            assert!(error.message().contains("read: no success in 2 s"), "{error}");
        }
        let sent = count.load(Ordering::Relaxed);
        let budget = 50.0 * (1.0 + RETRIES_PER_CALL) + RETRIES_PER_SECOND * 4.0;
        assert!(sent as f64 <= budget, "{sent} tries");
    }

    /// R8: fifty calls a second while the service is down for `VELLUM_OUTAGE_S` seconds (3), and ten seconds longer.
    #[tokio::test(flavor = "multi_thread")]
    async fn r8_a_service_that_comes_back_is_used_at_once() {
        static IS_DOWN: AtomicBool = AtomicBool::new(true);
        const EVERY: Duration = Duration::from_millis(20);
        const SETTLED: Duration = Duration::from_secs(5);
        let (address, count) = serve(|_| {
            if IS_DOWN.load(Ordering::Relaxed) { "503 Service Unavailable" } else { "200 OK" }
        })
        .await;
        let seconds = std::env::var("VELLUM_OUTAGE_S").map_or(3, |s| s.parse().unwrap());
        let outage = Duration::from_secs(seconds);
        let client = Arc::new(Client::new().unwrap());
        let began = Instant::now();
        let (mut calls, mut during, mut at_one_second) = (Vec::new(), 0, None);
        let mut ticks = tokio::time::interval(EVERY);
        while began.elapsed() < outage + 2 * SETTLED {
            ticks.tick().await;
            let at = began.elapsed();
            if at >= Duration::from_secs(1) {
                at_one_second.get_or_insert_with(|| count.load(Ordering::Relaxed));
            }
            if at >= outage && IS_DOWN.swap(false, Ordering::Relaxed) {
                during = count.load(Ordering::Relaxed);
            }
            let (client, address) = (Arc::clone(&client), address.clone());
            calls.push(tokio::spawn(async move {
                let answer = client.call("read", PROMPTLY, |http| http.get(&address)).await;
                (at, answer.is_ok())
            }));
        }
        let ended: Vec<_> =
            futures::future::join_all(calls).await.into_iter().map(|call| call.unwrap()).collect();
        let asked = ended.iter().filter(|(at, _)| *at < outage).count();
        let after_one_second = during - at_one_second.unwrap();
        let late = ended.iter().filter(|(at, _)| *at >= outage + SETTLED);
        let (n_late, n_good) =
            late.fold((0, 0), |(n, good), (_, is_ok)| (n + 1, good + usize::from(*is_ok)));
        println!(
            "R8: {asked} calls in {seconds} s of outage, {during} tries, {after_one_second} after the first second; \
             {n_good} of {n_late} calls good from 5 s after its end"
        );
        let budget =
            asked as f64 * (1.0 + RETRIES_PER_CALL) + RETRIES_PER_SECOND * outage.as_secs_f64();
        assert!(during as f64 <= budget, "{during} tries of at most {budget}");
        // The breaker lets one call a second try the way, and one that was on its way when it opened.
        assert!(
            after_one_second as u64 <= 2 * seconds,
            "{after_one_second} tries by an open breaker"
        );
        assert!(n_late > 0 && n_good * 100 >= n_late * 95, "{n_good} of {n_late} calls");
    }
}

//! Two bounded queues before a fixed set of workers.
//!
//! ```text
//! call --permit--> [query lane  ] --\
//!                                    >-- worker threads, queries first --> one reply per text
//! call --permit--> [passage lane] --/
//! ```
//!
//! Bounds: `max_calls` calls per lane, refused beyond it; `max_texts` texts per lane, and a larger call
//! feeds its texts as earlier ones are taken, so memory does not grow with the call. A text's place
//! is held by a permit that lives as long as the text waits.
//!
//! A caller that leaves closes its replies; workers skip such texts. Passages may starve while
//! queries saturate every worker: questions are people waiting.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use vellum_core::ports::TextKind;
use vellum_core::vector::Embedding;
use vellum_core::{Error, ErrorKind, Result};

/// What a worker does with one text; made once per worker thread, on that thread.
pub(crate) type Run = Box<dyn FnMut(&str, TextKind) -> Result<Embedding>>;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) workers: usize,
    pub(crate) max_calls: usize,
    pub(crate) max_texts: usize,
}

#[derive(Debug)]
pub(crate) struct Lanes {
    queue: Arc<Queue>,
    queries: Lane,
    passages: Lane,
}

#[derive(Debug)]
struct Lane {
    calls: Semaphore,
    texts: Arc<Semaphore>,
    max_calls: usize,
}

struct Work {
    text: String,
    kind: TextKind,
    reply: oneshot::Sender<Result<Embedding>>,
    place: OwnedSemaphorePermit,
}

#[derive(Default)]
struct State {
    queries: VecDeque<Work>,
    passages: VecDeque<Work>,
    closed: bool,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

impl Lanes {
    /// Starts `limits.workers` threads, each with its own `make()`.
    pub(crate) fn start(
        limits: Limits,
        make: impl Fn() -> Run + Clone + Send + 'static,
    ) -> Result<Self> {
        let lanes =
            Self { queue: Arc::default(), queries: Lane::new(limits), passages: Lane::new(limits) };
        for n in 0..limits.workers {
            let (queue, make) = (Arc::clone(&lanes.queue), make.clone());
            thread::Builder::new()
                .name(format!("embed-{n}"))
                .spawn(move || work(&queue, make()))
                .map_err(|e| Error::io("start an embedding thread", e))?;
        }
        Ok(lanes)
    }

    /// Returns one vector per text, in order; the first failure ends the call and drops the rest.
    pub(crate) async fn run(&self, texts: &[String], kind: TextKind) -> Result<Vec<Embedding>> {
        let lane = match kind {
            TextKind::Query => &self.queries,
            TextKind::Passage => &self.passages,
        };
        let _call = lane.calls.try_acquire().map_err(|_| lane.overloaded())?;
        let mut replies = VecDeque::with_capacity(texts.len().min(lane.max_texts()));
        let mut vectors = Vec::with_capacity(texts.len());
        for text in texts {
            // Without room in the lane, the oldest reply is awaited before the next text is fed.
            let place = loop {
                match Arc::clone(&lane.texts).try_acquire_owned() {
                    Ok(place) => break place,
                    Err(_) => match replies.pop_front() {
                        Some(reply) => vectors.push(answer(reply).await?),
                        None => break lane.place().await?,
                    },
                }
            };
            let (reply, receiver) = oneshot::channel();
            replies.push_back(receiver);
            self.queue.push(Work { text: text.clone(), kind, reply, place });
        }
        for reply in replies {
            vectors.push(answer(reply).await?);
        }
        Ok(vectors)
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.filled.notify_all();
    }
}

impl Lane {
    fn new(limits: Limits) -> Self {
        Self {
            calls: Semaphore::new(limits.max_calls),
            texts: Arc::new(Semaphore::new(limits.max_texts.max(1))),
            max_calls: limits.max_calls,
        }
    }

    fn max_texts(&self) -> usize {
        self.texts.available_permits()
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit> {
        Arc::clone(&self.texts).acquire_owned().await.map_err(|_| stopped())
    }

    fn overloaded(&self) -> Error {
        let n = self.max_calls;
        Error::new(ErrorKind::Overloaded, format!("{n} calls wait for the embedder already"))
            .with_hint("send fewer requests at the same time, or try again in a moment")
    }
}

async fn answer(reply: oneshot::Receiver<Result<Embedding>>) -> Result<Embedding> {
    reply.await.map_err(|_| stopped())?
}

fn stopped() -> Error {
    Error::new(ErrorKind::Unavailable, "the embedder has stopped")
}

impl Queue {
    /// A worker that panicked holds no half-changed state: every change is one push or pop.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, work: Work) {
        let mut state = self.lock();
        match work.kind {
            TextKind::Query => state.queries.push_back(work),
            TextKind::Passage => state.passages.push_back(work),
        }
        drop(state);
        self.filled.notify_one();
    }

    /// Returns the next text whose caller still waits, queries first; `None` once closed.
    fn pop(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            let next = state.queries.pop_front().or_else(|| state.passages.pop_front());
            match next {
                Some(work) if work.reply.is_closed() => {}
                Some(work) => return Some(work),
                None => {
                    state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.lock();
        f.debug_struct("Queue")
            .field("queries", &state.queries.len())
            .field("passages", &state.passages.len())
            .finish()
    }
}

fn work(queue: &Queue, mut run: Run) {
    while let Some(Work { text, kind, reply, place }) = queue.pop() {
        drop(place);
        let result = catch_unwind(AssertUnwindSafe(|| run(&text, kind))).unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Internal, "the embedding model panicked on a text"))
        });
        // The caller may have left meanwhile; then nobody wants the vector.
        let _ = reply.send(result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    const LIMITS: Limits = Limits { workers: 1, max_calls: 2, max_texts: 4 };

    fn texts(of: &[&str]) -> Vec<String> {
        of.iter().map(|s| (*s).to_owned()).collect()
    }

    fn number(text: &str) -> Result<Embedding> {
        let n: f32 = text.parse().map_err(|_| Error::new(ErrorKind::Invalid, "no number"))?;
        Embedding::normalised(vec![1.0, n])
    }

    /// Lanes whose worker tells what it starts and waits for a go per text.
    fn gated() -> (Arc<Lanes>, mpsc::Receiver<String>, mpsc::Sender<()>) {
        let (started, seen) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let lanes = Lanes::start(LIMITS, move || {
            let (started, gate) = (started.clone(), Arc::clone(&gate));
            Box::new(move |text, _| {
                started.send(text.to_owned()).unwrap();
                gate.lock().unwrap().recv().unwrap();
                number(text)
            })
        });
        (Arc::new(lanes.unwrap()), seen, go)
    }

    fn spawn(
        lanes: &Arc<Lanes>,
        of: &[&str],
        kind: TextKind,
    ) -> tokio::task::JoinHandle<Result<Vec<Embedding>>> {
        let (lanes, texts) = (Arc::clone(lanes), texts(of));
        tokio::spawn(async move { lanes.run(&texts, kind).await })
    }

    #[tokio::test]
    async fn order_is_kept_beyond_the_room_of_the_lane() {
        let limits = Limits { workers: 3, ..LIMITS };
        let lanes = Lanes::start(limits, || Box::new(|text, _| number(text))).unwrap();
        let many: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let vectors = lanes.run(&many, TextKind::Passage).await.unwrap();
        let expect: Vec<_> = many.iter().map(|text| number(text).unwrap()).collect();
        assert_eq!(vectors, expect);
        assert!(lanes.run(&[], TextKind::Query).await.unwrap().is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_query_overtakes_waiting_passages() {
        let (lanes, seen, go) = gated();
        let batch = spawn(&lanes, &["1", "2", "3"], TextKind::Passage);
        assert_eq!(seen.recv().unwrap(), "1");
        let query = spawn(&lanes, &["9"], TextKind::Query);
        while lanes.queue.lock().queries.is_empty() {
            tokio::task::yield_now().await;
        }
        (0..4).for_each(|_| go.send(()).unwrap());
        query.await.unwrap().unwrap();
        batch.await.unwrap().unwrap();
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["9", "2", "3"]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn work_of_a_caller_that_left_is_dropped() {
        let (lanes, seen, go) = gated();
        let left = spawn(&lanes, &["1", "2", "3"], TextKind::Passage);
        assert_eq!(seen.recv().unwrap(), "1");
        left.abort();
        left.await.unwrap_err();
        (0..2).for_each(|_| go.send(()).unwrap());
        lanes.run(&texts(&["4"]), TextKind::Passage).await.unwrap();
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["4"]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_call_too_many_is_refused() {
        let (lanes, seen, go) = gated();
        let first = spawn(&lanes, &["1"], TextKind::Query);
        assert_eq!(seen.recv().unwrap(), "1");
        let second = spawn(&lanes, &["2"], TextKind::Query);
        while lanes.queries.calls.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = lanes.run(&texts(&["3"]), TextKind::Query).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Overloaded);
        (0..2).for_each(|_| go.send(()).unwrap());
        first.await.unwrap().unwrap();
        second.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn failure_and_panic_end_the_call_but_not_the_worker() {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        let lanes = Lanes::start(LIMITS, move || {
            let count = Arc::clone(&count);
            Box::new(move |text, _| {
                count.fetch_add(1, Ordering::SeqCst);
                assert_ne!(text, "boom");
                number(text)
            })
        });
        let lanes = lanes.unwrap();
        for (bad, kind) in [("x", ErrorKind::Invalid), ("boom", ErrorKind::Internal)] {
            let error = lanes.run(&texts(&["1", bad, "2"]), TextKind::Passage).await.unwrap_err();
            assert_eq!(error.kind(), kind);
        }
        assert_eq!(lanes.run(&texts(&["1"]), TextKind::Passage).await.unwrap().len(), 1);
        assert!(calls.load(Ordering::SeqCst) >= 5);
    }
}

//! The console on in-memory peers, to look at it without a model or a disk.
//!
//! ```text
//! cargo run -p vellum-http --example demo            # http://127.0.0.1:7118
//! cargo run -p vellum-http --example demo -- TOKEN   # as on a network: asks for the token
//! ```
//!
//! The embedder is a bag of words, so answers are poorer than those of the product. Nothing is kept.

use async_trait::async_trait;
use futures::{StreamExt, stream};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use vellum_core::access::{Pass, Principal, Verb};
use vellum_core::ports::{Clock, ConvertInput, Converter, Parts};
use vellum_core::testing::{
    HashEmbedder, MemoryMetastore, MemoryObjectStore, MemoryVectorStore, PlainConverter,
};
use vellum_core::{Error, Result};
use vellum_http::{Guard, Secret, State, serve};
use vellum_rag::app::{App, Settings};
use vellum_rag::jobs::{self, Jobs};
use vellum_rag::pictures::Pictures;

const ADDRESS: &str = "127.0.0.1:7118";

const HANDBOOK: &str = "Employee handbook\n\nPaid leave\n\nEmployees receive thirty days of paid leave \
    per calendar year. Leave that is not taken by 31 March of the next year expires. Requests are made \
    in the portal at least two weeks ahead, and the team lead answers within three working days.\
    \u{c}Remote work\n\nEmployees may work from home on up to three days a week. A fourth day needs the \
    agreement of the team lead. The company pays for a desk and a chair once every five years.\
    \u{c}Travel\n\nTravel expenses are reimbursed within fourteen days. Receipts are needed above ten \
    euros. Trains are preferred to planes for journeys of less than six hours.";
const VOLCANOES: &str = "Volcanoes erupt when magma rises through cracks in the crust. The gas that is \
    dissolved in magma expands as pressure falls, and drives the eruption.\n\nThe Volcanic Explosivity \
    Index runs from 0 to 8. Each step means about ten times more ejected material.\n\nEtna is the \
    most active volcano of Europe. It stands 3,357 metres above sea level.";
const INVOICE: &str = "Terms of payment: invoices are due within thirty days of receipt. After that, \
    interest of nine percent per year is charged. <b>Questions</b> go to billing@example.org.";

/// Takes as long as a real converter, so that a job's progress can be watched.
struct SlowConverter;

#[async_trait]
impl Converter for SlowConverter {
    fn version(&self) -> &str {
        PlainConverter.version()
    }

    fn parts(&self, input: ConvertInput) -> Parts {
        let wait = tokio::time::sleep(Duration::from_millis(100));
        stream::once(wait).flat_map(move |()| PlainConverter.parts(input.clone())).boxed()
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

struct SystemClock(Instant);

impl Clock for SystemClock {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn unix_ms(&self) -> i64 {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let objects = Arc::new(MemoryObjectStore::default());
    objects.put("mem:///docs/employee%20handbook.txt", HANDBOOK);
    objects.put("mem:///docs/volcanoes.md", VOLCANOES);
    objects.put("mem:///docs/terms%20of%20payment%20%28final%2C%20really%29.txt", INVOICE);
    objects.put("mem:///docs/scan-0031.pdf", b"%PDF-1.7\0".as_slice());
    for n in 0..300 {
        let text = format!("Minutes of meeting {n}. The team met and spoke about item {n}.");
        objects.put(&format!("mem:///minutes/meeting-{n:03}.txt"), text);
    }
    let app = Arc::new(App {
        objects,
        converter: Arc::new(SlowConverter),
        embedder: Arc::new(HashEmbedder::default()),
        earlier_embedders: Vec::new(),
        kept: Arc::<vellum_core::testing::MemoryKeptOriginals>::default(),
        shelf: Arc::<vellum_core::testing::MemoryShelf>::default(),
        vectors: Arc::new(MemoryVectorStore::default()),
        metastore: Arc::new(MemoryMetastore::default()),
        reranker: None,
        converted: None,
        embeddings: None,
        worker: "demo".to_owned(),
        clock: Arc::new(SystemClock(Instant::now())),
        settings: Settings::default(),
        jobs: Jobs::default(),
        pictures: Pictures::default(),
    });
    let collection = "default".parse()?;
    let pass = Pass::grant(&Principal::Owner, &collection, Verb::Write)?;
    let (_, mut progress) = jobs::start(&app, &pass, &jobs::Request::of("docs")).await?;
    let _ = progress.wait_for(|progress| progress.job.state.is_final()).await;

    let guard = match std::env::args().nth(1) {
        Some(token) => Guard::network(Secret::new(token))?,
        None => Guard::loopback(None),
    };
    let listener = tokio::net::TcpListener::bind(ADDRESS)
        .await
        .map_err(|error| Error::io(format!("bind `{ADDRESS}`"), error))?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let state = State { app, guard, base_path: String::new(), version };
    let interrupted = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    serve(listener, state, interrupted).await
}

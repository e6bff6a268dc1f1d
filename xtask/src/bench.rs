//! Builds the release binaries and runs the comparison with peers (see `bench/README.md`).

use crate::run::{cargo, command, root, step};
use anyhow::Result;

pub(crate) fn bench(args: &[String]) -> Result<()> {
    step("release build", &mut cargo(&["build", "--release", "--locked", "-p", "vellum"]))?;
    step(
        "encoder bench",
        &mut cargo(&[
            "build",
            "--release",
            "--locked",
            "-p",
            "vellum-inference",
            "--example",
            "encode_bench",
        ]),
    )?;
    step(
        "parser bench",
        &mut cargo(&[
            "build",
            "--release",
            "--locked",
            "-p",
            "vellum-convert",
            "--example",
            "pages",
            "--bin",
            "vellum-convert-worker",
        ]),
    )?;
    let target = root().join("target");
    let path = |file: &str| target.join(file).to_string_lossy().into_owned();
    step("peers", &mut command("bash", &["bench/setup.sh", &path("bench/venv")]))?;
    let (vellum, encode) = (path("release/vellum"), path("release/examples/encode_bench"));
    let (pages, worker) = (path("release/examples/pages"), path("release/vellum-convert-worker"));
    let (out, table) = (path("bench/results.json"), path("bench/results.md"));
    let mut all = vec!["bench/run.py", "--vellum", &vellum, "--encode-bench", &encode];
    all.extend(["--pages", &pages, "--worker", &worker]);
    all.extend(["--out", &out, "--markdown", &table]);
    all.extend(args.iter().map(String::as_str));
    step("bench", &mut command("python3", &all))
}

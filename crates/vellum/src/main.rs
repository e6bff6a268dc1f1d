//! The human's tool: `vellum up ./docs`, and everything else.
//!
//! `main` reads what was typed, resolves the settings, runs one command and turns what it ended with into
//! an exit status: 0 yes, 1 the answer is no, 2 could not tell. Data goes to stdout, everything
//! else to stderr.

mod args;
mod commands;
mod interrupt;
mod local;
mod print;
mod progress;
mod remote;
mod rss;
mod session;
mod watch;

use args::{Cli, Command};
use clap::Parser;
use print::{EXIT_ERROR, Outcome};
use std::path::PathBuf;
use std::process::ExitCode;
use vellum_core::{Error, ErrorKind, Result};
use vellum_server::config::{self, Resolved, Sources};
use vellum_server::telemetry;

fn main() -> ExitCode {
    tame_allocator();
    match run(Cli::parse()) {
        Ok(Outcome::Yes) => ExitCode::SUCCESS,
        Ok(Outcome::No) => ExitCode::FAILURE,
        Err(error) => {
            print::error(&error);
            ExitCode::from(EXIT_ERROR)
        }
    }
}

fn run(cli: Cli) -> Result<Outcome> {
    if let Command::ConvertWorker = cli.command {
        return commands::convert::worker();
    }
    let settings = resolve(&cli)?;
    telemetry::start(&log_of(&cli.command, &settings.config.log))?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(ErrorKind::Internal, "start the runtime").with_source(error))?
        .block_on(dispatch(cli.command, &settings))
}

/// Returns what a command logs: one that prints how its job ended does not log it as well.
fn log_of(command: &Command, log: &config::Log) -> config::Log {
    let mut log = log.clone();
    if !matches!(command, Command::Up(_) | Command::Serve(_)) {
        log.level = format!("vellum_rag::jobs=off,{}", log.level);
    }
    log
}

/// Keeps the allocator from holding on to what a burst of documents leaves behind.
///
/// glibc gives each thread an arena of its own, and a dozen of them add up to a third of the memory of a long ingest;
/// two are shared. Large blocks go straight back to the system; left alone, glibc raises the limit for that to 32 MiB.
fn tame_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: called first in `main`, before any other thread exists; a refused setting changes nothing.
    #[allow(unsafe_code)]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 256 << 10);
    }
}

async fn dispatch(command: Command, settings: &Resolved) -> Result<Outcome> {
    let config = &settings.config;
    match command {
        Command::Up(args) => commands::up::up(config, args).await,
        Command::Serve(args) => commands::up::serve(config, args).await,
        Command::Ingest(args) => commands::ingest::ingest(config, args).await,
        Command::Search(args) => commands::search::search(config, args).await,
        Command::Ask(args) => commands::ask::ask(config, args).await,
        Command::Convert(args) => commands::convert::convert(config, args).await,
        Command::Eval(args) => commands::eval::eval(config, *args).await,
        Command::Tune(args) => commands::tune::tune(settings, args).await,
        Command::Collection(args) => commands::collection::collection(config, args).await,
        Command::Job(args) => commands::job::job(config, args).await,
        Command::Check(args) => commands::check::check(config, args).await,
        Command::Config(args::Config::Show { json }) => commands::config::show(settings, json.json),
        Command::ConvertWorker => commands::convert::worker(),
    }
}

/// Resolves the settings of what was typed.
fn resolve(cli: &Cli) -> Result<Resolved> {
    let mut flags = Vec::new();
    let mut flag = |path, name, value: &Option<String>| {
        flags.extend(value.clone().map(|value| (path, name, value)));
    };
    flag("data_dir", "data-dir", &cli.global.data_dir);
    flag("log.level", "log", &cli.global.log);
    flag("ingest.password_file", "password-file", &cli.global.password_file);
    match &cli.command {
        Command::Up(args) => {
            flag("server.bind", "bind", &args.serve.bind);
            flag("collection.language", "language", &args.language);
        }
        Command::Serve(args) => flag("server.bind", "bind", &args.bind),
        Command::Ingest(args) => {
            flag("collection.language", "language", &args.language);
            args.split.flags().into_iter().for_each(|(path, name, value)| flag(path, name, value));
        }
        Command::Eval(args) => {
            let args = &args.run;
            flag("collection.language", "language", &args.language);
            args.split.flags().into_iter().for_each(|(path, name, value)| flag(path, name, value));
        }
        Command::Tune(args) => flag("collection.language", "language", &args.language),
        Command::Collection(args::Collection::Create { split, .. }) => {
            split.flags().into_iter().for_each(|(path, name, value)| flag(path, name, value));
        }
        Command::Search(_)
        | Command::Ask(_)
        | Command::Convert(_)
        | Command::Collection(_)
        | Command::Job(_)
        | Command::Check(_)
        | Command::Config(_)
        | Command::ConvertWorker => {}
    }
    let file: Option<PathBuf> = cli.global.config.clone();
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    config::resolve(&Sources { file, environment, flags })
}

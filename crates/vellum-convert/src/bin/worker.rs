//! Converts files in a child process; the pool starts it and speaks to it over stdin and stdout.

use std::process::ExitCode;

fn main() -> ExitCode {
    match vellum_convert::worker_main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

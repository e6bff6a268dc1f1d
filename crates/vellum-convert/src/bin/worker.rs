//! Converts files in a child process; the pool starts it and speaks to it over stdin and stdout.

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match vellum_convert::worker_main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The pool reads it; when that is gone, nobody does.
            let _ = writeln!(std::io::stderr(), "{}", error.full_message());
            ExitCode::FAILURE
        }
    }
}

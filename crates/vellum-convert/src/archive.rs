//! ZIP archives: each member that can be read is a section under its path.
//!
//! Members come in the order of their names, so that the same files packed in another order give the same
//! text. Folders, and what operating systems leave behind, are skipped. Members that cannot be read are
//! named with the reason at the end; an archive without one that can is rejected with the first reason.
//!
//! Bytes are unpacked once and counted over all members and archives inside ([`embedded`]); a name that occurs twice
//! counts twice, so entries that share their bytes gain nothing.

use crate::clean::{characters, collapsed};
use crate::detect::rejected;
use crate::embedded::{self, Unread};
use crate::{Emit, Settings, package::Package};
use vellum_core::Result;
use vellum_core::document::Format;
use vellum_core::ports::ConvertInput;

/// Longest path that is shown, in bytes.
const MAX_PATH: usize = 300;
/// Why an archive is rejected whose every member is; the first reason follows.
const NOTHING: &str = "nothing in the archive can be read: ";

/// Hands on the readable members of `package`.
///
/// # Errors
/// `Rejected` when it is empty, damaged, or no member can be read; the errors of `emit`.
pub(crate) fn convert(mut package: Package, settings: &Settings, emit: Emit<'_>) -> Result<()> {
    let names = package.names()?;
    let mut order: Vec<usize> = (0..names.len()).filter(|&at| !is_noise(&names[at])).collect();
    order.sort_by(|&a, &b| names[a].cmp(&names[b]));
    if order.is_empty() {
        return Err(rejected("the archive is empty"));
    }
    let mut unread = Unread::default();
    let mut n_read = 0;
    for index in order {
        let name = shown(&names[index]);
        let reason = match package.read_index(index) {
            Ok(bytes) => {
                let input = ConvertInput { name: name.clone(), content: bytes.into() };
                embedded::convert(&input, Format::Zip, settings, emit)?
            }
            Err(error) => Some(error.message().to_owned()),
        };
        // Past the budget nothing that follows could be told from a bomb.
        embedded::spend(0)?;
        match reason {
            Some(reason) => unread.add(&name, &reason),
            None => n_read += 1,
        }
    }
    if n_read == 0 {
        let reason = unread.reason.unwrap_or_default();
        // An archive in it has said so already.
        let reason = reason.strip_prefix(NOTHING).unwrap_or(&reason);
        return Err(rejected(format!("{NOTHING}{reason}")));
    }
    unread.note(Format::Zip).map_or(Ok(()), emit)
}

/// Returns whether the member is a folder or a file that no person put there.
fn is_noise(name: &str) -> bool {
    let path = name.trim_end_matches(['/', '\\']);
    let file = path.rsplit(['/', '\\']).next().unwrap_or_default();
    path.len() < name.len()
        || path.split(['/', '\\']).any(|step| matches!(step, "__MACOSX" | ".git" | ".svn"))
        || file.starts_with("._")
        || matches!(file, "" | ".DS_Store" | "Thumbs.db" | "desktop.ini")
}

fn shown(name: &str) -> String {
    let name = collapsed(&characters(name));
    match name.len() {
        0 => "a member without a name".to_owned(),
        n if n > MAX_PATH => format!("…{}", &name[name.ceil_char_boundary(n - MAX_PATH)..]),
        _ => name,
    }
}

//! `vellum config show`: every setting with its value and origin.

use crate::print::{self, Outcome};
use serde_json::json;
use std::collections::BTreeMap;
use vellum_core::Result;
use vellum_server::config::{Origin, Resolved};

pub(crate) fn show(settings: &Resolved, json: bool) -> Result<Outcome> {
    if json {
        let values: BTreeMap<_, _> = settings
            .values
            .iter()
            .map(|(path, (value, origin))| {
                (path, json!({ "value": value, "origin": origin.to_string() }))
            })
            .collect();
        print::json(&values)?;
        return Ok(Outcome::Yes);
    }
    // Valid TOML, top-level keys first, so that it can be saved as a configuration file.
    let (top, sections): (Vec<_>, Vec<_>) =
        settings.values.iter().partition(|(path, _)| !path.contains('.'));
    let mut open = "";
    for (path, (value, origin)) in top.into_iter().chain(sections) {
        let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
        if section != open {
            print::line(format_args!("\n[{section}]"))?;
            open = section;
        }
        let origin =
            if *origin == Origin::Default { String::new() } else { format!("  # {origin}") };
        print::line(format_args!("{key} = {value}{origin}"))?;
    }
    Ok(Outcome::Yes)
}

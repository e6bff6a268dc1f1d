//! The values of each query as comma-separated values (RFC 4180): a line for each query and part, a column for each metric.

use std::collections::BTreeSet;
use std::fmt::Write;
use vellum_rag::eval::experiment::Experiment;

/// Returns the table of an experiment, with a header line. Where a metric means nothing, the field is empty.
pub(super) fn table(experiment: &Experiment) -> String {
    let metrics: BTreeSet<&String> =
        experiment.parts().flat_map(|(_, part)| part.values.keys()).collect();
    let mut text = String::from("part,query_id,query,first_documents");
    for metric in &metrics {
        let _ = write!(text, ",{metric}");
    }
    text.push_str("\r\n");
    for (name, part) in experiment.parts() {
        for (index, query) in experiment.queries.iter().enumerate() {
            let first = part.first.get(index).map(|first| first.join(" ")).unwrap_or_default();
            let _ = write!(
                text,
                "{name},{},{},{}",
                field(&query.id),
                field(&query.text),
                field(&first)
            );
            for metric in &metrics {
                text.push(',');
                let value = part.values.get(*metric).and_then(|values| *values.get(index)?);
                if let Some(value) = value {
                    let _ = write!(text, "{value}");
                }
            }
            text.push_str("\r\n");
        }
    }
    text
}

/// Returns a text as one field.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        for (text, expect) in
            [("a b", "a b"), ("a,b", "\"a,b\""), ("say \"x\"\n", "\"say \"\"x\"\"\n\"")]
        {
            assert_eq!(field(text), expect);
        }
    }
}

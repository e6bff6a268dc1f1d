//! TODO
use vellum_core::{Result, document::Document};
pub(crate) fn convert(_name: &str, _text: &str) -> Result<Document> {
    Err(crate::detect::rejected("csv is not read yet"))
}

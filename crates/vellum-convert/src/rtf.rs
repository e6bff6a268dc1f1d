//! TODO
use vellum_core::{Result, document::Document};
pub(crate) fn convert(_bytes: &[u8]) -> Result<Document> {
    Err(crate::detect::rejected("rtf is not read yet"))
}

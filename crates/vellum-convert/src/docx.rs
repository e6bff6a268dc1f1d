//! TODO
use crate::{Emit, Settings, package::Package};
use vellum_core::{Result, ports::ConvertInput};
pub(crate) fn convert(
    _package: Package,
    _input: &ConvertInput,
    _settings: &Settings,
    _emit: Emit<'_>,
) -> Result<()> {
    Err(crate::detect::rejected("docx is not read yet"))
}

//! TODO
use crate::{Emit, Settings};
use vellum_core::{Result, ports::ConvertInput};
pub(crate) fn convert(_input: &ConvertInput, _settings: &Settings, _emit: Emit<'_>) -> Result<()> {
    Err(crate::detect::rejected("e-mail is not read yet"))
}

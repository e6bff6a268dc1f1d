//! ZIP files: which document format they are, and their members, read within limits.
//!
//! Office documents, OpenDocument, EPUB and plain archives are all ZIP files. A member is unpacked with a
//! limit on its own size, and all members together, those of archives inside included, on what they may
//! unfold to, whatever their headers claim.

use crate::Settings;
use crate::detect::rejected;
use crate::embedded;
use crate::io::ContentReader;
use std::io::{BufReader, Read};
use vellum_core::Result;
use vellum_core::document::Format;
use vellum_core::ports::Content;
use zip::ZipArchive;
use zip::result::ZipError;

/// Most members of a file.
const MAX_MEMBERS: usize = 100_000;

/// An open ZIP file; what it unfolds to is counted by [`embedded`].
pub(crate) struct Package {
    zip: ZipArchive<BufReader<ContentReader>>,
    /// Largest member, in bytes; it is held in memory.
    max_member: u64,
}

impl Package {
    /// Opens `content`.
    ///
    /// # Errors
    /// `Rejected` when it is damaged or has too many members.
    pub(crate) fn open(content: &Content, settings: &Settings) -> Result<Self> {
        let reader = BufReader::new(ContentReader::new(content));
        let zip = ZipArchive::new(reader).map_err(|error| damaged(&error))?;
        if zip.len() > MAX_MEMBERS {
            let message =
                format!("the archive has {} members; the limit is {MAX_MEMBERS}", zip.len());
            return Err(rejected(message));
        }
        Ok(Self { zip, max_member: settings.max_text_bytes as u64 * 4 })
    }

    /// Returns the names of all members, in the order of the file.
    ///
    /// # Errors
    /// `Rejected` when a name cannot be read.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        self.zip
            .file_names()
            .map(|name| Ok(name.map_err(|error| damaged(&error))?.into_owned()))
            .collect()
    }

    /// Returns whether there is a member of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.zip.index_for_name(name).is_some()
    }

    /// Returns the bytes of a member; `None` when there is none of this name.
    ///
    /// # Errors
    /// `Rejected` when it is damaged, encrypted, or unfolds to more than the file may.
    pub(crate) fn read(&mut self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(index) = self.zip.index_for_name(name) else { return Ok(None) };
        self.read_index(index).map(Some)
    }

    /// Returns the bytes of the member at `index` of [`Self::names`].
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn read_index(&mut self, index: usize) -> Result<Vec<u8>> {
        let member = self.zip.by_index(index).map_err(|error| damaged(&error))?;
        let mut bytes = Vec::new();
        let limit = embedded::left().min(self.max_member);
        member.take(limit + 1).read_to_end(&mut bytes).map_err(|error| {
            // What was unpacked before the damage was work as well.
            let spent = embedded::spend(bytes.len() as u64).err();
            spent.unwrap_or_else(|| match error.kind() {
                std::io::ErrorKind::OutOfMemory => {
                    rejected("a part of the file unfolds to more than the memory it may take")
                }
                _ => rejected(format!("the archive is damaged: {error}")),
            })
        })?;
        embedded::spend(bytes.len() as u64)?;
        if bytes.len() as u64 > limit {
            let most = self.max_member >> 20;
            return Err(rejected(format!("a part of the file unfolds to more than {most} MiB")));
        }
        Ok(bytes)
    }
}

fn damaged(error: &ZipError) -> vellum_core::Error {
    match error {
        ZipError::UnsupportedArchive(what) if what.contains("Password") => {
            rejected("the file is password-protected")
        }
        error => rejected(format!("the archive is damaged: {error}")),
    }
}

/// Returns which format the package is, by its members; never by a name.
///
/// # Errors
/// `Rejected` when it is damaged.
pub(crate) fn identify(package: &mut Package) -> Result<Format> {
    let known = [
        ("word/document.xml", Format::Docx),
        ("ppt/presentation.xml", Format::Pptx),
        ("xl/workbook.xml", Format::Xlsx),
        ("xl/workbook.bin", Format::Xlsx),
    ];
    if let Some((_, format)) = known.into_iter().find(|(member, _)| package.has(member)) {
        return Ok(format);
    }
    if let Some(types) = package.read("[Content_Types].xml")? {
        // Office files whose main part has another name, such as those of Word on the web.
        let types = String::from_utf8_lossy(&types);
        let mains = [
            ("wordprocessingml.document.main", Format::Docx),
            ("wordprocessingml.template.main", Format::Docx),
            ("presentationml.presentation.main", Format::Pptx),
            ("presentationml.slideshow.main", Format::Pptx),
            ("spreadsheetml.sheet.main", Format::Xlsx),
            ("ms-excel.sheet", Format::Xlsx),
        ];
        if let Some((_, format)) = mains.into_iter().find(|(main, _)| types.contains(main)) {
            return Ok(format);
        }
    }
    let Some(media_type) = package.read("mimetype")? else { return Ok(Format::Zip) };
    let media_type = String::from_utf8_lossy(&media_type);
    let declared = [
        ("application/vnd.oasis.opendocument.text", Format::Odt),
        ("application/vnd.oasis.opendocument.presentation", Format::Odp),
        ("application/vnd.oasis.opendocument.spreadsheet", Format::Ods),
        ("application/epub+zip", Format::Epub),
    ];
    let found = declared.into_iter().find(|(name, _)| media_type.trim().starts_with(name));
    Ok(found.map_or(Format::Zip, |(_, format)| format))
}

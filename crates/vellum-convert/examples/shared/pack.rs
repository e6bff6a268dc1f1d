//! Packs generated content as the containers that documents come in.

use std::io::{Cursor, Read, Write};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Returns a ZIP file with these members.
pub(crate) fn zip<N: AsRef<str>, B: AsRef<[u8]>>(members: &[(N, B)]) -> Result<Vec<u8>, Failure> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    for (name, bytes) in members {
        archive.start_file(name.as_ref(), options)?;
        archive.write_all(bytes.as_ref())?;
    }
    Ok(archive.finish()?.into_inner())
}

/// Returns the first file in a ZIP file.
#[allow(dead_code, reason = "for what grows files only")]
pub(crate) fn unzip_first(archive: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    zip::ZipArchive::new(Cursor::new(archive))?.by_index(0)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns a part of relations: id, kind and target of each.
pub(crate) fn relations(rows: &[(&str, &str, &str)]) -> String {
    let scheme = "http://schemas.openxmlformats.org";
    let row = |(id, kind, target): &(&str, &str, &str)| {
        format!(
            "<Relationship Id='{id}' Type='{scheme}/officeDocument/2006/relationships/{kind}' Target='{target}'/>"
        )
    };
    let rows: String = rows.iter().map(row).collect();
    format!("<Relationships xmlns='{scheme}/package/2006/relationships'>{rows}</Relationships>")
}

/// Returns a workbook with one sheet.
pub(crate) fn xlsx(sheet: &str, styles: &str, strings: &str) -> Result<Vec<u8>, Failure> {
    let workbook = "<workbook xmlns:r='http://schemas.openxmlformats.org/officeDocument/2006/relationships'><sheets><sheet name='a' sheetId='1' r:id='r1'/></sheets></workbook>";
    let own = [
        ("r1", "worksheet", "worksheets/s.xml"),
        ("r2", "styles", "styles.xml"),
        ("r3", "sharedStrings", "sharedStrings.xml"),
    ];
    zip(&[
        ("[Content_Types].xml", "<Types/>"),
        ("_rels/.rels", &relations(&[("r1", "officeDocument", "xl/workbook.xml")])),
        ("xl/workbook.xml", workbook),
        ("xl/_rels/workbook.xml.rels", &relations(&own)),
        ("xl/worksheets/s.xml", &format!("<worksheet>{sheet}</worksheet>")),
        ("xl/styles.xml", styles),
        ("xl/sharedStrings.xml", strings),
    ])
}

/// Returns an OpenDocument file of a kind: text, spreadsheet or presentation.
pub(crate) fn open_document(kind: &str, before: &str, body: &str) -> Result<Vec<u8>, Failure> {
    let mimetype = format!("application/vnd.oasis.opendocument.{kind}");
    let content = format!(
        "<office:document-content>{before}<office:body><office:{kind}>{body}</office:{kind}></office:body></office:document-content>"
    );
    zip(&[("mimetype", mimetype), ("content.xml", content)])
}

/// Returns a page tree with one page.
pub(crate) fn page(entries: &str) -> String {
    format!(
        "<</Type/Pages/Kids[<</Type/Page/MediaBox[0 0 600 800]/Parent 2 0 R{entries}>>]/Count 1>>"
    )
}

/// Returns a PDF whose page tree is object 2 and whose object 4 is a stream.
pub(crate) fn pdf(tree: &str, stream_entries: &str, stream: &[u8]) -> Vec<u8> {
    let leaf = "<</Type/Page/MediaBox[0 0 600 800]/Parent 2 0 R/Contents 4 0 R>>";
    let mut file = b"%PDF-1.7\n".to_vec();
    let mut at = Vec::new();
    for (number, body) in [(1, "<</Type/Catalog/Pages 2 0 R>>"), (2, tree), (3, leaf)] {
        at.push(file.len());
        file.extend(format!("{number} 0 obj\n{body}\nendobj\n").bytes());
    }
    at.push(file.len());
    file.extend(
        format!("4 0 obj\n<</Length {} {stream_entries}>>\nstream\n", stream.len()).bytes(),
    );
    file.extend(stream);
    file.extend(b"\nendstream\nendobj\n");
    let xref = file.len();
    file.extend(b"xref\n0 5\n0000000000 65535 f \n");
    file.extend(at.iter().flat_map(|at| format!("{at:010} 00000 n \n").into_bytes()));
    file.extend(format!("trailer\n<</Size 5/Root 1 0 R>>\nstartxref\n{xref}\n%%EOF\n").bytes());
    file
}

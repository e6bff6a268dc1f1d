//! Draws small PDFs for the tests: text at places, rules, document information.

use pdf_writer::types::{ActionType, AnnotationType, ArtifactType};
use pdf_writer::{Content, Name, Pdf, Rect, Ref, Str, TextStr};

/// Width and height of a page, in points.
pub(crate) const PAGE: (f32, f32) = (600.0, 800.0);

/// What a page shows.
pub(crate) struct Page {
    content: Content,
    links: Vec<(Rect, &'static str)>,
}

impl Page {
    pub(crate) fn new() -> Self {
        Self { content: Content::new(), links: Vec::new() }
    }

    /// Writes `text` from `(x, y)` on, turned clockwise.
    pub(crate) fn slanted(mut self, degrees: f32, x: f32, y: f32, size: f32, text: &str) -> Self {
        let (sin, cos) = (-degrees).to_radians().sin_cos();
        self.content.begin_text().set_font(Name(b"F"), size);
        self.content.set_text_matrix([cos, sin, -sin, cos, x, PAGE.1 - y]);
        self.content.show(Str(&latin1(text))).end_text();
        self
    }

    /// Writes `text` as what the file itself calls a header or a footer.
    pub(crate) fn artifact(mut self, x: f32, y: f32, size: f32, text: &str) -> Self {
        let mut marked = self.content.begin_marked_content_with_properties(Name(b"Artifact"));
        marked.properties().artifact().kind(ArtifactType::Pagination);
        drop(marked);
        let mut page = self.text(x, y, size, text);
        page.content.end_marked_content();
        page
    }

    /// Lets a rectangle lead to `address`.
    pub(crate) fn link(mut self, [x0, y0, x1, y1]: [f32; 4], address: &'static str) -> Self {
        self.links.push((Rect::new(x0, PAGE.1 - y1, x1, PAGE.1 - y0), address));
        self
    }

    /// Writes `text` with its left end at `x` and its baseline at `y` from the top.
    pub(crate) fn text(mut self, x: f32, y: f32, size: f32, text: &str) -> Self {
        let latin = latin1(text);
        self.content.begin_text().set_font(Name(b"F"), size);
        self.content.next_line(x, PAGE.1 - y).show(Str(&latin)).end_text();
        self
    }

    /// Writes `lines` below each other with a leading of 1.2 em.
    pub(crate) fn lines(self, x: f32, y: f32, size: f32, lines: &[&str]) -> Self {
        let place = |n: usize| y + n as f32 * size * 1.2;
        lines.iter().enumerate().fold(self, |page, (n, line)| page.text(x, place(n), size, line))
    }

    /// Draws a line from `(x0, y0)` to `(x1, y1)`.
    pub(crate) fn rule(mut self, x0: f32, y0: f32, x1: f32, y1: f32) -> Self {
        self.content.move_to(x0, PAGE.1 - y0).line_to(x1, PAGE.1 - y1).stroke();
        self
    }
}

/// Latin-1 is enough for the tests.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("tests write Latin-1")).collect()
}

/// Returns a PDF in Helvetica with these pages.
pub(crate) fn pdf(title: Option<&str>, pages: Vec<Page>) -> Vec<u8> {
    let mut pdf = Pdf::new();
    let (catalog, tree, font, info) = (Ref::new(1), Ref::new(2), Ref::new(3), Ref::new(4));
    let id = |n: usize, part: i32| Ref::new(10 + 2 * i32::try_from(n).unwrap() + part);
    pdf.catalog(catalog).pages(tree);
    let kids: Vec<Ref> = (0..pages.len()).map(|n| id(n, 0)).collect();
    pdf.pages(tree).count(i32::try_from(kids.len()).unwrap()).kids(kids);
    pdf.type1_font(font)
        .base_font(Name(b"Helvetica"))
        .encoding_predefined(Name(b"WinAnsiEncoding"));
    let mut information = pdf.document_info(info);
    if let Some(title) = title {
        information.title(TextStr(title));
    }
    information.author(TextStr("Grüße"));
    drop(information);
    for (n, page) in pages.into_iter().enumerate() {
        let mut object = pdf.page(id(n, 0));
        object.parent(tree).contents(id(n, 1)).media_box(Rect::new(0.0, 0.0, PAGE.0, PAGE.1));
        object.resources().fonts().pair(Name(b"F"), font);
        let link = |at: usize| Ref::new(10_000 + i32::try_from(100 * n + at).unwrap());
        object.annotations((0..page.links.len()).map(link));
        drop(object);
        for (at, (rect, address)) in page.links.iter().enumerate() {
            let mut annotation = pdf.annotation(link(at));
            annotation.subtype(AnnotationType::Link).rect(*rect);
            annotation.action().action_type(ActionType::Uri).uri(Str(address.as_bytes()));
        }
        pdf.stream(id(n, 1), &page.content.finish());
    }
    pdf.finish()
}

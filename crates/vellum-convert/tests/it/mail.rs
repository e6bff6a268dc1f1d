//! E-mail, Outlook messages, archives and books: files made by real programs, whole texts.

use crate::text::{check_rejected, run};
use vellum_core::document::{Document, Format, SectionKind};

fn data(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Returns `level title` of every heading.
fn headings(document: &Document) -> Vec<String> {
    let line = |section: &vellum_core::document::Section| match &section.kind {
        SectionKind::Heading { level, title } => Some(format!("{level} {title}")),
        SectionKind::Page(_) => None,
    };
    document.sections.iter().filter_map(line).collect()
}

#[test]
fn a_message_with_all_that_is_attached() {
    let document = run("reply.eml", &data("reply.eml")).unwrap();
    assert_eq!(
        document.text,
        "Antwort: Urlaub für Größe Ω\n\nFrom: Jörg Weiß <joerg@example.org>\nTo: ann@example.org\n\
         Cc: Bob Roe <bob@example.org>, carol@example.org\nDate: 2024-03-01 09:30 +01:00\n\n\
         25 Tage für alle, außer in Genf: 50 €.\n\nJörg\n\n\
         days.csv\n\n| country | days |\n| CH | 25 |\n| UK | 27 |\n\n\
         handbook.epub\n\nStaff handbook\n\nPeople team\n\nLeave\n\n\
         Every employee has 27 days of leave — see the table1.\n\n\
         | Country | Days |\n| UK | 27 |\n| NL | 29 |\n\nPart-time staff: pro rata.\n\n\
         Travel\n\nGrößere Reisen müssen genehmigt werden: „vorher“, 旅費.\n\n- Book trains first.\n\
         - Flights need approval:\n  1. by the lead,\n  2. by finance.\n\nHotels\n\n\
         At most €140 a night.\n\n\
         Original question\n\nFrom: Ann <ann@example.org>\nTo: joerg@example.org\n\
         Date: 2024-03-01 09:30 +01:00\n\nHow many days of leave are there in Zürich?\n\n\
         Not read: setup.exe (Windows program)"
    );
    assert_eq!(document.format, Format::Email);
    assert_eq!(document.title.as_deref(), Some("Antwort: Urlaub für Größe Ω"));
    assert_eq!(document.metadata["from"], "Jörg Weiß <joerg@example.org>");
    assert_eq!(document.metadata["message-id"], "1@example.org");
}

#[test]
fn an_invitation() {
    let document = run("invite.eml", &data("invite.eml")).unwrap();
    assert_eq!(
        document.text,
        "Budget round\n\nFrom: Jörg Weiß <joerg@example.org>\nTo: ann@example.org\n\
         Date: 2024-03-01 09:30 +01:00\n\nPlease join.\n\nInvitation\n\nMethod: REQUEST\n\n\
         Event: Budget round\nStart: 2024-03-04 14:00 Europe/Zurich\nLocation: Room 4"
    );
    assert_eq!(headings(&document), ["1 Budget round", "1 Invitation"]);
}

#[test]
fn odd_messages() {
    let check = |source: &[u8], expect: &str| {
        assert_eq!(run("a.eml", source).unwrap().text, expect);
    };
    // Eight bits without a character set.
    check(
        b"Subject: x\n\nGr\xfc\xdfe aus K\xf6ln, bis n\xe4chste Woche",
        "x\n\nGrüße aus Köln, bis nächste Woche",
    );
    // A character set that this is not.
    check(b"Subject: x\nContent-Type: text/plain; charset=us-ascii\n\n\xe2\x82\xac 5", "x\n\n€ 5");
    check(
        b"Subject: =?utf-8?B?w4Q=?= =?iso-8859-1?Q?=D6?=\nContent-Type: text/plain; charset=gb2312\n\n\xc4\xe3\xba\xc3",
        "ÄÖ\n\n你好",
    );
    // Headers of eight bits.
    check(b"Subject: Die Fr\xf6sche und die M\xfchle\n\nx", "Die Frösche und die Mühle\n\nx");
    // Another form of the text is no attachment.
    check(
        b"Subject: x\nContent-Type: multipart/alternative; boundary=b\n\n--b\n\nplain\n--b\n\
          Content-Type: text/enriched\n\n<bold>plain</bold>\n--b--\n",
        "x\n\nplain",
    );
    // The text is in the HTML alone.
    check(
        b"Subject: x\nContent-Type: text/html\n\n<table><tr><td>a<td>b</table><style>no</style>",
        "x\n\n| a | b |",
    );
    check(
        b"Subject: x\nContent-Type: multipart/encrypted; boundary=b; protocol=\"application/pgp-encrypted\"\n\n\
          --b\nContent-Type: application/pgp-encrypted\n\nVersion: 1\n--b\n\
          Content-Type: application/octet-stream\n\n-----BEGIN PGP MESSAGE-----\nabc\n--b--\n",
        "x\n\n[The text is encrypted with PGP and was not read.]",
    );
    check(
        b"Subject: x\nContent-Type: application/pkcs7-mime; name=smime.p7m; smime-type=enveloped-data\n\
          Content-Transfer-Encoding: base64\n\nMIAGCSqGSIb3DQEHA6CA\n",
        "x\n\n[The text is encrypted with S/MIME and was not read.]",
    );
    check(b"Subject: only this\n\n", "only this");
    check(
        b"From a@b Mon Jan  1 00:00:00 2024\nSubject: one\n\nfirst\n\nFrom a@b Mon Jan  1 00:00:00 2024\nSubject: two\n\nsecond\n",
        "one\n\nfirst\n\ntwo\n\nsecond",
    );
}

#[test]
fn messages_are_followed_to_a_depth() {
    let mut source = String::from("Subject: innermost\n\ntext");
    for n in 0..8 {
        source = format!("Subject: level {n}\nContent-Type: message/rfc822\n\n{source}");
    }
    let document = run("a.eml", source.as_bytes()).unwrap();
    assert!(
        document.text.contains("level 3") && !document.text.contains("innermost"),
        "{}",
        document.text
    );
    assert!(document.text.ends_with("(it is nested more than 4 deep)"), "{}", document.text);
    let deep = "Subject: x\nContent-Type: message/rfc822\n\n".repeat(100_000);
    check_rejected("a.eml", deep.as_bytes(), "the e-mail has too many parts");
}

#[test]
fn an_outlook_message() {
    let document = run("ascii.msg", &data("ascii.msg")).unwrap();
    assert_eq!(document.format, Format::Outlook);
    assert_eq!(document.title.as_deref(), Some("creating an outlook message file"));
    assert_eq!(
        document.text,
        "creating an outlook message file\n\nFrom: from@domain.com\nTo: to@domain.com\n\n\
         This message is created by Aspose.Email"
    );
}

#[test]
fn an_outlook_message_of_html_in_rich_text() {
    let document = run("a.msg", &data("rtf-html.msg")).unwrap();
    assert_eq!(
        document.text,
        "test\n\nFrom: Account Testing <account-testing7777@protonmail.com>\n\
         To: application-testing@outlook.com\nDate: 2021-03-14 04:03 UTC\n\ntest\n\n\
         Sent with ProtonMail (https://protonmail.com) Secure Email."
    );
}

#[test]
fn other_compound_files_are_named() {
    check_rejected("a.docx", &data("locked.docx"), "the file is password-protected");
}

#[test]
fn an_archive() {
    let document = run("papers.zip", &data("papers.zip")).unwrap();
    assert_eq!(
        document.text,
        "a.html\n\nFirst\n\nThe first one.\n\nb/inner.zip\n\ninner.txt\n\nText inside an inner archive.\n\n\
         z/last.md\n\nLast\n\nThe last one.\n\nNot read: setup.exe (Windows program)"
    );
    assert_eq!(
        headings(&document),
        ["1 a.html", "2 First", "1 b/inner.zip", "2 inner.txt", "1 z/last.md", "2 Last"]
    );
}

/// Returns an archive of these members.
fn zip(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    use std::io::Write;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file(name.as_str(), options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[test]
fn archives_that_hold_nothing_readable() {
    check_rejected("a.zip", &zip(&[]), "the archive is empty");
    let nothing = zip(&[("a.exe".into(), b"MZ\x90\0".to_vec())]);
    let expect = "nothing in the archive can be read: Windows program";
    check_rejected("a.zip", &nothing, expect);
    // Said once, however deep it lies.
    check_rejected("a.zip", &zip(&[("b.zip".into(), nothing)]), expect);
}

#[test]
fn archive_bombs_are_rejected() {
    let expect = "the file unfolds to far more than its size (archive bomb)";
    // 40 MiB of text in a few bytes.
    let text = zip(&[("a.txt".into(), b"word \n".repeat(7 << 20))]);
    check_rejected("a.zip", &text, expect);
    // What is allowed is for all archives together, not for each.
    let small = zip(&[("a.txt".into(), b"word \n".repeat(1 << 20))]);
    let many: Vec<_> = (0..8).map(|n| (format!("{n}.zip"), small.clone())).collect();
    check_rejected("a.zip", &zip(&many), expect);
    // Archives in archives.
    let mut nested = zip(&[("a.txt".into(), b"x".to_vec())]);
    for _ in 0..10 {
        nested = zip(&[("a.zip".into(), nested)]);
    }
    let error = run("a.zip", &nested).unwrap_err();
    assert!(error.message().ends_with("it is nested more than 4 deep"), "{}", error.message());
}

#[test]
fn a_book() {
    let document = run("handbook.epub", &data("handbook.epub")).unwrap();
    assert_eq!(document.format, Format::Epub);
    assert_eq!(document.title.as_deref(), Some("Staff handbook"));
    assert_eq!(document.metadata["author"], "People team");
    assert_eq!(document.metadata["language"], "en");
    assert_eq!(headings(&document), ["1 Staff handbook", "1 Leave", "1 Travel", "2 Hotels"]);
}

/// Returns a book with these files beside what every book has.
fn book(files: &[(&str, &str)]) -> Vec<u8> {
    let container = "<container><rootfiles><rootfile full-path='b.opf'/></rootfiles></container>";
    let package = "<package><metadata><dc:title>T</dc:title></metadata><manifest>\
        <item id='n' href='n.ncx' media-type='application/x-dtbncx+xml'/>\
        <item id='a' href='a%20b.html' media-type='application/xhtml+xml'/></manifest>\
        <spine><itemref idref='a'/></spine></package>";
    let contents = "<ncx><navMap><navPoint><navLabel><text>Leave</text></navLabel>\
        <content src='a%20b.html#x'/></navPoint></navMap></ncx>";
    let mut members = vec![
        ("mimetype".to_owned(), b"application/epub+zip".to_vec()),
        ("META-INF/container.xml".to_owned(), container.into()),
        ("b.opf".to_owned(), package.into()),
        ("n.ncx".to_owned(), contents.into()),
    ];
    members.extend(files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())));
    zip(&members)
}

#[test]
fn chapters_are_named_and_protection_is_too() {
    let plain = run("a.epub", &book(&[("a b.html", "<html><p>27 days</p></html>")])).unwrap();
    assert_eq!(plain.text, "Leave\n\n27 days");
    assert_eq!(headings(&plain), ["1 Leave"]);
    let encryption = "<encryption><EncryptedData><CipherData><CipherReference URI='a%20b.html'/>\
        </CipherData></EncryptedData></encryption>";
    let files = [("a b.html", "garbage"), ("META-INF/encryption.xml", encryption)];
    check_rejected("a.epub", &book(&files), "the book is protected against copying (DRM)");
    check_rejected("a.epub", &book(&[]), "the book is damaged: its chapters cannot be read");
}

#[test]
fn rich_text_of_two_programs() {
    let pandoc = run("handbook-pandoc.rtf", &data("handbook-pandoc.rtf")).unwrap();
    assert_eq!(
        pandoc.text,
        "Staff handbook\n\nPeople team\n\nLeave\n\nEvery employee has 27 days of leave — see the table.\n\n\
         Part-time staff: pro rata.\n\n| Country | Days |\n| UK | 27 |\n| NL | 29 |\n\nTravel\n\n\
         Größere Reisen müssen genehmigt werden: „vorher“, 旅費.\n\n- Book trains first.\n\
         - Flights need approval:\n1. by the lead,\n2. by finance.\n\nHotels\n\nAt most €140 a night."
    );
    assert_eq!(headings(&pandoc), ["1 Leave", "1 Travel", "2 Hotels"]);
    let word = run("handbook-word.rtf", &data("handbook-word.rtf")).unwrap();
    assert_eq!(word.text, pandoc.text);
    assert_eq!(headings(&word), ["1 Staff handbook", "1 Leave", "1 Travel", "2 Hotels"]);
    assert_eq!(word.metadata["author"], "People team");
}

#[test]
fn large_files_are_what_small_ones_are() {
    let document = run("a.min.js", "f(x);".repeat(1 << 20).as_bytes()).unwrap();
    assert!(document.text.len() < 5000, "{}", document.text.len());
    let header: Vec<String> = (0..3000).map(|n| format!("column {n}")).collect();
    let document =
        run("a.csv", format!("{}\n1,2\n{}\n", header.join(","), "3,".repeat(2999)).as_bytes());
    assert_eq!(document.unwrap().format, Format::Text);
    let rows = format!("{}\n", "3,".repeat(2999)).repeat(5);
    let document = run("a.csv", format!("{}\n{rows}", header.join(",")).as_bytes()).unwrap();
    assert_eq!(document.format, Format::Csv);
    assert!(document.text.starts_with("| column 0 | column 1 |"));
}

#[test]
fn a_message_of_too_much_text() {
    let settings = vellum_convert::Settings { max_text_bytes: 1000, ..Default::default() };
    let content = format!("Subject: x\n\n{}", "words ".repeat(500)).into_bytes().into();
    let input = vellum_core::ports::ConvertInput { name: "a.eml".into(), content };
    let error = vellum_convert::convert(&input, &settings).unwrap_err();
    assert!(error.message().starts_with("the file holds too much text"), "{}", error.message());
}

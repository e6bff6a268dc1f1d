"""Makes the messages and the archive of this folder, with the standard library alone."""

import io
import pathlib
import zipfile
from email.message import EmailMessage
from email.utils import format_datetime
from datetime import datetime, timedelta, timezone

HERE = pathlib.Path(__file__).parent
DATE = format_datetime(datetime(2024, 3, 1, 9, 30, tzinfo=timezone(timedelta(hours=1))))


def message(subject, sender="Jörg Weiß <joerg@example.org>", to="ann@example.org"):
    mail = EmailMessage()
    mail["Subject"] = subject
    mail["From"] = sender
    mail["To"] = to
    mail["Date"] = DATE
    mail["Message-ID"] = "<1@example.org>"
    return mail


inner = message("Original question", "Ann <ann@example.org>", "joerg@example.org")
inner.set_content("How many days of leave are there in Zürich?\n")

mail = message("Antwort: Urlaub für Größe Ω")
mail["Cc"] = "Bob Roe <bob@example.org>, carol@example.org"
mail.set_content("25 Tage für alle, außer in Genf: 50 €.\n\nJörg\n", charset="iso-8859-15", cte="quoted-printable")
mail.add_alternative("<p>Twenty-five days</p><img src='cid:logo'>", subtype="html")
mail.get_payload()[1].add_related(b"\x89PNG\r\n\x1a\n", "image", "png", cid="<logo>")
mail.add_attachment("country;days\nCH;25\nUK;27\n", subtype="csv", filename="days.csv")
mail.add_attachment((HERE / "handbook.epub").read_bytes(), maintype="application", subtype="epub+zip", filename="handbook.epub")
mail.add_attachment(b"MZ\x90\0\3", maintype="application", subtype="octet-stream", filename="setup.exe")
mail.add_attachment(inner)
(HERE / "reply.eml").write_bytes(mail.as_bytes())

invite = message("Budget round")
invite.set_content("<html><body><p>Please join.</p></body></html>", subtype="html")
invite.add_alternative(
    "BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nSUMMARY:Budget round\r\n"
    "DTSTART;TZID=Europe/Zurich:20240304T140000\r\nLOCATION:Room 4\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
    subtype="calendar",
)
(HERE / "invite.eml").write_bytes(invite.as_bytes())

packed = io.BytesIO()
with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("inner.txt", "Text inside an inner archive.")
with zipfile.ZipFile(HERE / "papers.zip", "w", zipfile.ZIP_DEFLATED) as archive:
    for name, content in [
        ("z/last.md", "# Last\n\nThe last one.\n"),
        ("b/", ""),
        ("b/inner.zip", packed.getvalue()),
        ("a.html", "<html><h1>First</h1><p>The first one.</p></html>"),
        ("setup.exe", b"MZ\x90\0\3"),
        (".DS_Store", b"\0\0\0\1Bud1"),
        ("__MACOSX/._a.html", b"\0\5\x16\7"),
    ]:
        archive.writestr(zipfile.ZipInfo(name, (2024, 3, 1, 9, 30, 0)), content)

//! What the markup of each format may hold, one element to a line: its name, its attributes with their values, and behind
//! `>` what may stand in it, or behind `>>` what stands in it, all of it and in this order. `#` is a text, `%` a number, `*` any element of
//! the grammar; what is named twice is twice as likely. What stands behind a `@` tells apart elements of one name. An attribute with
//! one value is always there. The first line is where a tree begins.

/// Word documents: ECMA-376 part 1, 17 and 22.
pub(crate) const WORD: &str = "
w:body >> w:p w:p w:p w:tbl w:tbl w:sdt w:sectPr w:bookmarkStart
w:p > w:pPr w:r w:r w:r w:r w:hyperlink w:ins w:del w:moveFrom w:smartTag w:sdt m:oMath w:fldSimple w:commentRangeStart
w:pPr > w:pStyle w:numPr w:outlineLvl w:framePr w:rPr w:pPrChange w:sectPr
w:pStyle w:val=Heading1|Heading2|a|List
w:numPr > w:ilvl w:numId
w:ilvl w:val=0|1|8|9|-1
w:numId w:val=0|1|2|99
w:outlineLvl w:val=0|3|9|255
w:framePr w:dropCap=drop|margin|none
w:r > w:rPr w:t w:t w:t w:tab w:br w:cr w:sym w:fldChar w:fldChar w:instrText w:footnoteReference w:endnoteReference w:commentReference w:drawing w:pict mc:AlternateContent w:noBreakHyphen w:ptab w:delText
w:rPr > w:vanish w:vertAlign w:rFonts
w:vanish w:val=0|1|true
w:t xml:space=preserve|default > #
w:delText > #
w:sym w:font=Symbol|Wingdings w:char=F0B7|00|FFFF|zz
w:fldChar w:fldCharType=begin|separate|end
w:instrText > #
w:fldSimple w:instr=PAGE|HYPERLINK > w:r
w:hyperlink r:id=r1|r9 w:anchor=a > w:r w:r
w:footnoteReference w:id=1|2|-1
w:endnoteReference w:id=1|x
w:commentReference w:id=0|1
w:ins w:author=A > w:r w:p
w:del > w:r
w:moveFrom > w:r
w:smartTag > w:r
w:sdt > w:sdtPr w:sdtContent w:sdtContent
w:sdtContent > w:p w:r w:tbl w:tr w:tc
w:tbl > w:tblPr w:tblGrid w:tr w:tr w:tr w:sdt w:p
w:tr > w:trPr w:tc w:tc w:tc w:tc w:sdt w:p
w:trPr > w:gridBefore w:gridAfter w:del w:tblHeader
w:gridBefore w:val=1|2|63|65536|-1
w:tc > w:tcPr w:tcPr w:p w:p w:tbl
w:tcPr > w:gridSpan w:vMerge w:hMerge
w:gridSpan w:val=0|1|2|3|63|4294967295
w:vMerge w:val=restart|continue|
w:hMerge w:val=restart|continue
w:drawing > wps:txbx c:chart dgm:relIds wp:docPr a:t
wps:txbx > w:txbxContent
w:txbxContent > w:p w:tbl
w:pict > v:textbox
v:textbox > w:txbxContent
mc:AlternateContent > mc:Choice mc:Fallback
mc:Choice > w:drawing w:r
mc:Fallback > w:pict w:r
c:chart r:id=r2
dgm:relIds r:dm=r3
m:oMath > m:r m:f m:sSup m:rad m:nary m:d m:m
m:r > m:t
m:t > #
m:f > m:num m:den
m:num > m:r m:f
m:den > m:r m:f
m:sSup > m:e m:sup
m:e > m:r m:rad
m:sup > m:r
m:rad > m:deg m:e
m:deg > m:r
m:d > m:e m:e
m:m > m:mr m:mr
m:mr > m:e m:e
m:nary > m:sub m:sup m:e
m:sub > m:r
";

/// Lists of a Word document, and its styles.
pub(crate) const NUMBERING: &str = "
w:numbering >> w:abstractNum w:abstractNum w:num w:num
w:abstractNum w:abstractNumId=0|1|2 > w:lvl w:lvl w:lvl w:numStyleLink w:styleLink
w:lvl w:ilvl=0|1|8|99 > w:start w:numFmt w:lvlText w:lvlRestart w:isLgl w:pStyle
w:start w:val=0|1|5|4294967295|-3
w:numFmt w:val=decimal|bullet|lowerRoman|upperLetter|none|ordinal|decimalZero
w:lvlText w:val=%1.|%1.%2.|%9|o|(%2)|
w:lvlRestart w:val=0|1|9
w:pStyle w:val=Heading1|List
w:numStyleLink w:val=a|List
w:styleLink w:val=a|List
w:num w:numId=1|2|3 > w:abstractNumId w:abstractNumId w:lvlOverride
w:abstractNumId w:val=0|1|7
w:lvlOverride w:ilvl=0|8|9 > w:startOverride w:lvl
w:startOverride w:val=1|65536|-1
";

pub(crate) const WORD_STYLES: &str = "
w:styles >> w:docDefaults w:style w:style w:style w:style
w:docDefaults > w:rPr
w:style w:type=paragraph|character w:styleId=Heading1|Heading2|a|List w:default=0|1 > w:name w:basedOn w:pPr w:rPr
w:name w:val=heading_1|heading_9|Title|List
w:basedOn w:val=Heading1|Heading2|a|List
w:pPr > w:outlineLvl w:numPr
w:outlineLvl w:val=0|8|99
w:numPr > w:ilvl w:numId
w:ilvl w:val=0|9
w:numId w:val=1|2
w:rPr > w:vanish w:lang
w:lang w:val=en|de-CH|
";

/// Footnotes and comments.
pub(crate) const NOTES: &str = "
w:footnotes > w:footnote w:footnote w:comment w:endnote
w:footnote w:id=-1|1|2 w:type=separator|normal > w:p w:p w:tbl
w:comment w:id=0|1 w:author=A|B > w:p
w:endnote w:id=1 > w:p
w:p > w:r w:r
w:r > w:t w:footnoteReference w:commentReference
w:footnoteReference w:id=1|2
w:commentReference w:id=0|1
w:t > #
w:tbl > w:tr
w:tr > w:tc w:tc
w:tc > w:p
";

/// Slides: ECMA-376 part 1, 19 and 21.
pub(crate) const SLIDE: &str = "
p:sld show=0|1 >> p:cSld
p:cSld >> p:spTree p:bg
p:spTree >> p:sp p:sp p:sp p:sp p:grpSp p:graphicFrame p:pic p:cxnSp mc:AlternateContent
p:grpSp > p:grpSpPr p:sp p:sp p:grpSp p:pic
p:grpSpPr > a:xfrm
p:sp > p:nvSpPr p:spPr p:txBody p:txBody p:txBody
p:nvSpPr > p:cNvPr p:nvPr p:nvPr
p:cNvPr id=1|2 name=Title hidden=0|1
p:nvPr > p:ph p:ph
p:ph type=title|ctrTitle|body|sldNum|dt|ftr|subTitle|obj|pic|tbl|zz idx=0|1|2|4294967295
p:spPr > a:xfrm
a:xfrm rot=0|5400000 flipH=1 > a:off a:ext a:chOff a:chExt
a:off x=0|914400|-914400|9223372036854775807 y=0|457200|6858000|-1|x
a:ext cx=0|914400|-1|99999999999999999999 cy=0|914400
a:chOff x=0|100 y=0|1e9
a:chExt cx=0|100|-5 cy=0|100
p:txBody > a:bodyPr a:lstStyle a:p a:p a:p a:p
a:lstStyle > a:lvl1pPr
a:p > a:pPr a:r a:r a:br a:fld a:endParaRPr mc:AlternateContent m:oMath
a:pPr lvl=0|1|8|99|-1 > a:buChar a:buNone a:buAutoNum a:buBlip
a:buChar char=-|o
a:buAutoNum type=arabicPeriod|alphaLcParenR|romanUcPeriod|zz startAt=1|0|4294967295|32767
a:r > a:rPr a:t a:t
a:rPr > a:hlinkClick
a:hlinkClick r:id=r1|r8
a:t > #
a:fld type=slidenum > a:t
p:graphicFrame > p:nvGraphicFramePr p:xfrm a:graphic a:graphic
p:xfrm > a:off a:ext
a:graphic > a:graphicData
a:graphicData > a:tbl a:tbl c:chart dgm:relIds p:oleObj
a:tbl > a:tblPr a:tblGrid a:tr a:tr a:tr
a:tr h=1 > a:tc a:tc a:tc
a:tc gridSpan=1|2|99|-1 rowSpan=1|2|65536 hMerge=0|1 vMerge=0|1 > p:txBody p:txBody a:txBody
a:txBody > a:p a:p
c:chart r:id=r2
dgm:relIds r:dm=r3
p:pic > p:nvPicPr
mc:AlternateContent > mc:Choice mc:Fallback
mc:Choice > p:sp a:r
mc:Fallback > p:sp a:r
m:oMath > m:r
m:r > m:t
m:t > #
";

/// Charts: ECMA-376 part 1, 21.2.
pub(crate) const CHART: &str = "
c:chartSpace > c:chart
c:chart > c:title c:plotArea
c:title > a:t
c:plotArea > c:barChart c:scatterChart c:barChart
c:barChart > c:ser c:ser c:dLbls
c:scatterChart > c:ser
c:ser > c:tx c:cat c:val c:xVal c:yVal c:trendline
c:tx > c:strRef c:v
c:cat > c:strRef c:strLit
c:val > c:numRef
c:xVal > c:numRef
c:yVal > c:numRef
c:strRef > c:strCache
c:numRef > c:numCache
c:strCache > c:ptCount c:pt c:pt c:pt
c:numCache > c:formatCode c:ptCount c:pt c:pt c:pt
c:ptCount val=0|3|4294967295
c:pt idx=0|1|2|65536|4294967295|-1 > c:v c:v
c:v > #
c:formatCode > #
a:t > #
";

/// Sheets: ECMA-376 part 1, 18.3.
pub(crate) const SHEET: &str = "
worksheet >> dimension cols sheetData mergeCells hyperlinks
dimension ref=A1|A1:B9|A1:E20|A1:XFD1048576
sheetData >> row row row row row
row r=1|2|3|4|5|6|7|8|9|10|1048576 spans=1:2 hidden=0|1 > c@s c@n c@n c@text c@inline c@s c@n c@n c@text c@inline c@any
c@s r=A1|B1|C2|D3|A2|B2|B3|C3|D1|E5|A4|A5|B6|A7|A8|B9|C9|XFD1048576 s=0|1|2 t=s > v@n
c@n r=A1|B1|C2|D3|A2|B2|B3|C3|D1|E5|A4|A5|B6|A7|A8|B9|C9|XFD1048576 s=0|1|2|9 > v@n f
c@text r=A1|B1|C2|D3|A2|B2|B3|C3|D1|E5|A4|A5|B6|A7|A8|B9|C9|XFD1048576 t=str > v f
c@inline r=A1|B1|C2|D3|A2|B2|B3|C3|D1|E5|A4|A5|B6|A7|A8|B9|C9|XFD1048576 t=inlineStr > is
c@any r=A9|B10|C11|D12|E14|AAAA1|1A s=1|2|0|99999 t=str|str|b|e|d|inlineStr|zz > v v@n f is
v@n > %
v > #
f t=shared|array ref=A1:B2 si=0|1 > #
is > t r
r > t rPh
rPh > t
t xml:space=preserve > #
mergeCells > mergeCell mergeCell mergeCell
mergeCell ref=A1:B2|A1:A3|B2:C9|D1:E5|A1:XFD1048576|C3:C3|B2:A1
";

pub(crate) const BOOK_STYLES: &str = "
styleSheet >> numFmts cellStyleXfs cellXfs
numFmts count=1|1|1|1|4294967295 > numFmt numFmt numFmt
numFmt numFmtId=164|165|0|-1 formatCode=0.00|#,##0.00|yyyy-mm-dd|[h]:mm|0%|General|@|[Red]0;[>5]0.0E+00|0#
cellXfs count=3 > xf xf xf
cellStyleXfs > xf
xf numFmtId=0|1|9|10|14|22|46|164|165|99999 applyNumberFormat=1
";

pub(crate) const STRINGS: &str = "
sst count=5|5|5|5|5|5|5|0|4294967295 uniqueCount=5|5|5|5|5|5|5|5|5|5|5|5|5|5|5|5|5|5|5|5|4294967295 >> si si si si si
si > t r r phoneticPr rPh
r > rPr t
rPh > t
t xml:space=preserve > #
";

/// OpenDocument texts: OpenDocument 1.3 part 3, 4 to 9.
pub(crate) const TEXT: &str = "
office:text >> text:p text:p text:h text:list table:table text:section text:table-of-content draw:frame text:tracked-changes office:annotation
text:p text:style-name=P1|P2 > # # text:span text:s text:tab text:line-break text:a text:note draw:frame office:annotation text:ruby text:date text:hidden-text text:page-number
text:h text:outline-level=1|2|10|0|99|-1 text:style-name=P1|H1 > # text:span
text:span text:style-name=P1 > # text:s text:span
text:s text:c=1|3|65536|4294967295|-1
text:a xlink:href=https://a.org/x|#a > #
text:note text:note-class=footnote|endnote > text:note-citation text:note-body
text:note-citation > #
text:note-body > text:p
text:ruby > text:ruby-base text:ruby-text
text:ruby-base > #
text:ruby-text > #
text:list text:style-name=L1|L2 text:continue-numbering=true text:continue-list=a > text:list-item text:list-item text:list-header
text:list-item text:start-value=1|0|4294967295|-1 > text:p text:list text:h table:table
text:list-header > text:p
text:section text:display=none > text:p text:p
text:table-of-content > text:table-of-content-source text:index-body
text:table-of-content-source > text:p
text:index-body > text:p
text:tracked-changes > text:changed-region
text:changed-region > text:p
table:table table:name=a|b|:c > table:table-column table:table-header-rows table:table-row table:table-row table:table-row table:table
table:table-column table:number-columns-repeated=1|3|16384
table:table-header-rows > table:table-row
table:table-row table:number-rows-repeated=1|2|1048576|-1 > table:table-cell table:table-cell table:table-cell table:covered-table-cell
table:table-cell table:number-columns-repeated=1|2|16384 table:number-columns-spanned=1|2|0|65536 table:number-rows-spanned=1|2|9 office:value-type=float|date|string|time|boolean office:value=1|1e308|x office:date-value=2024-03-01|x > text:p text:p text:list table:table draw:frame office:annotation
table:covered-table-cell table:number-columns-repeated=1|2 > text:p
draw:frame svg:x=1cm|-1in|1e9mm|x svg:y=1cm|2pt|9999999999px presentation:class=title|outline|notes|page-number text:anchor-type=page > draw:text-box draw:image draw:object svg:title table:table
draw:text-box > text:p text:list text:h
draw:page draw:name=a > draw:frame draw:frame draw:custom-shape draw:g presentation:notes draw:line
draw:custom-shape svg:x=1cm|2cm svg:y=1cm > text:p text:p
draw:g > draw:frame draw:g draw:rect
draw:rect > text:p
draw:line > text:p
presentation:notes > draw:frame draw:page-thumbnail
office:annotation > dc:creator dc:date text:p
dc:creator > #
dc:date > #
";

pub(crate) const AUTOMATIC: &str = "
office:automatic-styles > style:style style:style text:list-style text:list-style style:style
style:style style:name=P1|P2|H1|ta1 style:family=paragraph|table|text style:parent-style-name=P1|P2|H1 style:default-outline-level=1|9|99 style:list-style-name=L1|L2 > style:text-properties style:table-properties
style:text-properties text:display=none|true fo:language=en
style:table-properties table:display=false|true
text:list-style style:name=L1|L2 > text:list-level-style-number text:list-level-style-number text:list-level-style-bullet
text:list-level-style-number text:level=1|2|10|0|99 style:num-format=1|a|I|i|| style:num-prefix=( style:num-suffix=.|) text:display-levels=1|2|10|4294967295 text:start-value=1|0|4294967295
text:list-level-style-bullet text:level=1|3 text:bullet-char=-
";

/// Pages of HTML, also of books and of letters.
pub(crate) const PAGE: &str = "
html lang=en >> head body
head > title meta style script base link
title > #
meta name=author|date|description content=a|b charset=utf-8|utf-16|zz
style > #
script > #
body > p h1 h2 h3 ul ol dl table table div section nav pre form blockquote # details figure template svg math * *
p style=display:none|color:red > # # a b br span img ruby table
h1 > # a
h2 > # span
h3 > #
a href=https://a.org/x|mailto:a@b.org|#a|javascript:x title=x > # img
b > # i
i > #
span hidden= > # span
img alt=a|b src=x
ul > li li ul p
ol start=1|-1|99999999999999999999 type=a|I reversed= > li li ol
li value=3|-1 > # p ul ol table
dl > dt dd dt dd div
dt > #
dd > # p
table border=1 > caption thead tbody tr tr tr colgroup table
caption > #
thead > tr
tbody > tr tr tr
tr > td td th td table #
td colspan=1|2|0|65536|-1|1e9 rowspan=1|2|0|65534|99999999999 > # p table ul
th colspan=2|3 rowspan=2 > #
colgroup > col
div role=navigation|main aria-hidden=true > # p div table
section > h1 h2 p
nav > ul
pre > # code
code > #
form > input select textarea button label fieldset
select > option option
option value=a > #
textarea > #
button > #
label > #
blockquote > p blockquote
details > summary p
summary > #
figure > img figcaption
figcaption > #
template > p
svg > title foreignObject
foreignObject > p
math > mi mfrac
mi > #
mfrac > mi mi
ruby > # rt
rt > #
";

/// The list of parts of a book: EPUB 3.3, 5.
pub(crate) const BOOK: &str = "
package version=3.0|2.0 unique-identifier=i >> metadata manifest spine guide
metadata > dc:title dc:creator dc:language dc:date dc:publisher meta dc:title
dc:title > #
dc:creator > #
dc:language > #
dc:date > #
dc:publisher > #
meta name=cover property=dcterms:modified > #
manifest >> item@1 item@2 item@3 item item item
item@1 id=a href=a.xhtml media-type=application/xhtml+xml
item@2 id=b href=b.xhtml media-type=application/xhtml+xml
item@3 id=n href=n.xhtml properties=nav media-type=application/xhtml+xml
item id=a|b|c|n|x href=a.xhtml|b.xhtml|n.xhtml|t.ncx|../book.opf|%61.xhtml|a.xhtml#x media-type=application/xhtml+xml|application/x-dtbncx+xml|image/png|text/html properties=nav|cover-image|scripted
spine toc=x|n page-progression-direction=rtl >> itemref@1 itemref itemref itemref
itemref@1 idref=a
itemref idref=a|b|c|n|zz linear=yes|no
guide > reference
reference href=a.xhtml type=toc
";

/// Tables of contents of books: those of EPUB 2.
pub(crate) const CONTENTS: &str = "
ncx >> navMap navMap docTitle
docTitle > text
navMap > navPoint navPoint navPoint
navPoint id=a playOrder=1|0|-1 > navLabel content navPoint navPoint
navLabel > text
text > #
content src=a.xhtml|b.xhtml#x|c.xhtml|zz.xhtml|
";

"""How much of a reference text another text has: F1 over words and over pairs of neighbours. Standard library only."""

import collections
import re
import unicodedata


def f1(reference, other):
    """The F1 of two lists as bags."""
    both = sum((collections.Counter(reference) & collections.Counter(other)).values())
    return 2 * both / (len(reference) + len(other)) if reference or other else 1.0


# Chinese, Japanese and Korean are written without blanks, and a line's end is none.
CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"


def words(text):
    """Words, and single characters of CJK, without the hyphens that divide words at line ends, which each library marks in
    its own way."""
    text = re.sub("[\u00ad\u0002\ufffe]\\s*|(?<=\\w)[-\u2010]\\s*\\n\\s*(?=[a-z])", "", text)
    return re.findall(f"[{CJK}]|[^\\W{CJK}]+", text)


def is_language(text):
    """Whether a text is one: mostly letters and digits, and the letters of a word of one script. Fonts whose codes nothing
    explains give `nm" ʮ׆ɹƯ̅Ǡ`, which no reader can be measured by."""
    visible = [c for c in text if not c.isspace()]
    if sum(c.isalnum() or unicodedata.category(c) == "Mn" for c in visible) < 0.45 * len(visible):
        return False
    scripts = [{unicodedata.name(c, "?").split()[0] for c in word if c.isalpha() and c not in "ªº"} - {"CJK", "MODIFIER"}
               for word in words(text)]
    return sum(len(script) <= 1 for script in scripts) >= 0.9 * len(scripts)


def fidelity(reference, other):
    """Word F1 and bigram F1."""
    a, b = words(reference), words(other)
    return f1(a, b), f1(list(zip(a, a[1:])), list(zip(b, b[1:])))

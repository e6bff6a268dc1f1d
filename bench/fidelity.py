"""How much of a reference text another text has: F1 over words and over pairs of neighbours. Standard library only."""

import collections
import re


def f1(reference, other):
    """The F1 of two lists as bags."""
    both = sum((collections.Counter(reference) & collections.Counter(other)).values())
    return 2 * both / (len(reference) + len(other)) if reference or other else 1.0


def words(text):
    """Words without the hyphens that divide them at line ends, which each library marks in its own way."""
    text = re.sub("[\u00ad\u0002\ufffe]\\s*|(?<=\\w)[-\u2010]\\s*\\n\\s*(?=[a-z])", "", text)
    return re.findall(r"\w+", text)


def fidelity(reference, other):
    """Word F1 and bigram F1."""
    a, b = words(reference), words(other)
    return f1(a, b), f1(list(zip(a, a[1:])), list(zip(b, b[1:])))


def without_furniture(texts):
    """The same pages without running headers and footers, for every library alike.

    `texts` maps a library to its pages. A line counts as furniture when, digits aside, it is among the first or last three
    of at least three pages, and of a fifth of them, in the reference; it is then left out wherever it stands so.
    """
    key = lambda line: re.sub(r"\d+", "0", " ".join(line.split())).lower()
    edges = lambda lines: {key(line) for line in lines[:3] + lines[-3:]}
    split = lambda page: [line for line in page.splitlines() if line.strip()]
    reference = next(iter(texts.values()))
    counts = collections.Counter(line for page in reference for line in edges(split(page)))
    running = {line for line, n in counts.items() if n >= max(3, len(reference) / 5)}
    keep = lambda page: "\n".join(line for line in split(page) if key(line) not in running)
    return {name: [keep(page) for page in pages] for name, pages in texts.items()}

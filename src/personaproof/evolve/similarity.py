"""How alike persona texts are: cosine similarity of TF-IDF vectors (Salton & Buckley 1988)."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer

from personaproof.core import normalise_text

_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")
_BLOCK = 1024
"""Rows compared with all others at a time, so that memory grows linearly with the number of texts."""


def words(text: str) -> list[str]:
    """Words in order, case folded. A text without any (only signs) is one word, so that no text is an empty vector."""
    return _WORD.findall(text.casefold()) or [text.casefold()]


class TfIdf:
    """Unit TF-IDF vectors with the document frequencies of a stated corpus.

    A word's weight is (1 + ln tf) * (1 + ln((1 + N) / (1 + df))) for tf occurrences in the text and df of the corpus's
    N texts; words that the corpus lacks are left out. Texts that read the same count once in the corpus, and neither
    its order nor that of the vocabulary changes a similarity. `skip` holds words to leave out. Raises ValueError for an
    empty corpus.
    """

    def __init__(self, corpus: Iterable[str], skip: Container[str] = ()) -> None:
        distinct = sorted({normalise_text(text) for text in corpus})
        if not distinct:
            raise ValueError("document frequencies need at least one text")

        def kept(text: str) -> list[str]:
            return [word for word in words(text) if word not in skip] or words(text)

        self._vectorizer = TfidfVectorizer(analyzer=kept, sublinear_tf=True)
        self._vectorizer.fit(distinct)

    @property
    def vocabulary(self) -> Sequence[str]:
        """The word of each column."""
        return [str(word) for word in self._vectorizer.get_feature_names_out()]

    def vectors(self, texts: Sequence[str]) -> sparse.csr_array:
        """One unit row a text, shape (texts, vocabulary); a row is zero where the corpus has none of the words."""
        if not texts:
            return sparse.csr_array((0, len(self._vectorizer.vocabulary_)))
        return sparse.csr_array(self._vectorizer.transform(texts))

    def mean_pairwise(self, texts: Sequence[str]) -> float | None:
        """Mean cosine similarity over all unordered pairs, in [0, 1]; None for fewer than two texts.

        sum over pairs of x_i . x_j = (|sum x|^2 - sum |x|^2) / 2, so no pair is formed and any number of texts is fine.
        """
        count = len(texts)
        if count < 2:
            return None
        rows = self.vectors(texts)
        total = np.asarray(rows.sum(axis=0), dtype=np.float64)
        own = float((rows.data**2).sum())
        mean = (float(total @ total) - own) / (count * (count - 1))
        # Rounding alone can leave the interval that non-negative unit vectors guarantee.
        return min(1.0, max(0.0, mean))

    def nearest(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Each text's cosine similarity to the one most like it among the others, shape (texts,); 0 for a lone text."""
        rows = self.vectors(texts)
        best = np.zeros(len(texts))
        for start in range(0, len(texts), _BLOCK):
            similar = (rows[start : start + _BLOCK] @ rows.T).toarray()
            here = np.arange(len(similar))
            similar[here, start + here] = 0.0
            best[start : start + len(similar)] = similar.max(axis=1)
        return np.clip(best, 0.0, 1.0)

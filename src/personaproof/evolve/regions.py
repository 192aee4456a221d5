"""Semantic regions: clusters of persona texts, the same for a set of texts in any order."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from threadpoolctl import threadpool_limits

from personaproof.core import ModelError, content_id, normalise_text
from personaproof.evolve.similarity import TfIdf

Rows = sparse.csr_array | NDArray[np.float64]
Embed = Callable[[Sequence[str]], Rows]
"""Turns texts into unit row vectors, sparse or dense."""

REGIONS = 8
FIT_LIMIT = 4000
"""Texts that the clusters are fitted on at most; further ones are only assigned. Keeps the cost linear."""
_TERMS = 4


@dataclass(frozen=True)
class Regions:
    """Cluster centres, shape (regions, dimensions), largest cluster first; `terms[i]` are the words that mark region i
    (empty with embeddings, whose dimensions are not words)."""

    embed: Embed
    centres: NDArray[np.float64]
    terms: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.centres)

    @classmethod
    def fit(cls, texts: Iterable[str], count: int = REGIONS, embed: Embed | None = None) -> Regions:
        """Up to `count` clusters (k-means, Lloyd) of TF-IDF vectors, or of `embed`'s vectors where it is given.

        A pure function of the set of texts: they are sorted first, the start is fixed, and k-means runs in one thread,
        since threads add partial sums in any order. Of more than `FIT_LIMIT` distinct texts, those with the smallest
        content ids decide. Raises ValueError for no texts or a count below 1.
        """
        distinct = sorted({normalise_text(text) for text in texts})
        if not distinct or count < 1:
            raise ValueError("regions need at least one text and a count of at least 1")
        if len(distinct) > FIT_LIMIT:
            distinct = sorted(sorted(distinct, key=lambda text: content_id("text", text))[:FIT_LIMIT])
        if embed is not None:
            return cls._of(embed, embed(distinct), count, None)
        # Function words would make regions of manner, which the register tells already.
        model = TfIdf(distinct, skip=ENGLISH_STOP_WORDS)
        return cls._of(model.vectors, model.vectors(distinct), count, np.array(model.vocabulary))

    def assign(self, texts: Sequence[str]) -> list[int]:
        """The region of each text, 0 to len - 1: that of the nearest centre, the first of equals."""
        if not texts:
            return []
        nearness = np.asarray(self.embed(texts) @ self.centres.T) - 0.5 * np.sum(self.centres**2, axis=1)
        return [int(region) for region in np.argmax(nearness, axis=1)]

    @classmethod
    def _of(cls, embed: Embed, rows: Rows, count: int, vocabulary: NDArray[Any] | None) -> Regions:
        kmeans = KMeans(min(count, rows.shape[0]), random_state=0, n_init=3)
        with threadpool_limits(limits=1), warnings.catch_warnings():
            # Texts of equal vectors leave fewer clusters than asked for; the empty ones are dropped below.
            warnings.simplefilter("ignore", ConvergenceWarning)
            kmeans.fit(rows)
        labels, first, sizes = np.unique(kmeans.labels_, return_index=True, return_counts=True)
        centres = np.asarray(kmeans.cluster_centers_, dtype=np.float64)[labels[np.lexsort((first, -sizes))]]
        if vocabulary is None:
            return cls(embed, centres, ((),) * len(centres))
        return cls(embed, centres, tuple(_marking_terms(centre, centres, vocabulary) for centre in centres))


def _marking_terms(
    centre: NDArray[np.float64], centres: NDArray[np.float64], vocabulary: NDArray[Any]
) -> tuple[str, ...]:
    """The words that stand out most against the mean of all centres; with a single region, the heaviest."""
    excess = centre - centres.mean(axis=0) if len(centres) > 1 else centre
    order = np.lexsort((vocabulary, -excess))[:_TERMS]
    return tuple(str(vocabulary[column]) for column in order if excess[column] > 0)


def sentence_embeddings(model: str = "sentence-transformers/all-MiniLM-L6-v2") -> Embed:
    """Unit sentence embeddings by a local or Hub model, instead of words, for `Regions.fit`.

    Raises ModelError where the `embeddings` extra is not installed or the model cannot be loaded.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ModelError(
            "sentence embeddings need the embeddings extra: pip install 'personaproof[embeddings]'; "
            "or leave them out and TF-IDF is used."
        ) from error
    try:
        encoder = SentenceTransformer(model, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"cannot load the sentence encoder {model!r}: {error}; give a local folder or a Hub id."
        ) from error

    def embed(texts: Sequence[str]) -> NDArray[np.float64]:
        return np.asarray(
            encoder.encode(list(texts), normalize_embeddings=True, show_progress_bar=False), dtype=np.float64
        )

    return embed

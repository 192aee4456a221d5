"""Training rows in tokens.

After the persona-free prompt the chosen response has the tokens it has in persona, so that teacher and student align
position by position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from personaproof.core import Conversation, direct, resolve_framing
from personaproof.harden.picl.rows import Row
from personaproof.harden.sequences import Encoder, TokenSequence


@dataclass(frozen=True)
class EncodedRow:
    """A row in tokens. `plain` is the chosen response in the persona-free context, of preference rows in persona."""

    row: Row
    chosen: TokenSequence
    rejected: TokenSequence | None = None
    plain: TokenSequence | None = None

    @property
    def longest(self) -> int:
        return max(len(s) for s in (self.chosen, self.rejected, self.plain) if s is not None)


class RowEncoder(Encoder):
    """Rows to tokens."""

    def encode(self, rows: Sequence[Row]) -> list[EncodedRow]:
        """The rows in order, in tokens. Raises ModelError where a framing does not fit the template."""
        contexts = [self._context(row) for row in rows]
        prompts, chosen = self.prompts.tokenise_responses([(c, r.chosen) for c, r in zip(contexts, rows, strict=True)])
        paired = [i for i, row in enumerate(rows) if row.rejected is not None]
        # An empty text stands where there is no rejected response; its tokens go unused.
        _, rejected = self.prompts.tokenise_responses([(contexts[i], rows[i].rejected or "") for i in paired])
        bad = dict(zip(paired, rejected, strict=True))
        in_persona = [i for i in paired if rows[i].persona is not None]
        plain = dict(zip(in_persona, self.prompts.tokenise([direct(rows[i].request) for i in in_persona]), strict=True))
        encoded = []
        for i, row in enumerate(rows):
            prompt, response = tuple(prompts[i]), self.closed(chosen[i], row.chosen_complete)
            encoded.append(
                EncodedRow(
                    row,
                    TokenSequence(prompt, response),
                    TokenSequence(prompt, self.closed(bad[i], row.rejected_complete)) if i in bad else None,
                    TokenSequence(tuple(plain[i]), response) if i in plain else None,
                )
            )
        return encoded

    def _context(self, row: Row) -> Conversation:
        if row.persona is None:
            return direct(row.request)
        return resolve_framing(row.framing, self.prompts.supports_system).render(row.persona, row.request)

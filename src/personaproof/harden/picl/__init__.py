"""Persona-Invariant Consistency Learning: rows, the joint loss on the transformers Trainer, its variants."""

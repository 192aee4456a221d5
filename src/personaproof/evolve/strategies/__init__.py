"""Search strategies behind one ask / tell interface."""

from personaproof.evolve.strategies.baselines import PersonaGa, RandomSearch
from personaproof.evolve.strategies.ple import ReferencePle
from personaproof.evolve.strategies.strategy import LineageStrategy, Strategy, StrategyFactory, strategies
from personaproof.evolve.strategies.thompson import LineageThompson

strategies.add("thompson", LineageThompson)
strategies.add("ple", ReferencePle)
strategies.add("persona-ga", PersonaGa)
strategies.add("random", RandomSearch)

__all__ = [
    "LineageStrategy",
    "LineageThompson",
    "PersonaGa",
    "RandomSearch",
    "ReferencePle",
    "Strategy",
    "StrategyFactory",
    "strategies",
]

"""Gristmill: raw text to validated question-answer pairs and conversations for fine-tuning language models.

from generation_functions import Workbench
wb = Workbench("config.yaml", run="first")
"""

from .batch import Batch
from .errors import WorkbenchError
from .records import Cast, Chunk, Conversation, Group, Pair
from .report import chart_of_pairs, chart_of_sizes, chart_of_steps
from .workbench import STEPS, Workbench

__all__ = [
    "STEPS",
    "Batch",
    "Cast",
    "Chunk",
    "Conversation",
    "Group",
    "Pair",
    "Workbench",
    "WorkbenchError",
    "chart_of_pairs",
    "chart_of_sizes",
    "chart_of_steps",
]

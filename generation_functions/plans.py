"""What each step needs to know of the rest: who is asked, what, and which settings change what comes of it.

    PLANS["judge"]    Plan("small", ("judge_paragraph",), ("SKIP.FILTER_CHUNKS", "SYSTEM.USE_FILENAMES", ...))

An item made under other prompts, another model or other values of these settings is called older.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import questions
from .checks.pairs import CHECKS
from .models import Role


@dataclass(frozen=True, slots=True)
class Plan:
    """What a step needs: the model's role, the stages it asks, the settings that change what it makes."""

    role: Role
    stages: tuple[str, ...]
    settings: tuple[str, ...]


_FORM = (
    *("LOCAL.ROPE_SCALING", "LOCAL.ROPE_FREQ_BASE", "LOCAL.ROPE_FREQ_SCALE", "LOCAL.KV_TYPE"),
    "SYSTEM.COMPLETION_MODE",
)
_NAMES = ("SYSTEM.USE_FILENAMES", *_FORM)
_VOTES = ("SYSTEM.DOUBLE_CHECK_COUNTER", "SYSTEM.VOTING", "SYSTEM.PASS_PROBABILITY", *_NAMES)
_CHECKS = tuple(check.stage for check in questions.CHECKS)
_CODE = ("SYSTEM.EVIDENCE", "SYSTEM.LANGUAGE", *(f"CHECKS.{name.upper()}" for name in CHECKS))

PLANS: dict[str, Plan] = {
    "judge": Plan("small", ("judge_paragraph",), ("SKIP.FILTER_CHUNKS", *_NAMES)),
    "write": Plan(
        "small",
        ("plan_questions", "write_pairs"),
        ("SYSTEM.PAIRS_PER_CHUNK", "SKIP.PLAN_QUESTIONS", "SYSTEM.EVIDENCE", *_NAMES),
    ),
    "vet": Plan(
        "small",
        (*_CHECKS, "rewrite_pair"),
        ("SKIP.QUESTION_CHECK", "SKIP.ANSWER_RELEVANCY_CHECK", "SKIP.ANSWER_ACCURACY_CHECK", *_CODE, *_VOTES),
    ),
    "standalone": Plan(
        "small", ("make_standalone", "check_accuracy"), ("SKIP.REPAIR_QA_TUPLES", *_CODE, *_VOTES)
    ),
    "distinct": Plan("small", (), ()),
    "cast": Plan(
        "small",
        ("plan_character", "write_character", "plan_scenario", "write_scenario"),
        ("SYSTEM.ASSISTANT_MODE", *_NAMES),
    ),
    "converse": Plan(
        "large",
        ("write_conversation", "write_assistant_conversation"),
        ("SYSTEM.CONVERSATION_QUOTES", "SYSTEM.ASSISTANT_MODE", "CHECKS.CONVERSATIONS", *_FORM),
    ),
}

STEPS = ("chunks", *PLANS)

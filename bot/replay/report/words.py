"""What the names in a run are called in front of people."""

from __future__ import annotations

from collections.abc import Mapping

OUTCOMES: Mapping[str, str] = {
    "answered": "Answered",
    "noted": "Took note",
    "asked": "Asked back",
    "handed_over": "Handed over",
    "not_helped": "Did not help",
}
ACTIONS: Mapping[str, str] = {
    "answer": "Answered",
    "look_up": "Looked it up and answered",
    "quote": "Quoted a help article",
    "recap": "Said what it remembers",
    "nothing_earlier": "Said that it knows no earlier value",
    "ask": "Asked for a detail",
    "confirm": "Asked whether a remembered detail is meant",
    "clarify": "Asked which of several things is meant",
    "forget": "Asked whether to forget, or forgot",
    "acknowledged": "Took it as mere talk",
    "fact_noted": "Noted a detail",
    "fact_passed_on": "Noted a detail for a colleague",
    "fact_corrected": "Corrected a detail",
    "noted": "Noted it for the colleague",
    "handoff": "Handed over to a colleague",
    "out_of_scope": "Said that it is outside its job",
    "not_understood": "Said that it did not understand",
    "failed": "Failed",
    "empty": "Got an empty message",
    "too_long": "Got too long a message",
    "not_text": "Got no words",
}
VERDICTS: Mapping[str, str] = {
    "worse": "Worse",
    "better": "Better",
    "same": "The same",
    "neutral": "Neither better nor worse",
    "unknown": "The log cannot tell",
}
CHANGES: Mapping[str, str] = {
    "handoff_lost": "No longer hands over",
    "handoff_new": "Now hands over",
    "answer_lost": "No longer answers",
    "answer_new": "Now answers",
    "answer": "Answers something else",
    "question": "Asks something else",
    "look_up": "Looks up with another outcome",
    "quote": "Quotes another passage",
    "memory": "Remembers something else",
    "wording": "Same answer, other words",
    "other": "Something else changed",
}
PARTS: Mapping[str, str] = {
    "desk": "the desk",
    "classifier": "the intent classifier",
    "thresholds": "the classifier's thresholds",
    "memory": "memory",
    "retrieval": "the search in articles",
    "code": "the program",
}
MEMORIES: Mapping[str, str] = {"turn": "Past turn", "fact": "Detail", "promise": "Promise", "summary": "Summary"}
SOURCES: Mapping[str, str] = {
    "answer": "Approved answer",
    "article": "Help article",
    "tool": "Looked up",
    "turn": "Past turn",
    "fact": "Detail",
}
STAGES: Mapping[str, str] = {
    "encode": "reading the message",
    "memory": "remembering",
    "understand": "understanding",
    "decide": "deciding what to say",
    "generate": "wording it by a chat model",
    "save": "keeping the turn",
    "total": "the whole turn",
}
SHARES: Mapping[str, str] = {
    "intent": "of the labelled messages were understood as their label",
    "answer": "of the messages that the log can judge got what was right",
    "particulars": "of the numbers, dates, names and amounts in the agents' words are in the bot's",
    "handoff_right": "of the handoffs that the log can judge came at the right time",
    "handoff_late": "of them came too late or not at all",
    "handoff_early": "of them came too early",
    "handoff_needless": "of them were needless",
    "asked_known": "of the questions asked for what the customer had said before",
    "promise_made": "of the messages to which an agent promised something get a promise from the bot, too",
    "promise_new": "of the bot's promises stand where the agent who replied promised nothing",
    "unanswered": "of the messages got no answer, questions about what is meant among them",
    "alone": "of the conversations the bot could have resolved alone",
}
HARMS: Mapping[int, str] = {
    3: "Much worse (3)",
    2: "Worse (2)",
    1: "A little worse (1)",
    0: "Neither (0)",
    -1: "A little better (-1)",
    -2: "Better (-2)",
    -3: "Much better (-3)",
}
HANDOFFS: Mapping[str, str] = {
    "right": "Handed over at the right time",
    "late": "Should have handed over",
    "early": "Handed over too early",
    "needless": "Handed over without need",
}
LIMITS: Mapping[str, str] = {
    "worse_share": "Messages that became worse",
    "worse_answered_share": "Answered messages that became worse",
    "worse_turns": "Messages that became worse",
    "changed_share": "Messages that became different",
    "lost_handoffs": "Messages that are no longer handed over",
    "lost_answers": "Messages that are no longer answered",
    "wrong_share": "Messages that did not get what was right",
    "unanswered_share": "Messages without an answer",
    "asked_known_share": "Questions for what the customer had said before",
    "late_handoff_share": "Handoffs too late or not at all",
    "needless_handoff_share": "Handoffs without need",
    "p95_ms": "Milliseconds within which 95 % of replies come",
    "intent_share": "Messages understood as their label",
    "alone_share": "Conversations resolved alone",
}
AT_LEAST = ("intent_share", "alone_share")


def name_of(names: Mapping[str, str], key: str) -> str:
    """Return what something is called, its own name where it has no other."""
    return names.get(key) or key.replace("_", " ").capitalize()


def number(count: int) -> str:
    """Return a count with its thousands apart."""
    return f"{count:,}"


def percent(share: float) -> str:
    """Return a share (0 to 1) in per cent: whole, but for what is nearly nothing or nearly all."""
    value = 100 * share
    near = 0 < value < 1 or 99 < value < 100
    return f"{value:.1f}\u00a0%" if near else f"{value:.0f}\u00a0%"

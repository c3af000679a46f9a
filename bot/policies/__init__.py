"""Policy from Cedar documents: who may ask for what, when, and on whose consent.

    obligations.py  what a permit demands beside its conditions, and how demands add up
    statements.py   a document's text -> its policies, one by one
    documents.py    documents -> a checked bundle, or every mistake at once
    asking.py       a request -> what Cedar is asked, without anything about persons
    cedar.py        the port `Policy`
    replaying.py    a recorded decision, made again
    explaining.py   the same request in other situations

The language is Cedar (cedarpolicy.com), evaluated by `cedarpy`. The documents
stand in `knowledge/policies/`, whose README tells how to write them.
"""

from bot.policies.cedar import CedarPolicy, from_documents, load
from bot.policies.documents import PolicyError, Problem
from bot.policies.explaining import Explained, explain
from bot.policies.replaying import Replayed, replay

__all__ = [
    "CedarPolicy",
    "Explained",
    "PolicyError",
    "Problem",
    "Replayed",
    "explain",
    "from_documents",
    "load",
    "replay",
]

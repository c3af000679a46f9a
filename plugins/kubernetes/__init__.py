"""Kubernetes as actions: looking at listed namespaces, and changing what was looked at.

Every change is bound to what its dry run saw: the part it changes is read right
before the effect, compared, and written with the resource version of that very
reading, so that the API server refuses (409) whatever came in between.
"""

from plugins.kubernetes.plugin import Kubernetes

PLUGIN = Kubernetes

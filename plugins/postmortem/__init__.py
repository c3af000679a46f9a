"""What happened, for those who join late and those who come after.

`/incident catchup` tells one person where an incident stands; `/incident
postmortem` drafts the document from the records. `messages` draws both,
`document` the whole draft, `plugin` has the handlers.
"""

from plugins.postmortem.plugin import PostmortemPlugin

PLUGIN = PostmortemPlugin

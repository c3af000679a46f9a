"""Feature flags of any service that shows and sets them as JSON over HTTP.

In reading order: `templates` (how this service's addresses and bodies look),
`exchange` (one request, and what its answer means), `actions`
(`feature_flag.get@1`, `feature_flag.set@1`), `plugin` (settings).

Each flag has to be listed; none is by default. A service that gives a strong
ETag is asked to set the flag only if nothing changed in between (If-Match, RFC
9110, section 13.1.1); without one the value is compared and then set.
"""

from plugins.feature_flag.plugin import FeatureFlag

PLUGIN = FeatureFlag

"""HTTP requests as actions: to listed hosts only, and never where a name is bent to.

In reading order: `targets` (which URL is allowed), `addresses` (what its name
resolves to, checked and pinned), `exchange` (one request with its caps),
`actions` (`http.get@1`, `http.request@1`), `plugin` (settings).
"""

from plugins.http.plugin import Http

PLUGIN = Http

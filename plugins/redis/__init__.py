"""Redis: what a server says of itself, and listed parameters of its configuration.

In reading order: `servers` (which servers, as whom), `values` (when two values
are the same), `sessions` (one connection, and what its errors mean), `actions`
(`redis.info@1`, `redis.config@1`, `redis.config_set@1`), `plugin` (settings).

Each server has to be listed, and each parameter that may be set; none are by
default. The ACL user needs no more than
`ACL SETUSER tocsin on >password -@all +info +config|get +config|set`.
"""

from plugins.redis.plugin import Redis

PLUGIN = Redis

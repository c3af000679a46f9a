"""How hard property tests try: `HYPOTHESIS_PROFILE=long` tries for long."""

import os

from hypothesis import settings

settings.register_profile("long", max_examples=3000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

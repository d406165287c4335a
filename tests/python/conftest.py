"""Settings of the whole suite: repeatable examples, no time limits on a shared machine."""

from hypothesis import settings

settings.register_profile("lwfc", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("lwfc")

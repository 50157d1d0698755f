"""An embedded Cachet: the default when no Cachet is configured, and the server under every test.

It imports neither Dagster nor dlt, so that it starts at once and can be used to test anything that talks to a
Cachet.
"""

from .answers import DEMO_TOKEN
from .living import living_world
from .server import DemoServer
from .world import World

__all__ = ["DEMO_TOKEN", "DemoServer", "World", "living_world"]

"""What every test of the live plane may ask for."""

from tests.support.redis import redis, redis_server, redis_state

__all__ = ["redis", "redis_server", "redis_state"]

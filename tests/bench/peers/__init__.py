"""
One file a family of peers. Each registers its figures; importing this package registers all.

`FAMILIES` is {family: its peers}, the words that --peers knows.
"""

from . import bare, beanstalkd, futured, gearmand, python, redis_based, shell  # noqa: F401  (they register)

FAMILIES = {"futured": ("futured",), "python": ("ppe", "tpe", "pool", "asyncio"), "gearmand": ("gearmand",),
            "beanstalkd": ("beanstalkd",), "redis": ("redis", "rq", "celery"), "shell": ("tsp", "parallel"),
            "bare": ("bare",)}

"""The celery application of the bench: broker and results on the Redis at $BENCH_REDIS_PORT."""

import os

import bench_jobs
from celery import Celery

URL = "redis://127.0.0.1:%s/" % os.environ["BENCH_REDIS_PORT"]
app = Celery("bench", broker=URL + "1", backend=URL + "2")
app.conf.update(task_serializer="json", result_serializer="json", accept_content=["json"])
same = app.task(bench_jobs.same, name="same")
command = app.task(bench_jobs.command, name="command")
fetch = app.task(bench_jobs.fetch, name="fetch")

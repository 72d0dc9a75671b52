# To add a file: put its name (source and header) in the list below, in alphabetical order, and its layer in daemon/LAYERS.
# libdaemon.la is all of the daemon but main.c, so that unit tests link the real objects.

noinst_LTLIBRARIES += libdaemon.la
bin_PROGRAMS += futured

futured_SOURCES = daemon/main.c
futured_LDADD = libdaemon.la
futured_LDFLAGS = $(AM_LDFLAGS) $(PIE_LDFLAGS)

libdaemon_la_SOURCES = \
	daemon/activation.c \
	daemon/activation.h \
	daemon/await.c \
	daemon/await.h \
	daemon/base64.c \
	daemon/base64.h \
	daemon/birth.c \
	daemon/birth.h \
	daemon/capture.c \
	daemon/capture.h \
	daemon/channel.c \
	daemon/channel.h \
	daemon/clock.h \
	daemon/command.c \
	daemon/command.h \
	daemon/config.c \
	daemon/config.h \
	daemon/config_load.c \
	daemon/config_value.c \
	daemon/config_value.h \
	daemon/dispatch.c \
	daemon/dispatch.h \
	daemon/dispatch_answer.c \
	daemon/dispatch_commit.c \
	daemon/dispatch_end.c \
	daemon/dispatch_private.h \
	daemon/dispatch_queue.c \
	daemon/dispatch_run.c \
	daemon/fdpass.c \
	daemon/fdpass.h \
	daemon/frame.c \
	daemon/frame.h \
	daemon/fsm.c \
	daemon/fsm.h \
	daemon/gather.c \
	daemon/gather.h \
	daemon/iopool.c \
	daemon/iopool.h \
	daemon/job.c \
	daemon/job.h \
	daemon/leaders.c \
	daemon/leaders.h \
	daemon/line.c \
	daemon/line.h \
	daemon/listener.c \
	daemon/listener.h \
	daemon/locks.c \
	daemon/locks.h \
	daemon/log.c \
	daemon/log.h \
	daemon/loop.c \
	daemon/loop.h \
	daemon/mem.c \
	daemon/mem.h \
	daemon/methods.c \
	daemon/methods.h \
	daemon/methods_control.c \
	daemon/methods_info.c \
	daemon/methods_look.c \
	daemon/methods_queues.c \
	daemon/methods_submit.c \
	daemon/methods_wait.c \
	daemon/multi.c \
	daemon/multi.h \
	daemon/netaddr.c \
	daemon/netaddr.h \
	daemon/notify.c \
	daemon/notify.h \
	daemon/outcome.c \
	daemon/outcome.h \
	daemon/outfile.c \
	daemon/outfile.h \
	daemon/procfs.c \
	daemon/procfs.h \
	daemon/proctree.c \
	daemon/proctree.h \
	daemon/proctree_sweep.c \
	daemon/queues.c \
	daemon/queues.h \
	daemon/receivers.c \
	daemon/receivers.h \
	daemon/render.c \
	daemon/render.h \
	daemon/request.c \
	daemon/request.h \
	daemon/retention.c \
	daemon/retention.h \
	daemon/roster.c \
	daemon/roster.h \
	daemon/server.h \
	daemon/session.c \
	daemon/session.h \
	daemon/slots.c \
	daemon/slots.h \
	daemon/spawner.c \
	daemon/spawner.h \
	daemon/spawnlink.c \
	daemon/spawnlink.h \
	daemon/spec.c \
	daemon/spec.h \
	daemon/store.c \
	daemon/store.h \
	daemon/store_sqlite/cancel.c \
	daemon/store_sqlite/change.c \
	daemon/store_sqlite/checkpoint.c \
	daemon/store_sqlite/commit.c \
	daemon/store_sqlite/db.h \
	daemon/store_sqlite/expire.c \
	daemon/store_sqlite/fan.c \
	daemon/store_sqlite/feed.c \
	daemon/store_sqlite/fill.c \
	daemon/store_sqlite/gate.c \
	daemon/store_sqlite/names.c \
	daemon/store_sqlite/put.c \
	daemon/store_sqlite/recover.c \
	daemon/store_sqlite/scan.c \
	daemon/store_sqlite/schema.c \
	daemon/store_sqlite/settings.c \
	daemon/store_sqlite/statements.c \
	daemon/store_sqlite/survey.c \
	daemon/store_sqlite/thread.c \
	daemon/store_sqlite/webhook.c \
	daemon/supervise.c \
	daemon/supervise.h \
	daemon/task.c \
	daemon/task.h \
	daemon/tasks/exec.c \
	daemon/tasks/file.c \
	daemon/tasks/http.c \
	daemon/tasks/http.h \
	daemon/tasks/http_transfer.c \
	daemon/tasks/math.c \
	daemon/tasks/net.c \
	daemon/tasks/noop.c \
	daemon/tasks/post.c \
	daemon/tasks/post.h \
	daemon/tasks/table.c \
	daemon/tasks/tasks.h \
	daemon/tasks/time.c \
	daemon/text.c \
	daemon/text.h \
	daemon/tls.c \
	daemon/tls.h \
	daemon/token.c \
	daemon/token.h \
	daemon/tokens.c \
	daemon/tokens.h \
	daemon/waiters.c \
	daemon/waiters.h \
	daemon/waits.c \
	daemon/waits.h \
	daemon/watch.c \
	daemon/watch.h \
	daemon/webhook.c \
	daemon/webhook.h \
	daemon/worker.c \
	daemon/worker.h \
	daemon/workers.c \
	daemon/workers.h

libdaemon_la_LIBADD = \
	libproto.la \
	$(EVENT_LIBS) $(JANSSON_LIBS) $(SQLITE_LIBS) $(CURL_LIBS) $(CRYPTO_LIBS) $(SSL_LIBS) $(INIH_LIBS) $(SYSTEMD_LIBS)

EXTRA_DIST += daemon/LAYERS

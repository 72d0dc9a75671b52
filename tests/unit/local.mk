# To add a test: put tests/unit/test_MODULE in check_PROGRAMS and name its SOURCES and LDADD below. One program a module.

unit_ldadd = $(daemon_libs) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_config
tests_unit_test_config_SOURCES = tests/unit/test_config.c
tests_unit_test_config_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_proctree
tests_unit_test_proctree_SOURCES = tests/unit/test_proctree.c tests/unit/tree.h tests/unit/bulk.h
tests_unit_test_proctree_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_privacy
tests_unit_test_privacy_SOURCES = tests/unit/test_privacy.c
tests_unit_test_privacy_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_runas
tests_unit_test_runas_SOURCES = tests/unit/test_runas.c
tests_unit_test_runas_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_fsm
tests_unit_test_fsm_SOURCES = tests/unit/test_fsm.c
tests_unit_test_fsm_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_line
tests_unit_test_line_SOURCES = tests/unit/test_line.c
tests_unit_test_line_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_queues
tests_unit_test_queues_SOURCES = tests/unit/test_queues.c
tests_unit_test_queues_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_hoard
tests_unit_test_hoard_SOURCES = tests/unit/test_hoard.c
tests_unit_test_hoard_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_leaders
tests_unit_test_leaders_SOURCES = tests/unit/test_leaders.c
tests_unit_test_leaders_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_room
tests_unit_test_room_SOURCES = tests/unit/test_room.c
tests_unit_test_room_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_receivers
tests_unit_test_receivers_SOURCES = tests/unit/test_receivers.c
tests_unit_test_receivers_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_waiters
tests_unit_test_waiters_SOURCES = tests/unit/test_waiters.c
tests_unit_test_waiters_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_frame
tests_unit_test_frame_SOURCES = tests/unit/test_frame.c
tests_unit_test_frame_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_slots
tests_unit_test_slots_SOURCES = tests/unit/test_slots.c
tests_unit_test_slots_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_outcome
tests_unit_test_outcome_SOURCES = tests/unit/test_outcome.c
tests_unit_test_outcome_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_iopool
tests_unit_test_iopool_SOURCES = tests/unit/test_iopool.c tests/unit/pump.h
tests_unit_test_iopool_LDADD = $(unit_ldadd)

# proto/ alone, so that it stays free of what the daemon needs.
proto_ldadd = libproto.la $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_jsonscan
tests_unit_test_jsonscan_SOURCES = tests/unit/test_jsonscan.c
tests_unit_test_jsonscan_LDADD = $(proto_ldadd)

check_PROGRAMS += tests/unit/test_jsonspan
tests_unit_test_jsonspan_SOURCES = tests/unit/test_jsonspan.c
tests_unit_test_jsonspan_LDADD = $(proto_ldadd)

check_PROGRAMS += tests/unit/test_lines
tests_unit_test_lines_SOURCES = tests/unit/test_lines.c
tests_unit_test_lines_LDADD = $(proto_ldadd)

check_PROGRAMS += tests/unit/test_envelope
tests_unit_test_envelope_SOURCES = tests/unit/test_envelope.c
tests_unit_test_envelope_LDADD = $(proto_ldadd)

check_PROGRAMS += tests/unit/test_selection
tests_unit_test_selection_SOURCES = tests/unit/test_selection.c
tests_unit_test_selection_LDADD = $(proto_ldadd)

check_PROGRAMS += tests/unit/test_datetime
tests_unit_test_datetime_SOURCES = tests/unit/test_datetime.c
tests_unit_test_datetime_LDADD = $(proto_ldadd)

check_PROGRAMS += tests/unit/test_proto_words
tests_unit_test_proto_words_SOURCES = tests/unit/test_proto_words.c
tests_unit_test_proto_words_LDADD = $(proto_ldadd)

check_PROGRAMS += tests/unit/test_supervise
tests_unit_test_supervise_SOURCES = tests/unit/test_supervise.c tests/unit/tree.h
tests_unit_test_supervise_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_waits
tests_unit_test_waits_SOURCES = tests/unit/test_waits.c tests/unit/http_server.c tests/unit/http_server.h tests/unit/pump.h tests/unit/bulk.h
tests_unit_test_waits_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_http
tests_unit_test_http_SOURCES = tests/unit/test_http.c tests/unit/http_server.c tests/unit/http_server.h tests/unit/pump.h
tests_unit_test_http_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_netaddr
tests_unit_test_netaddr_SOURCES = tests/unit/test_netaddr.c
tests_unit_test_netaddr_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_notify
tests_unit_test_notify_SOURCES = tests/unit/test_notify.c
tests_unit_test_notify_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_store
tests_unit_test_store_SOURCES = tests/unit/test_store.c tests/unit/store_rig.h
tests_unit_test_store_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_store_ready
tests_unit_test_store_ready_SOURCES = tests/unit/test_store_ready.c tests/unit/store_rig.h
tests_unit_test_store_ready_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_store_wal
tests_unit_test_store_wal_SOURCES = tests/unit/test_store_wal.c tests/unit/store_rig.h
tests_unit_test_store_wal_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_store_queue
tests_unit_test_store_queue_SOURCES = tests/unit/test_store_queue.c tests/unit/store_rig.h
tests_unit_test_store_queue_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_store_after
tests_unit_test_store_after_SOURCES = tests/unit/test_store_after.c tests/unit/store_rig.h tests/unit/bulk.h
tests_unit_test_store_after_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_store_expire
tests_unit_test_store_expire_SOURCES = tests/unit/test_store_expire.c tests/unit/store_rig.h
tests_unit_test_store_expire_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_store_file
tests_unit_test_store_file_SOURCES = tests/unit/test_store_file.c tests/unit/store_rig.h
tests_unit_test_store_file_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_store_read
tests_unit_test_store_read_SOURCES = tests/unit/test_store_read.c tests/unit/store_rig.h tests/unit/bulk.h
tests_unit_test_store_read_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_store_recover
tests_unit_test_store_recover_SOURCES = tests/unit/test_store_recover.c tests/unit/store_rig.h tests/unit/bulk.h
tests_unit_test_store_recover_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_store_webhook
tests_unit_test_store_webhook_SOURCES = tests/unit/test_store_webhook.c tests/unit/store_rig.h
tests_unit_test_store_webhook_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_store_faults
tests_unit_test_store_faults_SOURCES = tests/unit/test_store_faults.c tests/unit/store_rig.h tests/unit/faulty_vfs.h tests/unit/bulk.h
tests_unit_test_store_faults_LDADD = $(unit_ldadd)

# The client's: futurectl's objects without its main, and the library's below them.
client_ldadd = $(ctl_libs) $(CHECK_LIBS)

check_PROGRAMS += tests/unit/test_client_value
tests_unit_test_client_value_SOURCES = tests/unit/test_client_value.c
tests_unit_test_client_value_LDADD = $(client_ldadd)

check_PROGRAMS += tests/unit/test_client_words
tests_unit_test_client_words_SOURCES = tests/unit/test_client_words.c
tests_unit_test_client_words_LDADD = $(client_ldadd)

check_PROGRAMS += tests/unit/test_client_wire
tests_unit_test_client_wire_SOURCES = tests/unit/test_client_wire.c tests/unit/fake_daemon.h
tests_unit_test_client_wire_LDADD = $(client_ldadd)

check_PROGRAMS += tests/unit/test_client_watch
tests_unit_test_client_watch_SOURCES = tests/unit/test_client_watch.c tests/unit/fake_daemon.h tests/unit/bulk.h
tests_unit_test_client_watch_LDADD = $(client_ldadd)

check_PROGRAMS += tests/unit/test_client_future
tests_unit_test_client_future_SOURCES = tests/unit/test_client_future.c tests/unit/fake_daemon.h tests/unit/bulk.h
tests_unit_test_client_future_LDADD = $(client_ldadd)

check_PROGRAMS += tests/unit/test_client_memory
tests_unit_test_client_memory_SOURCES = tests/unit/test_client_memory.c tests/unit/fake_daemon.h
tests_unit_test_client_memory_LDADD = $(client_ldadd)
tests_unit_test_client_memory_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=reallocarray \
	-Wl,--wrap=strdup,--wrap=strndup,--wrap=vasprintf,--wrap=__vasprintf_chk

check_PROGRAMS += tests/unit/test_client_process
tests_unit_test_client_process_SOURCES = tests/unit/test_client_process.c tests/unit/fake_daemon.h
tests_unit_test_client_process_LDADD = $(client_ldadd) $(EVENT_LIBS)

check_PROGRAMS += tests/unit/test_spawner
tests_unit_test_spawner_SOURCES = tests/unit/test_spawner.c tests/unit/rig.h tests/unit/tree.h
tests_unit_test_spawner_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_tokens
tests_unit_test_tokens_SOURCES = tests/unit/test_tokens.c
tests_unit_test_tokens_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_workers
tests_unit_test_workers_SOURCES = tests/unit/test_workers.c tests/fuzz/understudy.c tests/fuzz/understudy.h
tests_unit_test_workers_LDADD = $(fuzz_libs) $(unit_ldadd)

check_PROGRAMS += tests/unit/test_capture
tests_unit_test_capture_SOURCES = tests/unit/test_capture.c tests/unit/tree.h
tests_unit_test_capture_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_task
tests_unit_test_task_SOURCES = tests/unit/test_task.c tests/unit/tree.h
tests_unit_test_task_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_client_items
tests_unit_test_client_items_SOURCES = tests/unit/test_client_items.c
tests_unit_test_client_items_LDADD = $(client_ldadd)

check_PROGRAMS += tests/unit/test_progress
tests_unit_test_progress_SOURCES = tests/unit/test_progress.c
tests_unit_test_progress_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_cgroup
tests_unit_test_cgroup_SOURCES = tests/unit/test_cgroup.c tests/unit/tree.h
tests_unit_test_cgroup_LDADD = $(unit_ldadd)

check_PROGRAMS += tests/unit/test_store_memory
tests_unit_test_store_memory_SOURCES = tests/unit/test_store_memory.c tests/unit/store_rig.h
tests_unit_test_store_memory_LDADD = $(unit_ldadd)

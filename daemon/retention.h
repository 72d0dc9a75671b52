/*
 * retention: ended jobs go when their time is over, some hundreds at a time: first their output files, then their rows. Loop thread.
 */
#ifndef DAEMON_RETENTION_H
#define DAEMON_RETENTION_H

#include <stdint.h>

struct dispatch;
struct loop;
struct outfiles;
struct retention;

struct retention *retention_new(struct loop *loop, struct dispatch *dispatch, struct outfiles *outfiles);
/* A job has ended whose time is over at until_ms (wall clock). */
void retention_note(struct retention *retention, int64_t until_ms);
void retention_free(struct retention *retention);

#endif

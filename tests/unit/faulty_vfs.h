/*
 * faulty_vfs: SQLite's own files with faults on order: the nth write, sync or read from now on fails as told. Header only.
 */
#ifndef TESTS_UNIT_FAULTY_VFS_H
#define TESTS_UNIT_FAULTY_VFS_H

#include <check.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>

enum fault_kind { FAULT_WRITE, FAULT_SYNC, FAULT_READ, FAULT_KINDS };

/* in: how many calls from now, 0: never; then each fails until it is set to 0 again. */
struct fault {
	atomic_int in;
	atomic_int code;
	atomic_int struck; /* how many have failed since it was set */
};

static struct fault faults[FAULT_KINDS];
static sqlite3_vfs *fault_parent;

static inline void
fault_set(enum fault_kind kind, int in, int code)
{
	atomic_store(&faults[kind].code, code);
	atomic_store(&faults[kind].struck, 0);
	atomic_store(&faults[kind].in, in);
}

static inline int
fault_strikes(enum fault_kind kind)
{
	int in = atomic_load(&faults[kind].in);

	if (in > 1)
		atomic_store(&faults[kind].in, in - 1);
	if (in == 1)
		atomic_fetch_add(&faults[kind].struck, 1);
	return in == 1 ? atomic_load(&faults[kind].code) : SQLITE_OK;
}

/* SQLite's file stands behind ours. */
struct faulty_file {
	sqlite3_file base;
	sqlite3_file *real;
};

#define FAULTY_REAL(file) (((struct faulty_file *)(file))->real)

static inline int
faulty_close(sqlite3_file *file)
{
	return FAULTY_REAL(file)->pMethods->xClose(FAULTY_REAL(file));
}

static inline int
faulty_read(sqlite3_file *file, void *buf, int n, sqlite3_int64 at)
{
	int fault = fault_strikes(FAULT_READ);

	return fault != SQLITE_OK ? fault : FAULTY_REAL(file)->pMethods->xRead(FAULTY_REAL(file), buf, n, at);
}

static inline int
faulty_write(sqlite3_file *file, const void *buf, int n, sqlite3_int64 at)
{
	int fault = fault_strikes(FAULT_WRITE);

	return fault != SQLITE_OK ? fault : FAULTY_REAL(file)->pMethods->xWrite(FAULTY_REAL(file), buf, n, at);
}

static inline int
faulty_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	return FAULTY_REAL(file)->pMethods->xTruncate(FAULTY_REAL(file), size);
}

static inline int
faulty_sync(sqlite3_file *file, int flags)
{
	int fault = fault_strikes(FAULT_SYNC);

	return fault != SQLITE_OK ? fault : FAULTY_REAL(file)->pMethods->xSync(FAULTY_REAL(file), flags);
}

static inline int
faulty_file_size(sqlite3_file *file, sqlite3_int64 *ret_size)
{
	return FAULTY_REAL(file)->pMethods->xFileSize(FAULTY_REAL(file), ret_size);
}

static inline int
faulty_lock(sqlite3_file *file, int level)
{
	return FAULTY_REAL(file)->pMethods->xLock(FAULTY_REAL(file), level);
}

static inline int
faulty_unlock(sqlite3_file *file, int level)
{
	return FAULTY_REAL(file)->pMethods->xUnlock(FAULTY_REAL(file), level);
}

static inline int
faulty_check_lock(sqlite3_file *file, int *ret_locked)
{
	return FAULTY_REAL(file)->pMethods->xCheckReservedLock(FAULTY_REAL(file), ret_locked);
}

static inline int
faulty_control(sqlite3_file *file, int what, void *arg)
{
	return FAULTY_REAL(file)->pMethods->xFileControl(FAULTY_REAL(file), what, arg);
}

static inline int
faulty_sector_size(sqlite3_file *file)
{
	return FAULTY_REAL(file)->pMethods->xSectorSize(FAULTY_REAL(file));
}

static inline int
faulty_characteristics(sqlite3_file *file)
{
	return FAULTY_REAL(file)->pMethods->xDeviceCharacteristics(FAULTY_REAL(file));
}

static inline int
faulty_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	static const sqlite3_io_methods methods = {
	    .iVersion = 1,
	    .xClose = faulty_close,
	    .xRead = faulty_read,
	    .xWrite = faulty_write,
	    .xTruncate = faulty_truncate,
	    .xSync = faulty_sync,
	    .xFileSize = faulty_file_size,
	    .xLock = faulty_lock,
	    .xUnlock = faulty_unlock,
	    .xCheckReservedLock = faulty_check_lock,
	    .xFileControl = faulty_control,
	    .xSectorSize = faulty_sector_size,
	    .xDeviceCharacteristics = faulty_characteristics,
	};
	struct faulty_file *faulty = (struct faulty_file *)file;
	int rc;

	(void)vfs;
	faulty->real = (sqlite3_file *)(faulty + 1);
	rc = fault_parent->xOpen(fault_parent, name, faulty->real, flags, ret_flags);
	faulty->base.pMethods = rc == SQLITE_OK ? &methods : NULL;
	return rc;
}

/* All databases that are opened from now on are on it. */
static inline void
faulty_vfs_install(void)
{
	static sqlite3_vfs vfs;

	ck_assert_int_eq(sqlite3_initialize(), SQLITE_OK);
	fault_parent = sqlite3_vfs_find(NULL);
	vfs = *fault_parent;
	vfs.zName = "faulty";
	vfs.szOsFile += (int)sizeof(struct faulty_file);
	vfs.xOpen = faulty_open;
	ck_assert_int_eq(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
}

#endif

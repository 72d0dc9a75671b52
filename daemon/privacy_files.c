/*
 * privacy_files: the files that no task reads, see privacy.h.
 *
 * A name tells nothing: symbolic links, "..", /proc/self/root, /proc/self/fd and hard links all lead to a file by another.
 * So the file is taken hold of first, without being opened (O_PATH: to open and close the database would drop SQLite's
 * locks of it), and then it is asked where it lies: the kernel names its folder, and that folder and all above it are
 * compared by device and inode. What cannot be told apart is refused. What was checked is what is opened.
 */
#include "daemon/privacy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "daemon/mem.h"

#define FOLDERS_MAX 4
#define FILES_MAX   4

struct privacy_folder {
	char *path;
	struct stat stat;
};

/* Written before there is a second thread or process. */
static struct privacy_folder privacy_folders[FOLDERS_MAX];
static int privacy_n_folders;
static char *privacy_files[FILES_MAX];
static int privacy_n_files;

/* Workers go elsewhere with their commands. */
static char *
privacy_absolute(const char *path)
{
	char here[PATH_MAX];

	if (path[0] == '/' || getcwd(here, sizeof(here)) == NULL)
		return mem_text(path);
	return mem_format("%s/%s", here, path);
}

int
privacy_keep_folder(const char *path)
{
	struct privacy_folder *folder = &privacy_folders[privacy_n_folders];

	if (privacy_n_folders == FOLDERS_MAX)
		abort();
	if (stat(path, &folder->stat) < 0)
		return -1;
	folder->path = privacy_absolute(path);
	privacy_n_folders++;
	return 0;
}

void
privacy_keep_file(const char *path)
{
	if (privacy_n_files == FILES_MAX)
		abort();
	privacy_files[privacy_n_files++] = privacy_absolute(path);
}

void
privacy_keep_nothing(void)
{
	while (privacy_n_files > 0)
		free(privacy_files[--privacy_n_files]);
	while (privacy_n_folders > 0)
		free(privacy_folders[--privacy_n_folders].path);
}

static bool
privacy_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The file is asked for now: it may have been replaced since the start. */
static bool
privacy_is_file(const struct stat *file)
{
	struct stat kept;

	for (int i = 0; i < privacy_n_files; i++) {
		if (stat(privacy_files[i], &kept) == 0 && privacy_same(&kept, file))
			return true;
	}
	return false;
}

static bool
privacy_is_folder(const struct stat *folder)
{
	for (int i = 0; i < privacy_n_folders; i++) {
		if (privacy_same(&privacy_folders[i].stat, folder))
			return true;
	}
	return false;
}

/* Whether it, or one above it, is a folder that is kept, or there is one that cannot be looked at. Takes dir. */
static bool
privacy_is_below(int dir)
{
	struct stat here = {0}, before;
	bool first = true;
	int above;

	while (dir >= 0) {
		before = here;
		if (fstat(dir, &here) < 0 || privacy_is_folder(&here))
			break;
		if (!first && privacy_same(&here, &before)) { /* the root is its own parent */
			close(dir);
			return false;
		}
		first = false;
		above = openat(dir, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(dir);
		dir = above;
	}
	if (dir >= 0)
		close(dir);
	return true;
}

/* A process's own folder of /proc: of ours it would show the environment, and to root the memory. */
static bool
privacy_is_of_a_process(int file, const char *path)
{
	struct statfs system;

	if (fstatfs(file, &system) == 0 && system.f_type != PROC_SUPER_MAGIC)
		return false;
	for (const char *at = path; (at = strchr(at, '/')) != NULL;) {
		size_t digits = strspn(++at, "0123456789");

		if (digits > 0 && (at[digits] == '/' || at[digits] == '\0'))
			return true;
	}
	return false;
}

/* Whether the file, which has several names, has one in that folder. A folder that cannot be read counts as if it had. */
static bool
privacy_has_name_in(const struct privacy_folder *folder, const struct stat *file)
{
	DIR *entries = opendir(folder->path);
	struct stat stat = {0};
	struct dirent *entry;
	bool has;

	if (entries == NULL)
		return true;
	has = fstat(dirfd(entries), &stat) < 0 || !privacy_same(&stat, &folder->stat);
	while (!has && (entry = readdir(entries)) != NULL)
		has = entry->d_ino == file->st_ino && fstatat(dirfd(entries), entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) == 0 &&
		    privacy_same(&stat, file);
	closedir(entries);
	return has;
}

/* The kernel tells one name of a file: one with others may lie in a folder that is kept, too. */
static bool
privacy_is_linked(const struct stat *file)
{
	for (int i = 0; file->st_nlink > 1 && i < privacy_n_folders; i++) {
		if (file->st_dev == privacy_folders[i].stat.st_dev && privacy_has_name_in(&privacy_folders[i], file))
			return true;
	}
	return false;
}

/* Whether path is where the file lies, and that is in no folder that is kept. Cuts path. */
static bool
privacy_lies_elsewhere(const struct stat *file, char *path)
{
	char *name = strrchr(path, '/');
	struct stat found;
	bool there;
	int dir;

	if (name == NULL)
		return false; /* it has no place at all, as a pipe */
	*name++ = '\0';
	dir = open(path[0] != '\0' ? path : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return false;
	there = fstatat(dir, name, &found, AT_SYMLINK_NOFOLLOW) == 0 && privacy_same(&found, file);
	return !privacy_is_below(dir) && there;
}

/* Whether what is held, by O_PATH, is nobody's but the world's. A folder has nothing to read. */
static bool
privacy_is_open_to_all(int held, const char *link)
{
	char path[PATH_MAX];
	struct stat file;
	ssize_t len = readlink(link, path, sizeof(path) - 1);

	if (len < 0 || fstat(held, &file) < 0)
		return false;
	path[len] = '\0';
	if (S_ISDIR(file.st_mode))
		return true;
	return !privacy_is_of_a_process(held, path) && !privacy_is_file(&file) && !privacy_is_linked(&file) &&
	    privacy_lies_elsewhere(&file, path);
}

int
privacy_open(const char *path)
{
	int held = open(path, O_PATH | O_CLOEXEC), fd, error;
	char link[32];

	if (held < 0)
		return -1;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", held);
	errno = 0;
	if (privacy_is_open_to_all(held, link))
		fd = open(link, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) /* it could not be asked */
		fd = -1;
	else
		fd = PRIVACY_KEPT;
	error = errno;
	close(held);
	errno = error;
	return fd;
}

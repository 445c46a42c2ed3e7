/*
 * Cuts the power of one file system at the n-th call that would change it: preloaded into a process, it counts calls
 * on files under POWER_CUT_MOUNT, and in place of call number POWER_CUT_AT shuts the ext4 file system down without
 * flushing its journal (what was not flushed is gone, as after a power cut) and kills the process.
 *
 *   POWER_CUT_MOUNT  mount point of a file system of its own
 *   POWER_CUT_AT     call to cut at, from 1; 0 counts only
 *   POWER_CUT_TORN   1: where that call is a write, its first half still reaches the disk with all before it in that file
 *   POWER_CUT_PAUSES file of ascending call numbers, one a line: in place of cutting there the process writes
 *                    "p <number>" to standard output and waits for a byte on standard input, so that somebody can look
 *                    at what the device below the file system holds at that moment
 *   POWER_CUT_TRACE  file on another file system; one line per call: number, name, file
 *
 * As a program (`power-cut <mount point>`) it cuts at once.
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FS_IOC_SHUTDOWN _IOR('X', 125, unsigned int)
#define NO_LOG_FLUSH 2u

static atomic_long calls;
static long cut_at;
static int torn;
static FILE *pauses;
static long next_pause;
static int trace = -1;
static int mount_fd = -1;
static dev_t device;
static char mount_point[4096];

static void read_pause(void) {
  if (pauses == NULL || fscanf(pauses, "%ld", &next_pause) != 1) next_pause = 0;
}

static int cut(int directory) {
  unsigned int how = NO_LOG_FLUSH;
  return ioctl(directory, FS_IOC_SHUTDOWN, &how);
}

__attribute__((constructor)) static void begin(void) {
  const char *at = getenv("POWER_CUT_MOUNT");
  if (at == NULL) return;
  snprintf(mount_point, sizeof mount_point, "%s/", at);
  struct stat about;
  mount_fd = syscall(SYS_openat, AT_FDCWD, at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (mount_fd < 0 || fstat(mount_fd, &about) != 0) abort();
  device = about.st_dev;
  if (getenv("POWER_CUT_AT")) cut_at = atol(getenv("POWER_CUT_AT"));
  torn = getenv("POWER_CUT_TORN") != NULL && *getenv("POWER_CUT_TORN") == '1';
  if (getenv("POWER_CUT_PAUSES")) pauses = fopen(getenv("POWER_CUT_PAUSES"), "re");
  read_pause();
  if (getenv("POWER_CUT_TRACE"))
    trace = syscall(SYS_openat, AT_FDCWD, getenv("POWER_CUT_TRACE"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_ours(int fd) {
  struct stat about;
  return mount_fd >= 0 && fstat(fd, &about) == 0 && about.st_dev == device && S_ISREG(about.st_mode);
}

static int is_ours_or_directory(int fd) {
  struct stat about;
  return mount_fd >= 0 && fstat(fd, &about) == 0 && about.st_dev == device;
}

static int is_under(const char *path) {
  return mount_fd >= 0 && path != NULL && strncmp(path, mount_point, strlen(mount_point)) == 0;
}

static void note(long number, const char *name, int fd, const char *path) {
  if (trace < 0) return;
  char link[64], target[4096] = "", line[4400];
  if (path == NULL) {
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length > 0) target[length] = 0;
    path = target;
  }
  const char *file = strrchr(path, '/');
  int length = snprintf(line, sizeof line, "%ld %s %s\n", number, name, file ? file + 1 : path);
  syscall(SYS_write, trace, line, length);
}

static void end(void) {
  if (cut(mount_fd) != 0) _exit(97);
  raise(SIGKILL);
}

static void pause_here(long number) {
  char line[32], go;
  int length = snprintf(line, sizeof line, "p %ld\n", number);
  if (syscall(SYS_write, 1, line, length) != length || syscall(SYS_read, 0, &go, 1) != 1) _exit(98);
  read_pause();
}

/* The first half of a write reaches the disk, and with it all that this file was told before. */
static void tear(int fd, const void *bytes, size_t count, off_t offset) {
  if (offset >= 0) syscall(SYS_pwrite64, fd, bytes, count / 2, offset);
  else syscall(SYS_write, fd, bytes, count / 2);
  syscall(SYS_fsync, fd);
  if (offset < 0) lseek(fd, -(off_t)(count / 2), SEEK_CUR);
}

/* Counts one call, a write where there are bytes; does not return where the power is cut at it. */
static void at_call(const char *name, int fd, const char *path, const void *bytes, size_t count, off_t offset) {
  long number = atomic_fetch_add(&calls, 1) + 1;
  note(number, name, fd, path);
  int is_cut = number == cut_at, is_pause = number == next_pause;
  if (torn && bytes != NULL && (is_cut || is_pause)) tear(fd, bytes, count, offset);
  if (is_cut) end();
  if (is_pause) pause_here(number);
}

static void before(const char *name, int fd, const char *path) { at_call(name, fd, path, NULL, 0, 0); }

static void before_write(const char *name, int fd, const void *bytes, size_t count, off_t offset) {
  at_call(name, fd, NULL, bytes, count, offset);
}

#define REAL(type, name, ...)                                      \
  static type (*real)(__VA_ARGS__);                                \
  if (real == NULL) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define WRITE_AT(function, label)                                                  \
  ssize_t function(int fd, const void *bytes, size_t count, off_t offset) {        \
    REAL(ssize_t, label, int, const void *, size_t, off_t);                        \
    if (is_ours(fd)) before_write("pwrite", fd, bytes, count, offset);             \
    return real(fd, bytes, count, offset);                                         \
  }
WRITE_AT(pwrite, "pwrite")
WRITE_AT(pwrite64, "pwrite64")

ssize_t write(int fd, const void *bytes, size_t count) {
  REAL(ssize_t, "write", int, const void *, size_t);
  if (is_ours(fd)) before_write("write", fd, bytes, count, -1);
  return real(fd, bytes, count);
}

#define WRITE_VECTOR(function, label)                                              \
  ssize_t function(int fd, const struct iovec *parts, int count, off_t offset) {   \
    REAL(ssize_t, label, int, const struct iovec *, int, off_t);                   \
    if (is_ours(fd)) before("pwritev", fd, NULL);                                  \
    return real(fd, parts, count, offset);                                         \
  }
WRITE_VECTOR(pwritev, "pwritev")
WRITE_VECTOR(pwritev64, "pwritev64")

ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(ssize_t, "writev", int, const struct iovec *, int);
  if (is_ours(fd)) before("writev", fd, NULL);
  return real(fd, parts, count);
}

#define FLUSH(function)                                                            \
  int function(int fd) {                                                           \
    REAL(int, #function, int);                                                     \
    if (is_ours_or_directory(fd)) before(#function, fd, NULL);                     \
    return real(fd);                                                               \
  }
FLUSH(fsync)
FLUSH(fdatasync)

#define CUT_FILE(function)                                                         \
  int function(int fd, off_t length) {                                             \
    REAL(int, #function, int, off_t);                                              \
    if (is_ours(fd)) before("ftruncate", fd, NULL);                                \
    return real(fd, length);                                                       \
  }
CUT_FILE(ftruncate)
CUT_FILE(ftruncate64)

#define RESERVE(function)                                                          \
  int function(int fd, int mode, off_t offset, off_t length) {                     \
    REAL(int, #function, int, int, off_t, off_t);                                  \
    if (is_ours(fd)) before("fallocate", fd, NULL);                                \
    return real(fd, mode, offset, length);                                         \
  }
RESERVE(fallocate)
RESERVE(fallocate64)

ssize_t copy_file_range(int from, off_t *from_at, int to, off_t *to_at, size_t count, unsigned int flags) {
  REAL(ssize_t, "copy_file_range", int, off_t *, int, off_t *, size_t, unsigned int);
  if (is_ours(to)) before("copy_file_range", to, NULL);
  return real(from, from_at, to, to_at, count, flags);
}

#define SEND(function)                                                             \
  ssize_t function(int to, int from, off_t *at, size_t count) {                    \
    REAL(ssize_t, #function, int, int, off_t *, size_t);                           \
    if (is_ours(to)) before("sendfile", to, NULL);                                 \
    return real(to, from, at, count);                                              \
  }
SEND(sendfile)
SEND(sendfile64)

#define ON_PATH(function)                                                          \
  int function(const char *path) {                                                 \
    REAL(int, #function, const char *);                                            \
    if (is_under(path)) before(#function, -1, path);                               \
    return real(path);                                                             \
  }
ON_PATH(unlink)
ON_PATH(rmdir)

int unlinkat(int directory, const char *path, int flags) {
  REAL(int, "unlinkat", int, const char *, int);
  if (is_under(path)) before("unlinkat", -1, path);
  return real(directory, path, flags);
}

int rename(const char *from, const char *to) {
  REAL(int, "rename", const char *, const char *);
  if (is_under(to)) before("rename", -1, to);
  return real(from, to);
}

int mkdir(const char *path, mode_t mode) {
  REAL(int, "mkdir", const char *, mode_t);
  if (is_under(path)) before("mkdir", -1, path);
  return real(path, mode);
}

static mode_t mode_of(int flags, va_list rest) {
  return (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;
}

#define OPEN(function)                                                             \
  int function(const char *path, int flags, ...) {                                 \
    REAL(int, #function, const char *, int, mode_t);                               \
    va_list rest;                                                                  \
    va_start(rest, flags);                                                         \
    mode_t mode = mode_of(flags, rest);                                            \
    va_end(rest);                                                                  \
    if ((flags & (O_CREAT | O_TRUNC)) && is_under(path) && ((flags & O_TRUNC) || access(path, F_OK) != 0)) \
      before("create", -1, path);                                                  \
    return real(path, flags, mode);                                                \
  }
OPEN(open)
OPEN(open64)

int main(int count, char **arguments) {
  if (count != 2) return 64;
  int directory = syscall(SYS_openat, AT_FDCWD, arguments[1], O_RDONLY | O_DIRECTORY);
  if (directory < 0 || cut(directory) != 0) {
    perror(arguments[1]);
    return 1;
  }
  return 0;
}

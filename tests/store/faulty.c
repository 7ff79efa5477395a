/* In front of the system's own calls: the k-th write, sync, truncation or rename below a folder fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long at = 0, count = 0, once = 0;
static int kind = 0;
static char below[4096];

void fault_at(long k, int error, int only_once, const char *folder) {
    at = k; kind = error; once = only_once; count = 0;
    strncpy(below, folder, sizeof below - 1);
}
long fault_count(void) { return count; }

static int fails(const char *path) {
    if (!below[0] || strncmp(path, below, strlen(below))) return 0;
    count++;
    if (at && (once ? count == at : count >= at)) { errno = kind; return 1; }
    return 0;
}
static int fails_fd(int fd) {
    char link[64], path[4096];
    if (!below[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return fails(path);
}
#define NEXT(name) dlsym(RTLD_NEXT, name)
ssize_t write(int fd, const void *b, size_t n) {
    static ssize_t (*f)(int, const void *, size_t); if (!f) f = NEXT("write");
    return fails_fd(fd) ? -1 : f(fd, b, n);
}
ssize_t pwrite(int fd, const void *b, size_t n, off_t o) {
    static ssize_t (*f)(int, const void *, size_t, off_t); if (!f) f = NEXT("pwrite");
    return fails_fd(fd) ? -1 : f(fd, b, n, o);
}
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t o) {
    static ssize_t (*f)(int, const void *, size_t, off64_t); if (!f) f = NEXT("pwrite64");
    return fails_fd(fd) ? -1 : f(fd, b, n, o);
}
int fsync(int fd) {
    static int (*f)(int); if (!f) f = NEXT("fsync");
    return fails_fd(fd) ? -1 : f(fd);
}
int fdatasync(int fd) {
    static int (*f)(int); if (!f) f = NEXT("fdatasync");
    return fails_fd(fd) ? -1 : f(fd);
}
int ftruncate(int fd, off_t n) {
    static int (*f)(int, off_t); if (!f) f = NEXT("ftruncate");
    return fails_fd(fd) ? -1 : f(fd, n);
}
int ftruncate64(int fd, off64_t n) {
    static int (*f)(int, off64_t); if (!f) f = NEXT("ftruncate64");
    return fails_fd(fd) ? -1 : f(fd, n);
}
int rename(const char *a, const char *b) {
    static int (*f)(const char *, const char *); if (!f) f = NEXT("rename");
    return fails(b) ? -1 : f(a, b);
}

/* Makes system calls of a preloaded process fail, as a broken disk would.
 *
 * FAULTS names a directory. While it holds a file `sync` (`read`), whose content is "ERRNO PATH-PREFIX", the next
 * sync (read) of a file whose path begins so fails with that number; a failure of `sync` is told once and never
 * again, as the kernel does, which drops the dirty pages: the file is removed. Every sync is noted in `syncs`.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static int path_of(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return 1;
}

static int wanted(const char *kind, int fd, int once) {
    const char *faults = getenv("FAULTS");
    char name[4096], content[4200], path[4096], prefix[4096];
    int number = 0;
    if (!faults) return 0;
    snprintf(name, sizeof name, "%s/%s", faults, kind);
    if (access(name, F_OK) || !path_of(fd, path, sizeof path)) return 0;
    FILE *file = fopen(name, "r");
    if (!file) return 0;
    size_t length = fread(content, 1, sizeof content - 1, file);
    fclose(file);
    content[length] = 0;
    if (sscanf(content, "%d %4095s", &number, prefix) != 2 || strncmp(path, prefix, strlen(prefix))) return 0;
    if (once) unlink(name);
    return number;
}

static void note(int fd, int number) {
    const char *faults = getenv("FAULTS");
    char name[4096], path[4096], line[4200];
    if (!faults || !path_of(fd, path, sizeof path)) return;
    snprintf(name, sizeof name, "%s/syncs", faults);
    int out = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (out < 0) return;
    int length = snprintf(line, sizeof line, "%d %s\n", number, path);
    if (write(out, line, length) != length) { /* The test finds it missing. */ }
    close(out);
}

#define SYNC(name)                                                   \
    int name(int fd) {                                               \
        static int (*real)(int);                                     \
        if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, #name);     \
        int number = wanted("sync", fd, 1);                          \
        note(fd, number);                                            \
        if (number) { errno = number; return -1; }                   \
        return real(fd);                                             \
    }
SYNC(fsync)
SYNC(fdatasync)

#define READ(name, offset_type)                                                                      \
    ssize_t name(int fd, void *buffer, size_t count, offset_type offset) {                           \
        static ssize_t (*real)(int, void *, size_t, offset_type);                                    \
        if (!real) real = (ssize_t (*)(int, void *, size_t, offset_type))dlsym(RTLD_NEXT, #name);    \
        int number = wanted("read", fd, 0);                                                          \
        if (number) { errno = number; return -1; }                                                   \
        return real(fd, buffer, count, offset);                                                      \
    }
READ(pread, off_t)
READ(pread64, off64_t)

#define READV(name, offset_type)                                                                                     \
    ssize_t name(int fd, const struct iovec *parts, int count, offset_type offset, int flags) {                      \
        static ssize_t (*real)(int, const struct iovec *, int, offset_type, int);                                    \
        if (!real) real = (ssize_t (*)(int, const struct iovec *, int, offset_type, int))dlsym(RTLD_NEXT, #name);    \
        int number = wanted("read", fd, 0);                                                                          \
        if (number) { errno = number; return -1; }                                                                   \
        return real(fd, parts, count, offset, flags);                                                                \
    }
READV(preadv2, off_t)
READV(preadv64v2, off64_t)

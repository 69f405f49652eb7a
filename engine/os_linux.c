/* os_linux.c: the real side of the seam (os.h): Linux >= 6.1.
 *
 * The one unusual part is the mapping. A store into a mapped file cannot return an error: when the
 * page cannot be backed (I/O error, file cut short, a copy-on-write file system out of space) the
 * kernel sends SIGBUS to the storing thread. All such stores happen in os_map_write, which leaves a
 * way out in a thread-local variable; the handler takes it, and the call returns EIO. A SIGBUS from
 * anywhere else goes to whoever handled it before.
 */
#include "engine/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/bytes.h"
#include "engine/check.h"
#include "engine/os_linux.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22 /* Linux 5.14; missing from the headers of Debian 12's glibc */
#define MADV_POPULATE_WRITE 23
#endif

/* What touches so many pages of a mapping has them made writable, and clean again, all at once instead of page by
 * page. The calls for that cost more than they save where there are fewer. */
#define TOGETHER_PAGES_MIN 4u

/* How long others may keep the lock of a directory that is only looked at: a second. */
#define LOCK_ATTEMPTS 1000u
#define LOCK_REST_NS  (1000L * 1000)

#define CHACHA20_KEY_BYTES   32u
#define CHACHA20_IV_BYTES    16u /* counter and nonce */
#define CHACHA20_BLOCK_BYTES 64u

struct urn_os {
    pthread_mutex_t random_lock;
    EVP_CIPHER_CTX *random_stream; /* with the key; NULL until seeded, then for ever */
};

struct os_dir {
    int fd;
};

struct os_map {
    uint8_t *bytes;
    uint64_t length_bytes;
};

struct urn_os *os_default(void)
{
    static struct urn_os the_system = {.random_lock = PTHREAD_MUTEX_INITIALIZER};
    return &the_system;
}

/* ---- directories --------------------------------------------------------------------------- */

int os_dir_open(struct urn_os *os, const char *path, struct os_dir **dir)
{
    (void)os;
    struct os_dir *opened = malloc(sizeof *opened);
    if (opened == NULL)
        return ENOMEM;
    opened->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (opened->fd < 0) {
        int why = errno;
        free(opened);
        return why;
    }
    *dir = opened;
    return 0;
}

int os_dir_make(struct urn_os *os, const char *path)
{
    (void)os;
    return mkdir(path, 0750) == 0 ? 0 : errno;
}

int os_dir_sync(struct os_dir *dir)
{
    return fsync(dir->fd) == 0 ? 0 : errno;
}

int os_dir_list(struct os_dir *dir, int (*visit)(void *context, const char *name), void *context)
{
    int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    DIR *stream = fdopendir(fd);
    if (stream == NULL) {
        int why = errno;
        close(fd);
        return why;
    }
    int result = 0;
    while (result == 0) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (entry == NULL) {
            result = errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = visit(context, entry->d_name);
    }
    closedir(stream);
    return result;
}

void os_dir_close(struct os_dir *dir)
{
    if (dir == NULL)
        return;
    close(dir->fd);
    free(dir);
}

/* Owner and purpose of the lock, for the person who looks into the file. */
static void write_process_id(int fd)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    /* Only a courtesy: the lock is flock's, and holds whatever the file says. */
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)length, 0) != length)
        return;
}

/* urn-wal asks whether a server is there by a shared lock that it gives back at once, and must not keep one
 * from starting: as long as nobody holds the lock exclusively, it is tried again. */
static int lock_exclusively(int fd)
{
    const struct timespec rest = {.tv_nsec = LOCK_REST_NS};
    for (uint32_t attempts = 1;; attempts++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        int why = errno;
        if (why != EWOULDBLOCK || attempts == LOCK_ATTEMPTS || flock(fd, LOCK_SH | LOCK_NB) != 0)
            return why;
        (void)flock(fd, LOCK_UN);
        (void)nanosleep(&rest, NULL);
    }
}

int os_dir_lock(struct os_dir *dir, const char *name, bool create, struct os_file **lock)
{
    struct os_file *file = malloc(sizeof *file);
    if (file == NULL)
        return ENOMEM;
    file->fd = openat(dir->fd, name, O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0), 0640);
    int why = file->fd < 0 ? errno : 0;
    if (why == 0) {
        why = lock_exclusively(file->fd);
        if (why != 0)
            close(file->fd);
    }
    if (why != 0) {
        free(file);
        return why;
    }
    write_process_id(file->fd);
    *lock = file;
    return 0;
}

int os_rename(struct os_dir *dir, const char *from, const char *to)
{
    return renameat(dir->fd, from, dir->fd, to) == 0 ? 0 : errno;
}

int os_remove(struct os_dir *dir, const char *name)
{
    return unlinkat(dir->fd, name, 0) == 0 ? 0 : errno;
}

/* ---- files --------------------------------------------------------------------------------- */

int os_file_open(struct os_dir *dir, const char *name, enum os_open_mode mode,
                 struct os_file **file)
{
    int flags = mode == OS_READ ? O_RDONLY : mode == OS_WRITE ? O_RDWR : O_RDWR | O_CREAT | O_EXCL;
    struct os_file *opened = malloc(sizeof *opened);
    if (opened == NULL)
        return ENOMEM;
    opened->fd = openat(dir->fd, name, flags | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (opened->fd < 0) {
        int why = errno;
        free(opened);
        return why;
    }
    /* No read-ahead: it would fill the cache under the log's mapping with large folios. */
    (void)posix_fadvise(opened->fd, 0, 0, POSIX_FADV_RANDOM);
    /* A file system that knows no such thing goes through its cache. */
    if (mode == OS_CREATE_DIRECT)
        (void)fcntl(opened->fd, F_SETFL, O_DIRECT);
    *file = opened;
    return 0;
}

int os_file_size(struct os_file *file, uint64_t *size_bytes)
{
    struct stat status;
    if (fstat(file->fd, &status) != 0)
        return errno;
    *size_bytes = (uint64_t)status.st_size;
    return 0;
}

int os_file_allocate(struct os_file *file, uint64_t length_bytes)
{
    return posix_fallocate(file->fd, 0, (off_t)length_bytes);
}

int os_file_read(struct os_file *file, void *to, size_t length_bytes, uint64_t offset,
                 size_t *done_bytes)
{
    ssize_t done;
    do
        done = pread(file->fd, to, length_bytes, (off_t)offset);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return errno;
    *done_bytes = (size_t)done;
    return 0;
}

int os_file_write(struct os_file *file, const void *from, size_t length_bytes, uint64_t offset,
                  size_t *done_bytes)
{
    ssize_t done;
    do
        done = pwrite(file->fd, from, length_bytes, (off_t)offset);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return errno;
    *done_bytes = (size_t)done;
    return 0;
}

int os_file_sync(struct os_file *file)
{
    return fsync(file->fd) == 0 ? 0 : errno;
}

int os_file_drop_cache(struct os_file *file)
{
    return posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED);
}

void os_file_prefetch(struct os_file *file, uint64_t offset, uint64_t length_bytes)
{
    (void)posix_fadvise(file->fd, (off_t)offset, (off_t)length_bytes, POSIX_FADV_WILLNEED);
}

void os_file_close(struct os_file *file)
{
    if (file == NULL)
        return;
    close(file->fd);
    free(file);
}

/* ---- the log's mapping --------------------------------------------------------------------- */

static _Thread_local sigjmp_buf *bus_way_out;

/* What the process did on SIGBUS before our handler stood there; under bus_lock. */
static struct sigaction bus_action_before;
static pthread_mutex_t bus_lock = PTHREAD_MUTEX_INITIALIZER;

static void on_bus_error(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    if (bus_way_out != NULL)
        siglongjmp(*bus_way_out, 1);
    /* Not ours: who was here before takes it. A fault comes again when its instruction does; a signal
     * that was sent does not. */
    sigaction(signal_number, &bus_action_before, NULL);
    if (info->si_code <= 0)
        raise(signal_number);
}

/* At every mapping, not once: others in the process may have put theirs in our handler's place. */
static void install_bus_handler(void)
{
    /* SA_NODEFER: the handler is left by a jump, and the signal must not stay blocked. */
    struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_NODEFER | SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    CHECK(pthread_mutex_lock(&bus_lock) == 0);
    struct sigaction before;
    CHECK(sigaction(SIGBUS, &action, &before) == 0);
    if ((before.sa_flags & SA_SIGINFO) == 0 || before.sa_sigaction != on_bus_error)
        bus_action_before = before;
    CHECK(pthread_mutex_unlock(&bus_lock) == 0);
}

int os_map_open(struct os_dir *dir, const char *name, uint64_t length_bytes, struct os_map **map)
{
    install_bus_handler();
    int fd = openat(dir->fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno;
    int why = 0;
    struct stat status;
    struct os_map *opened = malloc(sizeof *opened);
    if (opened == NULL)
        why = ENOMEM;
    else if (fstat(fd, &status) != 0)
        why = errno;
    else if ((uint64_t)status.st_size != length_bytes)
        why = EINVAL;
    void *bytes = MAP_FAILED;
    if (why == 0) {
        bytes = mmap(NULL, length_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (bytes == MAP_FAILED)
            why = errno;
    }
    close(fd);
    if (why != 0) {
        free(opened);
        return why;
    }
    /* Faults bring in single pages: a folio of many pages would be written whole by every msync. */
    (void)madvise(bytes, length_bytes, MADV_RANDOM);
    *opened = (struct os_map){.bytes = bytes, .length_bytes = length_bytes};
    *map = opened;
    return 0;
}

static uint64_t page_begin(uint64_t offset)
{
    return offset & ~(uint64_t)(OS_PAGE_BYTES - 1);
}

/* The first store to a page since its last sync faults. Advice only: what cannot be had shows in the store. */
static void fault_together(const struct os_map *map, uint64_t offset, uint64_t length_bytes)
{
    const uint64_t begin = page_begin(offset);
    const uint64_t end = round_up_u64(offset + length_bytes, OS_PAGE_BYTES);
    if (end - begin >= TOGETHER_PAGES_MIN * OS_PAGE_BYTES)
        (void)madvise(map->bytes + begin, end - begin, MADV_POPULATE_WRITE);
}

int os_map_write(struct os_map *map, uint64_t offset, const void *from, size_t length_bytes)
{
    CHECK(offset <= map->length_bytes && length_bytes <= map->length_bytes - offset);
    fault_together(map, offset, length_bytes);
    sigjmp_buf way_out;
    if (sigsetjmp(way_out, 0) != 0) {
        bus_way_out = NULL;
        return EIO;
    }
    bus_way_out = &way_out;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    memcpy(map->bytes + offset, from, length_bytes);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    bus_way_out = NULL;
    return 0;
}

void os_map_sync_begin(struct os_map *map, uint64_t offset, uint64_t length_bytes,
                       struct os_sync *sync)
{
    CHECK(offset <= map->length_bytes && length_bytes <= map->length_bytes - offset);
    const uint64_t begin = page_begin(offset);
    *sync = (struct os_sync){
        .map = map, .offset = begin, .length_bytes = offset + length_bytes - begin};
}

/* An msync takes the right to store into each dirty page that is mapped, and for each of them interrupts every processor
 * that runs a thread of this process. Pages that are not mapped are dirty in the cache alone: unmapped before, all at
 * once, they cost one interruption. The last page of the range stays, unless it is covered to its end: the next store
 * goes there, perhaps this very moment. Into the others none goes before their next lap; those are in memory still,
 * and os_map_populate maps them. */
static void unmap_together(const struct os_sync *sync)
{
    const uint64_t covered_bytes = page_begin(sync->length_bytes);
    if (covered_bytes >= TOGETHER_PAGES_MIN * OS_PAGE_BYTES)
        (void)madvise(sync->map->bytes + sync->offset, covered_bytes, MADV_DONTNEED);
}

int os_map_sync_end(struct os_sync *sync)
{
    unmap_together(sync);
    return msync(sync->map->bytes + sync->offset, sync->length_bytes, MS_SYNC) == 0 ? 0 : errno;
}

void os_map_populate(struct os_map *map, uint64_t offset, uint64_t length_bytes)
{
    CHECK(offset <= map->length_bytes && length_bytes <= map->length_bytes - offset);
    /* Reads from the disk all at once, and into folios of one page; what follows finds them there. */
    (void)madvise(map->bytes + offset, length_bytes, MADV_WILLNEED);
    /* POPULATE_WRITE would make every page dirty, and each lap would be written twice. */
    (void)madvise(map->bytes + offset, length_bytes, MADV_POPULATE_READ);
}

void os_map_close(struct os_map *map)
{
    if (map == NULL)
        return;
    munmap(map->bytes, map->length_bytes);
    free(map);
}

/* ---- clocks and randomness ----------------------------------------------------------------- */

uint64_t os_monotonic_ns(struct urn_os *os)
{
    (void)os;
    struct timespec now;
    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t os_wall_us(struct urn_os *os)
{
    (void)os;
    struct timespec now;
    CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void set_key(struct urn_os *os, const uint8_t *key)
{
    static const uint8_t iv[CHACHA20_IV_BYTES];
    CHECK(EVP_EncryptInit_ex2(os->random_stream, NULL, key, iv, NULL) == 1);
}

static void seed_random(struct urn_os *os)
{
    uint8_t key[CHACHA20_KEY_BYTES];
    size_t have = 0;
    while (have < sizeof key) {
        ssize_t got = getrandom(key + have, sizeof key - have, 0);
        CHECK(got > 0 || (got < 0 && errno == EINTR));
        if (got > 0)
            have += (size_t)got;
    }
    EVP_CIPHER *chacha20 = EVP_CIPHER_fetch(NULL, "ChaCha20", NULL);
    os->random_stream = EVP_CIPHER_CTX_new();
    CHECK(chacha20 != NULL && os->random_stream != NULL);
    CHECK(EVP_CIPHER_get_key_length(chacha20) == CHACHA20_KEY_BYTES);
    CHECK(EVP_CIPHER_get_iv_length(chacha20) == CHACHA20_IV_BYTES);
    CHECK(EVP_EncryptInit_ex2(os->random_stream, chacha20, NULL, NULL, NULL) == 1);
    EVP_CIPHER_free(chacha20);
    set_key(os, key);
    OPENSSL_cleanse(key, sizeof key);
}

/* The next bytes of the key stream: whole blocks, since OpenSSL would keep the rest of a block. */
static void take_stream(struct urn_os *os, uint8_t *to, size_t length_bytes)
{
    int given = 0;
    CHECK(length_bytes <= INT_MAX && length_bytes % CHACHA20_BLOCK_BYTES == 0);
    memset(to, 0, length_bytes);
    CHECK(EVP_EncryptUpdate(os->random_stream, to, &given, to, (int)length_bytes) == 1);
    CHECK((size_t)given == length_bytes);
}

/* ChaCha20 with fast key erasure (D. J. Bernstein, "Fast-key-erasure random-number generators",
 * 2017): each call's key stream begins with the next key, which takes the place of its own at the end, so that
 * a memory dump tells nothing about bytes given out before. */
void os_random(struct urn_os *os, void *to, size_t length_bytes)
{
    uint8_t next_key[CHACHA20_BLOCK_BYTES]; /* the rest of the block is not used */
    uint8_t last[CHACHA20_BLOCK_BYTES];
    const size_t last_bytes = length_bytes % sizeof last;
    const size_t whole_bytes = length_bytes - last_bytes;
    CHECK(pthread_mutex_lock(&os->random_lock) == 0);
    if (os->random_stream == NULL)
        seed_random(os);
    take_stream(os, next_key, sizeof next_key);
    if (whole_bytes > 0)
        take_stream(os, to, whole_bytes);
    if (last_bytes > 0) {
        take_stream(os, last, sizeof last);
        memcpy((uint8_t *)to + whole_bytes, last, last_bytes);
        OPENSSL_cleanse(last, sizeof last);
    }
    set_key(os, next_key);
    OPENSSL_cleanse(next_key, sizeof next_key);
    CHECK(pthread_mutex_unlock(&os->random_lock) == 0);
}

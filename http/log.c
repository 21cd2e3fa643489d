/* Gathering the lines of the access log, and writing them.
 *
 * There is a shard for every P, as far as one can tell from the CPU: who logs takes the
 * shard of the CPU it runs on, so that goroutines on different ones do not wait for each
 * other.  (It may move to another one meanwhile, which only costs time.)
 *
 * Always: a shard's `filling` block is under its mutex, and its `spare` one under
 * `file_mutex`, as is the file.  The two blocks change places under both; a spare block
 * is empty whenever file_mutex is free.
 *
 * The writer sleeps until a line comes into a log that has none, then for flush_ns, or
 * until a block is half full. */
#include "http/log.h"

#include "core/inject.h"

#include <gust/chan.h>
#include <gust/context.h>
#include <gust/file.h>
#include <gust/runtime.h>
#include <gust/sync.h>

#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#define SHARDS_MAX 16
#define FILE_MODE 0640

struct block {
    char *data;
    size_t len;
    uint64_t lines;
};

struct shard {
    gust_mutex mutex;
    gust_cond room; /* for block_when_full */
    struct block *filling;
    struct log_time time;
    uint64_t dropped;

    struct block *spare;
    struct block blocks[2];
} __attribute__((aligned(64))); /* a cache line is one shard's */

struct gust_http_log {
    gust_http_log_options options; /* path is a copy */
    atomic_int refs;               /* the owner, every server, the writer */

    gust_chan *kick; /* one element: the writer has something to do */
    gust_chan *done; /* closed by the writer at its end */

    /* Has the writer been told of a line?  It says no before it looks into the shards,
     * and who logs looks here after it has put its line into one.  Both are sequentially
     * consistent: so a line is either seen or announced. */
    atomic_bool told;
    atomic_bool urgent; /* a block is half full, or it is the end */
    atomic_bool stopped;

    gust_mutex file_mutex;
    gust_file *file;          /* NULL: options.write */
    _Atomic int error;        /* of the last write; changed under file_mutex */
    _Atomic uint64_t written; /* the same */
    _Atomic uint64_t lost;    /* the same: of blocks that could not be written */

    unsigned shard_count;
    struct shard *shards;
};

/* --- Life ----------------------------------------------------------------- */

static void free_shards(gust_http_log *log)
{
    for (unsigned i = 0; i < log->shard_count; i++) {
        free(log->shards[i].blocks[0].data);
        free(log->shards[i].blocks[1].data);
    }
    free(log->shards);
}

static void destroy(gust_http_log *log)
{
    if (log->shards)
        free_shards(log);
    gust_file_close(log->file);
    gust_chan_unref(log->kick);
    gust_chan_unref(log->done);
    free((char *)log->options.path);
    free(log);
}

gust_http_log *gust__http_log_ref(gust_http_log *log)
{
    /* Relaxed: whoever adds a reference holds one. */
    atomic_fetch_add_explicit(&log->refs, 1, memory_order_relaxed);
    return log;
}

void gust__http_log_unref(gust_http_log *log)
{
    /* Release and acquire: the last one sees what all others did before. */
    if (log && atomic_fetch_sub_explicit(&log->refs, 1, memory_order_acq_rel) == 1)
        destroy(log);
}

bool gust__http_log_wants_tls(const gust_http_log *log)
{
    return log->options.format == GUST_HTTP_LOG_JSON;
}

static int init_shard(struct shard *s, size_t bytes)
{
    for (int i = 0; i < 2; i++)
        if (!(s->blocks[i].data = gust__malloc(bytes)))
            return -ENOMEM;
    s->filling = &s->blocks[0];
    s->spare = &s->blocks[1];
    return 0;
}

static int init_shards(gust_http_log *log)
{
    int procs = gust_maxprocs(), r = 0;
    unsigned count = procs < SHARDS_MAX ? (unsigned)procs : SHARDS_MAX;
    size_t size = count * sizeof(*log->shards);

    if (!(log->shards = gust__aligned_alloc(_Alignof(struct shard), size)))
        return -ENOMEM;
    memset(log->shards, 0, size);
    log->shard_count = count;
    for (unsigned i = 0; r == 0 && i < count; i++)
        r = init_shard(&log->shards[i], log->options.buffer_bytes);
    return r;
}

static int open_file(const gust_http_log *log, gust_time deadline, gust_file **ret_file)
{
    return gust_file_open(log->options.path, O_WRONLY | O_APPEND | O_CREAT, FILE_MODE, deadline,
                          ret_file);
}

static int init(gust_http_log *log)
{
    int r;

    atomic_init(&log->refs, 1);
    if (log->options.path) {
        size_t size = strlen(log->options.path) + 1;
        char *copy = gust__malloc(size);
        log->options.path = copy ? memcpy(copy, log->options.path, size) : NULL;
        if (!copy)
            return -ENOMEM;
        if ((r = open_file(log, GUST_FOREVER, &log->file)) < 0)
            return r;
    }
    if ((r = gust_chan_new(0, 1, &log->kick)) < 0 || (r = gust_chan_new(0, 0, &log->done)) < 0)
        return r;
    return init_shards(log);
}

static bool fill_in(gust_http_log_options *o)
{
    if (o->buffer_bytes == 0)
        o->buffer_bytes = GUST_HTTP_LOG_BUFFER_BYTES;
    if (o->flush_ns == 0)
        o->flush_ns = GUST_HTTP_LOG_FLUSH_NS;
    return !o->path == !!o->write && o->flush_ns > 0 &&
           o->buffer_bytes >= GUST_HTTP_LOG_BUFFER_BYTES_MIN &&
           o->buffer_bytes <= GUST_HTTP_LOG_BUFFER_BYTES_MAX;
}

/* --- Writing ---------------------------------------------------------------- */

static int write_out(gust_http_log *log, const struct block *block)
{
    if (!log->file)
        return log->options.write(block->data, block->len, log->options.arg);
    ssize_t n = gust_file_write(log->file, block->data, block->len, GUST_FOREVER);
    if (n >= 0 && (size_t)n < block->len) /* the rest says why */
        n = gust_file_write(log->file, block->data + n, block->len - (size_t)n, GUST_FOREVER);
    return n < 0 ? (int)n : 0;
}

/* Changes the blocks; true if there is something to write. */
static bool swap_blocks(struct shard *s)
{
    gust_mutex_lock(&s->mutex);
    struct block *full = s->filling;
    bool any = full->len > 0;
    if (any) {
        s->filling = s->spare;
        s->spare = full;
        gust_cond_broadcast(&s->room);
    }
    gust_mutex_unlock(&s->mutex);
    return any;
}

/* The file's mutex is held.  Returns what the last write said. */
static int write_all_locked(gust_http_log *log)
{
    for (unsigned i = 0; i < log->shard_count; i++) {
        struct shard *s = &log->shards[i];
        if (!swap_blocks(s))
            continue;
        int r = write_out(log, s->spare);
        atomic_store(&log->error, r);
        atomic_fetch_add(r < 0 ? &log->lost : &log->written, s->spare->lines);
        s->spare->len = 0;
        s->spare->lines = 0;
    }
    return atomic_load(&log->error);
}

/* Wakes the writer. */
static void kick(gust_http_log *log)
{
    gust_chan_send(log->kick, NULL, GUST_NOW); /* one is enough */
}

static void writer_main(void *arg)
{
    gust_http_log *log = arg;
    bool stopped;

    /* Lines are to be written also when whoever made the log is cancelled. */
    gust_context_unref(gust_context_swap(NULL));
    do {
        gust_chan_recv(log->kick, NULL, GUST_FOREVER);
        if (!atomic_load(&log->urgent))
            gust_chan_recv(log->kick, NULL, gust_after(log->options.flush_ns));
        /* In this order: a close that comes too late for `stopped` sets urgent again. */
        atomic_store(&log->urgent, false);
        stopped = atomic_load(&log->stopped);
        atomic_store(&log->told, false);
        gust_mutex_lock(&log->file_mutex);
        write_all_locked(log);
        gust_mutex_unlock(&log->file_mutex);
    } while (!stopped);
    gust_chan_close(log->done);
    gust__http_log_unref(log);
}

int gust_http_log_new(const gust_http_log_options *options, gust_http_log **ret_log)
{
    const gust_go_options writer = {.name = "http access log"};
    gust_http_log_options filled;
    int r;

    if (!options)
        return -EINVAL;
    filled = *options;
    if (!fill_in(&filled))
        return -EINVAL;
    gust_http_log *log = gust__calloc(1, sizeof(*log));
    if (!log)
        return -ENOMEM;
    log->options = filled;
    if ((r = init(log)) < 0)
        goto destroy;
    gust__http_log_ref(log);
    if ((r = gust_go_with(&writer, writer_main, log)) < 0)
        goto destroy; /* whatever is counted */
    *ret_log = log;
    return 0;

destroy:
    destroy(log);
    return r;
}

int gust_http_log_flush(gust_http_log *log, gust_time deadline)
{
    int r = gust_mutex_lock_until(&log->file_mutex, deadline);

    if (r < 0)
        return r;
    gust_context *context = gust_context_swap(NULL);
    r = write_all_locked(log);
    gust_context_swap(context);
    gust_mutex_unlock(&log->file_mutex);
    return r;
}

int gust_http_log_reopen(gust_http_log *log, gust_time deadline)
{
    gust_file *file, *old = NULL;
    int r = log->options.path ? open_file(log, deadline, &file) : -EINVAL;

    if (r < 0)
        return r;
    r = gust_mutex_lock_until(&log->file_mutex, deadline);
    if (r == 0) {
        gust_context *context = gust_context_swap(NULL);
        write_all_locked(log);
        gust_context_swap(context);
        old = log->file;
        log->file = file;
        gust_mutex_unlock(&log->file_mutex);
    }
    gust_file_close(r == 0 ? old : file);
    return r;
}

int gust_http_log_close(gust_http_log *log, gust_time deadline)
{
    if (!log)
        return 0;
    atomic_store(&log->stopped, true);
    atomic_store(&log->urgent, true);
    kick(log);
    int r = gust_chan_recv(log->done, NULL, deadline);
    if (r == 0)
        r = atomic_load(&log->error);
    gust__http_log_unref(log);
    return r;
}

/* --- Logging ----------------------------------------------------------------- */

static void hurry(gust_http_log *log)
{
    atomic_store(&log->urgent, true);
    kick(log);
}

/* False: there is none, and nobody waits for it. */
static bool have_room_locked(gust_http_log *log, struct shard *s, size_t need)
{
    while (log->options.buffer_bytes - s->filling->len < need) {
        hurry(log);
        if (!log->options.block_when_full || atomic_load(&log->stopped) ||
            gust_cond_wait(&s->room, &s->mutex, GUST_FOREVER) < 0)
            return false;
    }
    return !atomic_load(&log->stopped);
}

/* True if the block is now half full, and was not before. */
static bool put_line_locked(gust_http_log *log, struct shard *s, const struct log_record *record)
{
    struct block *b = s->filling;
    size_t half = log->options.buffer_bytes / 2, before = b->len;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    gust__http_log_time(&s->time, log->options.format, now.tv_sec);
    b->len += gust__http_log_line(log->options.format, &s->time, record, b->data + b->len);
    b->lines++;
    return before < half && b->len >= half;
}

void gust__http_log_put(gust_http_log *log, const struct log_record *record)
{
    int cpu = sched_getcpu();
    struct shard *s = &log->shards[cpu < 0 ? 0 : (unsigned)cpu % log->shard_count];
    bool half = false;

    gust_mutex_lock(&s->mutex);
    bool room = have_room_locked(log, s, gust__http_log_line_max(record));
    if (room)
        half = put_line_locked(log, s, record);
    else
        s->dropped++;
    gust_mutex_unlock(&s->mutex);
    if (half)
        hurry(log);
    else if (!atomic_load(&log->told) && !atomic_exchange(&log->told, true))
        kick(log);
}

void gust_http_log_stats_read(gust_http_log *log, gust_http_log_stats *ret_stats)
{
    gust_http_log_stats stats = {0};

    /* Without the file's mutex: a disk that hangs holds it. */
    stats.error = atomic_load(&log->error);
    stats.written = atomic_load(&log->written);
    stats.dropped = atomic_load(&log->lost);
    for (unsigned i = 0; i < log->shard_count; i++) {
        gust_mutex_lock(&log->shards[i].mutex);
        stats.dropped += log->shards[i].dropped;
        gust_mutex_unlock(&log->shards[i].mutex);
    }
    *ret_stats = stats;
}

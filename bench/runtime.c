/* What the runtime's own operations cost: bench/runtime.py compares them with
 * Go's.
 *
 *     runtime [NAME [RUNS]]    all of them without NAME
 *
 * bench/peers/gobench/main.go is the same in Go, loop for loop: whoever changes
 * one changes both.  A run does its operation so often that starting and ending
 * it do not count; the best of RUNS, or five, is printed, which is the one
 * that was disturbed least. */
#include <gust/chan.h>
#include <gust/runtime.h>
#include <gust/sync.h>
#include <gust/timer.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUNS 5
#define RUNS_MAX 1000
#define OPS 2000000
#define SPAWNS 1000000
#define SELECT_CHANS 4
#define MUTEX_GOROUTINES 8
#define SKYNET_LEAVES 1000000
#define SKYNET_DIV 10
#define SKYNET_GOROUTINES 1111111
#define SKYNET_SUM INT64_C(499999500000)
#define PARKED 1000000

static void die(const char *what, const char *why)
{
    fprintf(stderr, "runtime: %s: %s\n", what, why);
    exit(1);
}

static void start(void (*fn)(void *arg), void *arg)
{
    int err = gust_go(fn, arg);
    if (err < 0)
        die("gust_go", strerror(-err));
}

static gust_chan *chan_new(size_t elem_size, size_t capacity)
{
    gust_chan *c;
    int err = gust_chan_new(elem_size, capacity, &c);
    if (err < 0)
        die("gust_chan_new", strerror(-err));
    return c;
}

/* A goroutine's function where ending is all there is to do. */
static void done(void *wg)
{
    gust_waitgroup_done(wg);
}

/* --- Scheduling ---------------------------------------------------------- */

static void yielder(void *wg)
{
    for (int i = 0; i < OPS / 2; i++)
        gust_yield();
    gust_waitgroup_done(wg);
}

/* Two goroutines yield to each other. */
static void yield(void)
{
    gust_waitgroup wg = GUST_WAITGROUP_INIT;
    gust_waitgroup_add(&wg, 2);
    for (int i = 0; i < 2; i++)
        start(yielder, &wg);
    gust_waitgroup_wait(&wg, GUST_FOREVER);
}

/* Goroutines that end at once. */
static void spawn(void)
{
    gust_waitgroup wg = GUST_WAITGROUP_INIT;
    for (int i = 0; i < SPAWNS; i++) {
        gust_waitgroup_add(&wg, 1);
        start(done, &wg);
    }
    gust_waitgroup_wait(&wg, GUST_FOREVER);
}

/* --- Channels ------------------------------------------------------------
 * A channel is freed once its close has been received: after that the other
 * goroutine touches it no more. */

typedef struct pair {
    gust_chan *there, *back;
} pair;

static void echo(void *arg)
{
    pair c = *(pair *)arg;
    int64_t v;
    while (gust_chan_recv(c.there, &v, GUST_FOREVER))
        gust_chan_send(c.back, &v, GUST_FOREVER);
    gust_chan_close(c.back);
}

/* One element goes there and back; each way counts as an operation. */
static void chan_unbuf(void)
{
    pair c = {chan_new(sizeof(int64_t), 0), chan_new(sizeof(int64_t), 0)};
    int64_t v;
    start(echo, &c);
    for (int64_t i = 0; i < OPS / 2; i++) {
        gust_chan_send(c.there, &i, GUST_FOREVER);
        gust_chan_recv(c.back, &v, GUST_FOREVER);
    }
    gust_chan_close(c.there);
    gust_chan_recv(c.back, &v, GUST_FOREVER);
    gust_chan_unref(c.there);
    gust_chan_unref(c.back);
}

static void fill(void *c)
{
    for (int64_t i = 0; i < OPS; i++)
        gust_chan_send(c, &i, GUST_FOREVER);
    gust_chan_close(c);
}

/* From one goroutine to another, with room for 128 in between. */
static void chan_buf128(void)
{
    gust_chan *c = chan_new(sizeof(int64_t), 128);
    int64_t v;
    start(fill, c);
    while (gust_chan_recv(c, &v, GUST_FOREVER))
        ;
    gust_chan_unref(c);
}

static void send_in_turn(void *arg)
{
    gust_chan **c = arg;
    for (int64_t i = 0; i < OPS; i++)
        gust_chan_send(c[i % SELECT_CHANS], &i, GUST_FOREVER);
    for (int i = 0; i < SELECT_CHANS; i++)
        gust_chan_close(c[i]);
}

/* A select over four channels that another goroutine sends to in turn. */
static void select4(void)
{
    gust_chan *c[SELECT_CHANS];
    gust_case cases[SELECT_CHANS];
    for (int i = 0; i < SELECT_CHANS; i++) {
        c[i] = chan_new(sizeof(int64_t), 0);
        cases[i] = (gust_case){.op = GUST_RECV, .chan = c[i]};
    }
    start(send_in_turn, c);
    for (int i = 0; i < OPS; i++)
        gust_select(cases, SELECT_CHANS, GUST_FOREVER);
    gust_chan_recv(c[SELECT_CHANS - 1], NULL, GUST_FOREVER); /* it is closed last */
    for (int i = 0; i < SELECT_CHANS; i++)
        gust_chan_unref(c[i]);
}

/* --- Locks and timers ---------------------------------------------------- */

typedef struct counter {
    gust_mutex mutex;
    gust_waitgroup wg;
    int value;
} counter;

static void count(void *arg)
{
    counter *c = arg;
    for (int i = 0; i < OPS / MUTEX_GOROUTINES; i++) {
        gust_mutex_lock(&c->mutex);
        c->value++;
        gust_mutex_unlock(&c->mutex);
    }
    gust_waitgroup_done(&c->wg);
}

/* Eight goroutines want the same lock. */
static void mutex(void)
{
    counter c = {0};
    for (int i = 0; i < MUTEX_GOROUTINES; i++) {
        gust_waitgroup_add(&c.wg, 1);
        start(count, &c);
    }
    gust_waitgroup_wait(&c.wg, GUST_FOREVER);
    if (c.value != OPS)
        die("mutex", "the count is wrong");
}

/* What Go's time.NewTimer(time.Hour) and Stop do, and giving back the memory. */
static void timer_startstop(void)
{
    for (int i = 0; i < OPS; i++) {
        gust_timer *t;
        int err = gust_timer_new(done, NULL, &t);
        if (err < 0)
            die("gust_timer_new", strerror(-err));
        gust_timer_reset(t, gust_after(3600 * GUST_SEC));
        gust_timer_stop(t);
        gust_timer_free(t);
    }
}

/* --- Skynet -------------------------------------------------------------- */

typedef struct node {
    gust_chan *to;
    int64_t num, size;
} node;

/* Sends the sum of its leaves.  The children's nodes are on this stack, and the
 * last of them has sent, and so read its node, before it is left. */
static void skynet(void *arg)
{
    node n = *(node *)arg, child[SKYNET_DIV];
    int64_t v, sum = 0;
    if (n.size == 1) {
        gust_chan_send(n.to, &n.num, GUST_FOREVER);
        return;
    }
    gust_chan *c = chan_new(sizeof(int64_t), SKYNET_DIV);
    for (int i = 0; i < SKYNET_DIV; i++) {
        child[i] = (node){c, n.num + i * (n.size / SKYNET_DIV), n.size / SKYNET_DIV};
        start(skynet, &child[i]);
    }
    for (int i = 0; i < SKYNET_DIV; i++) {
        gust_chan_recv(c, &v, GUST_FOREVER);
        sum += v;
    }
    gust_chan_unref(c);
    gust_chan_send(n.to, &sum, GUST_FOREVER);
}

/* A tree of goroutines with a million leaves, and their sum. */
static void skynet1m(void)
{
    node root = {chan_new(sizeof(int64_t), 0), 0, SKYNET_LEAVES};
    int64_t sum;
    start(skynet, &root);
    gust_chan_recv(root.to, &sum, GUST_FOREVER);
    if (sum != SKYNET_SUM)
        die("skynet", "the sum is wrong");
    gust_chan_unref(root.to);
}

/* --- Memory -------------------------------------------------------------- */

static int64_t rss_bytes(void)
{
    int64_t size_pages, rss_pages;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f || fscanf(f, "%" SCNd64 " %" SCNd64, &size_pages, &rss_pages) != 2)
        die("/proc/self/statm", "cannot be read");
    fclose(f);
    return rss_pages * sysconf(_SC_PAGESIZE);
}

static int64_t page_tables_bytes(void)
{
    char line[256];
    int64_t kib = -1;
    FILE *f = fopen("/proc/self/status", "re");
    while (f && kib < 0 && fgets(line, sizeof line, f))
        sscanf(line, "VmPTE: %" SCNd64, &kib);
    if (kib < 0)
        die("/proc/self/status", "has no VmPTE");
    fclose(f);
    return kib * 1024;
}

typedef struct crowd {
    gust_chan *stop;
    gust_waitgroup up, wg;
} crowd;

static void park(void *arg)
{
    crowd *c = arg;
    gust_waitgroup_done(&c->up);
    gust_chan_recv(c->stop, NULL, GUST_FOREVER);
    gust_waitgroup_done(&c->wg);
}

/* What a goroutine costs that waits on a channel. */
static void parked(void)
{
    crowd c = {.stop = chan_new(0, 0)};
    int64_t rss = rss_bytes(), page_tables = page_tables_bytes();
    for (int i = 0; i < PARKED; i++) {
        gust_waitgroup_add(&c.wg, 1);
        gust_waitgroup_add(&c.up, 1);
        start(park, &c);
    }
    gust_waitgroup_wait(&c.up, GUST_FOREVER);
    rss = rss_bytes() - rss;
    page_tables = page_tables_bytes() - page_tables;
    printf("parked_bytes %" PRId64 "\n", rss / PARKED);
    printf("parked_bytes_with_page_tables %" PRId64 "\n", (rss + page_tables) / PARKED);
    gust_chan_close(c.stop);
    gust_waitgroup_wait(&c.wg, GUST_FOREVER);
    gust_chan_unref(c.stop);
}

/* ------------------------------------------------------------------------- */

static const struct benchmark {
    const char *name;
    const char *figure; /* as printed; NULL: it is run once and prints by itself */
    int64_t ops;        /* operations in a run */
    void (*run)(void);
} benchmarks[] = {
    {"yield", "yield", OPS, yield},
    {"spawn", "spawn", SPAWNS, spawn},
    {"chan_unbuf", "chan_unbuf", OPS, chan_unbuf},
    {"chan_buf128", "chan_buf128", OPS, chan_buf128},
    {"select4", "select4", OPS, select4},
    {"mutex", "mutex", OPS, mutex},
    {"timer", "timer_startstop", OPS, timer_startstop},
    {"skynet", "skynet1m", SKYNET_GOROUTINES, skynet1m},
    {"parked", NULL, 0, parked},
};
#define BENCHMARKS (sizeof benchmarks / sizeof *benchmarks)

static long runs = RUNS;

static void measure(const struct benchmark *b)
{
    int64_t best = INT64_MAX;
    for (long i = 0; i < runs; i++) {
        gust_time began = gust_now();
        b->run();
        int64_t took = gust_now() - began;
        if (took < best)
            best = took;
    }
    printf("%s %.1f\n", b->figure, (double)best / (double)b->ops);
}

/* The main goroutine: the benchmark called `name`, or all of them for NULL. */
static int run(void *name)
{
    for (const struct benchmark *b = benchmarks; b < benchmarks + BENCHMARKS; b++) {
        if (name && strcmp(name, b->name) != 0)
            continue;
        if (b->figure)
            measure(b);
        else
            b->run();
        fflush(stdout);
    }
    return 0;
}

static bool is_known(const char *name)
{
    for (size_t i = 0; i < BENCHMARKS; i++)
        if (strcmp(name, benchmarks[i].name) == 0)
            return true;
    return false;
}

static void usage(FILE *to)
{
    fprintf(to, "usage: runtime [NAME [RUNS]]\nNAME is one of:");
    for (size_t i = 0; i < BENCHMARKS; i++)
        fprintf(to, " %s", benchmarks[i].name);
    fprintf(to,
            "\n"
            "Prints nanoseconds per operation, the best of RUNS (%d).  parked: bytes of resident\n"
            "memory, and with page tables, for each of %d parked goroutines, whose stacks\n"
            "have guard pages as always (GUST_STACK_GUARD=none measures without).\n"
            "GUST_MAXPROCS says on how many threads goroutines run.\n",
            RUNS, PARKED);
}

int main(int argc, char **argv)
{
    char *name = argc > 1 ? argv[1] : NULL;
    if (name && (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)) {
        usage(stdout);
        return 0;
    }
    if (argc > 2)
        runs = strtol(argv[2], NULL, 10);
    if (argc > 3 || (name && !is_known(name)) || runs < 1 || runs > RUNS_MAX) {
        if (name && !is_known(name))
            fprintf(stderr, "runtime: no benchmark '%s'\n", name);
        usage(stderr);
        return 2;
    }
    return gust_run(run, name) == 0 ? 0 : 1;
}

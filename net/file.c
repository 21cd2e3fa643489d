/* The life of an open file; net/file.h says in which order a close goes about it. */
#include "net/file.h"

#include <errno.h>
#include <gust/context.h>
#include <gust/runtime.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/waitq.h"

/* --- Using it ------------------------------------------------------------ */

int gust__file_enter(gust_file *f)
{
    GUST__CALL();
    gust__lock_take(&f->lock, RANK_CONN);
    bool closing = f->closing;
    if (!closing)
        gust_waitgroup_add(&f->users, 1);
    gust__lock_drop(&f->lock);
    return closing ? -EBADF : 0;
}

void gust__file_leave(gust_file *f)
{
    gust_waitgroup_done(&f->users);
}

static gust_mutex *mutex_of(gust_file *f, gust__file_dir dir)
{
    return &f->side[f->stream ? dir : FILE_READ].mutex;
}

static bool is_closing(gust_file *f)
{
    GUST__CALL();
    gust__lock_take(&f->lock, RANK_CONN);
    bool closing = f->closing;
    gust__lock_drop(&f->lock);
    return closing;
}

int gust__file_enter_alone(gust_file *f, gust__file_dir dir, gust_time deadline)
{
    int error = gust__file_enter(f);
    if (error)
        return error;
    error = gust_mutex_lock_until(mutex_of(f, dir), deadline);
    if (!error && is_closing(f)) {
        gust_mutex_unlock(mutex_of(f, dir));
        error = -EBADF;
    }
    if (error)
        gust__file_leave(f);
    return error;
}

void gust__file_leave_alone(gust_file *f, gust__file_dir dir)
{
    gust_mutex_unlock(mutex_of(f, dir));
    gust__file_leave(f);
}

/* --- References ------------------------------------------------------------ */

gust_file *gust_file_ref(gust_file *f)
{
    /* Relaxed: whoever adds a reference has one. */
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

int gust__file_close_fd(int fd)
{
    gust__file_req req = {.what = GUST__FILE_CLOSE, .fd = fd};
    gust_context *context = gust_context_swap(NULL);
    int res = gust__file_do(&req, GUST_FOREVER);
    gust_context_swap(context);
    return res;
}

static int take_stream(gust_file *f)
{
    GUST__CALL();
    return gust__fd_take(&f->fd);
}

/* To close a terminal may mean to wait until it has shown everything: not one of the
 * kernel's few threads. */
static int close_stream(gust_file *f)
{
    gust__file_req req = {.what = GUST__FILE_CLOSE, .fd = take_stream(f)};
    gust_blocking_begin();
    int res = gust__file_call(&req);
    gust_blocking_end();
    return res;
}

/* Steps 1 and 2 but for the wait.  False: somebody else is closing already. */
static bool close_begin(gust_file *f)
{
    GUST__CALL();
    gust__lock_take(&f->lock, RANK_CONN);
    bool first = !f->closing;
    f->closing = true;
    for (int dir = 0; first && dir < FILE_DIRS; dir++)
        if (f->side[dir].op)
            gust__op_cancel(f->side[dir].op);
    gust__lock_drop(&f->lock);
    return first;
}

static void wait_for_users(gust_file *f)
{
    gust_context *context = gust_context_swap(NULL);
    (void)gust_waitgroup_wait(&f->users, GUST_FOREVER);
    gust_context_swap(context);
}

static int shut(gust_file *f)
{
    if (!close_begin(f))
        return -EBADF;
    wait_for_users(f);
    return f->stream ? close_stream(f) : gust__file_close_fd(f->fd.fd);
}

int gust_file_close(gust_file *f)
{
    if (!f)
        return 0;
    int res = shut(f);
    gust_file_unref(f);
    return res;
}

void gust_file_unref(gust_file *f)
{
    /* Release and acquire: what every owner did comes before the free.  Pairs
     * with itself. */
    if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    shut(f); /* nothing happens if somebody has closed it */
    free(f);
}

int gust_file_fd(const gust_file *f)
{
    return f->fd.fd;
}

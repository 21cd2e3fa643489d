/* Finds out by trying whether io_uring works here: a filter may allow one of its
 * system calls and not another, and version numbers say nothing about either. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/inject.h"
#include "core/netpoll_uring.h"

/* For the kernel to answer what it can answer at once. */
#define PROBE_WAIT_NS (2 * GUST_SEC)

/* Submits without the care of gust__ring_submit, which would not survive a
 * refusal, and takes the one completion. */
static int round_trip(gust__uring *p, struct io_uring_cqe *ret_cqe)
{
    gust_time end = gust_after(PROBE_WAIT_NS);
    int n = gust__inject(INJECT_URING_ENTER)
                ? -errno
                : io_uring_enter2((unsigned)p->ring.fd, gust__ring_queued(&p->ring), 0,
                                  IORING_ENTER_GETEVENTS | gust__ring_wakeup(&p->ring), NULL, 0);
    if (n < 0)
        return n;
    while (gust__ring_take(&p->ring, ret_cqe, 1) == 0) {
        if (gust_now() > end)
            return -ETIMEDOUT;
        gust__ring_wait(&p->ring, 0, PROBE_WAIT_NS);
    }
    return ret_cqe->res < 0 ? ret_cqe->res : 0;
}

static int probe_nop(gust__uring *p)
{
    struct io_uring_cqe cqe;
    io_uring_prep_nop(gust__ring_sqe(&p->ring));
    gust__ring_push(&p->ring);
    return round_trip(p, &cqe);
}

static int probe_wake(gust__uring *p)
{
    struct io_uring_cqe cqe;
    gust__uring_push_wake_poll(p);
    gust__wake_send(&p->base);
    int error = round_trip(p, &cqe);
    if (!error && !(cqe.flags & IORING_CQE_F_MORE))
        error = -EINVAL;
    return error;
}

/* Receives one byte on fds[0], which is there already. */
static int recv_one(gust__uring *p, const int *fds)
{
    struct io_uring_cqe cqe;
    if (write(fds[1], "x", 1) != 1)
        return -errno;
    gust__uring_fill_recv_picked(gust__ring_sqe(&p->ring), fds[0]);
    gust__ring_push(&p->ring);
    int error = round_trip(p, &cqe);
    if (!error && (cqe.res != 1 || !(cqe.flags & IORING_CQE_F_BUFFER)))
        error = -EINVAL;
    return error;
}

static int probe_recv(gust__uring *p)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    int error = recv_one(p, fds);
    close(fds[0]);
    close(fds[1]);
    return error;
}

/* SOCKET came with multishot accept (5.19), which itself cannot be asked for. */
static int probe_opcodes(gust__uring *p)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(&p->ring.memory);
    if (!probe)
        return -EINVAL;
    bool known = io_uring_opcode_supported(probe, IORING_OP_SOCKET);
    io_uring_free_probe(probe);
    return known ? 0 : -EINVAL;
}

static const struct step {
    const char *name;
    int (*run)(gust__uring *p);
} steps[] = {
    {"nop", probe_nop},
    {"opcodes", probe_opcodes},
    {"receive with a provided buffer", probe_recv},
    {"multishot poll", probe_wake},
};

static bool made_to_fail(const char *step)
{
    const char *name = gust__netpoll_limits_now.failing_step;
    return name && strcmp(name, step) == 0;
}

static int run_steps(gust__uring *p, const char **ret_step)
{
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        *ret_step = steps[i].name;
        int error =
            made_to_fail(steps[i].name) ? gust__netpoll_limits_now.failing_error : steps[i].run(p);
        if (error)
            return error;
    }
    return 0;
}

int gust__uring_probe_as(bool sqpoll, const char **ret_why)
{
    gust__uring *p;
    int error = gust__uring_open_steps(sqpoll, true, &p, ret_why);
    if (error)
        return error;
    error = run_steps(p, ret_why);
    gust__uring_zerocopy_probe(p);
    gust__uring_free(p);
    return error;
}

int gust__uring_probe(const char **ret_why)
{
    return gust__uring_probe_as(false, ret_why);
}

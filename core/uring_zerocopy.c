/* Sending without a copy: SEND_ZC and SENDMSG_ZC.
 *
 * The kernel sends from the caller's pages and says by a second completion, the
 * notification, that it needs them no longer: when the peer has acknowledged all of
 * it.  Until then the op is not DONE.
 *
 * Nothing in TCP gives such memory back early, and a peer that is gone acknowledges
 * nothing for a quarter of an hour.  So who cancels an op that waits for nothing else
 * (a deadline, a close, the end of the run) resets the connection: that empties its
 * send queue.  The bytes in it are lost, so the op says -ECANCELED and not how many
 * the kernel had taken.
 *
 * What cannot be sent so is sent by a plain send, and the op loses the flag; its
 * owner then does not ask again on that socket:
 *   - the kernel refuses: an old one, a protocol that cannot, or more locked memory
 *     than RLIMIT_MEMLOCK allows;
 *   - the kernel has copied after all, because the packets stay on this machine or
 *     the device cannot gather: then a copy at once would have been cheaper. */
#include <errno.h>
#include <sys/socket.h>

#include "core/netpoll_uring.h"

/* Newer than liburing 2.3. */
#ifndef IORING_FEAT_RECVSEND_BUNDLE
#define IORING_FEAT_RECVSEND_BUNDLE (1U << 14)
#endif
#ifndef IORING_SEND_ZC_REPORT_USAGE
#define IORING_SEND_ZC_REPORT_USAGE (1U << 3)
#endif
#ifndef IORING_NOTIF_USAGE_ZC_COPIED
#define IORING_NOTIF_USAGE_ZC_COPIED (1U << 31)
#endif

static bool is_good;

/* Before 6.10, where bundles came too, each send had its notification to itself, and
 * was slower than a copy up to large sizes. */
void gust__uring_zerocopy_probe(gust__uring *p)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(&p->ring.memory);
    is_good = probe && (p->ring.features & IORING_FEAT_RECVSEND_BUNDLE) &&
              io_uring_opcode_supported(probe, IORING_OP_SEND_ZC) &&
              io_uring_opcode_supported(probe, IORING_OP_SENDMSG_ZC);
    io_uring_free_probe(probe);
}

size_t gust__uring_zerocopy_min(void)
{
    return is_good ? gust__netpoll_limits_now.zerocopy_min : SIZE_MAX;
}

void gust__uring_fill_zerocopy(struct io_uring_sqe *sqe, const gust__op *op)
{
    if (!(op->flags & GUST__OP_ZEROCOPY))
        return;
    sqe->opcode = op->code == GUST__OP_SEND ? IORING_OP_SEND_ZC : IORING_OP_SENDMSG_ZC;
    sqe->ioprio |=
        gust__netpoll_limits_now.zerocopy_garbled ? UINT16_MAX : IORING_SEND_ZC_REPORT_USAGE;
}

static bool is_refusal(int32_t res)
{
    return res == -EOPNOTSUPP || res == -EINVAL || res == -ENOMEM || res == -ENOBUFS;
}

bool gust__uring_zerocopy_refused(gust__uring *p, gust__op *op, int32_t *res)
{
    if (!(op->flags & GUST__OP_ZEROCOPY) || !is_refusal(*res))
        return false;
    op->flags &= (uint8_t)~GUST__OP_ZEROCOPY;
    bool wanted = gust__op_state_now(op) == GUST__OP_INFLIGHT;
    if (wanted)
        gust__uring_push_op(p, op);
    else
        *res = -ECANCELED;
    return wanted;
}

void gust__uring_unacknowledged(gust__uring *p, gust__op *op)
{
    op->next = p->unacknowledged;
    p->unacknowledged = op;
}

/* There are few: each is a large write. */
static void acknowledged(gust__uring *p, const gust__op *op)
{
    gust__op **at = &p->unacknowledged;
    while (*at != op)
        at = &(*at)->next;
    *at = op->next;
}

void gust__uring_noted(gust__uring *p, gust__op *op, int32_t usage)
{
    if (--op->notes == 0 && op->over)
        acknowledged(p, op);
    if ((uint32_t)usage & IORING_NOTIF_USAGE_ZC_COPIED)
        op->flags &= (uint8_t)~GUST__OP_ZEROCOPY;
}

/* To connect a TCP socket to no address is to reset its connection.  If nothing was
 * sent there is nothing to wait for. */
void gust__uring_give_up(gust__op *op)
{
    const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    if (op->sent == 0)
        return;
    op->res = -ECANCELED;
    (void)connect(op->fd->fd, &nowhere, sizeof nowhere);
}

void gust__uring_give_up_all(gust__uring *p)
{
    for (gust__op *op = p->unacknowledged; op; op = op->next)
        gust__uring_give_up(op);
}

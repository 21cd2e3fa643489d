/* The netpoll contract: operations, not readiness.
 *
 * An operation record (gust__op) says what to do on which descriptor and where
 * the bytes are.  It belongs to the caller until gust__op_start, then to the
 * poller until its terminal completion, and the memory must stay valid and
 * untouched that long; then `res` holds what the system call would have
 * returned, or a negative errno value.
 *
 * States of an op, and who makes each transition:
 *   IDLE      --gust__op_start-->   INFLIGHT   (now held by `home`, the poller
 *                                              of the P that started it)
 *   IDLE      --gust__op_cancel-->  CANCELED   start will complete it at once
 *   INFLIGHT  --gust__op_cancel-->  CANCELING  home was asked to give it back
 *   INFLIGHT or CANCELING --reap--> DONE       terminal completion, any M
 *   INFLIGHT  --reap-->             IDLE       nothing was done, but can be: GUST__OP_READY
 * A cancel may lose: then res holds what the operation did, and nothing is
 * dropped.  A cancel that wins leaves res == -ECANCELED and no bytes moved.
 *
 * After DONE, op->done(op) is called once if set, else op->g is made ready.
 * done runs on g0 of whichever M reaped, with no lock held, and never from
 * inside gust__op_start or gust__op_cancel: both may be called under a lock that
 * done takes.  It must not park, and may start other operations.
 *
 * A record is made for one operation: the caller sets every field of the
 * request and all others to zero, again before each use. */
#ifndef GUST_CORE_NETPOLL_H
#define GUST_CORE_NETPOLL_H

#include <gust/base.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "core/lock.h"
#include "core/timers.h"

typedef struct gust__g G;
typedef struct gust__poller gust__poller;
typedef struct gust__op gust__op;

/* --- Descriptors --------------------------------------------------------- */

/* A file descriptor as pollers see it.  Owned by whoever opened it. */
typedef struct gust__fd {
    int fd;
    void *desc; /* the epoll backend's record; NULL with io_uring */
} gust__fd;

/* Takes fd under the poller's care.  epoll: makes it non-blocking.
 * Errors: -ENOMEM, -EBADF; the fd is still the caller's then. */
int gust__fd_init(gust__fd *f, int fd);

/* Closes the descriptor.  No operation may be in flight on it. */
void gust__fd_close(gust__fd *f);

/* Takes it out of the poller's care and returns it, still open: for descriptors whose
 * close(2) may block.  No operation may be in flight on it. */
int gust__fd_take(gust__fd *f);

/* --- Buffers ------------------------------------------------------------- */

/* Read buffers belong to pollers: a receive with GUST__OP_PICK gets one only
 * when data is there, so an idle connection holds none. */
#define GUST__BUF_SIZE 4096
#define GUST__BUF_COUNT 256 /* per poller, at most */

typedef struct gust__buf {
    char *data;         /* GUST__BUF_SIZE bytes */
    gust__poller *home; /* where it goes back to */
    uint32_t next_free; /* the epoll backend's list */
    uint16_t id;
} gust__buf;

/* Gives a picked buffer back.  Any M with or without a P. */
void gust__buf_put(gust__buf *buf);

/* --- Operations ---------------------------------------------------------- */

typedef enum gust__opcode {
    GUST__OP_RECV,    /* buf, len; or GUST__OP_PICK */
    GUST__OP_SEND,    /* buf, len: completes when all of it is sent, or with an
                         error; a partial send that then failed reports the bytes */
    GUST__OP_SENDMSG, /* msg: the same, the record's iovecs are consumed; what is in
                         msg_control goes with the first byte, once
                         (Unix datagrams: only with GUST_NOW, see net/packet_send.c) */
    GUST__OP_RECVMSG, /* msg: recvmsg(2) with msg_flags for its flags; descriptors that
                         come are close-on-exec.  Untouched but on success */
    GUST__OP_ACCEPT,  /* res: a new close-on-exec socket */
    GUST__OP_CONNECT, /* addr, addr_len */
    GUST__OP_POLL,    /* events (POLLIN...): res is the revents.  One for POLLRDHUP alone may
                         be in flight beside a receive */
    GUST__OP_FILE,    /* file: see core/file_op.h; only if gust__netpoll_does_files() */
    GUST__OP_SPLICE,  /* moves up to splice_len bytes from `in` to `out`: one is fd, which
                         may have to be waited for, the other a pipe, which must not: it
                         is empty, or has what is to be moved.  With io_uring fd may be a
                         file, read at `offset` (else -1); a kernel thread does it, and
                         stays with it while it waits (sockets: see net/conn_splice.c) */
} gust__opcode;

enum {
    GUST__OP_PICK = 1,      /* RECV: into a poller's buffer, returned in `picked`;
                               -ENOBUFS if none is free (nothing was lost) */
    GUST__OP_DRAINED = 2,   /* RECV: nothing is there, since the last receive from this
                               stream got less than it asked for: wait before trying */
    GUST__OP_MULTISHOT = 4, /* ACCEPT: `more` is called for each socket until the
                               terminal completion, whose res is no socket: 0 if the
                               kernel wants to be asked again, else an error */
    GUST__OP_TRY = 8,       /* io_uring: cancelled as it is started, in one step: does what
                               can be done without waiting */
    GUST__OP_ZEROCOPY = 16, /* SEND, SENDMSG on TCP to another machine, of at least
                               gust__netpoll_zerocopy_min bytes: the kernel may send from
                               this memory itself.  The op is then DONE when the peer has
                               got the bytes, and a cancel that comes before that resets
                               the connection: -ECANCELED, whatever was sent.  Taken away
                               from the op if it was of no use on this socket. */
    GUST__OP_READY = 32,    /* the poller's (epoll), of an op without `done`: the goroutine
                               is to try it, and to start it again if it would wait */
};

typedef enum gust__op_state {
    GUST__OP_IDLE,
    GUST__OP_CANCELED,
    GUST__OP_INFLIGHT,
    GUST__OP_CANCELING,
    GUST__OP_DONE,
} gust__op_state;

struct gust__op {
    /* The request. */
    uint8_t code;  /* gust__opcode */
    uint8_t flags; /* GUST__OP_* */
    bool over;     /* the poller's (io_uring): res is set; what is still to come are notes */
    uint32_t splice_len;
    gust__fd *fd;
    union {
        struct {
            void *buf;
            size_t len;
        };
        struct msghdr *msg;
        struct {
            const struct sockaddr *addr;
            socklen_t addr_len;
        };
        short events;
        const struct gust__file_req *file;
        struct {
            int in;
            int out;
            int64_t offset;
        };
    };
    void (*done)(gust__op *op);
    union {
        /* Multishot only: one result that is not the last.  On g0, under no lock. */
        void (*more)(gust__op *op, int res);
        G *g; /* the poller's: who waits, if done is NULL */
    };

    /* The result. */
    int32_t res;
    _Atomic uint32_t state; /* the poller's: gust__op_state */
    union {
        gust__buf *picked; /* GUST__OP_PICK: the caller's to put back if res > 0 */
        size_t sent;       /* the poller's: progress of a send; epoll: 1 once a connect is
                              under way */
    };

    /* The poller's. */
    uint32_t cqes;      /* completions still to come, under home's lock */
    uint32_t notes;     /* io_uring: how many of them only say that memory is free again */
    gust__poller *home; /* set by start, before state becomes INFLIGHT */
    gust__op *next;     /* link in a reaped batch */
};

/* Starts an operation whose completion calls op->done at a later reap, even if
 * it could be done at once.  From a goroutine or g0 of an M that has a P; never
 * parks. */
void gust__op_start(gust__op *op);

/* The same, unless the operation can be done at once, by a call that does not wait.
 * Then it is, and true is returned: op->res is set, and nobody else is told. */
bool gust__op_start_or_do(gust__op *op);

/* Asks for the operation back.  The caller guarantees that the record's memory
 * is valid during the call (by the lock that its completion side also takes).
 * Any M that has a P; never parks. */
void gust__op_cancel(gust__op *op);

/* --- Deadlines ----------------------------------------------------------- */

/* A deadline for operations that follow each other (a conn's reads).  Moving it
 * later does not touch the timer heap: the timer that is armed fires, sees the
 * stored time and arms itself again. */
typedef struct gust__deadline {
    gust__timer timer;
    gust__lock lock;     /* RANK_DEADLINE: everything below */
    bool expired : 1;    /* it asked for op's cancellation */
    uint32_t calls : 31; /* how often the callback is still to be called */
    gust__op *op;        /* what to cancel, NULL between operations */
    gust_time when;
    gust_time armed; /* when the timer is set to fire; GUST_FOREVER: it is not */
} gust__deadline;

void gust__deadline_init(gust__deadline *d);
/* Stops the timer, waiting for a callback that runs; after the call the memory
 * is the caller's.  No operation may be under way. */
void gust__deadline_fini(gust__deadline *d);

/* Around one operation: gust__op_wait's business.  From begin to end, op is
 * cancelled once `when` has come; end tells whether it was.  Of an M with a P. */
void gust__deadline_begin(gust__deadline *d, gust__op *op, gust_time when);
bool gust__deadline_end(gust__deadline *d);

/* Starts op and parks until its terminal completion.  At `deadline` the op is
 * cancelled.  `d` may be NULL: then a deadline on the stack is used.  Returns
 * op->res, with -ETIMEDOUT (-EAGAIN for GUST_NOW) in the place of -ECANCELED
 * if it was the deadline that won; -ECANCELED if somebody else's gust__op_cancel
 * did, or the goroutine's context is cancelled: then, unless with GUST_NOW, op is
 * not even tried.  A send cut short by either returns the bytes it has sent, if any.  With
 * GUST_NOW the op is tried and never waits; with another deadline in the past it
 * waits at most for the P's next look at its timers.
 * From a goroutine; op->done must be NULL, and so no MULTISHOT. */
int gust__op_wait(gust__op *op, gust__deadline *d, gust_time deadline);

/* --- Without the poller --------------------------------------------------- */

/* splice(2) of up to len bytes, between a pipe and a socket, which waits for neither:
 * if the socket is in blocking mode (io_uring's are), only when that is known to be
 * ready.  The count, or a negative errno value; SIGPIPE is not raised. */
ssize_t gust__splice(int in, int out, size_t len); /* out is the pipe */
ssize_t gust__splice_to_socket(int in, int out, size_t len);

/* --- Pollers: for the scheduler ------------------------------------------
 *
 * One per P, travelling with it.  An M sleeps in the poller of the P it has just
 * released: it does not own that P while it sleeps, and completes nothing before
 * it has it again. */

typedef struct gust__backend {
    const char *name;
    /* True if operations are tried by an ordinary system call before they are
     * started, because starting never tries: gust__op_try works for all of them. */
    bool tries_first;
    /* True if a SENDMSG without ZEROCOPY is tried so: what its bytes cost hides the call,
     * and a goroutine whose bytes are taken at once need not park. */
    bool tries_sendmsg;
    bool does_files; /* it knows GUST__OP_FILE */
    /* 0 if this kernel lets us use it, found out by a round trip; else a
     * negative errno value and *ret_why says which step failed. */
    int (*probe)(const char **ret_why);
    int (*open)(gust__poller **ret_poller);
    void (*close)(gust__poller *p);
    /* False: it could be done at once, res is set, and the poller has forgotten
     * the op.  True: it is p's, and may already be finished. */
    bool (*start)(gust__op *op, gust__poller *p);
    void (*cancel)(gust__op *op); /* state was INFLIGHT or later, home is set */
    void (*sleep)(gust__poller *p, int64_t timeout_ns);
    bool (*pending)(gust__poller *p);
    void (*submit)(gust__poller *p);
    void (*collect)(gust__poller *p); /* submit, and let the kernel report what is ready */
    int (*reap)(gust__poller *p);
    int (*fd_init)(gust__fd *f);
    void (*fd_fini)(gust__fd *f);
    void (*buf_put)(gust__buf *buf);
    size_t (*zerocopy_min)(void); /* NULL: never */
} gust__backend;

extern const gust__backend gust__backend_uring;
extern const gust__backend gust__backend_sqpoll;
extern const gust__backend gust__backend_epoll;

/* Chooses the backend for the process: `mode` is GUST_NETPOLL's value or NULL.
 * Logs one line when `auto` had to fall back, or when it fails.  While no poller
 * is open.  Errors: -EINVAL for an unknown mode; what the backend answered. */
int gust__netpoll_choose(const char *mode);

/* After the pollers that one backend has could not be opened, `error` being why: true
 * if there is another one to try.  Says so. */
bool gust__netpoll_choose_again(int error);

/* For tests: the backend that gust__netpoll_choose takes whatever it is asked for;
 * NULL: it chooses again.  While no poller is open. */
void gust__netpoll_use(const gust__backend *b);

/* From how many bytes on GUST__OP_ZEROCOPY pays; SIZE_MAX if it never does. */
size_t gust__netpoll_zerocopy_min(void);

/* "io_uring", "sqpoll" or "epoll"; "" before the choice.  Any thread. */
const char *gust__netpoll_name(void);

/* Can operations be GUST__OP_FILE?  Any thread, while a runtime runs. */
bool gust__netpoll_does_files(void);

/* Errors: -ENOMEM, -EMFILE and what the kernel answers. */
int gust__poller_open(gust__poller **ret_poller);

/* Takes back whatever is in flight and forgets it: nobody is told, and after the
 * call the kernel touches no memory of an operation any more.  The records must
 * still be valid.  Nobody may use the poller, or a buffer picked from it, any
 * more.  NULL is accepted. */
void gust__poller_close(gust__poller *p);

/* The poller of the current M's P; NULL if it has no P.  Defined by the scheduler. */
gust__poller *gust__poller_current(void);

/* Submits and sleeps until a completion, a wake or the timeout (ns; < 0: none);
 * completes nothing.  By the M that will own the poller's P again, or will find
 * that somebody took it.  A wake sent since the call before is not lost.
 * May return early for no reason. */
void gust__poller_sleep(gust__poller *p, int64_t timeout_ns);

/* Ends the sleep of whoever sleeps in p, or its next one.  What the caller wrote
 * before is visible after that sleep.  Any thread. */
void gust__poller_wake(gust__poller *p);

/* The same, even if a wake seems to be on its way.  For the end of the runtime. */
void gust__poller_wake_again(gust__poller *p);

/* True if gust__poller_poll would find something to do: a look at shared
 * memory, no system call (epoll: may be true for nothing).  Any thread. */
bool gust__poller_pending(gust__poller *p);

/* Ops that one reap of a backend finishes at most, so that a run queue has room for their
 * goroutines.  Bounds the time without the run queue, too. */
#define GUST__REAP_MAX 128

/* Completes what the kernel has reported, with no system call in the usual case:
 * each op's done is called, or its goroutine made ready on the current P by
 * gust__ready_tail.  Returns how many results it handed out; a bounded number,
 * there may be more.  On g0 of an M with a P, the poller's
 * owner or one that looks after a P which is stuck; what becomes runnable is the
 * caller's.
 *
 * The idle loop is: reap; nothing runnable: sleep; reap.  It costs one system
 * call, since sleep submits and waits in one. */
int gust__poller_reap(gust__poller *p);

/* Hands queued requests to the kernel, lets it report what is ready, and reaps.
 * For a P that stays busy, every few dispatches, or one that is stuck.  By whom:
 * as gust__poller_reap. */
int gust__poller_poll(gust__poller *p);

/* Hands queued requests to the kernel, if there are any.  Before the P changes
 * its thread.  Any M. */
void gust__poller_submit(gust__poller *p);

/* True if operations are in flight: somebody has to watch this poller.  Any thread. */
bool gust__poller_busy(gust__poller *p);

/* True if the poller has an operation whose owner has not been told the result:
 * exactly that, if nobody has the poller's P and the caller holds sched.lock. */
bool gust__poller_has_ops(gust__poller *p);

#endif

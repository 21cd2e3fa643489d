/* Demotion: a P is taken from a goroutine that does not know, by an asymmetric
 * Dekker (core/call.h).
 *
 * Two Ms with a P each run goroutines that go in and out of gust.  A call may be
 * short, park, or be one of a pair that announces a blocking call.  All the time
 * sysmon tries to take P 0, whoever has it, and both from announced calls; with
 * membarrier in BARRIER, with that or with a signal in BOTH.
 *
 * Process       models
 *   M           an M with its goroutine: gust__call_begin, gust__call_end
 *               (core/call.h); answer, get_p_back, and on_sigurg, which runs
 *               between any two steps of its M (core/demote.c);
 *               gust_blocking_begin, gust_blocking_end, gust__p_regain,
 *               end_without_p (core/blocking.c)
 *   sysmon      gust__demote, take_by_barrier, is_outside_with (core/demote.c);
 *               retake (core/sysmon.c)
 *   memory      the store buffers
 *
 * Memory: each M has a buffer of one store, for depth = 1, the one plain store
 * that a load must not overtake.  It reaches memory at any time, and at the latest
 * by the M's next store or read-modify-write, on entry of a signal handler, or by
 * sysmon's membarrier.  (depth = 0 is visible at once: seen late, it only makes
 * sysmon give up.)
 *
 * Abstracted: a P that is given away lies on the idle list, and an M without a P
 * takes any from there: who wakes whom is leave_spinning.pml's.  So a goroutine
 * stays with its M.  Time: sysmon tries at any moment.  Nested calls.
 *
 * Proved: a P is used by one M at a time; a P is taken only from the M that has it;
 * every call gets a P, every goroutine ends, and then every P is idle.
 *
 * variants: BARRIER BOTH
 * mutations of BARRIER: NO_BARRIER PLAIN_REFUSAL NO_P_CHECK P_CHECK_FIRST PLAIN_REQUEST
 * mutations of BOTH: NO_DEPTH_CHECK PLAIN_HANDLER */

#define PS 2
#define MS 2
#define NO_P 255

/* Calls of each goroutine before its last one, which ends it. */
#define CALLS_0 1
#ifdef BARRIER
#define CALLS_1 1
#else
#define CALLS_1 0 /* to keep it small */
#endif

mtype = { NONE, REQUEST, TAKEN, YIELD, BLOCKING };    /* gust__steal */
mtype = { IDLE, RUNNING, SYSCALL };                   /* gust__pstatus */

mtype steal[MS] = NONE;
bool in_call[MS];       /* depth > 0, as others see it */
bool pending[MS];       /* in the buffer: in_call = true */
byte m_p[MS];           /* m->p */
byte p_m[PS];           /* p->m */
mtype status[PS] = RUNNING;
bool signalled[MS];
byte ended;

/* Who may use a P: its M, or nobody. */
#define SYSMON 100
#define NOBODY 101
byte owner[PS];

inline flush(m)
{
    d_step {
        if
        :: pending[m] -> in_call[m] = true; pending[m] = false
        :: else
        fi
    }
}

active proctype memory()
{
end:
    do
    :: d_step { pending[0] -> in_call[0] = true; pending[0] = false }
    :: d_step { pending[1] -> in_call[1] = true; pending[1] = false }
    od
}

/* --- The M ------------------------------------------------------------------ */

/* Between two steps a signal may be handled. */
#ifdef BOTH
#define STEP                                                    \
    if                                                          \
    :: signalled[m] -> signalled[m] = false; on_sigurg(m)       \
    :: true                                                     \
    fi;
#else
#define STEP
#endif

inline on_sigurg(m)
{
    flush(m);
    if
#ifndef NO_DEPTH_CHECK
    :: in_call[m] ->
        if
        :: atomic { steal[m] == REQUEST -> steal[m] = YIELD }
        :: else
        fi
    :: !in_call[m] && m_p[m] != NO_P ->
#else
    :: m_p[m] != NO_P ->
#endif
        if
#ifdef PLAIN_HANDLER
        :: steal[m] == REQUEST ->
            atomic { steal[m] = TAKEN; assert(owner[m_p[m]] == m); owner[m_p[m]] = NOBODY };
#else
        :: atomic {
               steal[m] == REQUEST ->
               steal[m] = TAKEN;
               assert(owner[m_p[m]] == m);
               owner[m_p[m]] = NOBODY
           };
#endif
            status[m_p[m]] = SYSCALL
        :: else
        fi
    :: else
    fi
}

inline check_p()
{
    assert(owner[m_p[m]] == m)
}

inline set_p(p)
{
    m_p[m] = p;
    STEP
    p_m[p] = m
}

/* Any idle P, or the one that is `wanted`; waits for one. */
inline take_idle()
{
    atomic {
        if
        :: status[0] == IDLE -> got = 0
        :: status[1] == IDLE -> got = 1
        fi;
        assert(owner[got] == NOBODY);
        owner[got] = m;
        status[got] = RUNNING
    }
    STEP
    set_p(got);
    got = NO_P
}

inline release(p, was)
{
    d_step {
        assert(owner[p] == was);
        owner[p] = NOBODY;
        status[p] = IDLE
    }
}

/* Yields, parks, or waits in the global queue. */
inline park()
{
    check_p();
    oldp = m_p[m];
    flush(m);
    m_p[m] = NO_P;
    STEP
    release(oldp, m);
    oldp = NO_P;
    STEP
    take_idle()
}

inline p_regain()
{
    flush(m);
    if
    :: d_step {
           status[oldp] == SYSCALL ->
           status[oldp] = RUNNING;
           assert(owner[oldp] == NOBODY);
           owner[oldp] = m
       };
       STEP
       set_p(oldp)
    :: else -> take_idle()
    fi;
    oldp = NO_P
}

inline answer()
{
    do
    :: atomic { steal[m] == NONE || steal[m] == BLOCKING -> break }
    :: atomic { steal[m] == TAKEN -> flush(m) };
        oldp = m_p[m];
        m_p[m] = NO_P;
        STEP
        steal[m] = NONE;
        STEP
        p_regain();
        break
    :: atomic { steal[m] == REQUEST || steal[m] == YIELD -> seen = steal[m] };
        STEP
        flush(m);
        if
#ifdef PLAIN_REFUSAL
        :: true -> steal[m] = NONE;
#else
        :: atomic { steal[m] == seen -> steal[m] = NONE };
#endif
            STEP
            if
            :: true
            :: true -> park() /* others wait for the P */
            fi;
            break
        :: else
        fi
    od;
    seen = NONE
}

inline call_begin()
{
    STEP
    pending[m] = true;
    STEP
    answer()
}

inline call_end()
{
    STEP
    check_p();
    answer();
    STEP
    d_step { pending[m] = false; in_call[m] = false }
}

inline blocking_call()
{
    oldp = m_p[m];
    flush(m);
    m_p[m] = NO_P;
    STEP
    steal[m] = BLOCKING;
    STEP
    d_step { assert(owner[oldp] == m); owner[oldp] = NOBODY; status[oldp] = SYSCALL };
    STEP
    d_step { pending[m] = false; in_call[m] = false };
    STEP /* here it blocks */
    pending[m] = true;
    STEP
    flush(m);
    steal[m] = NONE;
    STEP
    p_regain()
}

proctype M(byte m; byte calls)
{
    byte oldp = NO_P, got = NO_P;
    mtype seen = NONE;
    do
    :: calls > 0 ->
        calls--;
        call_begin();
        check_p();
        if
        :: true
        :: true -> park()
        :: true -> blocking_call()
        fi;
        call_end()
    :: else -> break
    od;
    call_begin();
    check_p();
    oldp = m_p[m];
    flush(m);
    m_p[m] = NO_P;
    release(oldp, m);
    ended++
}

/* --- sysmon ------------------------------------------------------------------ */

inline handoff(p)
{
    release(p, SYSMON)
}

#ifdef PLAIN_REQUEST
#define MAY_REQUEST true
#else
#define MAY_REQUEST (steal[m] == NONE || steal[m] == YIELD)
#endif

inline take_by_barrier(p)
{
#ifndef NO_BARRIER
    d_step { flush(0); flush(1) }
#endif
#ifdef P_CHECK_FIRST
    mine = (m_p[m] == p);
    outside = !in_call[m];
#else
    outside = !in_call[m];
    mine = (m_p[m] == p);
#endif
#ifdef NO_P_CHECK
    mine = true;
#endif
    if
    :: d_step {
           outside && mine && steal[m] == REQUEST ->
           steal[m] = TAKEN;
           assert(owner[p] == m);
           owner[p] = SYSMON
       };
       handoff(p)
    :: else ->
        if
        :: atomic { steal[m] == REQUEST -> steal[m] = YIELD }
        :: else
        fi
    fi;
    outside = false;
    mine = false
}

inline demote(p)
{
    m = p_m[p];
    if
    :: atomic { MAY_REQUEST -> steal[m] = REQUEST };
        if
        :: true -> take_by_barrier(p)
#ifdef BOTH
        :: true -> signalled[m] = true
#endif
        fi
    :: else
    fi;
    m = 0
}

inline retake(p)
{
    d_step {
        status[p] == SYSCALL ->
        status[p] = RUNNING;
        assert(owner[p] == NOBODY);
        owner[p] = SYSMON
    }
    handoff(p)
}

proctype sysmon()
{
    byte m;
    bool outside, mine;
end_nothing_to_take:
    do
    :: status[0] == RUNNING -> demote(0)
    :: retake(0)
    :: retake(1)
    od
}

init
{
    atomic {
        byte i;
        for (i : 0 .. MS - 1) {
            m_p[i] = i;
            p_m[i] = i;
            owner[i] = i;
        }
        run M(0, CALLS_0);
        run M(1, CALLS_1);
        run sysmon()
    }
    timeout -> assert(ended == MS && status[0] == IDLE && status[1] == IDLE)
}

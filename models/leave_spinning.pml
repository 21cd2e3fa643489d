/* Going to sleep against making work: the protocol at the top of core/thread.c.
 *
 * A goroutine makes ITEMS goroutines and then burns until all of them have been
 * started: its M does not come back for them, so others must be awake or be
 * woken, and a lost wake-up is a deadlock.  In THREE the first one started burns
 * in the same way, so that three Ms must come to run; to keep it small, none is
 * put in runnext there.
 *
 * Process       models
 *   maker       M 0 with P 0 and that goroutine: gust__wakep, gust__wakep_spawn,
 *               wake_if_needed, wake_idle_p, gust__m_start (core/thread.c)
 *   M           gust__schedule, find_now, globq_get, may_spin, steal
 *               (core/sched.c); gust__m_stop_spinning, gust__m_idle, release_p,
 *               regain_p, work_anywhere, gust__m_stop (core/thread.c)
 *   memory      the store buffers
 *
 * Memory: each M has a buffer of one store.  It becomes visible to others at any
 * time, and at the latest by its M's next store or fence, or, if it was made under
 * sched.lock, when somebody takes that lock.  The result of a read-modify-write is
 * buffered too, although the next RMW on the same word acts on it: on aarch64
 * loads may overtake a seq_cst RMW, so it does not replace the fence.  (On x86-64
 * it does.)  A few changes are visible at once, since seeing them late only wakes
 * an M too many: npidle-- and nmspinning++, and what is taken from a queue.
 *
 * Abstracted: goroutines are counted, not named, and queues unbounded.  Only
 * surplus work is made: a goroutine that gust__ready puts in runnext is sysmon's
 * business.  An M that is started is one that slept from the beginning.  Timers,
 * I/O and stopping are left out.
 *
 * Proved: every item is started although its maker never looks for it.  At the end
 * all other Ms sleep, their Ps are idle, and nmspinning is 0.
 *
 * variants: TWO THREE
 * mutations of TWO: NO_FENCE_MAKER NO_FENCE_SLEEPER NO_RECHECK NO_HINT HINT_FORGOTTEN
 * mutations of THREE: COUNT_DROPPED_LATE NO_LOOK_AFTER_FOUND */

#ifdef THREE
#define PS 3
#define MS 4
#else
#define PS 2
#define MS 3
#endif
#ifndef ITEMS
#define ITEMS 3
#endif
#define NONE 255

byte started;

/* Under sched.lock. */
bool lock;
byte glist;
bool pidle[PS];        /* on the idle list */
byte sleeper[PS] = NONE;
bool midle[MS];

byte nextp[MS] = NONE; /* under sched.lock, or given with the note */
bool spinning[MS];
bool note[MS];
bool woken[PS];        /* P's poller */

/* Atomics: what others see of them. */
byte glist_count, npidle, nmspinning, queue[PS];
bool runnext[PS], spawn_hint;

/* --- Store buffers -------------------------------------------------------- */

mtype = { EMPTY, GLIST_INC, NPIDLE_INC, SPINNING_DEC, LOCKED_SPINNING_DEC,
          QUEUE_ADD, RUNNEXT_SET, HINT_SET };
mtype pending[MS] = EMPTY;
byte pending_p[MS], pending_n[MS]; /* of QUEUE_ADD and RUNNEXT_SET */

inline flush(m)
{
    if
    :: pending[m] == GLIST_INC -> glist_count++
    :: pending[m] == NPIDLE_INC -> npidle++
    :: pending[m] == SPINNING_DEC || pending[m] == LOCKED_SPINNING_DEC -> nmspinning--
    :: pending[m] == QUEUE_ADD ->
        queue[pending_p[m]] = queue[pending_p[m]] + pending_n[m]
    :: pending[m] == RUNNEXT_SET -> runnext[pending_p[m]] = true
    :: pending[m] == HINT_SET -> spawn_hint = true
    :: else
    fi;
    pending[m] = EMPTY;
    pending_p[m] = 0;
    pending_n[m] = 0
}

inline fence(m)
{
    d_step { flush(m) }
}

inline store(m, what, p, n)
{
    d_step {
        flush(m);
        pending[m] = what;
        pending_p[m] = p;
        pending_n[m] = n
    }
}

active proctype memory()
{
end:
    do
    :: atomic { pending[0] != EMPTY -> flush(0) }
    :: atomic { pending[1] != EMPTY -> flush(1) }
    :: atomic { pending[2] != EMPTY -> flush(2) }
#if MS > 3
    :: atomic { pending[3] != EMPTY -> flush(3) }
#endif
    od
}

inline lock_take()
{
    d_step {
        !lock ->
        lock = true;
        for (i : 0 .. MS - 1) {
            if
            :: pending[i] == GLIST_INC || pending[i] == NPIDLE_INC ||
                pending[i] == LOCKED_SPINNING_DEC -> flush(i)
            :: else
            fi
        }
        i = 0
    }
}

inline lock_drop()
{
    lock = false
}

/* --- Waking --------------------------------------------------------------- */

/* gust__p_idle_take_locked; NONE if there is none.  Under the lock. */
inline idle_take(m, ret_p)
{
    d_step {
        flush(m);
        ret_p = NONE;
        for (i : 0 .. PS - 1) {
            if
            :: pidle[i] && (ret_p == NONE || sleeper[i] != NONE) -> ret_p = i
            :: else
            fi
        }
        if
        :: ret_p != NONE -> pidle[ret_p] = false; npidle--
        :: else
        fi;
        i = 0
    }
}

/* gust__m_start(p, true). */
inline m_start(to)
{
    lock_take();
    d_step {
        taken = NONE;
        for (i : 1 .. MS - 1) {
            if
            :: midle[i] -> taken = i
            :: else
            fi
        }
        i = 0;
        assert(taken != NONE); /* else the model needs more Ms */
        midle[taken] = false
    }
    lock_drop();
    d_step { nextp[taken] = to; spinning[taken] = true; note[taken] = true; taken = NONE }
}

inline wake_idle_p(m)
{
    lock_take();
    idle_take(m, to);
    if
    :: to == NONE ->
#ifdef COUNT_DROPPED_LATE
        lock_drop();
        store(m, SPINNING_DEC, 0, 0)
#else
        store(m, LOCKED_SPINNING_DEC, 0, 0);
        lock_drop()
#endif
    :: to != NONE && sleeper[to] != NONE ->
        d_step {
            nextp[sleeper[to]] = to;
            spinning[sleeper[to]] = true;
            sleeper[to] = NONE
        }
        lock_drop();
        woken[to] = true
    :: else -> lock_drop(); m_start(to)
    fi;
    to = NONE
}

inline wake_if_needed(m)
{
    if
    :: npidle > 0 ->
        if
        :: nmspinning == 0 ->
            /* The CAS from 0 to 1. */
            d_step {
                for (i : 0 .. MS - 1) {
                    if
                    :: pending[i] == SPINNING_DEC || pending[i] == LOCKED_SPINNING_DEC -> flush(i)
                    :: else
                    fi
                }
                i = 0;
                flush(m);
                won = (nmspinning == 0);
                nmspinning = (won -> 1 : nmspinning)
            }
            if
            :: won -> wake_idle_p(m)
            :: else
            fi
        :: else
        fi
    :: else
    fi;
    won = false
}

inline wakep(m)
{
#ifndef NO_FENCE_MAKER
    fence(m);
#endif
    wake_if_needed(m)
}

inline wakep_spawn(m)
{
#ifndef NO_FENCE_MAKER
    fence(m);
#endif
#ifndef NO_HINT
    if
    :: !spawn_hint ->
        store(m, HINT_SET, 0, 0);
#ifndef NO_FENCE_MAKER
        fence(m)
#endif
    :: else
    fi;
#endif
    wake_if_needed(m)
}

proctype maker()
{
    byte made, to = NONE, taken = NONE, i;
    bool won;
    do
    :: made < ITEMS ->
        made++;
        if
        :: true -> store(0, QUEUE_ADD, 0, 1); wakep(0)
#ifdef TWO
        :: true ->
           if
           :: runnext[0] || pending[0] == RUNNEXT_SET ->
                store(0, QUEUE_ADD, 0, 1) /* it pushes out the one before */
           :: else -> store(0, RUNNEXT_SET, 0, 0)
           fi;
           wakep_spawn(0)
#endif
        :: true ->
           lock_take();
           glist++;
           store(0, GLIST_INC, 0, 0);
           lock_drop();
           wakep(0)
        fi
    :: else -> break
    od;
    started == ITEMS
}

/* --- Looking for work, and going to sleep ---------------------------------- */

/* Sets `work`.  The queues are read one after the other. */
inline work_anywhere(m)
{
    /* The exchange; one that finds 0 changes nothing that others could see. */
    d_step {
        with_next = spawn_hint;
        if
        :: spawn_hint -> flush(m); spawn_hint = false
        :: else
        fi
    }
    work = (glist_count > 0);
    v = 0;
    do
    :: v < PS && !work -> work = (queue[v] > 0 || (with_next && runnext[v])); v++
    :: else -> break
    od;
#ifndef HINT_FORGOTTEN
    if
    :: work && with_next -> store(m, HINT_SET, 0, 0)
    :: else
    fi;
#endif
    v = 0;
    with_next = false
}

/* Sets `found`. */
inline find_now(m)
{
    if
    :: atomic { runnext[p] -> runnext[p] = false; found = true }
    :: atomic { !runnext[p] && (queue[p] > 0 || (pending[m] == QUEUE_ADD)) ->
         flush(m); queue[p]--; found = true }
    :: atomic { !runnext[p] && queue[p] == 0 && pending[m] != QUEUE_ADD }
    fi;
    if
    :: !found && glist_count > 0 ->
        lock_take();
        if
        :: glist > 0 ->
            n = (glist / PS < glist - 1 -> glist / PS : glist - 1);
            glist = glist - n - 1;
            if
            :: n > 0 -> store(m, QUEUE_ADD, p, n)
            :: else
            fi;
            d_step { flush(m); glist_count = glist }
            found = true
        :: else
        fi;
        lock_drop()
    :: else
    fi;
    if
    :: !found && !spinning[m] && 2 * nmspinning < PS - npidle ->
        d_step { flush(m); spinning[m] = true; nmspinning++ }
    :: else
    fi;
    do
    :: !found && spinning[m] && v < PS ->
        if
        :: v != p ->
            atomic {
                if
                :: queue[v] > 0 ->
                    n = queue[v] / 2;
                    queue[v] = queue[v] - n - 1;
                    found = true
                :: queue[v] == 0 && runnext[v] -> runnext[v] = false; found = true
                :: else
                fi
            }
            if
            :: n > 0 -> store(m, QUEUE_ADD, p, n)
            :: else
            fi;
            n = 0
        :: else
        fi;
        v++
    :: else -> break
    od;
    v = 0;
    n = 0
}

inline stop_spinning(m)
{
    spinning[m] = false;
    store(m, SPINNING_DEC, 0, 0);
#ifndef NO_LOOK_AFTER_FOUND
    fence(m);
    work_anywhere(m);
    if
    :: work -> wakep(m)
    :: else
    fi;
    work = false
#endif
}

inline release_p(m)
{
    lock_take();
    if
    :: glist > 0
    :: else ->
        released = p;
        p = NONE;
        was_spinning = spinning[m];
        spinning[m] = false;
        pidle[released] = true;
        sleeper[released] = m;
        store(m, NPIDLE_INC, 0, 0)
    fi;
    lock_drop();
    if
    :: was_spinning -> store(m, SPINNING_DEC, 0, 0)
    :: else
    fi;
    was_spinning = false
}

inline regain_p(m)
{
    lock_take();
    if
    :: nextp[m] != NONE -> p = nextp[m]; nextp[m] = NONE
    :: nextp[m] == NONE && sleeper[released] == m ->
        p = released;
        d_step { flush(m); sleeper[p] = NONE; pidle[p] = false; npidle-- }
    :: else
    fi;
    lock_drop()
}

inline m_idle(m)
{
    release_p(m);
    if
    :: released != NONE ->
#ifndef NO_FENCE_SLEEPER
        fence(m);
#endif
#ifndef NO_RECHECK
        work_anywhere(m);
#endif
        if
        :: work ->
            regain_p(m);
            if
            :: p == NONE -> wakep(m)
            :: p != NONE && !spinning[m] ->
                d_step { flush(m); spinning[m] = true; nmspinning++ }
            :: else
            fi
        :: else ->
end_in_poller:
            woken[released];
            woken[released] = false;
            regain_p(m);
            if
            :: p == NONE -> woken[released] = true
            :: else
            fi
        fi
    :: else
    fi;
    work = false;
    released = NONE
}

proctype M(byte m)
{
    byte p = NONE, released = NONE, to = NONE, taken = NONE, v, n, i;
    bool found, work, with_next, won, was_spinning;
    goto asleep;
    do
    :: p == NONE ->
        lock_take();
        midle[m] = true;
        lock_drop();
asleep:
end_stopped:
        note[m];
        note[m] = false;
        p = nextp[m];
        nextp[m] = NONE
    :: else ->
        find_now(m);
        if
        :: found ->
            found = false;
            if
            :: spinning[m] -> stop_spinning(m)
            :: else
            fi;
            started++;
#ifdef THREE
            if
            :: started == 1 -> started == ITEMS
            :: else
            fi
#endif
        :: else -> m_idle(m)
        fi
    od
}

init
{
    atomic {
        byte j;
        for (j : 1 .. MS - 1) {
            midle[j] = true;
            run M(j)
        }
        for (j : 1 .. PS - 1) {
            pidle[j] = true;
            npidle++
        }
        run maker()
    }
    timeout -> assert(started == ITEMS && nmspinning == 0 && npidle == PS - 1 && !lock)
}

/* Announced blocking calls: who has the P during and after one.
 *
 * Goroutine 0 makes a blocking call that lasts until goroutine 1 has ended, so its
 * P must be taken from it if that is where goroutine 1 waits.  Goroutine 1 makes
 * calls that may end at once.
 *
 * Process       models
 *   M           an M with its goroutine: gust_blocking_begin, gust_blocking_end,
 *               end_without_p (core/blocking.c); gust__schedule (core/sched.c);
 *               gust__m_idle, gust__m_stop, wake_idle_p, gust__m_start,
 *               gust__p_idle_take_locked (core/thread.c)
 *   sysmon      look, retake (core/sysmon.c); gust__handoff (core/thread.c)
 *
 * Abstracted: time (sysmon may look at any moment), and why it wants a P (it may
 * want any); how sysmon sleeps; spinning, which leave_spinning.pml models.  An M
 * that is started is one that slept from the beginning, and who starts one waits
 * for one.  The words in question are changed by seq_cst operations or under
 * sched.lock: memory is sequentially consistent.  What is done under that lock is
 * one step: of what it changes, those without the lock look at one word at a time.
 *
 * Proved: a P has one holder at a time (an M, sysmon, or the waker that gives it
 * away); both goroutines end; at the end every P is idle, and on the idle list.
 *
 * variants: ONE_P TWO_PS
 * mutations of ONE_P: RELEASE_UNCHECKED NO_RETAKE
 * mutations of TWO_PS: PLAIN_END PLAIN_RETAKE */

#ifdef TWO_PS
#define PS 2
#define CALLS_1 1
#else
#define PS 1
#define CALLS_1 2
#endif
#define MS 4
#define GS 2
#define NONE 255
#define GLIST 100

mtype = { IDLE, RUNNING, SYSCALL };

mtype status[PS] = IDLE;
byte at[GS];             /* the P in whose queue it is, GLIST, or NONE */

/* Under sched.lock. */
bool pidle[PS];
byte sleeper[PS] = NONE;
bool midle[MS];

byte nextp[MS] = NONE;
bool note[MS], woken[PS];

byte holders[PS];               /* must be 1 at most */
byte calls_left[GS];

#define QUEUED(where) (at[0] == where || at[1] == where)

/* With the change that makes p the caller's. */
inline hold(p)
{
    holders[p]++;
    assert(holders[p] == 1)
}

/* gust__p_release_locked */
inline release_locked(p, who)
{
    assert(!pidle[p]);
    holders[p]--;
    status[p] = IDLE;
    sleeper[p] = who;
    pidle[p] = true
}

/* gust__p_idle_take_locked */
inline idle_take_locked(wanted, ret_p, ret_sleeper)
{
    if
    :: wanted < PS && pidle[wanted] -> ret_p = wanted
    :: (wanted >= PS || !pidle[wanted]) && pidle[0] -> ret_p = 0
#ifdef TWO_PS
    :: (wanted >= PS || !pidle[wanted]) && pidle[1] -> ret_p = 1
#endif
    :: else -> ret_p = NONE
    fi;
    if
    :: ret_p != NONE ->
        ret_sleeper = sleeper[ret_p];
        sleeper[ret_p] = NONE;
        status[ret_p] = RUNNING;
        pidle[ret_p] = false;
        hold(ret_p)
    :: else
    fi
}

inline m_start(p)
{
    atomic {
        if
        :: midle[0] -> to = 0
        :: midle[1] -> to = 1
        :: midle[2] -> to = 2
        :: midle[3] -> to = 3
        fi;
        midle[to] = false
    }
    atomic { nextp[to] = p; note[to] = true; to = NONE }
}

#define WORK_ANYWHERE (at[0] != NONE || at[1] != NONE)

/* With one P there is nobody to wake. */
inline wakep()
{
#ifdef TWO_PS
    atomic {
        idle_take_locked(NONE, taken, to);
        if
        :: to != NONE -> nextp[to] = taken
        :: else
        fi
    }
    if
    :: taken != NONE && to != NONE -> woken[taken] = true; to = NONE
    :: taken != NONE && to == NONE -> m_start(taken)
    :: else
    fi;
    taken = NONE
#else
    skip
#endif
}

inline m_idle(m)
{
    atomic {
        if
        :: QUEUED(GLIST)
        :: else -> released = p; p = NONE; release_locked(released, m)
        fi
    }
    if
    :: released == NONE
    :: released != NONE ->
#ifdef TWO_PS
        looked = WORK_ANYWHERE;
#endif
        if
        :: looked
        :: else ->
end_in_poller:
            atomic { woken[released] -> woken[released] = false }
        fi;
        atomic {
            if
            :: nextp[m] != NONE -> p = nextp[m]; nextp[m] = NONE
            :: nextp[m] == NONE && sleeper[released] == m ->
                idle_take_locked(released, p, taken);
                taken = NONE
            :: else
            fi
        }
        if
        :: p != NONE
        :: p == NONE && looked -> wakep()
        :: p == NONE && !looked -> woken[released] = true
        fi;
        released = NONE;
        looked = false
    fi
}

inline blocking_begin()
{
    oldp = p;
    p = NONE;
    atomic { holders[oldp]--; status[oldp] = SYSCALL }
}

/* Without a P afterwards if the goroutine was queued. */
inline blocking_end()
{
#ifdef PLAIN_END
    won = (status[oldp] == SYSCALL);
    if
    :: won -> atomic { status[oldp] = RUNNING; hold(oldp) }; p = oldp
#else
    if
    :: atomic { status[oldp] == SYSCALL -> status[oldp] = RUNNING; hold(oldp) }; p = oldp
#endif
    :: else ->
        atomic {
            idle_take_locked(oldp, p, to);
            if
            :: p == NONE -> at[g] = GLIST
            :: else
            fi
        }
        if
        :: to != NONE -> woken[p] = true; to = NONE
        :: else
        fi
    fi;
    oldp = NONE
}

proctype M(byte m; byte p)
{
    byte oldp = NONE, released = NONE, taken = NONE, to = NONE, g = NONE;
    bool looked, won;
    if
    :: p == NONE -> goto asleep
    :: else
    fi;
    do
    :: p == NONE ->
        midle[m] = true;
asleep:
end_stopped:
        atomic { note[m] -> note[m] = false; p = nextp[m]; nextp[m] = NONE }
    :: else ->
        if
        :: atomic { at[0] == p -> at[0] = NONE; g = 0 }
        :: atomic { at[1] == p -> at[1] = NONE; g = 1 }
        :: atomic { !QUEUED(p) && at[0] != NONE -> at[0] = NONE; g = 0 }
        :: atomic { !QUEUED(p) && at[1] != NONE -> at[1] = NONE; g = 1 }
        :: !WORK_ANYWHERE
        fi;
        if
        :: g == NONE -> m_idle(m)
        :: else ->
            do
            :: p == NONE || calls_left[g] == 0 -> break
            :: else ->
                blocking_begin();
                if
                :: g == 0 -> calls_left[1] == 0
                :: else
                fi;
                calls_left[g]--;
                blocking_end()
            od;
            g = NONE
        fi
    od
}

inline handoff(p)
{
    if
    :: true -> m_start(p) /* it has timers, or operations in flight */
    :: QUEUED(p) || QUEUED(GLIST) -> m_start(p)
    :: !QUEUED(p) && !QUEUED(GLIST) ->
        atomic {
#ifdef RELEASE_UNCHECKED
            queued = false;
#else
            queued = QUEUED(GLIST);
#endif
            if
            :: queued
            :: else -> release_locked(p, NONE)
            fi
        }
        if
        :: queued -> m_start(p)
        :: !queued && WORK_ANYWHERE -> wakep()
        :: else
        fi;
        queued = false
    fi
}

inline retake(p)
{
#ifdef PLAIN_RETAKE
    status[p] == SYSCALL;
    atomic { status[p] = RUNNING; hold(p) };
#else
    atomic { status[p] == SYSCALL -> status[p] = RUNNING; hold(p) };
#endif
    handoff(p)
}

proctype sysmon()
{
    byte to = NONE, taken = NONE;
    bool queued;
end_nothing_to_take:
    do
#ifdef NO_RETAKE
    :: false
#else
    :: retake(0)
#ifdef TWO_PS
    :: retake(1)
#endif
#endif
    od
}

init
{
    byte i;
    atomic {
        calls_left[0] = 1;
        calls_left[1] = CALLS_1;
        status[0] = RUNNING;
        holders[0] = 1;
        run M(0, 0);
        for (i : 1 .. MS - 1) {
            midle[i] = true;
            run M(i, NONE)
        }
        for (i : 1 .. PS - 1) {
            pidle[i] = true
        }
        run sysmon()
    }
    timeout ->
    for (i : 0 .. PS - 1) {
        assert(pidle[i] && status[i] == IDLE && holders[i] == 0)
    }
    assert(calls_left[0] == 0 && calls_left[1] == 0)
}

/* Parking and waking one goroutine, with a deadline that competes.
 *
 * A goroutine waits WAITS times for tokens in a list under a lock (a channel, a
 * mutex, a wait group: they all wait in this way).  A waker on another thread
 * brings as many tokens.  In DEADLINE each wait has an alarm, and the waker may
 * stay away.
 *
 * Process       models
 *   M           an M: runs the goroutine and, on g0, what it asked for when it
 *               left its stack: gust__park, gust__to_g0, execute (core/sched.c),
 *               gust__park_unlock, gust__wait_linked, wait_linked_until,
 *               commit_timed (core/waitq.c), gust__timer_set and gust__timer_stop
 *               (core/timers.c)
 *   waker       waitlist_take under the lock, gust__ready after it (core/waitq.h,
 *               core/sched.c)
 *   timers      an M that runs the heap of the alarm: fire (core/timers.c) and
 *               alarm_fire (core/waitq.c)
 *
 * Abstracted: run queues and Ps (one count, "runnable"; any M may run what is
 * there); the list has one place, since one goroutine waits.  All orders that
 * matter come from locks and read-modify-writes, so memory is sequentially
 * consistent here.  Frames are numbered by the wait and never reused, so that a
 * late touch of a dead one is seen.
 *
 * Proved: the goroutine runs on one thread at a time, and never before it is off
 * its stack; each park is answered by exactly one wake-up; no token is lost; the
 * frame (waiter and alarm) is not touched after the goroutine left the wait.
 *
 * variants: FOREVER DEADLINE
 * mutations of FOREVER: UNLOCK_BEFORE_SWITCH LINK_UNLOCKED
 * mutations of DEADLINE: PLAIN_CLAIM ALARM_UNCLAIMED ALARM_AFTER_UNLOCK NO_STOP_WAIT NO_UNLINK */

#define WAITS 2
#define NONE 255

#define LOCK(l) atomic { !l -> l = true }
#define UNLOCK(l) l = false

bool lock;          /* of the list */
byte tokens;        /* under it: brought when nobody waited */
byte list = NONE;   /* under it: the frame of the one waiter */

bool parked;        /* g->state == G_PARKED */
byte on_stack;      /* threads that run on the goroutine's stack */
byte runnable = 1;  /* times it stands in a run queue */
byte claim = 1;     /* g->select_done */
byte wait;          /* the wait it is in, and the number of its frame */
bool resuming;      /* its next run returns from gust__park */

bool alive[WAITS + 1];
bool served[WAITS + 1]; /* w->outcome == OUTCOME_DONE */

bool timers_lock;
byte armed = NONE;  /* under it: the frame whose alarm is in the heap */
byte firing = NONE; /* whose callback runs */

byte got, brought;

inline touch(frame)
{
    assert(alive[frame])
}

/* gust__ready; the debug build checks the same. */
inline ready()
{
    atomic {
        assert(parked && runnable == 0);
        parked = false;
        runnable++
    }
}

/* The CAS of the claim word; `won` says whether it succeeded. */
inline claim_cas(won)
{
    atomic { won = (claim == 0); claim = 1 }
}

#ifdef DEADLINE
inline alarm_set()
{
    LOCK(timers_lock);
    touch(frame);
    armed = frame;
    UNLOCK(timers_lock)
}

/* alarm_stop: the alarm's memory is the caller's afterwards. */
inline alarm_stop()
{
    LOCK(timers_lock);
    if
    :: armed == frame -> armed = NONE
    :: else
    fi;
    UNLOCK(timers_lock);
#ifndef NO_STOP_WAIT
    firing != frame
#endif
}
#endif

/* On the goroutine's stack: after gust__park. */
inline wait_ends()
{
#ifdef DEADLINE
    alarm_stop();
#endif
    touch(frame);
    if
    :: served[frame] -> got++
    :: else ->
#ifdef DEADLINE
        LOCK(lock);
#ifndef NO_UNLINK
        if
        :: list == frame -> list = NONE
        :: else
        fi;
#endif
        UNLOCK(lock)
#else
        assert(false)
#endif
    fi;
    alive[frame] = false;
    wait++
}

/* On g0, off the goroutine's stack: the commit functions. */
inline commit()
{
#if defined(DEADLINE) && defined(ALARM_AFTER_UNLOCK)
    UNLOCK(lock);
    alarm_set()
#elif defined(DEADLINE)
    alarm_set();
    UNLOCK(lock)
#elif !defined(UNLOCK_BEFORE_SWITCH)
    UNLOCK(lock)
#else
    skip
#endif
}

active [2] proctype M()
{
    byte frame;
    bool parks;
end_idle:
    do
    :: atomic { runnable > 0 -> runnable-- };
        assert(on_stack == 0); /* else two threads run on one stack */
        on_stack++;
        if
        :: resuming -> resuming = false; frame = wait; wait_ends()
        :: else
        fi;
        parks = false;
        do
        :: parks || wait == WAITS -> break
        :: else ->
            frame = wait;
            LOCK(lock);
            if
            :: tokens > 0 -> tokens--; got++; wait++; UNLOCK(lock)
            :: else ->
#ifdef LINK_UNLOCKED
                UNLOCK(lock);
                LOCK(lock);
#endif
                alive[frame] = true;
#ifdef DEADLINE
                claim = 0;
#endif
                list = frame;
                resuming = true;
                parked = true;
#ifdef UNLOCK_BEFORE_SWITCH
                UNLOCK(lock);
#endif
                parks = true
            fi
        od;
        on_stack--; /* the switch to g0 */
        if
        :: parks -> commit()
        :: else
        fi
    od
}

active proctype waker()
{
    byte w;
    bool won;
end_away:
    do
    :: brought < WAITS ->
#ifdef DEADLINE
        if
        :: break /* it may never come */
        :: true
        fi;
#endif
        brought++;
        LOCK(lock);
        w = list;
        list = NONE;
        won = (w != NONE);
#ifdef DEADLINE
        if
        :: won -> touch(w);
#ifdef PLAIN_CLAIM
            won = (claim == 0);
            claim = 1
#else
            claim_cas(won)
#endif
        :: else
        fi;
#endif
        if
        :: won -> touch(w); served[w] = true
        :: else -> tokens++
        fi;
        UNLOCK(lock);
        if
        :: won -> touch(w); ready()
        :: else
        fi
    :: else -> break
    od
}

#ifdef DEADLINE
active proctype timers()
{
    byte a;
    bool won;
end_nothing_due:
    do
    :: atomic { !timers_lock && armed != NONE -> timers_lock = true };
        a = armed;
        armed = NONE;
        firing = a;
        UNLOCK(timers_lock);
        touch(a);
#ifdef ALARM_UNCLAIMED
        won = (claim == 0);
        claim = 1;
#else
        claim_cas(won);
#endif
        if
        :: won -> touch(a); ready()
        :: else
        fi;
        LOCK(timers_lock);
        firing = NONE;
        UNLOCK(timers_lock)
    od
}
#endif

/* When nothing moves any more. */
active proctype judge()
{
    timeout -> assert(wait == WAITS && got + tokens == brought && !lock && on_stack == 0)
}

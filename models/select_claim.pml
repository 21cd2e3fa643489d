/* Select over two channels, against a sender on each and the deadline.
 *
 * A goroutine receives by select from two channels without buffers, SELECTS times
 * in a row, each time until a deadline.  On each channel one goroutine sends one
 * element and waits until it is received.
 *
 * Process       models
 *   selecter    select_run, try_all_locked, link_all, wait_for_case, unlink_all
 *               (core/select.c); claim_open, alarm_stop (core/waitq.h);
 *               gust__timer_stop (core/timers.c)
 *   g0          commit_select, unlock_all (core/select.c), which may still be at
 *               work when the goroutine runs again, in another M
 *   sender      chan_try_send (core/chan.h), send_wait (core/chan.c),
 *               waitlist_take (core/waitq.h)
 *   timers      fire (core/timers.c), alarm_fire (core/waitq.c)
 *
 * Abstracted: step 1 of select, which is a receive under one lock; parking itself
 * (park_ready.pml); each list has one place, since one goroutine comes to it.
 * Locks and read-modify-writes order everything: memory is sequentially
 * consistent.  Frames are numbered and never reused, so that a late touch of a
 * dead one is seen.
 *
 * Proved: one wake-up per park, and so one winner; an element is received once, if
 * and only if its send returns; a select with no case served had its deadline; no
 * waiter, alarm or frame is touched after its select has returned.
 *
 * variants: TIMED
 * mutations of TIMED: PLAIN_CLAIM REOPENED_EARLY NO_UNLINK ALARM_AFTER_UNLOCK NO_STOP_WAIT */

#define SELECTS 2
#define CHANS 2
#define NONE 255

bool lock[CHANS];
byte recvq[CHANS] = NONE;   /* the frame whose waiter stands there */
bool sendq[CHANS];          /* the sender stands there */

byte claim = 1;
bool parked, committing;
byte frame;                 /* the number of the select */
bool alive[SELECTS + 1];
byte served[(SELECTS + 1) * CHANS]; /* the outcome of a waiter */

bool timers_lock;
byte armed = NONE, firing = NONE;

byte received[CHANS];
bool sender_ready[CHANS], sent[CHANS];
byte timeouts, alarms;

inline lock_take(l)
{
    atomic { !l -> l = true }
}

inline touch(f)
{
    assert(alive[f])
}

inline ready()
{
    atomic { assert(parked); parked = false }
}

inline claim_cas(won)
{
    atomic { won = (claim == 0); claim = 1 }
}

/* --- The selecting goroutine ------------------------------------------------- */

inline alarm_stop()
{
    lock_take(timers_lock);
    if
    :: armed == frame -> armed = NONE
    :: else
    fi;
    timers_lock = false;
#ifndef NO_STOP_WAIT
    firing != frame
#endif
}

inline unlink_all()
{
    lock_take(lock[0]);
    lock_take(lock[1]);
    i = 0;
    do
    :: i < CHANS ->
        if
        :: served[frame * CHANS + i] -> assert(chosen == NONE); chosen = i
        :: else ->
#ifndef NO_UNLINK
            if
            :: recvq[i] == frame -> recvq[i] = NONE
            :: else
            fi
#endif
        fi;
        i++
    :: else -> break
    od;
    i = 0;
    lock[0] = false;
    lock[1] = false
}

inline select_run()
{
    lock_take(lock[0]);
    lock_take(lock[1]);
    if
    :: sendq[0] -> chosen = 0
    :: sendq[1] -> chosen = 1
    :: else
    fi;
    if
    :: chosen != NONE ->
        sendq[chosen] = false;
        received[chosen]++;
        lock[0] = false;
        lock[1] = false;
        sender_ready[chosen] = true
    :: else ->
        alive[frame] = true;
        claim = 0;
        recvq[0] = frame;
        recvq[1] = frame;
        atomic { parked = true; committing = true } /* gust__park */
        !parked;
#ifdef REOPENED_EARLY
        claim = 0;
#endif
        alarm_stop();
        unlink_all();
        alive[frame] = false;
        if
        :: chosen != NONE -> received[chosen]++
        :: else -> timeouts++
        fi
    fi;
    chosen = NONE;
    frame++
}

active proctype selecter()
{
    byte chosen = NONE, i;
    do
    :: frame < SELECTS -> select_run()
    :: else -> break
    od
}

inline set_alarm()
{
    lock_take(timers_lock);
    touch(f);
    armed = f;
    timers_lock = false
}

active proctype g0()
{
    byte f;
end_nothing_to_commit:
    do
    :: atomic { committing -> committing = false; f = frame };
#ifndef ALARM_AFTER_UNLOCK
        set_alarm();
#endif
        touch(f); /* which channel is next */
        lock[0] = false;
        touch(f);
        lock[1] = false;
#ifdef ALARM_AFTER_UNLOCK
        set_alarm();
#endif
        f = 0
    od
}

/* --- Wakers ---------------------------------------------------------------- */

proctype sender(byte c)
{
    byte w;
    bool won;
    lock_take(lock[c]);
    w = recvq[c];
    recvq[c] = NONE;
    if
    :: w != NONE ->
        touch(w);
#ifdef PLAIN_CLAIM
        won = (claim == 0);
        claim = 1
#else
        claim_cas(won)
#endif
    :: else
    fi;
    if
    :: won ->
        touch(w);
        served[w * CHANS + c] = true; /* the element is in place */
        lock[c] = false;
        touch(w);
        ready()
    :: else ->
        sendq[c] = true;
        lock[c] = false;
end_in_queue:
        sender_ready[c]
    fi;
    sent[c] = true
}

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
        timers_lock = false;
        touch(a);
        claim_cas(won);
        if
        :: won -> touch(a); alarms++; ready()
        :: else
        fi;
        lock_take(timers_lock);
        firing = NONE;
        timers_lock = false;
        a = 0;
        won = false
    od
}

init
{
    atomic {
        run sender(0);
        run sender(1)
    }
    timeout ->
    assert(frame == SELECTS && !lock[0] && !lock[1] && !parked);
    assert(received[0] == sent[0] && received[1] == sent[1]);
    assert(timeouts == alarms && received[0] + received[1] + timeouts == SELECTS)
}

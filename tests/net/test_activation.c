/* Socket activation: the environment is read, checked and cleared, and each socket can
 * be taken once.  Descriptors from 3 on are set up as a service manager does it. */
#include <gust/inherit.h>

#include "tests/core/child.h"
#include "tests/net/unix_test.h"

/* --- The service manager ------------------------------------------------------------- */

static void set_env(const char *pid, const char *count, const char *names)
{
    const char *const values[] = {pid, count, names, "1"};
    static const char *const vars[] = {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
                                       "LISTEN_PIDFDID"};
    for (int i = 0; i < 4; i++) {
        if (values[i])
            setenv(vars[i], values[i], 1);
        else
            unsetenv(vars[i]);
    }
}

static const char *own_pid(void)
{
    static char text[16];
    snprintf(text, sizeof text, "%d", (int)getpid());
    return text;
}

static bool env_is_clear(void)
{
    return !getenv("LISTEN_PID") && !getenv("LISTEN_FDS") && !getenv("LISTEN_FDNAMES") &&
           !getenv("LISTEN_PIDFDID");
}

static void put_at(int fd, int number)
{
    CHECK(fd >= 0);
    if (fd == number)
        return;
    CHECK_EQ(dup2(fd, number), number); /* not close-on-exec */
    close(fd);
}

static void put_listener(int type, const char *text, int number)
{
    gust_addr addr = addr_of(text);
    int fd = socket(addr.any.sa_family, type, 0);
    CHECK_EQ(bind(fd, &addr.any, addr.len), 0);
    CHECK_EQ(listen(fd, 8), 0);
    put_at(fd, number);
}

enum { STREAM = 3, UNIX, GRAM, SEQ, IDLE, NO_SOCKET, END };

/* One of each sort, with names of which two are the same. */
static void put_all(void)
{
    put_listener(SOCK_STREAM, "127.0.0.1:0", STREAM);
    put_listener(SOCK_STREAM, "unix:@", UNIX);
    put_at(socket(AF_INET, SOCK_DGRAM, 0), GRAM);
    put_listener(SOCK_SEQPACKET, "unix:@", SEQ);
    put_at(socket(AF_INET, SOCK_STREAM, 0), IDLE);
    put_at(open("/dev/null", O_RDONLY), NO_SOCKET);
    set_env(own_pid(), "6", "web:web::seq:idle:null");
}

static gust_activation *take(void)
{
    gust_activation *a = NULL;
    CHECK_EQ(gust_activation_take(&a), 0);
    CHECK(env_is_clear());
    return a;
}

/* --- Taking --------------------------------------------------------------------------- */

/* Whoever opens something for a moment, as sysmon does, gets these numbers again. */
static bool is_closed(int fd)
{
    return fcntl(fd, F_GETFD) < 0;
}

static void check_all_closed(void)
{
    for (int fd = 3; fd < END; fd++)
        AWAIT_SOON(is_closed(fd));
}

/* A test in a process as it is when it has just been started: nothing is open from 3 on
 * but what `setup` puts there. */
#define ActivationTest(name, setup)               \
    static void name##_body(void);                \
    static int name##_main(void *arg)             \
    {                                             \
        (void)arg;                                \
        name##_body();                            \
        return 0;                                 \
    }                                             \
    static void name##_child(void)                \
    {                                             \
        CHECK_EQ(close_range(3, ~0U, 0), 0);      \
        setup;                                    \
        CHECK_EQ(gust_run(name##_main, NULL), 0); \
    }                                             \
    Test(activation, name)                        \
    {                                             \
        child_assert_ends(name##_child, 0);       \
    }                                             \
    static void name##_body(void)

static void serve_one(gust_listener *l)
{
    gust_addr addr;
    gust_listener_addr(l, &addr);
    gust_conn *c = addr.any.sa_family == AF_UNIX ? unix_dial(&addr) : dial_to(&addr);
    pair_close(c, accept_from(l));
}

ActivationTest(sockets_are_taken_by_number_and_by_name, put_all())
{
    gust_activation *a = take();
    gust_listener *l = NULL;
    CHECK_EQ(gust_activation_count(a), 6);
    for (int fd = 3; fd < END; fd++)
        CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK(strcmp(gust_activation_name(a, 0), "web") == 0);
    CHECK(strcmp(gust_activation_name(a, 2), "unknown") == 0);
    CHECK(gust_activation_name(a, 6) == NULL);
    CHECK_EQ(gust_activation_find(a, "web", 0), 0);
    CHECK_EQ(gust_activation_find(a, "web", 1), 1);
    CHECK_EQ(gust_activation_find(a, "web", 2), -ENOENT);
    CHECK_EQ(gust_activation_find(a, "null", 0), 5);
    CHECK_EQ(gust_activation_find(a, "web:web", 0), -ENOENT);
    for (size_t i = 0; i < 2; i++) {
        CHECK_EQ(gust_activation_listener(a, i, &l), 0);
        serve_one(l);
        gust_listener_close(l);
        CHECK_EQ(gust_activation_listener(a, i, &l), -ENOENT);
        CHECK_EQ(gust_activation_fd(a, i), -ENOENT);
    }
    gust_activation_free(a);
}

ActivationTest(only_listening_streams_become_listeners, put_all())
{
    gust_activation *a = take();
    gust_listener *l = NULL;
    CHECK_EQ(gust_activation_listener(a, GRAM - 3, &l), -EPROTOTYPE);
    CHECK_EQ(gust_activation_listener(a, SEQ - 3, &l), -EPROTOTYPE);
    CHECK_EQ(gust_activation_listener(a, IDLE - 3, &l), -EINVAL);
    CHECK_EQ(gust_activation_listener(a, NO_SOCKET - 3, &l), -ENOTSOCK);
    CHECK_EQ(gust_activation_listener(a, 6, &l), -ENOENT);
    CHECK_EQ(gust_activation_fd(a, 6), -ENOENT);
    CHECK(!l);
    /* They can still be taken for what they are. */
    gust_packet *p = NULL;
    CHECK_EQ(gust_activation_fd(a, GRAM - 3), GRAM);
    CHECK_EQ(gust_packet_adopt(GRAM, &p), 0);
    gust_packet_close(p);
    gust_activation_free(a);
    check_all_closed();
    gust_activation_free(NULL);
}

ActivationTest(without_names_all_are_unknown,
               (put_listener(SOCK_STREAM, "unix:@", 3), set_env(own_pid(), "1", NULL)))
{
    gust_activation *a = take();
    CHECK_EQ(gust_activation_count(a), 1);
    CHECK_EQ(gust_activation_find(a, "unknown", 0), 0);
    gust_activation_free(a);
    AWAIT_SOON(is_closed(3));
    a = take(); /* the second time there is nothing */
    CHECK_EQ(gust_activation_count(a), 0);
    gust_activation_free(a);
}

/* --- Environments that are not for us, or make no sense --------------------------------- */

static void check_env(const char *pid, const char *count, const char *names, int expected)
{
    gust_activation *a = NULL;
    set_env(pid, count, names);
    CHECK_EQ(gust_activation_take(&a), expected);
    CHECK(env_is_clear());
    CHECK(!a == (expected != 0));
    CHECK(!a || gust_activation_count(a) == 0);
    gust_activation_free(a);
}

ActivationTest(what_is_for_another_process_is_not_taken, (void)0)
{
    check_env(NULL, NULL, NULL, 0);
    check_env(NULL, "1", NULL, 0);
    check_env(own_pid(), NULL, NULL, 0);
    check_env(own_pid(), "0", NULL, 0);
    check_env("1", "1", "name", 0);
    check_env("1", "nonsense", NULL, 0);
}

static void check_nonsense(void)
{
    static const char *const numbers[] = {
        "", "x", "-1", "+1", " 1", "1 ", "1x", "65537", "99999999999999999999"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        check_env(own_pid(), numbers[i], NULL, -EINVAL);
        if (strcmp(numbers[i], "65537") != 0)
            check_env(numbers[i], "1", NULL, -EINVAL);
    }
}

/* Before the runtime has anything open. */
ActivationTest(nonsense_is_refused, (check_nonsense(), put_at(open("/dev/null", O_RDONLY), 3),
                                     check_env(own_pid(), "1", "one:two", -EINVAL),
                                     check_env(own_pid(), "2", NULL, -EBADF)))
{
    CHECK_EQ(fcntl(3, F_GETFD), FD_CLOEXEC); /* it is not ours: left as it is, but for that */
}

/* --- The short way ----------------------------------------------------------------------- */

ActivationTest(one_socket_goes_before_the_address,
               (put_listener(SOCK_STREAM, "unix:@", 3), set_env(own_pid(), "1", "web")))
{
    gust_addr addr = addr_of("127.0.0.1:0"), got;
    gust_listener *l = NULL;
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(gust_listen_activated(&addr, &l), 0);
        gust_listener_addr(l, &got);
        CHECK_EQ(got.any.sa_family, i == 0 ? AF_UNIX : AF_INET);
        serve_one(l);
        gust_listener_close(l);
    }
}

ActivationTest(several_sockets_are_too_many_for_one_listener, put_all())
{
    gust_addr addr = addr_of("127.0.0.1:0");
    gust_listener *l = NULL;
    CHECK_EQ(gust_listen_activated(&addr, &l), -EINVAL);
    check_all_closed();
    set_env(own_pid(), "x", NULL);
    CHECK_EQ(gust_listen_activated(&addr, &l), -EINVAL);
    CHECK(!l);
}

ActivationTest(the_one_socket_must_be_a_listener,
               (put_at(open("/dev/null", O_RDONLY), 3), set_env(own_pid(), "1", NULL)))
{
    gust_addr addr = addr_of("127.0.0.1:0");
    gust_listener *l = NULL;
    CHECK_EQ(gust_listen_activated(&addr, &l), -ENOTSOCK);
    CHECK(!l);
    AWAIT_SOON(is_closed(3));
}

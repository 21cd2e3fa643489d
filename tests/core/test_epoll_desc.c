/* Records of descriptors, and when they may be used again. */
#include <sys/epoll.h>

#include "core/netpoll_epoll.h"
#include "tests/harness/test.h"

static gust__epoll *epoll_new(void)
{
    gust__poller *p;
    CHECK_EQ(gust__epoll_open(&p), 0);
    return gust__epoll_of(p);
}

Test(epoll_desc, a_free_one_is_used_again)
{
    gust__desc *d = gust__desc_new(0);
    CHECK(d);
    gust__desc_free(d);
    CHECK_EQ(gust__desc_new(0), d);
    gust__desc_free(d);
}

static void report(gust__epoll *p, uint64_t tag)
{
    gust__desc_list list = {.end = &list.first};
    gust__desc_report(tag, EPOLLIN, &list);
    gust__desc_list_add(p, &list);
}

/* The list has the use of its link until then. */
Test(epoll_desc, one_that_is_reported_is_free_once_it_is_off_the_list)
{
    gust__epoll *p = epoll_new();
    gust__desc *d = gust__desc_new(0);
    report(p, gust__desc_tag(d));
    gust__desc_free(d);
    gust__desc *other = gust__desc_new(0);
    CHECK(other != d);
    report(p, gust__desc_tag(other));
    gust__desc *taken[3];
    CHECK_EQ(gust__desc_take(p, taken, 3), 2);
    CHECK_EQ(taken[0], other);
    CHECK_EQ(taken[1], d);
    CHECK(gust__desc_begin(other));
    gust__lock_drop(&other->lock);
    CHECK(!gust__desc_begin(d));
    CHECK_EQ(gust__desc_new(0), d);
    gust__desc_free(d);
    gust__desc_free(other);
    gust__epoll_close(&p->base);
}

Test(epoll_desc, an_event_for_its_last_use_is_not_reported)
{
    gust__epoll *p = epoll_new();
    gust__desc *d = gust__desc_new(0);
    const uint64_t tag = gust__desc_tag(d);
    gust__desc_free(d);
    CHECK_EQ(gust__desc_new(0), d);
    report(p, tag);
    CHECK_EQ(gust__desc_take(p, &d, 1), 0);
    gust__desc_free(d);
    gust__epoll_close(&p->base);
}

Test(epoll_desc, those_reported_together_are_acted_on_in_their_order_and_once)
{
    gust__epoll *p = epoll_new();
    gust__desc *descs[3], *taken[3];
    gust__desc_list list = {.end = &list.first};
    for (int i = 0; i < 3; i++)
        descs[i] = gust__desc_new(0);
    for (int i = 0; i < 6; i++)
        gust__desc_report(gust__desc_tag(descs[i % 3]), i < 3 ? EPOLLIN : EPOLLOUT, &list);
    gust__desc_list_add(p, &list);
    CHECK_EQ(gust__desc_take(p, taken, 2), 2);
    report(p, gust__desc_tag(descs[0])); /* not acted on yet: no second place */
    CHECK_EQ(gust__desc_take(p, taken + 2, 1), 1);
    CHECK_EQ(gust__desc_take(p, taken, 1), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(taken[i], descs[i]);
        CHECK_EQ(descs[i]->events, EPOLLIN | EPOLLOUT);
        CHECK(gust__desc_begin(descs[i]));
        gust__lock_drop(&descs[i]->lock);
        gust__desc_free(descs[i]);
    }
    gust__epoll_close(&p->base);
}

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

/* The list has the use of its link until then. */
Test(epoll_desc, one_that_is_reported_is_free_once_it_is_off_the_list)
{
    gust__epoll *p = epoll_new();
    gust__desc *d = gust__desc_new(0);
    gust__desc_report(p, gust__desc_tag(d), EPOLLIN);
    gust__desc_free(d);
    gust__desc *other = gust__desc_new(0);
    CHECK(other != d);
    gust__desc_report(p, gust__desc_tag(other), EPOLLIN);
    CHECK_EQ(gust__desc_next_reported(p), other);
    CHECK(!gust__desc_next_reported(p));
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
    gust__desc_report(p, tag, EPOLLIN);
    CHECK(!gust__desc_next_reported(p));
    gust__desc_free(d);
    gust__epoll_close(&p->base);
}

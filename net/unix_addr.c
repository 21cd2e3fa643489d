/* An address without a name is the family alone; an abstract name begins with a NUL
 * and is as long as the address says; a path ends at its NUL. */
#include "net/unix_addr.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define NAME_AT offsetof(struct sockaddr_un, sun_path)

_Static_assert(sizeof(GUST__UNIX_PREFIX) + sizeof(((struct sockaddr_un *)0)->sun_path) <=
                   GUST_ADDR_TEXT_MAX,
               "every Unix address has a text");

static size_t name_len(const gust_addr *addr)
{
    return addr->len > NAME_AT ? addr->len - NAME_AT : 0;
}

int gust__unix_addr_parse(const char *name, gust_addr *ret_addr)
{
    size_t len = strlen(name);
    gust_addr addr;
    if (len == 0 || len >= sizeof addr.un.sun_path)
        return -EINVAL;
    memset(&addr, 0, sizeof addr);
    addr.un.sun_family = AF_UNIX;
    if (name[0] == '@') { /* its NUL is there already */
        memcpy(addr.un.sun_path + 1, name + 1, len - 1);
        addr.len = (socklen_t)(len == 1 ? NAME_AT : NAME_AT + len);
    } else {
        memcpy(addr.un.sun_path, name, len);
        addr.len = (socklen_t)(NAME_AT + len + 1);
    }
    *ret_addr = addr;
    return 0;
}

static char shown(char c)
{
    return c == '\0' ? '@' : (unsigned char)c < ' ' || c == 0x7f ? '?' : c;
}

void gust__unix_addr_format(const gust_addr *addr, char text[GUST_ADDR_TEXT_MAX])
{
    const char *name = addr->un.sun_path;
    size_t len = name_len(addr);
    if (len > 0 && name[0] != '\0')
        len = strnlen(name, len);
    char *end = stpcpy(text, GUST__UNIX_PREFIX);
    for (size_t i = 0; i < len; i++)
        *end++ = shown(name[i]);
    strcpy(end, len > 0 ? "" : "@");
}

bool gust__unix_addr_is_path(const gust_addr *addr)
{
    return addr->any.sa_family == AF_UNIX && name_len(addr) > 0 && addr->un.sun_path[0] != '\0';
}

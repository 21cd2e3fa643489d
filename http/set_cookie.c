/* Setting a cookie.  What a client would refuse or read in another way is not sent. */
#include "http/set_cookie.h"

#include "core/inject.h"
#include "http/date.h"
#include "http/syntax.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAIR_MAX 4096      /* name and value */
#define ATTRIBUTE_MAX 1024 /* the value of one */
#define EXPIRES_MAX INT64_C(253402300799)

/* --- Checks --------------------------------------------------------------- */

/* cookie-octet (RFC 6265, 4.1.1). */
static bool value_valid(const char *value)
{
    for (; *value; value++)
        if (*value <= ' ' || *value > '~' || strchr("\",;\\", *value))
            return false;
    return true;
}

static bool path_valid(const char *path)
{
    if (path[0] != '/' || strlen(path) > ATTRIBUTE_MAX)
        return false;
    for (; *path; path++)
        if (*path < ' ' || *path > '~' || *path == ';')
            return false;
    return true;
}

/* A host name, without the leading dot that clients ignore. */
static bool domain_valid(const char *domain)
{
    size_t len = strlen(domain);
    char before = '.';

    if (len == 0 || len > 253)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = domain[i];
        bool alphanumeric =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        /* No label is empty, begins or ends with a hyphen. */
        if (!alphanumeric &&
            (before == '.' || (c != '.' && c != '-') || (c == '.' && before == '-')))
            return false;
        before = c;
    }
    return before != '.' && before != '-';
}

/* The promises that two prefixes of names make (RFC 6265bis, 4.1.3).  Clients compare
 * them without regard to case. */
static bool prefix_kept(const gust_http_set_cookie *c)
{
    if (strncasecmp(c->name, "__Secure-", 9) == 0)
        return c->secure;
    if (strncasecmp(c->name, "__Host-", 7) == 0)
        return c->secure && !c->domain && c->path && strcmp(c->path, "/") == 0;
    return true;
}

static bool valid(const gust_http_set_cookie *c)
{
    size_t name = c->name ? strlen(c->name) : 0;

    if (name == 0 || chars_prefix(c->name, name, CH_TOKEN) != name)
        return false;
    if (c->value && (!value_valid(c->value) || strlen(c->value) > PAIR_MAX - name))
        return false;
    if (name > PAIR_MAX || (c->path && !path_valid(c->path)) ||
        (c->domain && !domain_valid(c->domain)))
        return false;
    if (c->expires_s < 0 || c->expires_s > EXPIRES_MAX)
        return false;
    if ((c->partitioned || c->same_site == GUST_HTTP_SAME_SITE_NONE) && !c->secure)
        return false;
    return prefix_kept(c);
}

/* --- Text ----------------------------------------------------------------- */

static char *put(char *p, const char *text)
{
    return stpcpy(p, text);
}

static char *put_attribute(char *p, const char *name, const char *value)
{
    return value ? put(put(p, name), value) : p;
}

static char *put_times(char *p, const gust_http_set_cookie *c)
{
    if (c->max_age_s)
        p += sprintf(p, "; Max-Age=%lld", c->max_age_s > 0 ? (long long)c->max_age_s : 0);
    if (c->expires_s) {
        p = put(p, "; Expires=");
        gust__http_date_format(c->expires_s, p);
        p += HTTP_DATE_LEN;
    }
    return p;
}

static const char *same_site_text(gust_http_same_site same_site)
{
    switch (same_site) {
    case GUST_HTTP_SAME_SITE_UNSET: break;
    case GUST_HTTP_SAME_SITE_LAX: return "Lax";
    case GUST_HTTP_SAME_SITE_STRICT: return "Strict";
    case GUST_HTTP_SAME_SITE_NONE: return "None";
    }
    return NULL;
}

int gust__http_set_cookie_format(const gust_http_set_cookie *c, char *text)
{
    if (!valid(c))
        return -EINVAL;
    char *p = put(put(text, c->name), "=");
    p = put_attribute(p, "", c->value);
    p = put_attribute(p, "; Path=", c->path);
    p = put_attribute(p, "; Domain=", c->domain);
    p = put_times(p, c);
    p = put_attribute(p, "; HttpOnly", c->http_only ? "" : NULL);
    p = put_attribute(p, "; Secure", c->secure ? "" : NULL);
    p = put_attribute(p, "; SameSite=", same_site_text(c->same_site));
    p = put_attribute(p, "; Partitioned", c->partitioned ? "" : NULL);
    *p = '\0';
    return 0;
}

int gust_http_cookie_set(gust_http_response *res, const gust_http_set_cookie *cookie)
{
    /* Not on the stack, of which it would commit two more pages. */
    char *text = gust__malloc(SET_COOKIE_SIZE);

    if (!text)
        return -ENOMEM;
    int r = gust__http_set_cookie_format(cookie, text);
    if (r == 0)
        r = gust_http_header(res, "Set-Cookie", text);
    free(text);
    return r;
}

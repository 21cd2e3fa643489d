/* Content codings that a client takes. */
#include "http/accept_encoding.h"

#include "http/params.h"

#define Q_MAX 1000

void gust__http_accept_init(struct http_accept *a)
{
    *a = (struct http_accept){.q = {-1, -1, -1}, .any = -1};
}

/* "1", "0.5", "0.125": in thousandths, or -1 (RFC 9110, 12.4.2). */
static int read_weight(gust_span s)
{
    int value = 0;

    if (s.len == 0 || s.len > 5 || (s.data[0] != '0' && s.data[0] != '1') ||
        (s.len > 1 && s.data[1] != '.'))
        return -1;
    for (size_t i = 0; i < 5; i++) {
        if (i == 1)
            continue;
        char digit = i < s.len ? s.data[i] : '0';
        if (digit < '0' || digit > '9')
            return -1;
        value = value * 10 + (digit - '0');
    }
    return value <= Q_MAX ? value : -1;
}

/* The weight behind the ';'; 1000 if there is none, -1 if it is malformed. */
static int take_weight(gust_span rest)
{
    if (rest.len <= 1)
        return Q_MAX;
    gust_span param = gust__http_trim(rest.data + 1, rest.len - 1);
    if (param.len < 2 || (param.data[0] | 0x20) != 'q' || param.data[1] != '=')
        return -1;
    return read_weight((gust_span){param.data + 2, param.len - 2});
}

static int16_t *find_coding(struct http_accept *a, gust_span name)
{
    if (gust__http_equals(name, "br"))
        return &a->q[CODING_BR];
    if (gust__http_equals(name, "gzip") || gust__http_equals(name, "x-gzip"))
        return &a->q[CODING_GZIP];
    if (gust__http_equals(name, "identity"))
        return &a->q[CODING_IDENTITY];
    return name.len == 1 && name.data[0] == '*' ? &a->any : NULL;
}

void gust__http_accept_add(struct http_accept *a, gust_span field)
{
    gust_span member;

    while (gust__http_list_next(&field, &member)) {
        size_t at;
        int16_t *q = find_coding(a, gust__http_params_main(member, &at));
        gust_span rest = {member.data + at, member.len - at};
        int weight = q && *q < 0 ? take_weight(rest) : -1;
        if (weight >= 0)
            *q = (int16_t)weight;
    }
}

void gust__http_accept_read(struct http_accept *a, const gust_http_request *req)
{
    gust_http_field field;
    size_t cursor = 0;

    gust__http_accept_init(a);
    while (gust_http_request_fields(req, &cursor, &field))
        if (gust__http_equals(field.name, "accept-encoding"))
            gust__http_accept_add(a, field.value);
}

/* What the client wants of a coding; for identity, which it need not name, less than for
 * any that it does. */
static int weight_of(const struct http_accept *a, enum http_coding coding)
{
    if (a->q[coding] >= 0)
        return a->q[coding] * 2;
    if (coding != CODING_IDENTITY)
        return a->any > 0 ? a->any * 2 : 0;
    return a->any == 0 ? 0 : 1;
}

bool gust__http_accept_identity(const struct http_accept *a)
{
    return weight_of(a, CODING_IDENTITY) > 0;
}

unsigned gust__http_accept_order(const struct http_accept *a, unsigned offered,
                                 enum http_coding ret_codings[CODINGS])
{
    unsigned count = 0;

    for (enum http_coding coding = 0; coding < CODINGS; coding++) {
        int weight = offered & 1U << coding ? weight_of(a, coding) : 0;
        unsigned at = count;
        if (weight == 0)
            continue;
        for (; at > 0 && weight > weight_of(a, ret_codings[at - 1]); at--)
            ret_codings[at] = ret_codings[at - 1];
        ret_codings[at] = coding;
        count++;
    }
    return count;
}

const char *gust__http_coding_name(enum http_coding coding)
{
    static const char *const names[CODINGS] = {"br", "gzip", "identity"};

    return names[coding];
}

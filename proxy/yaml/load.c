/* From a YAML document to options, by two tables of keys.
 *
 * libyaml, and not libcyaml, which reads YAML into structs by itself: its errors do not name
 * the file, and say where in the schema something is, not what was expected there.
 *
 * The document is kept: strings point into it. */
#include <gust/http_proxy_yaml.h>

#include "core/inject.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct loaded {
    gust_http_proxy_yaml file;
    yaml_document_t document;
    gust_http_upstream *upstreams;
};

struct loading {
    const char *path;
    char *error; /* GUST_HTTP_PROXY_YAML_ERROR_MAX bytes */
    struct loaded *loaded;
};

enum key_kind { KEY_STRING, KEY_NUMBER, KEY_SIZE, KEY_INT, KEY_BOOL, KEY_TIME, KEY_ENUM };

struct key {
    const char *name;
    enum key_kind kind;
    size_t at;
    const char *const *words; /* of an enum, by value */
};

/* --- Keys ---------------------------------------------------------------------------- */

static const char *const hash_keys[] = {"client", "uri", "header", NULL};
static const char *const host_policies[] = {"upstream", "pass", "fixed", NULL};

#define FILE_KEY(name, kind)                                    \
    {                                                           \
#name, kind, offsetof(gust_http_proxy_yaml, name), NULL \
    }
#define PROXY_KEY(name, kind)                                         \
    {                                                                 \
#name, kind, offsetof(gust_http_proxy_yaml, proxy.name), NULL \
    }
#define PROXY_TIME(name)                                                       \
    {                                                                          \
#name, KEY_TIME, offsetof(gust_http_proxy_yaml, proxy.name##_ns), NULL \
    }
#define PROXY_ENUM(name, words)                                            \
    {                                                                      \
#name, KEY_ENUM, offsetof(gust_http_proxy_yaml, proxy.name), words \
    }
#define UPSTREAM_KEY(name, kind)                              \
    {                                                         \
#name, kind, offsetof(gust_http_upstream, name), NULL \
    }

static const struct key file_keys[] = {
    FILE_KEY(listen, KEY_STRING),
    FILE_KEY(access_log, KEY_STRING),
    FILE_KEY(stats, KEY_STRING),
    PROXY_ENUM(balance, gust_http_balance_names),
    PROXY_ENUM(hash_key, hash_keys),
    PROXY_KEY(hash_header, KEY_STRING),
    PROXY_TIME(connect_timeout),
    PROXY_TIME(first_byte_timeout),
    PROXY_TIME(idle_timeout),
    PROXY_TIME(total_timeout),
    PROXY_TIME(keep_alive),
    PROXY_KEY(keep_alive_max, KEY_NUMBER),
    PROXY_KEY(retries, KEY_NUMBER),
    PROXY_KEY(retry_percent, KEY_NUMBER),
    PROXY_KEY(retry_per_second, KEY_NUMBER),
    PROXY_KEY(retry_unavailable, KEY_BOOL),
    PROXY_KEY(failures_max, KEY_NUMBER),
    PROXY_TIME(ejection),
    PROXY_TIME(ejection_max),
    PROXY_KEY(ejected_percent_max, KEY_NUMBER),
    PROXY_KEY(check_path, KEY_STRING),
    PROXY_TIME(check_interval),
    PROXY_TIME(check_timeout),
    PROXY_KEY(check_rise, KEY_NUMBER),
    PROXY_KEY(check_fall, KEY_NUMBER),
    PROXY_TIME(resolve),
    PROXY_KEY(body_bytes_max, KEY_SIZE),
    PROXY_ENUM(host_policy, host_policies),
    PROXY_KEY(host, KEY_STRING),
    PROXY_ENUM(forwarding, gust_http_forwarding_names),
    PROXY_KEY(forwarded, KEY_BOOL),
    PROXY_KEY(via, KEY_STRING),
    PROXY_KEY(proxy_protocol, KEY_INT),
    {NULL, KEY_STRING, 0, NULL},
};

static const struct key upstream_keys[] = {
    UPSTREAM_KEY(url, KEY_STRING),       UPSTREAM_KEY(weight, KEY_NUMBER),
    UPSTREAM_KEY(drain, KEY_BOOL),       UPSTREAM_KEY(requests_max, KEY_NUMBER),
    UPSTREAM_KEY(conns_max, KEY_NUMBER), UPSTREAM_KEY(pending_max, KEY_NUMBER),
    {NULL, KEY_STRING, 0, NULL},
};

/* Numbers for which 0 is the default in the options, and means none in a file. */
static bool zero_is_none(const char *name)
{
    static const char *const names[] = {"retries", "retry_percent", "retry_per_second",
                                        "failures_max"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* --- What is wrong ---------------------------------------------------------------------- */

static int wrong(const struct loading *l, size_t line, const char *format, ...) GUST_PRINTF(3, 4);

static int wrong(const struct loading *l, size_t line, const char *format, ...)
{
    va_list args;
    int n = snprintf(l->error, GUST_HTTP_PROXY_YAML_ERROR_MAX, "%s:%zu: ", l->path, line + 1);

    va_start(args, format);
    if (n > 0 && n < GUST_HTTP_PROXY_YAML_ERROR_MAX)
        vsnprintf(l->error + n, GUST_HTTP_PROXY_YAML_ERROR_MAX - (size_t)n, format, args);
    va_end(args);
    return -EINVAL;
}

static int expected(const struct loading *l, const yaml_node_t *node, const struct key *key,
                    const char *what)
{
    return wrong(l, node->start_mark.line, "%s: expected %s, found \"%s\"", key->name, what,
                 (const char *)node->data.scalar.value);
}

/* --- Values -------------------------------------------------------------------------------- */

static bool read_whole(const char *text, unsigned long long max, unsigned long long *ret_value)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0; /* strtoull's own, read before anything can park */
    *ret_value = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' && *ret_value <= max;
}

/* Decimal, so that no locale and no rounding has a say. */
static bool read_seconds(const char *text, int64_t *ret_ns)
{
    size_t whole = strspn(text, "0123456789");
    size_t fraction = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
    bool has_point = text[whole] == '.';
    int64_t ns = 0;

    if (whole == 0 || whole > 9 || fraction > 9 || (has_point && fraction == 0) ||
        text[whole + has_point + fraction] != '\0')
        return false;
    for (size_t i = 0; i < whole; i++)
        ns = ns * 10 + (text[i] - '0');
    for (size_t i = 0; i < 9; i++)
        ns = ns * 10 + (i < fraction ? text[whole + 1 + i] - '0' : 0);
    *ret_ns = ns;
    return true;
}

static int set_enum(const struct loading *l, const yaml_node_t *node, const struct key *key,
                    void *at)
{
    const char *text = (const char *)node->data.scalar.value;
    char known[128] = "one of";
    size_t n = strlen(known);

    for (unsigned i = 0; key->words[i]; i++) {
        if (strcmp(text, key->words[i]) == 0) {
            *(unsigned *)at = i; /* all these enums have no negative value */
            return 0;
        }
        n += (size_t)snprintf(known + n, sizeof(known) - n, "%s %s", i ? "," : "", key->words[i]);
    }
    return expected(l, node, key, known);
}

static int set_bool(const struct loading *l, const yaml_node_t *node, const struct key *key,
                    bool *at)
{
    const char *text = (const char *)node->data.scalar.value;

    *at = strcmp(text, "true") == 0;
    return *at || strcmp(text, "false") == 0 ? 0 : expected(l, node, key, "true or false");
}

static int set_time(const struct loading *l, const yaml_node_t *node, const struct key *key,
                    int64_t *at)
{
    const char *text = (const char *)node->data.scalar.value;

    if (strcmp(text, "never") == 0)
        *at = GUST_FOREVER;
    else if (!read_seconds(text, at) || *at == 0)
        return expected(l, node, key, "a number of seconds above 0, such as 1.5, or never");
    return 0;
}

static int set_number(const struct loading *l, const yaml_node_t *node, const struct key *key,
                      void *at)
{
    unsigned long long value, max = key->kind == KEY_SIZE ? INT64_MAX : 1000000000;

    if (!read_whole((const char *)node->data.scalar.value, max, &value))
        return expected(l, node, key, "a whole number");
    if (key->kind == KEY_SIZE)
        *(uint64_t *)at = value;
    else if (key->kind == KEY_INT)
        *(int *)at = (int)value;
    else
        *(unsigned *)at =
            value == 0 && zero_is_none(key->name) ? GUST_HTTP_PROXY_NONE : (unsigned)value;
    return 0;
}

static int set_value(const struct loading *l, const yaml_node_t *node, const struct key *key,
                     void *at)
{
    if (node->type != YAML_SCALAR_NODE)
        return wrong(l, node->start_mark.line, "%s: expected a single value", key->name);
    switch (key->kind) {
    case KEY_STRING: *(const char **)at = (const char *)node->data.scalar.value; return 0;
    case KEY_NUMBER:
    case KEY_SIZE:
    case KEY_INT: return set_number(l, node, key, at);
    case KEY_BOOL: return set_bool(l, node, key, at);
    case KEY_TIME: return set_time(l, node, key, at);
    case KEY_ENUM: return set_enum(l, node, key, at);
    }
    return -EINVAL;
}

/* --- Mappings --------------------------------------------------------------------------------- */

static yaml_node_t *node_at(const struct loading *l, int index)
{
    return yaml_document_get_node(&l->loaded->document, index);
}

/* The table's last, which has no name, stands for `other`. */
static int find_key(const struct loading *l, const yaml_node_t *node, const struct key *keys,
                    const char *other, const struct key **ret_key)
{
    if (node->type != YAML_SCALAR_NODE)
        return wrong(l, node->start_mark.line, "expected a key");
    const char *name = (const char *)node->data.scalar.value;
    for (*ret_key = keys; (*ret_key)->name; (*ret_key)++)
        if (strcmp(name, (*ret_key)->name) == 0)
            return 0;
    if (other && strcmp(name, other) == 0)
        return 0;
    return wrong(l, node->start_mark.line, "unknown key \"%s\"", name);
}

static int check_once(const struct loading *l, const yaml_node_t *map, const yaml_node_pair_t *pair)
{
    const yaml_node_t *key = node_at(l, pair->key);

    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < pair; p++) {
        const char *other = (const char *)node_at(l, p->key)->data.scalar.value;
        if (strcmp((const char *)key->data.scalar.value, other) == 0)
            return wrong(l, key->start_mark.line, "\"%s\" is there twice", other);
    }
    return 0;
}

/* Calls set_other for the key `other`. */
static int read_map(struct loading *l, const yaml_node_t *map, const struct key *keys, void *base,
                    const char *other, int (*set_other)(struct loading *l, const yaml_node_t *node))
{
    int r = 0;

    if (map->type != YAML_MAPPING_NODE)
        return wrong(l, map->start_mark.line, "expected keys with values: \"%s: ...\"",
                     keys[0].name);
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start;
         r == 0 && p < map->data.mapping.pairs.top; p++) {
        const struct key *key = keys;
        r = find_key(l, node_at(l, p->key), keys, other, &key);
        if (r == 0)
            r = check_once(l, map, p);
        if (r == 0)
            r = key->name || !set_other
                    ? set_value(l, node_at(l, p->value), key, (char *)base + key->at)
                    : set_other(l, node_at(l, p->value));
    }
    return r;
}

static int read_upstreams(struct loading *l, const yaml_node_t *node)
{
    struct loaded *loaded = l->loaded;

    if (node->type != YAML_SEQUENCE_NODE)
        return wrong(l, node->start_mark.line, "upstreams: expected a list of \"- url: ...\"");
    size_t count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    if (count == 0 || count > GUST_HTTP_PROXY_UPSTREAMS_MAX)
        return wrong(l, node->start_mark.line, "upstreams: expected 1 to %d, found %zu",
                     GUST_HTTP_PROXY_UPSTREAMS_MAX, count);
    loaded->upstreams = gust__calloc(count, sizeof(*loaded->upstreams));
    if (!loaded->upstreams)
        return -ENOMEM;
    loaded->file.proxy.upstreams = loaded->upstreams;
    loaded->file.proxy.upstream_count = count;
    for (size_t i = 0; i < count; i++) {
        const yaml_node_t *item = node_at(l, node->data.sequence.items.start[i]);
        int r = read_map(l, item, upstream_keys, &loaded->upstreams[i], NULL, NULL);
        if (r < 0)
            return r;
        if (!loaded->upstreams[i].url)
            return wrong(l, item->start_mark.line, "expected a url in each upstream");
    }
    return 0;
}

/* --- Files -------------------------------------------------------------------------------------- */

static int read_document(struct loading *l)
{
    const yaml_node_t *root = yaml_document_get_root_node(&l->loaded->document);

    if (!root)
        return wrong(l, 0, "expected \"upstreams:\", found nothing");
    int r = read_map(l, root, file_keys, &l->loaded->file, "upstreams", read_upstreams);
    if (r == 0 && !l->loaded->upstreams)
        return wrong(l, root->start_mark.line, "expected \"upstreams:\" with a list of URLs");
    return r;
}

static int parse(const struct loading *l, FILE *in)
{
    yaml_parser_t parser;
    int r = 0;

    if (!yaml_parser_initialize(&parser))
        return -ENOMEM;
    yaml_parser_set_input_file(&parser, in);
    if (!yaml_parser_load(&parser, &l->loaded->document))
        r = parser.error == YAML_MEMORY_ERROR
                ? -ENOMEM
                : wrong(l, parser.problem_mark.line, "this is no YAML: %s",
                        parser.problem ? parser.problem : "it cannot be read");
    yaml_parser_delete(&parser);
    return r;
}

int gust_http_proxy_yaml_load(const char *path, char error[GUST_HTTP_PROXY_YAML_ERROR_MAX],
                              gust_http_proxy_yaml **ret_file)
{
    struct loading l = {path, error, gust__calloc(1, sizeof(struct loaded))};
    FILE *in = fopen(path, "re");
    int r = in ? 0 : -errno;

    error[0] = '\0';
    if (!l.loaded)
        r = -ENOMEM;
    if (r == 0)
        r = parse(&l, in);
    if (r == 0)
        r = read_document(&l);
    if (in)
        fclose(in);
    if (r < 0 && !error[0])
        snprintf(error, GUST_HTTP_PROXY_YAML_ERROR_MAX, "%s: %s", path, strerror(-r));
    if (r < 0)
        gust_http_proxy_yaml_free(l.loaded ? &l.loaded->file : NULL);
    else
        *ret_file = &l.loaded->file;
    return r;
}

void gust_http_proxy_yaml_free(gust_http_proxy_yaml *file)
{
    struct loaded *loaded = (struct loaded *)file; /* its first member */

    if (!loaded)
        return;
    yaml_document_delete(&loaded->document);
    free(loaded->upstreams);
    free(loaded);
}

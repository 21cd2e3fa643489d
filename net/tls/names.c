#include "net/tls/names.h"

#include <errno.h>
#include <string.h>

#include "core/inject.h"

/* Not tolower, which asks the locale. */
static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* False: no name of a host.  A dot at the end says only that it is complete. */
static bool normalise(const char *text, size_t len, char ret_name[GUST__NAME_MAX + 1])
{
    if (len > 0 && text[len - 1] == '.')
        len--;
    if (len == 0 || len > GUST__NAME_MAX || memchr(text, '\0', len))
        return false;
    for (size_t i = 0; i < len; i++)
        ret_name[i] = lower(text[i]);
    ret_name[len] = '\0';
    return true;
}

static bool has_stray_star(const char *name)
{
    return strchr(name[0] == '*' && name[1] == '.' ? name + 1 : name, '*') != NULL;
}

int gust__names_add(gust__names *names, const char *text, size_t len, size_t identity)
{
    char name[GUST__NAME_MAX + 1];
    if (!normalise(text, len, name) || has_stray_star(name))
        return 0;
    if (names->count == names->cap) {
        size_t cap = names->cap ? names->cap * 2 : 8;
        gust__name *list = gust__realloc(names->list, cap * sizeof *list);
        if (!list)
            return -ENOMEM;
        names->list = list;
        names->cap = cap;
    }
    size_t size = strlen(name) + 1;
    char *copy = gust__malloc(size);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, name, size);
    names->list[names->count++] = (gust__name){copy, identity};
    return 0;
}

static int compare(const void *a, const void *b)
{
    const gust__name *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    return order ? order : (x->identity > y->identity) - (x->identity < y->identity);
}

void gust__names_sort(gust__names *names)
{
    if (names->count > 1)
        qsort(names->list, names->count, sizeof *names->list, compare);
}

/* The first entry that is not less than `name`. */
static size_t lower_bound(const gust__names *names, const char *name)
{
    size_t low = 0, high = names->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(names->list[middle].text, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const gust__name *find_equal(const gust__names *names, const char *name, size_t *ret_count)
{
    size_t first = lower_bound(names, name), end = first;
    while (end < names->count && strcmp(names->list[end].text, name) == 0)
        end++;
    *ret_count = end - first;
    return end > first ? &names->list[first] : NULL;
}

const gust__name *gust__names_find(const gust__names *names, const char *host, size_t *ret_count)
{
    char name[GUST__NAME_MAX + 1];
    *ret_count = 0;
    if (!normalise(host, strlen(host), name) || name[0] == '*')
        return NULL;
    const gust__name *found = find_equal(names, name, ret_count);
    char *dot = strchr(name, '.');
    if (found || !dot || dot == name)
        return found;
    /* The star stands for the first label, whatever its length. */
    dot[-1] = '*';
    return find_equal(names, dot - 1, ret_count);
}

void gust__names_free(gust__names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->list[i].text);
    free(names->list);
    *names = (gust__names){0};
}

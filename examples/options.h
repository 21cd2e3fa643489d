/* The command line of the examples.  A table says which options there are; what is not in
 * it is refused, with the usage on stderr and exit status 2. */
#ifndef GUST_EXAMPLES_OPTIONS_H
#define GUST_EXAMPLES_OPTIONS_H

#include <errno.h>
#include <gust/net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct option {
    const char *name;  /* "--listen"; the last one of a table has none */
    const char *param; /* what its value is, for the usage; NULL: it has no value */
    const char *help;
    bool (*parse)(const char *value, void *to); /* false: it cannot be that */
    void *to;
    bool required;
} option;

/* --- What an option can be --------------------------------------------------- */

static inline bool option_text(const char *value, void *to)
{
    *(const char **)to = value;
    return true;
}

static inline bool option_addr(const char *value, void *to)
{
    return gust_addr_parse(value, to) == 0;
}

/* To nanoseconds; at least one, since 0 is a default. */
static inline bool option_seconds(const char *value, void *to)
{
    char *end;
    double ns = strtod(value, &end) * (double)GUST_SEC;
    if (end == value || *end || !(ns >= 1 && ns <= 1e15))
        return false;
    *(int64_t *)to = (int64_t)ns;
    return true;
}

static inline bool option_flag(const char *value, void *to)
{
    return *(bool *)to = true;
}

/* --- Reading ----------------------------------------------------------------- */

static inline void options_print_usage(FILE *file, const option *options)
{
    char left[64];
    fprintf(file, "usage: %s", program_invocation_short_name);
    for (const option *o = options; o->name; o++)
        if (o->required)
            fprintf(file, " %s %s", o->name, o->param);
    fprintf(file, " [OPTION]...\n");
    for (const option *o = options; o->name; o++) {
        snprintf(left, sizeof left, "%s %s", o->name, o->param ? o->param : "");
        fprintf(file, "  %-27s %s\n", left, o->help);
    }
}

/* "NAME: NAME-OF-OPTION WHY VALUE", and the usage. */
static inline _Noreturn void options_refuse(const option *options, const char *name,
                                            const char *why, const char *value)
{
    fprintf(stderr, "%s: %s %s %s\n", program_invocation_short_name, name, why, value);
    options_print_usage(stderr, options);
    exit(2);
}

static inline const option *options_find(const option *options, const char *name)
{
    while (options->name && strcmp(options->name, name) != 0)
        options++;
    return options;
}

static inline bool options_given(char **argv, const char *name)
{
    while (*++argv)
        if (strcmp(*argv, name) == 0)
            return true;
    return false;
}

/* Returns if the command line is in order; else, and after --help, the program ends. */
static inline void options_parse(char **argv, const option *options)
{
    for (char **arg = argv + 1; *arg; arg++) {
        const option *o = options_find(options, *arg);
        if (strcmp(*arg, "--help") == 0) {
            options_print_usage(stdout, options);
            exit(0);
        }
        if (!o->name)
            options_refuse(options, *arg, "is", "no option");
        if (o->param && !*++arg)
            options_refuse(options, o->name, "needs", o->param);
        if (!o->parse(*arg, o->to))
            options_refuse(options, o->name, "cannot be", *arg);
    }
    for (const option *o = options; o->name; o++)
        if (o->required && !options_given(argv, o->name))
            options_refuse(options, o->name, "is", "missing");
}

/* Says what went wrong; returns the exit status for that. */
static inline int failed(const char *what, int error)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(-error));
    return 1;
}

#endif

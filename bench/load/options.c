#include "bench/load/options.h"

#include "bench/load/option_specs.h"

#include <getopt.h>
#include <stdlib.h>

#define CONNECTIONS 64
#define DURATION_NS (10 * GUST_SEC)
#define TIMEOUT_NS (10 * GUST_SEC)
#define ECHO_BYTES 64
#define SEED 1

/* --- Help --------------------------------------------------------------------------------------- */

static const char synopsis[] =
    "usage: gust-load [OPTION]... [WEIGHT@]URL...\n"
    "\n"
    "Loads a server, and says how it answered.  URLs are http://, https://, or tcp://HOST:PORT\n"
    "for a server that sends back what it gets; several, of one server, are asked for at random.\n";

static const char examples[] =
    "\n"
    "Examples:\n"
    "  gust-load -c 100 -d 30s http://127.0.0.1:8080/\n"
    "  gust-load --rate 5000 -w 5s --html report.html http://127.0.0.1:8080/\n"
    "  gust-load 3@http://127.0.0.1:8080/ 1@http://127.0.0.1:8080/about\n"
    "  gust-load -n 1000 -b order.json -H 'Content-Type: application/json' --expect-status 201 \\\n"
    "            https://shop.example/orders\n"
    "  gust-load --sweep 1000 --sweep-p99 20ms -d 5s http://127.0.0.1:8080/\n"
    "\n"
    "Status: 0 if every request was answered as expected, 1 if not, 2 if it could not begin.\n";

static void print_help(void)
{
    fputs(synopsis, stdout);
    for (const struct option_spec *s = option_specs; s->help; s++) {
        char left[64];
        if (!s->name) {
            printf("\n%s:\n", s->help);
            continue;
        }
        snprintf(left, sizeof left, "--%s%s%s", s->name, s->param ? " " : "",
                 s->param ? s->param : "");
        printf("  %c%c%c %-23s %s\n", s->letter ? '-' : ' ', s->letter ? s->letter : ' ',
               s->letter ? ',' : ' ', left, s->help);
    }
    fputs(examples, stdout);
}

/* --- Reading ------------------------------------------------------------------------------------ */

/* What getopt returns for the first option of the table; letters are below. */
#define FIRST_SPEC 256

/* getopt's own tables, of the same. */
struct getopt_tables {
    struct option longs[OPTION_SPECS_MAX];
    char letters[2 * OPTION_SPECS_MAX];
};

static void make_tables(struct getopt_tables *t)
{
    struct option *o = t->longs;
    char *letter = t->letters;
    *letter++ = ':'; /* no messages of getopt's, and missing arguments are told apart */
    for (size_t i = 0; option_specs[i].help; i++) {
        if (!option_specs[i].name)
            continue;
        *o++ = (struct option){option_specs[i].name,
                               option_specs[i].param ? required_argument : no_argument, NULL,
                               FIRST_SPEC + (int)i};
        if (option_specs[i].letter)
            *letter++ = option_specs[i].letter;
        if (option_specs[i].letter && option_specs[i].param)
            *letter++ = ':';
    }
    *o = (struct option){0};
    *letter = '\0';
}

static const struct option_spec *find_spec(int found)
{
    if (found >= FIRST_SPEC)
        return &option_specs[found - FIRST_SPEC];
    for (const struct option_spec *s = option_specs; s->help; s++)
        if (s->letter && s->letter == found)
            return s;
    return NULL;
}

/* getopt stands behind an option that it does not know, but within a word of several letters. */
static enum options_verdict refuse(char **argv, const char *why)
{
    const char letter[] = {'-', (char)optopt, '\0'};
    bool is_letter = optopt > 0 && optopt < FIRST_SPEC;
    complain("%s %s; --help lists the options", is_letter ? letter : argv[optind - 1], why);
    return OPTIONS_BAD;
}

static enum options_verdict read_option(int found, char **argv, struct plan *p)
{
    const struct option_spec *s = find_spec(found);
    if (found == ':')
        return refuse(argv, "needs a value");
    if (!s)
        return refuse(argv, "is no option");
    if (!s->parse) {
        print_help();
        return OPTIONS_HELP;
    }
    if (s->parse(optarg, p))
        return OPTIONS_RUN;
    complain("--%s cannot be '%s': %s", s->name, optarg, s->help);
    return OPTIONS_BAD;
}

static bool add_target(const char *url, struct plan *p)
{
    if (p->target_count == TARGETS_MAX) {
        complain("there can be %d URLs", TARGETS_MAX);
        return false;
    }
    p->targets[p->target_count++].url = url;
    return true;
}

/* --- The whole ---------------------------------------------------------------------------------- */

static void set_defaults(struct plan *p)
{
    *p = (struct plan){.connections = CONNECTIONS,
                       .pipeline = 1,
                       .seed = SEED,
                       .timeout_ns = TIMEOUT_NS,
                       .echo_size = ECHO_BYTES,
                       .expect_length = -1};
    memset(p->good + 200, true, 200);
}

static void derive(struct plan *p)
{
    if (p->duration_ns == 0 && p->requests == 0)
        p->duration_ns = DURATION_NS;
    if (!p->method)
        p->method = p->body || p->body_file ? "POST" : "GET";
    p->is_head = strcmp(p->method, "HEAD") == 0;
}

/* What contradicts itself. */
static const char *contradiction(const struct plan *p)
{
    if (p->target_count == 0)
        return "there is no URL";
    if (p->no_keepalive && p->pipeline > 1)
        return "--no-keepalive leaves no connection for a --pipeline";
    if (p->sweep_rate > 0 && (p->rate > 0 || p->requests > 0))
        return "--sweep chooses the rate, and needs a duration: no --rate, no --requests";
    if (p->sweep_p99_ns > 0 && p->sweep_rate == 0)
        return "--sweep-p99 is for --sweep";
    if (p->insecure && p->ca_file)
        return "--insecure trusts any certificate, --ca-file does not";
    if (p->body && p->body_file)
        return "--body and --data are the same";
    return NULL;
}

enum options_verdict options_read(int argc, char **argv, struct plan *p)
{
    struct getopt_tables tables;
    enum options_verdict verdict = OPTIONS_RUN;
    int found;

    set_defaults(p);
    make_tables(&tables);
    while (verdict == OPTIONS_RUN &&
           (found = getopt_long(argc, argv, tables.letters, tables.longs, NULL)) != -1)
        verdict = read_option(found, argv, p);
    for (int i = optind; verdict == OPTIONS_RUN && i < argc; i++)
        verdict = add_target(argv[i], p) ? OPTIONS_RUN : OPTIONS_BAD;
    derive(p);
    if (verdict == OPTIONS_RUN && contradiction(p)) {
        complain("%s; --help lists the options", contradiction(p));
        verdict = OPTIONS_BAD;
    }
    return verdict;
}

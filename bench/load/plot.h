/* Plots as inline SVG: axes with round numbers, lines, bars. */
#ifndef GUST_LOAD_PLOT_H
#define GUST_LOAD_PLOT_H

#include "bench/load/units.h"

#include <stdio.h>

struct point {
    double x, y;
};

struct axis {
    double min, max; /* for a logarithmic one above 0 */
    bool is_log;
    char *(*format)(double value, char text[UNITS_TEXT_MAX]); /* what stands at a tick */
};

struct plot {
    FILE *out;
    struct axis x, y;
    unsigned lines; /* so far; each has its own colour and a place in the legend */
};

/* Widens what [min, max] has to show until it is an interval that can be drawn. */
struct axis axis_of(double min, double max, bool is_log,
                    char *(*format)(double value, char text[UNITS_TEXT_MAX]));

/* The heading, the axes and what they are of. */
void plot_begin(struct plot *p, FILE *out, const char *title, struct axis x, struct axis y);

/* A line through the points, named in the legend.  What lies outside is drawn at the edge. */
void plot_line(struct plot *p, const char *name, const struct point *points, size_t count);

/* A bar from `from` to `to`, which is shown as `text` when it is pointed at. */
void plot_bar(struct plot *p, double from, double to, double height, const char *text);

/* A mark with a text, at a place on the x axis. */
void plot_mark(struct plot *p, double x, const char *text);

void plot_end(struct plot *p);

#endif

/* chi_square.c: the incomplete gamma function: by its series below the bend, by its continued fraction
 * above it (Abramowitz and Stegun, 6.5.29 and 6.5.31; the fraction by Lentz's method). */
#include "tools/urn_wal/chi_square.h"

#include <float.h>
#include <math.h>

#include "engine/check.h"

#define STEPS_MAX 100000

/* P(a, x): converges fast for x < a + 1. */
static double lower_by_series(double a, double x)
{
    double term = 1 / a;
    double sum = term;
    for (int n = 1; n < STEPS_MAX && term > sum * DBL_EPSILON; n++) {
        term *= x / (a + n);
        sum += term;
    }
    return sum * exp(a * log(x) - x - lgamma(a));
}

/* Q(a, x): converges fast for x > a + 1. */
static double upper_by_fraction(double a, double x)
{
    double b = x + 1 - a;
    double c = 1 / DBL_MIN;
    double d = 1 / b;
    double fraction = d;
    for (int n = 1; n < STEPS_MAX; n++) {
        const double an = -n * (n - a);
        b += 2;
        d = an * d + b;
        c = b + an / c;
        if (fabs(d) < DBL_MIN)
            d = DBL_MIN;
        if (fabs(c) < DBL_MIN)
            c = DBL_MIN;
        d = 1 / d;
        fraction *= d * c;
        if (fabs(d * c - 1) < DBL_EPSILON)
            break;
    }
    return fraction * exp(a * log(x) - x - lgamma(a));
}

double chi_square_p(double chi_square, uint32_t degrees)
{
    CHECK(degrees > 0);
    const double a = degrees / 2.0;
    const double x = chi_square / 2;
    if (!(x > 0))
        return 1;
    return x < a + 1 ? 1 - lower_by_series(a, x) : upper_by_fraction(a, x);
}

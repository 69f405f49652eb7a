/* chi_square.h: how likely chance alone makes a table differ so much from what is expected. Pure. */
#ifndef URN_TOOLS_URN_WAL_CHI_SQUARE_H
#define URN_TOOLS_URN_WAL_CHI_SQUARE_H

#include <stdint.h>

/* The probability that a chi-square variable with so many degrees of freedom (1 at least) is at least so
 * large: Q(degrees / 2, chi_square / 2), the regularised upper incomplete gamma function. */
double chi_square_p(double chi_square, uint32_t degrees);

#endif

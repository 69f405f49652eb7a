/* time_text.c: the Gregorian calendar both ways, after H. Hinnant, "chrono-compatible low-level date
 * algorithms" (days_from_civil, civil_from_days). */
#include "tools/urn_wal/time_text.h"

#include <stdio.h>
#include <string.h>

#define DAY_US   (86400ull * 1000000)
#define TIME_MAX 253402300799999999ull /* the last microsecond of the year 9999 */

static uint64_t days_from_date(uint32_t year, uint32_t month, uint32_t day)
{
    const uint32_t shifted_year = month <= 2 ? year - 1 : year; /* a year that ends with February */
    const uint32_t era = shifted_year / 400;
    const uint32_t year_of_era = shifted_year - era * 400;
    const uint32_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    const uint32_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (uint64_t)era * 146097 + day_of_era - 719468;
}

static void date_from_days(uint64_t days, uint32_t *year, uint32_t *month, uint32_t *day)
{
    const uint64_t shifted = days + 719468;
    const uint32_t era = (uint32_t)(shifted / 146097);
    const uint32_t day_of_era = (uint32_t)(shifted % 146097);
    const uint32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const uint32_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const uint32_t shifted_month = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    *month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    *year = year_of_era + era * 400 + (*month <= 2 ? 1 : 0);
}

static void put_digits(char *to, uint32_t count, uint32_t number)
{
    for (uint32_t i = count; i > 0; i--, number /= 10)
        to[i - 1] = (char)('0' + number % 10);
}

void time_text(uint64_t time_us, char text[TIME_TEXT_BYTES])
{
    if (time_us > TIME_MAX)
        time_us = TIME_MAX;
    uint32_t year;
    uint32_t month;
    uint32_t day;
    date_from_days(time_us / DAY_US, &year, &month, &day);
    const uint32_t second = (uint32_t)(time_us % DAY_US / 1000000);
    memcpy(text, "0000-00-00T00:00:00.000000Z", TIME_TEXT_BYTES);
    put_digits(text, 4, year);
    put_digits(text + 5, 2, month);
    put_digits(text + 8, 2, day);
    put_digits(text + 11, 2, second / 3600);
    put_digits(text + 14, 2, second / 60 % 60);
    put_digits(text + 17, 2, second % 60);
    put_digits(text + 20, 6, (uint32_t)(time_us % 1000000));
}

/* ---- parsing --------------------------------------------------------------------------------- */

/* Exactly so many digits, between low and high. */
static bool take_number(const char **at, uint32_t digits, uint32_t low, uint32_t high,
                        uint32_t *number)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < digits; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        sum = sum * 10 + (uint32_t)(**at - '0');
    }
    *number = sum;
    return sum >= low && sum <= high;
}

static bool take_character(const char **at, char wanted)
{
    if (**at != wanted)
        return false;
    (*at)++;
    return true;
}

/* Digits behind the decimal point, as microseconds; further ones are dropped. */
static bool take_fraction(const char **at, uint32_t *fraction_us)
{
    uint32_t unit = 100000;
    *fraction_us = 0;
    if (!take_character(at, '.'))
        return true;
    if (**at < '0' || **at > '9')
        return false;
    for (; **at >= '0' && **at <= '9'; (*at)++, unit /= 10)
        *fraction_us += unit * (uint32_t)(**at - '0');
    return true;
}

/* Minutes that the text is ahead of UTC. */
static bool take_offset(const char **at, int32_t *offset_minutes)
{
    uint32_t hours;
    uint32_t minutes;
    *offset_minutes = 0;
    if (**at == 0 || take_character(at, 'Z') || take_character(at, 'z'))
        return true;
    const bool ahead = **at == '+';
    if (!ahead && **at != '-')
        return false;
    (*at)++;
    if (!take_number(at, 2, 0, 23, &hours) || !take_character(at, ':') ||
        !take_number(at, 2, 0, 59, &minutes))
        return false;
    *offset_minutes = (int32_t)(hours * 60 + minutes) * (ahead ? 1 : -1);
    return true;
}

static uint32_t days_of_month(uint32_t year, uint32_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap ? 1u : 0u);
}

bool time_parse(const char *text, uint64_t *time_us)
{
    const char *at = text;
    uint32_t year;
    uint32_t month;
    uint32_t day;
    uint32_t hour = 0;
    uint32_t minute = 0;
    uint32_t second = 0;
    uint32_t fraction_us = 0;
    int32_t offset_minutes = 0;
    if (!take_number(&at, 4, 1970, 9999, &year) || !take_character(&at, '-') ||
        !take_number(&at, 2, 1, 12, &month) || !take_character(&at, '-') ||
        !take_number(&at, 2, 1, days_of_month(year, month), &day))
        return false;
    if (*at == 'T' || *at == 't' || *at == ' ') {
        at++;
        if (!take_number(&at, 2, 0, 23, &hour) || !take_character(&at, ':') ||
            !take_number(&at, 2, 0, 59, &minute) || !take_character(&at, ':') ||
            !take_number(&at, 2, 0, 60, &second) || !take_fraction(&at, &fraction_us) ||
            !take_offset(&at, &offset_minutes))
            return false;
    }
    const int64_t seconds = (int64_t)(days_from_date(year, month, day) * 86400 + hour * 3600ull +
                                      minute * 60ull + second) -
                            (int64_t)offset_minutes * 60;
    if (*at != 0 || seconds < 0)
        return false;
    *time_us = (uint64_t)seconds * 1000000 + fraction_us;
    return true;
}

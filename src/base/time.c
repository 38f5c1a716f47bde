/*
 * Instants as text.
 *
 * The calendar is arithmetic: no locale, no time zone database, no system call.  A year is taken to
 * begin on the first of March, so that the leap day is its last; then the days before a month are a
 * line, 30.6 days per month, and 400 years are 146,097 days.
 *
 * Text is RFC 3339 with a capital T, seconds, and `Z` or an offset, in the years 0001 to 9999.
 * Digits beyond the microsecond are dropped.  A leap second (`:60`) is refused: no instant here
 * could hold it.
 */
#include "kumiko/value.h"

#include <string.h>

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY (INT64_C(86400) * US_PER_SECOND)

enum {
    DAYS_PER_400_YEARS = 146097,
    DAYS_BEFORE_1970 = 719468, /* from the first of March of the year 0 */
};

/* The first microsecond of the year 1 and the last of the year 9999. */
#define TIME_MIN (INT64_C(-62135596800) * US_PER_SECOND)
#define TIME_MAX (INT64_C(253402300800) * US_PER_SECOND - 1)

static bool is_leap_year(int year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int days_in_month(int year, int month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap_year(year) ? 1 : 0);
}

/* Days since 1970-01-01 of a date from year 1 on. */
static int64_t days_of_date(int year, int month, int day)
{
    int shifted_year = month <= 2 ? year - 1 : year; /* the year that began in March */
    int shifted_month = month <= 2 ? month + 9 : month - 3;
    int64_t before_year =
        INT64_C(365) * shifted_year + shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
    return before_year + (153 * shifted_month + 2) / 5 + day - 1 - DAYS_BEFORE_1970;
}

/* Two digits, or -1. */
static int two_digits(const char *text)
{
    unsigned high = (unsigned)(uint8_t)text[0] - '0';
    unsigned low = (unsigned)(uint8_t)text[1] - '0';
    return high > 9 || low > 9 ? -1 : (int)(high * 10 + low);
}

/* Reads `Z` or `±hh:mm` up to the end of the text. */
static bool parse_offset(const char *text, size_t len, int *ret_minutes)
{
    if (len == 1 && text[0] == 'Z') {
        *ret_minutes = 0;
        return true;
    }
    if (len != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':')
        return false;
    int hours = two_digits(text + 1), minutes = two_digits(text + 4);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59)
        return false;
    *ret_minutes = (text[0] == '-' ? -1 : 1) * (hours * 60 + minutes);
    return true;
}

/* Reads `YYYY-MM-DDThh:mm:ss`, as microseconds without an offset. */
static bool parse_local(const char *text, int64_t *ret_us)
{
    if (text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':')
        return false;
    int century = two_digits(text), rest = two_digits(text + 2);
    int month = two_digits(text + 5), day = two_digits(text + 8);
    int hour = two_digits(text + 11), minute = two_digits(text + 14),
        second = two_digits(text + 17);
    if (century < 0 || rest < 0 || hour < 0 || minute < 0 || second < 0)
        return false;
    int year = century * 100 + rest;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    if (hour > 23 || minute > 59 || second > 59)
        return false;
    *ret_us = days_of_date(year, month, day) * US_PER_DAY +
              (INT64_C(3600) * hour + INT64_C(60) * minute + second) * US_PER_SECOND;
    return true;
}

bool ku_time_parse(ku_str text, ku_time *ret_time)
{
    int64_t us;
    if (text.len < 20 || !parse_local(text.ptr, &us))
        return false;

    size_t at = 19;
    if (text.ptr[at] == '.') {
        int64_t unit = US_PER_SECOND / 10;
        size_t first = ++at;
        for (; at < text.len && text.ptr[at] >= '0' && text.ptr[at] <= '9'; at++) {
            us += unit * (text.ptr[at] - '0');
            unit /= 10;
        }
        if (at == first)
            return false;
    }
    int offset_minutes;
    if (!parse_offset(text.ptr + at, text.len - at, &offset_minutes))
        return false;
    us -= offset_minutes * 60 * US_PER_SECOND;
    if (us < TIME_MIN || us > TIME_MAX)
        return false;
    ret_time->unix_us = us;
    return true;
}

static void put_digits(char *text, unsigned value, int count)
{
    for (int i = count - 1; i >= 0; i--) {
        text[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

/* An instant outside the years that have a text is written as the nearest that has one. */
void ku_time_format(ku_time time, char ret_text[25])
{
    int64_t us = time.unix_us < TIME_MIN ? TIME_MIN : time.unix_us;
    if (us > TIME_MAX)
        us = TIME_MAX;
    /* Counted from a day long before, nothing below is negative. */
    uint64_t since = (uint64_t)(us + DAYS_BEFORE_1970 * US_PER_DAY);
    unsigned days = (unsigned)(since / (uint64_t)US_PER_DAY);
    unsigned ms = (unsigned)(since % (uint64_t)US_PER_DAY / 1000);

    unsigned era = days / DAYS_PER_400_YEARS;
    unsigned day_of_era = days % DAYS_PER_400_YEARS;
    /* Take the leap days out, so that years have 365 days each. */
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned shifted_month = (5 * day_of_year + 2) / 153;
    unsigned day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    unsigned month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    unsigned year = era * 400 + year_of_era + (month <= 2 ? 1 : 0);

    memcpy(ret_text, "0000-00-00T00:00:00.000Z", 25);
    put_digits(ret_text, year, 4);
    put_digits(ret_text + 5, month, 2);
    put_digits(ret_text + 8, day, 2);
    put_digits(ret_text + 11, ms / 3600000, 2);
    put_digits(ret_text + 14, ms / 60000 % 60, 2);
    put_digits(ret_text + 17, ms / 1000 % 60, 2);
    put_digits(ret_text + 20, ms % 1000, 3);
}

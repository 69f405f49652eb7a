/* messages.c: see messages.h. */

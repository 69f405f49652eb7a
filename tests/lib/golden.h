/* golden.h: what a tool must print, kept in tests/golden. It is compiled with URN_GOLDEN_DIR. */
#ifndef URN_TESTS_LIB_GOLDEN_H
#define URN_TESTS_LIB_GOLDEN_H

/* Fails the test unless the text is, to the byte, that of the file of this name; with
 * URN_GOLDEN_UPDATE=1 in the environment writes the file anew instead. */
void assert_golden(const char *name, const char *text);

/* Fails the test, and prints the text, unless it holds these words. */
void assert_contains(const char *text, const char *words);

#endif

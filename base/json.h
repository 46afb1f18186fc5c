/* Text as JSON has it. */
#ifndef BAILEY_BASE_JSON_H
#define BAILEY_BASE_JSON_H

#include <stdio.h>

/* Writes s as a JSON string, quotes and all.  What is no UTF-8 becomes U+FFFD, a byte each: JSON has no other text. */
void json_string(FILE *f, const char *s);

#endif

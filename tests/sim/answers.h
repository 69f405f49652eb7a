/* answers.h: what an answer says, against the model that it speaks of. Each ends the run if it lies.
 */
#ifndef URN_TESTS_SIM_ANSWERS_H
#define URN_TESTS_SIM_ANSWERS_H

#include "tests/sim/model.h"
#include "tests/sim/rules.h"

/* An answered STATE, CATALOG or POOLS shows this model, whole. */
void answers_check_read(const struct model *model, const struct urn_request *request);

/* A RELOAD reports exactly what the ruling says. */
void answers_check_reload(const struct ruling *ruling, const struct urn_request *request);

#endif

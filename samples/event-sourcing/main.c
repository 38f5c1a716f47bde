/*
 * The showcase as a program: `showcase serve`, `showcase describe`, `showcase --help`.
 */
#include "invoicing.h"

int main(int argc, char **argv)
{
    return ku_main(argc, argv, KU_LIST(ku_feature, &showcase_feature));
}
